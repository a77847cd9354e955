//! Trees: pushed from directories and archives, shown, compared.

use crate::support::{Bench, Ran, command};
use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Stdio};

/// A tree with a kernel; `version` is what differs.
fn make(bench: &Bench, name: &str, version: &str) -> String {
    let root = bench.path(name);
    for directory in ["boot", "etc/default", "usr/bin"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let write = |path: &str, bytes: &[u8]| fs::write(root.join(path), bytes).unwrap();
    write(&format!("boot/vmlinuz-{version}"), format!("kernel {version}").as_bytes());
    write(&format!("boot/initrd.img-{version}"), &[7; 5000]);
    write("etc/default/grub", b"GRUB_CMDLINE_LINUX=\"console=ttyS0 root=/dev/sda1\"\n");
    write("etc/version", version.as_bytes());
    write("usr/bin/tool", &vec![9; 100_000]);
    bench.text(name)
}

fn push(bench: &Bench, label: &str, arguments: &[&str]) -> Ran {
    bench.run(&[&["push", label, "--json"], arguments].concat())
}

#[test]
fn a_tree_is_pushed_shown_compared_and_verified() {
    let bench = Bench::new();
    let (one, two) = (make(&bench, "one", "6.1"), make(&bench, "two", "6.2"));
    let pushed = push(&bench, "one", &["--tree", &one]).expect(0).json();
    assert_eq!((&pushed["kind"], &pushed["nodes"]), (&"tree".into(), &11.into()));
    assert_eq!(pushed["size_bytes"], pushed["image_bytes"]);
    let source = "tree /boot/vmlinuz-6.1, the newest, command line of /etc/default/grub";
    assert_eq!(pushed["boot_source"], source);
    push(&bench, "two", &["--tree", &two]).expect(0);

    let show = bench.run(&["show", "one", "--files", "--json"]).expect(0).json();
    assert_eq!((&show["kind"], &show["nodes"]), (&"tree".into(), &11.into()));
    assert_eq!(show["boot"]["cmdline"], "console=ttyS0");
    assert_eq!(show["boot"]["kernel"]["path"], "/boot/vmlinuz-6.1");
    let files = show["files"].as_array().unwrap();
    assert_eq!((files.len(), &files[2]["path"]), (11, &"boot/initrd.img-6.1".into()));
    let text = bench.run(&["show", "one", "--files"]).expect(0).stdout;
    assert!(text.contains("       100000 "), "{text}");

    let diff = bench.run(&["diff", "one", "two", "--files", "--json"]).expect(0).json();
    assert_eq!(diff["kept_bytes"], 100_000 + 50);
    assert_eq!((&diff["moved_bytes"], &diff["fetch_bytes"]), (&5000.into(), &13.into()));
    assert_eq!((&diff["nodes"]["new"], &diff["nodes"]["removed"]), (&2.into(), &2.into()));
    let changed = |change: &str| {
        let files = diff["files"].as_array().unwrap().iter();
        let paths = files.filter(|file| file["change"] == change).map(|file| file["path"].clone());
        paths.collect::<Vec<_>>()
    };
    assert_eq!(changed("changed"), ["etc/version"]);
    assert_eq!(changed("removed"), ["boot/initrd.img-6.1", "boot/vmlinuz-6.1"]);
    let text = bench.run(&["diff", "one", "two", "--files"]).expect(0).stdout;
    assert!(
        text.contains("\n+ boot/initrd.img-6.2\n") && text.contains("\n~ etc/version\n"),
        "{text}"
    );
    assert!(bench.run(&["labels"]).expect(0).stdout.contains("tree"));
    assert_eq!(bench.run(&["verify", "--json"]).expect(0).json()["labels"], 2);
}

#[test]
fn an_archive_is_the_same_label_however_it_is_packed_and_comes() {
    let bench = Bench::new();
    let root = make(&bench, "root", "6.1");
    let expected = push(&bench, "tree", &["--tree", &root]).expect(0).json();
    let archive = bench.text("a.tar");
    let arguments = ["--format=posix", "-C", &root, "-cf", &archive, "."];
    assert!(Command::new("tar").args(arguments).status().unwrap().success());
    for program in ["gzip", "xz", "zstd"] {
        let to = File::create(bench.path(&format!("a.tar.{program}"))).unwrap();
        let ran = Command::new(program).args(["-q", "-c", &archive]).stdout(to).status();
        assert!(ran.unwrap().success());
    }
    for name in ["a.tar", "a.tar.gzip", "a.tar.xz", "a.tar.zstd"] {
        let pushed = push(&bench, "tar", &["--tar", &bench.text(name), "--force"]).expect(0).json();
        assert_eq!(pushed["manifest"], expected["manifest"], "{name}");
        assert_eq!((&pushed["new_objects"], &pushed["kind"]), (&0.into(), &"tree".into()));
        assert_eq!(pushed["boot_source"], expected["boot_source"]);
    }
    let store = bench.store();
    let mut stdin = command(&["push", "stdin", "--tar", "-", "--json", "--store", &store]);
    let ran: Ran = stdin.stdin(File::open(&archive).unwrap()).output().unwrap().into();
    assert_eq!(ran.expect(0).json()["manifest"], expected["manifest"]);
}

#[test]
fn an_archive_that_is_cut_pushes_nothing() {
    let bench = Bench::new();
    let root = make(&bench, "root", "6.1");
    let archive = bench.text("a.tar");
    let tar = Command::new("tar").args(["-C", &root, "-czf", &archive, "."]).status().unwrap();
    assert!(tar.success());
    let bytes = fs::read(&archive).unwrap();
    fs::write(&archive, &bytes[..bytes.len() - 10]).unwrap();
    push(&bench, "a", &["--tar", &archive]).expect(1);
    let mut child = command(&["push", "a", "--tar", "-", "--store", &bench.store()]);
    let child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&[0; 100]).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap()).expect(1);
    let expected = "inaug: the archive on standard input is cut short: expected 512 bytes in a \
                    header, found its end after 100\n";
    assert_eq!(ran.stderr, expected);
    assert!(bench.stored("labels").is_empty() && bench.stored("packs").is_empty());
    assert!(bench.stored("tmp").is_empty());
}

