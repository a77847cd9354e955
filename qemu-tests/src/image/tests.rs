//! Images are checked by the tools of others.

use super::*;
use std::process::Command;

fn tool(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name)
        .args(arguments)
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("MTOOLS_SKIP_CHECK", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name} {arguments:?}: {said}{output:?}");
    said
}

#[test]
fn an_image_holds_what_it_says_and_the_next_is_mostly_the_same() {
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("kernel"), "kernel").unwrap();
    fs::write(path("init"), "init").unwrap();
    let first = TestImage::of(path("kernel"), path("init"));
    first.write(path("first")).unwrap();
    first.next().write(path("next")).unwrap();

    let table = tool("sfdisk", &["--dump", &path("first")]);
    assert!(table.contains(&ROOT_PARTUUID.to_uppercase()), "{table}");
    tool("sfdisk", &["--verify", &path("first")]);
    let esp = format!("{}@@1M", path("first"));
    assert!(tool("mtype", &["-i", &esp, "::/EFI/BOOT/README.TXT"]).contains("no boot loader"));
    for (name, greeting) in
        [("first", "test image, seed 1, version 1\n"), ("next", "test image, seed 1, version 2\n")]
    {
        let root = format!("{}?offset={}", path(name), 9 << 20);
        tool("e2fsck", &["-fn", &root]);
        assert_eq!(tool("debugfs", &["-R", "cat /etc/witness", &root]), greeting);
        assert!(
            tool("debugfs", &["-R", "cat /boot/grub/grub.cfg", &root]).contains(&first.cmdline())
        );
    }

    let (first, next) = (fs::read(path("first")).unwrap(), fs::read(path("next")).unwrap());
    let changed = first.chunks(4096).zip(next.chunks(4096)).filter(|(a, b)| a != b).count();
    assert!(changed > 0 && changed < first.len() / 4096 / 4, "{changed} blocks differ");
}
