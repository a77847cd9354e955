//! `inaug media`: images of sticks and CD-ROMs, made by the programs that make them.

use crate::support::{Bench, Ran, command, image};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where the store's file system starts on a stick whose boot files are small: after the table, GRUB's
/// core and the EFI system partition.
pub(crate) const STORE_AT: u64 = (2 + 64) << 20;

/// Where the EFI system partition starts.
pub(crate) const ESP_AT: u64 = 2 << 20;

/// Makes `out` of the labels with files that are no kernel but look like one.
pub(crate) fn media(bench: &Bench, out: &str, labels: &[&str], more: &[&str]) -> Ran {
    let kernel = bench.file("vmlinuz", &crate::unified::kernel());
    let initramfs = bench.file("initramfs", &[7; 9000]);
    let out = bench.text(out);
    let boot = ["--kernel", &kernel, "--initramfs", &initramfs, "-o", &out, "--json"];
    bench.run(&[&["media"], labels, &boot, more].concat())
}

/// Names in a directory of the store on the image of a stick, as debugfs(8) reads them.
pub(crate) fn on_stick(image: &Path, directory: &str) -> Vec<String> {
    let device = format!("{}?offset={STORE_AT}", image.display());
    let list = format!("ls -p /store/{directory}");
    let said = Command::new("/usr/sbin/debugfs").args(["-R", &list, &device]).output().unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split('/').nth(5));
    let mut names: Vec<_> =
        names.filter(|name| !name.starts_with('.')).map(str::to_owned).collect();
    names.sort();
    names
}

/// The file system of the store has no fault.
pub(crate) fn is_sound(image: &Path) {
    let device = format!("{}?offset={STORE_AT}", image.display());
    let checked = Command::new("/usr/sbin/e2fsck").args(["-fn", &device]).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn the_same_inputs_are_the_same_bytes_and_other_labels_are_not() {
    let bench = Bench::new();
    bench.push("a", &image(1, 300));
    bench.push("b", &image(2, 300));
    for (kind, id_length) in [("img", 36), ("iso", 22)] {
        let name = |number: u32| format!("{number}.{kind}");
        let document = media(&bench, &name(1), &["a"], &[]).expect(0).json();
        assert_eq!(document["schema"], "inaug/media/1");
        assert_eq!(document["id"].as_str().unwrap().len(), id_length);
        let cmdline = document["cmdline"].as_str().unwrap();
        assert!(cmdline.ends_with("inaugurator.store=medium inaugurator.label=a"), "{cmdline}");
        media(&bench, &name(2), &["a"], &[]).expect(0);
        let other = media(&bench, &name(3), &["b"], &[]).expect(0).json();
        assert_ne!(document["id"], other["id"]);
        let read = |number| fs::read(bench.path(&name(number))).unwrap();
        assert!(read(1) == read(2), "{kind}");
        assert!(read(1) != read(3), "{kind}");
    }
    is_sound(&bench.path("1.img"));
    assert_eq!(on_stick(&bench.path("1.img"), "labels"), ["a"]);
}

/// What is to be made, of which labels and options; the exit code, and what is said.
type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], i32, &'a str);