#[test]
fn what_leads_out_of_a_tree_is_refused() {
    let bench = Bench::new();
    let root = make(&bench, "root", "6.1");
    let archive = bench.text("a.tar");
    let tar = Command::new("tar").args(["-Pcf", &archive, &root]).status().unwrap();
    assert!(tar.success());
    let ran = push(&bench, "a", &["--tar", &archive]).expect(6);
    assert!(ran.stderr.contains("expected a path below the root, found /"), "{ran:#?}");
    let pushed = push(&bench, "a", &["--tar", &archive, "--relative"]).expect(0).json();
    assert_eq!(pushed["notes"][0]["note"], "implied");
    assert_eq!(pushed["notes"][0]["path"], "");
}

#[test]
fn kernels_are_found_in_the_tree_or_given() {
    let bench = Bench::new();
    let root = make(&bench, "root", "6.1");
    let beside = bench.file("vmlinuz", b"beside");
    let inside = format!("{root}/boot/vmlinuz-6.1");
    for (kernel, place) in
        [(&*inside, "tree"), ("tree:/boot/vmlinuz-6.1", "tree"), (&*beside, "beside")]
    {
        let boot = ["--kernel", kernel, "--cmdline", "quiet", "--force"];
        push(&bench, "a", &[&["--tree", &root][..], &boot].concat()).expect(0);
        let show = bench.run(&["show", "a", "--json"]).expect(0).json();
        assert_eq!(show["boot"]["kernel"]["place"], place, "{kernel}");
    }
    let missing = ["--tree", &root, "--kernel", "tree:/no", "--cmdline", "x", "--force"];
    let ran = push(&bench, "a", &missing).expect(1);
    assert!(ran.stderr.contains("/no: expected a regular file of the tree"), "{ran:#?}");
}

#[test]
fn one_thing_is_pushed_at_a_time() {
    let bench = Bench::new();
    for arguments in [
        &[][..],
        &["--tree", "/a", "--tar", "b"],
        &["--tree", "/a", "--relative"],
        &["--tar", "a", "--trim"],
        &["--tar", "a", "--mounts", "empty"],
        &["--image", "a", "--allow-changed"],
    ] {
        push(&bench, "a", arguments).expect(2);
    }
}
