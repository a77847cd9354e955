//! `inaug media`: images of sticks and CD-ROMs, made by the programs that make them.

use crate::support::{Bench, Ran, command, image};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

/// Where the store's file system starts on a stick whose boot files are small: after the table, GRUB's
/// core and the EFI system partition.
const STORE_AT: u64 = (2 + 64) << 20;

/// Where the EFI system partition starts.
const ESP_AT: u64 = 2 << 20;

/// Makes `out` of the labels with files that are no kernel but look like one.
fn media(bench: &Bench, out: &str, labels: &[&str], more: &[&str]) -> Ran {
    let kernel = bench.file("vmlinuz", &crate::unified::kernel());
    let initramfs = bench.file("initramfs", &[7; 9000]);
    let out = bench.text(out);
    let boot = ["--kernel", &kernel, "--initramfs", &initramfs, "-o", &out, "--json"];
    bench.run(&[&["media"], labels, &boot, more].concat())
}

/// Names in a directory of the store on the image of a stick, as debugfs(8) reads them.
fn on_stick(image: &Path, directory: &str) -> Vec<String> {
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
fn is_sound(image: &Path) {
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

#[test]
fn a_stick_is_refreshed_in_place_and_goes_on_after_a_cut() {
    let bench = Bench::new();
    bench.push("a", &image(1, 3000));
    let mut next = image(1, 3000);
    next[..1 << 20].copy_from_slice(&image(9, 256));
    bench.push("b", &next);
    media(&bench, "usb.img", &["a"], &[]).expect(0);
    let usb = bench.path("usb.img");
    // Cut off wherever it is by then; the old label is whole, or the new one is.
    for _ in 0..3 {
        let store = bench.store();
        let (kernel, initramfs) = (bench.text("vmlinuz"), bench.text("initramfs"));
        let out = bench.text("usb.img");
        let mut running = command(&["media", "b", "--store", &store, "--refresh", "-o", &out])
            .args(["--kernel", &kernel, "--initramfs", &initramfs])
            .spawn()
            .unwrap();
        running.kill().unwrap();
        running.wait().unwrap();
        assert!(!on_stick(&usb, "labels").is_empty());
    }
    // The state before the old label goes, with half of the boot files written.
    let document = media(&bench, "usb.img", &["a", "b"], &["--refresh"]).expect(0).json();
    assert!(document["labels"][1]["sent_bytes"].as_u64().unwrap() <= 2 << 20, "{document}");
    let file = File::options().write(true).open(&usb).unwrap();
    file.write_all_at(&[0; 4096], ESP_AT).unwrap();
    let document = media(&bench, "usb.img", &["b"], &["--refresh"]).expect(0).json();
    assert_eq!(document["removed"], serde_json::json!(["a"]));
    assert_eq!(document["labels"][0]["sent_bytes"], 0);
    assert!(document["boot_bytes"].as_u64().unwrap() >= 4096, "{document}");
    is_sound(&usb);
    assert_eq!(on_stick(&usb, "labels"), ["b"]);
    // The same again moves nothing.
    let document = media(&bench, "usb.img", &["b"], &["--refresh"]).expect(0).json();
    assert_eq!(document["labels"][0]["sent_bytes"], 0);
    assert_eq!(document["boot_bytes"], 0);
    assert_eq!(document["removed_bytes"], 0);
}

#[test]
fn what_is_no_medium_of_ours_is_not_refreshed() {
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    let blank = vec![0; 1 << 20];
    let other = bench.file("other.img", &blank);
    let refused = media(&bench, "other.img", &["a"], &["--refresh"]).expect(6);
    assert!(refused.stderr.contains("expected a medium made by inaug media"), "{}", refused.stderr);
    assert!(fs::read(other).unwrap() == blank);
    let refused = media(&bench, "boot.iso", &["a"], &["--refresh"]).expect(2);
    assert!(refused.stderr.contains("make it anew"), "{}", refused.stderr);
}

/// What is to be made, of which labels and options; the exit code, and what is said.
type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], i32, &'a str);

#[test]
fn what_cannot_be_is_said_before_anything_is_made() {
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    let table: [Row; 6] = [
        ("u.img", &["a"], &["--default", "b"], 2, "--default b is not among the labels"),
        ("u.img", &["a"], &["--size", "10M"], 2, "the medium: needs "),
        ("u.iso", &["a"], &["--size", "1G"], 2, "--size is for images of sticks"),
        ("u.img", &["a"], &["--wipe", "00"], 2, "--wipe is for block devices"),
        ("u.img", &["a"], &["--append", "a=it's"], 2, "found '\\'' in \"a=it's\""),
        ("u.img", &["nope"], &[], 1, "label nope is not in the store"),
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
        let made = Command::new("/usr/sbin/losetup").args(["--find", "--show", file]).output();
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
    make(&["--wipe", &token]).expect(0);
    assert_eq!(make(&["--refresh"]).expect(0).json()["boot_bytes"], 0);
    assert_eq!(on_stick(Path::new(&disk), "labels"), ["a"]);
}