#[test]
fn what_cannot_be_is_said_before_anything_is_made() {
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    let table: [Row; 13] = [
        ("u.img", &["a"], &["--default", "b"], 2, "--default b is not among the labels"),
        ("u.img", &["a"], &["--size", "10M"], 2, "the medium: needs "),
        ("u.iso", &["a"], &["--size", "1G"], 2, "--size is for images of sticks"),
        ("u.img", &["a"], &["--wipe", "00"], 2, "--wipe is for block devices"),
        ("u.img", &["a"], &["--append", "a=it's"], 2, "found '\\'' in \"a=it's\""),
        ("u.img", &["nope"], &[], 1, "label nope is not in the store"),
        ("u.img", &["a", "nope"], &[], 1, "label nope is not in the store"),
        ("u.img", &["a"], &["--remove"], 2, "--refresh"),
        ("u.img", &["a"], &["--store-chain", "ftp://a/"], 2, "expected http or https, found ftp"),
        ("u.img", &["a"], &["--store-chain", "http://a/b c"], 2, "expected no blanks"),
        ("u.img", &["a"], &["--store-chain", "http:///a"], 2, "expected a host"),
        ("u.img", &["a"], &["--default", "a+b"], 2, "--default b is not among the labels"),
        ("no-such/u.img", &["a"], &[], 5, "no-such"),
    ];
    for (out, labels, more, code, words) in table {
        let refused = media(&bench, out, labels, more).expect(code);
        assert!(refused.stderr.contains(words), "{words}\n{}", refused.stderr);
        assert!(!bench.path(out).exists());
    }
    let left = fs::read_dir(bench.path(".")).unwrap();
    let left =
        left.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(left.count(), 0, "files of ours are left");
}

