//! Disks in files, made by the tools that make real ones.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use deploy::disks::{Contents, DeviceNumber, Disk, Predicates, Transport};

use super::{OnDisk, choose, find};

const MIB: u64 = 1 << 20;

fn run(program: &str, arguments: &[&str], stdin: &str) {
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{program} {arguments:?}");
}

/// A disk with a GPT and one ext4 partition, whose menu has entries of these command lines.
fn disk(work: &Path, name: &str, command_lines: &[&str]) -> Disk {
    let (tree, path) = (work.join(format!("{name}.tree")), work.join(name));
    fs::create_dir_all(tree.join("boot/grub")).unwrap();
    fs::write(tree.join("boot/vmlinuz"), vec![7; 5000]).unwrap();
    let item =
        |line: &&str| format!("menuentry 'Linux {line}' {{\n linux /boot/vmlinuz {line}\n}}\n");
    let menu: String = command_lines.iter().map(item).collect();
    fs::write(tree.join("boot/grub/grub.cfg"), menu).unwrap();
    File::create(&path).unwrap().set_len(8 * MIB).unwrap();
    let text = path.to_str().unwrap();
    run("sfdisk", &["-q", text], "label: gpt\nstart=1MiB, size=6MiB\n");
    let root = tree.to_str().unwrap();
    run("mke2fs", &["-q", "-F", "-t", "ext4", "-E", "offset=1048576", "-d", root, text, "6M"], "");
    of(name, text)
}

fn of(name: &str, path: &str) -> Disk {
    Disk {
        path: path.into(),
        name: name.into(),
        number: DeviceNumber { major: 254, minor: name.len().try_into().unwrap() },
        size_bytes: File::open(path).map_or(0, |mut file| file.seek(SeekFrom::End(0)).unwrap()),
        logical_sector_bytes: 512,
        model: String::new(),
        vendor: String::new(),
        serial: name.to_uppercase(),
        wwn: String::new(),
        transport: Transport::Virtio,
        rotational: false,
        removable: false,
        read_only: false,
        bus_path: String::new(),
        diskseq: 1,
        holders: Vec::new(),
        mounted: false,
        contents: Contents::default(),
    }
}

fn said(found: &OnDisk) -> Vec<String> {
    match &found.entries {
        Ok(entries) => entries.iter().map(ToString::to_string).collect(),
        Err(why) => vec![why.to_string()],
    }
}

#[test]
fn every_disk_is_listed_with_its_entries_or_why_not() {
    let work = tempfile::tempdir().unwrap();
    let good = disk(work.path(), "good", &["a", "b"]);
    let closed = disk(work.path(), "closed", &["a"]);
    File::options().write(true).open(&closed.path).unwrap().write_all_at(&[0; 512], 0).unwrap();
    let blank_path = work.path().join("blank");
    File::create(&blank_path).unwrap().set_len(MIB).unwrap();
    let blank = of("blank", blank_path.to_str().unwrap());
    let gone = Disk { size_bytes: 1, ..of("gone", "/nonexistent") };
    let empty = Disk { size_bytes: 0, ..of("empty", "/nonexistent") };
    let number = DeviceNumber { major: 8, minor: 16 };
    let medium = Disk { number, ..disk(work.path(), "medium", &["a"]) };
    let booted_from = Some(number);
    let all = find(&[good, closed, blank, gone, empty, medium], booted_from);
    let all: Vec<_> = all.iter().map(said).collect();
    assert_eq!(
        all,
        [
            &[
                "Linux a (GRUB menu entry, partition 1 ext4 /boot/grub/grub.cfg)",
                "Linux b (GRUB menu entry, partition 1 ext4 /boot/grub/grub.cfg)",
            ][..],
            &["unfinished deployment: not bootable"],
            &["nothing to boot; image: no vfat or ext4 file system found"],
            &["cannot be read: No such file or directory (os error 2)"],
        ]
    );
}

#[test]
fn the_only_disk_that_boots_is_chosen_or_the_one_that_is_named() {
    let work = tempfile::tempdir().unwrap();
    let one = disk(work.path(), "one", &["1"]);
    let second = disk(work.path(), "second", &["2"]);
    let stick = Disk { removable: true, ..disk(work.path(), "stick", &["3"]) };
    let medium = disk(work.path(), "medium", &["inaugurator.mode=boot"]);
    let closed = disk(work.path(), "closed", &["a"]);
    File::options().write(true).open(&closed.path).unwrap().write_all_at(&[0; 512], 0).unwrap();

    let all = [one, second, stick, medium, closed];
    let found = find(&all, None);
    let title = |disks: &[OnDisk], wanted: &str| {
        let wanted = Predicates::parse(wanted).unwrap();
        choose(disks, &wanted)
            .map(|entry| entry.facts.found.title.clone())
            .map_err(|e| e.to_string().replace(work.path().to_str().unwrap(), ""))
    };
    assert_eq!(title(&found, "serial=SECOND"), Ok("Linux 2".into()));
    assert_eq!(title(&found, "serial=STICK,removable=yes"), Ok("Linux 3".into()));
    assert_eq!(title(&found[1..], ""), Ok("Linux 2".into()));
    let ambiguous = title(&found, "").unwrap_err();
    let expected = "2 disks that match any disk hold something to boot; name one of them with \
                    inaugurator.disk=:\n  /one 8.3 MB virtio serial ONE: Linux 1 (GRUB menu entry, ";
    assert!(ambiguous.starts_with(expected), "{ambiguous}");
    let refused = title(&found[2..], "").unwrap_err();
    let expected = "no disk that matches any disk holds something to boot:\n  \
        /stick 8.3 MB virtio serial STICK: removable, and removable=yes is not said\n  \
        /medium 8.3 MB virtio serial MEDIUM: Linux inaugurator.mode=boot (GRUB menu entry, \
        partition 1 ext4 /boot/grub/grub.cfg) is an inaugurator\n  \
        /closed 8.3 MB virtio serial CLOSED: unfinished deployment: not bootable";
    assert_eq!(refused, expected);
    assert!(title(&[], "").unwrap_err().ends_with("there is no disk (is a driver missing?)"));
}