#[test]
fn neither_a_directory_nor_what_is_no_disk_becomes_a_medium() {
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    fs::create_dir(bench.path("dir")).unwrap();
    let (kernel, initramfs) =
        (bench.file("vmlinuz", &crate::unified::kernel()), bench.file("initramfs", &[7; 9000]));
    for (out, words) in [
        (bench.text("dir").as_str(), "found a directory"),
        ("/dev/null", "found a character device"),
        ("/dev/no-such-disk", "is it plugged in?"),
        ("/dev/no-such-disc.iso", "is it plugged in?"),
    ] {
        let boot = ["--kernel", &kernel, "--initramfs", &initramfs, "-o", out];
        let refused = bench.run(&[&["media", "a"], &boot[..]].concat()).expect(2);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    assert!(!Path::new("/dev/no-such-disk").exists());
}

#[test]
fn several_labels_are_for_a_person_to_choose_from() {
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    bench.push("b", &image(2, 10));
    let cmdline = |more: &[&str]| {
        let made = media(&bench, "usb.img", &["a", "b"], more).expect(0).json();
        made["cmdline"].as_str().unwrap().to_owned()
    };
    assert!(cmdline(&[]).ends_with("inaugurator.store=medium inaugurator.mode=recovery"));
    let more = ["--default", "b", "--store-chain", "http://depot/store"];
    assert!(
        cmdline(&more).ends_with("inaugurator.store=medium,http://depot/store inaugurator.label=b")
    );
    assert_eq!(on_stick(&bench.path("usb.img"), "labels"), ["a", "b"]);
    assert!(cmdline(&["--default", "b+a"]).ends_with("inaugurator.label=b+a"));
    // Named twice it is one all the same.
    let made = media(&bench, "usb.img", &["a", "a"], &[]).expect(0).json();
    assert!(made["cmdline"].as_str().unwrap().ends_with("inaugurator.label=a"));
    assert_eq!(made["labels"].as_array().unwrap().len(), 1);
}

#[test]
fn a_pack_of_more_than_four_gib_is_on_the_stick_as_it_is() {
    let bench = Bench::new();
    // What FAT could not have: the file system is made by the same program with the same options
    // whatever is in it, so a file with a hole stands for a pack.
    let long = (4_u64 << 30) + (1 << 20);
    bench.push("a", &image(1, 10));
    media(&bench, "usb.img", &["a"], &["--size", "6G"]).expect(0);
    let pack = bench.path("long");
    let file = File::create(&pack).unwrap();
    file.set_len(long).unwrap();
    file.write_all_at(b"end", long - 3).unwrap();
    let device = format!("{}?offset={STORE_AT}", bench.path("usb.img").display());
    let write = format!("write {} /store/packs/long", pack.display());
    let debugfs = |command: &str| {
        let mut debugfs = Command::new("/usr/sbin/debugfs");
        let said = debugfs.args(["-w", "-R", command, &device]).output().unwrap();
        String::from_utf8(said.stdout).unwrap()
    };
    debugfs(&write);
    assert!(debugfs("stat /store/packs/long").contains(&format!("Size: {long}")));
    is_sound(&bench.path("usb.img"));
}

/// A loop device over a file, which goes with it.
struct Loop(String);

impl Loop {
    fn over(file: &str) -> Self {
        Self::of_sectors(file, "512")
    }

    fn of_sectors(file: &str, bytes: &str) -> Self {
        let mut losetup = Command::new("/usr/sbin/losetup");
        let made = losetup.args(["--find", "--show", "--sector-size", bytes, file]).output();
        Self(String::from_utf8(made.unwrap().stdout).unwrap().trim().to_owned())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("/usr/sbin/losetup").args(["-d", &self.0]).status();
    }
}

#[test]
fn a_device_becomes_a_stick_unless_it_holds_what_nobody_gave_away() {
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    let disk = bench.file("disk", b"");
    File::options().write(true).open(&disk).unwrap().set_len(300 << 20).unwrap();
    let device = Loop::over(&disk);
    let (kernel, initramfs) =
        (bench.file("vmlinuz", &crate::unified::kernel()), bench.file("initramfs", &[7; 9000]));
    let make = |more: &[&str]| {
        let boot = ["--kernel", &kernel, "--initramfs", &initramfs, "-o", &device.0, "--json"];
        bench.run(&[&["media", "a"], &boot[..], more].concat())
    };
    // Blank, and all of it is taken.
    assert_eq!(make(&[]).expect(0).json()["size_bytes"], 300 << 20);
    is_sound(Path::new(&disk));
    // Now it holds something.
    let refused = make(&[]).expect(6);
    let token = refused.stderr.split("--wipe ").nth(1).unwrap_or_default().trim().to_owned();
    make(&["--wipe", "00000000"]).expect(6);
    // The kernel knows its partitions: none of them is left for somebody to mount meanwhile.
    make(&["--wipe", &token]).expect(0);
    assert_eq!(make(&["--refresh"]).expect(0).json()["boot_bytes"], 0);
    assert_eq!(on_stick(Path::new(&disk), "labels"), ["a"]);
}

#[test]
fn a_device_with_other_sectors_is_refused_before_anything_is_copied() {
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    let disk = bench.file("disk", b"");
    File::options().write(true).open(&disk).unwrap().set_len(300 << 20).unwrap();
    let device = Loop::of_sectors(&disk, "4096");
    let (kernel, initramfs) =
        (bench.file("vmlinuz", &crate::unified::kernel()), bench.file("initramfs", &[7; 9000]));
    let boot = ["--kernel", &kernel, "--initramfs", &initramfs, "-o", &device.0];
    for more in [&[][..], &["--refresh"]] {
        let refused = bench.run(&[&["media", "a"], &boot[..], more].concat()).expect(2);
        let words = "expected a disk with sectors of 512 bytes, found 4096";
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        assert!(!refused.stderr.contains("writing"), "{}", refused.stderr);
    }
    assert_eq!(fs::read(&disk).unwrap().iter().find(|byte| **byte != 0), None);
}

#[test]
fn what_is_told_to_stop_leaves_nothing_behind() {
    let bench = Bench::new();
    bench.push("a", &image(1, 3000));
    bench.push("b", &image(2, 10));
    media(&bench, "usb.img", &["b"], &[]).expect(0);
    let before = fs::read(bench.path("usb.img")).unwrap();
    for (out, phase) in [("usb.img", "writing the file system"), ("boot.iso", "writing the CD-ROM")]
    {
        let ended = until(&bench, out, phase, |pid| kill_process(pid, Signal::INT).unwrap());
        // Unless it was done by then.
        assert!([Some(130), Some(0)].contains(&ended), "{ended:?}");
        if ended == Some(0) {
            continue;
        }
        let left: Vec<_> = fs::read_dir(bench.path(".")).unwrap().collect();
        let is_ours = |name: &str| name.starts_with('.') || name == "boot.iso";
        let ours = left
            .iter()
            .filter(|entry| is_ours(&entry.as_ref().unwrap().file_name().to_string_lossy()));
        assert_eq!(ours.count(), 0, "{left:?}");
        assert!(fs::read(bench.path("usb.img")).unwrap() == before);
    }
}

/// Makes `out` of label a up to where it says `phase`, and has `act` done then; returns how it ended.
fn until(bench: &Bench, out: &str, phase: &str, act: fn(Pid)) -> Option<i32> {
    let (store, out) = (bench.store(), bench.text(out));
    let (kernel, initramfs) = (bench.text("vmlinuz"), bench.text("initramfs"));
    let mut running = command(&["media", "a", "--store", &store, "-o", &out])
        .args(["--kernel", &kernel, "--initramfs", &initramfs])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(running.stderr.take().unwrap()).lines();
    let mut said = lines.map(Result::unwrap);
    assert!(said.by_ref().any(|line| line.contains(phase)), "not said: {phase}");
    act(Pid::from_child(&running));
    said.for_each(drop);
    running.wait().unwrap().code()
}

#[test]
fn what_uefi_boots_is_signed_where_a_key_is_given() {
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    let (key, certificate) = (bench.text("key.pem"), bench.text("cert.pem"));
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().unwrap().status.success()
    };
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test"];
    let made = [&request[..], &["-keyout", &key, "-out", &certificate]].concat();
    assert!(run("openssl", &made));
    let signed = ["--secure-boot-key", &key, "--secure-boot-cert", &certificate];
    for (more, is_signed) in [(&signed[..], true), (&[], false)] {
        media(&bench, "usb.img", &["a"], more).expect(0);
        let (esp, file) = (format!("{}@@{ESP_AT}", bench.text("usb.img")), bench.text("out.efi"));
        assert!(run("mcopy", &["-n", "-o", "-i", &esp, "::EFI/BOOT/BOOTX64.EFI", &file]));
        assert_eq!(run("sbverify", &["--cert", &certificate, &file]), is_signed);
    }
    let refused = media(&bench, "usb.img", &["a"], &["--secure-boot-key", &key]).expect(2);
    assert!(refused.stderr.contains("--secure-boot-cert"), "{}", refused.stderr);
}

/// The boot catalogue (El Torito 1.0, figures 2 to 5): where it is stands in the boot record, at 0x47
/// of sector 17.
#[test]
fn firmware_is_told_that_the_system_partition_goes_on_to_the_end() {
    const SECTOR: usize = 2048;
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    media(&bench, "boot.iso", &["a"], &[]).expect(0);
    let disc = fs::read(bench.path("boot.iso")).unwrap();
    let record = &disc[17 * SECTOR..];
    assert_eq!(&record[7..30], b"EL TORITO SPECIFICATION");
    let at = u32::from_le_bytes(record[0x47..0x4b].try_into().unwrap()) as usize * SECTOR;
    let entries: Vec<&[u8]> = disc[at..at + 128].chunks(32).collect();
    // Validation for x86 with both keys, a BIOS entry of four sectors, the last section, for EFI.
    assert_eq!(
        (entries[0][..2].to_vec(), entries[0][0x1e..].to_vec()),
        (vec![1, 0], vec![0x55, 0xaa])
    );
    assert_eq!((entries[1][0], entries[1][1], &entries[1][6..8]), (0x88, 0, &[4, 0][..]));
    assert_eq!(entries[2][..4], [0x91, 0xef, 1, 0]);
    // More sectors than 16 bits can say: 0 means to the end of the disc (UEFI 2.10, 13.3.2.1).
    assert_eq!((entries[3][0], entries[3][1], &entries[3][6..8]), (0x88, 0, &[0, 0][..]));
    let esp = u32::from_le_bytes(entries[3][8..12].try_into().unwrap()) as usize * SECTOR;
    assert_eq!(&disc[esp + 0x52..esp + 0x57], b"FAT32");
}
