//! `inaug media --refresh`: sticks brought to other labels.

use crate::media::{ESP_AT, STORE_AT, is_sound, media, on_stick};
use crate::support::{Bench, command, image};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

/// An image that fills more than half of the store of [`SMALL`], and one that is too much for it.
const FITS: u32 = 3000;
const TOO_MUCH: u32 = 6000;

/// The size of a stick that has some 19 MiB for packs.
const SMALL: [&str; 2] = ["--size", "92Mi"];

/// Refreshes the stick to label b until it says that it begins with `phase`; then it is cut off.
fn cut(bench: &Bench, phase: &str) {
    let (store, out) = (bench.store(), bench.text("usb.img"));
    let (kernel, initramfs) = (bench.text("vmlinuz"), bench.text("initramfs"));
    let refresh = ["media", "b", "--store", &store, "--refresh", "--remove", "-o", &out];
    let mut running = command(&refresh)
        .args(["--kernel", &kernel, "--initramfs", &initramfs])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(running.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains(phase)), "not said: {phase}");
    running.kill().unwrap();
    running.wait().unwrap();
}

/// Runs a command of debugfs(8) on the store of the stick.
fn debugfs(bench: &Bench, command: &str) -> String {
    let device = format!("{}?offset={STORE_AT}", bench.path("usb.img").display());
    let mut debugfs = Command::new("/usr/sbin/debugfs");
    let done = debugfs.args(["-w", "-R", command, &device]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
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
    // Cut off in the copy, before what it boots is written, and before the old label goes.
    for phase in ["copying b", "writing what it boots", "removing what no label needs"] {
        cut(&bench, phase);
        let labels = on_stick(&usb, "labels");
        assert!(["a", "b"].iter().any(|label| labels.contains(&(*label).to_owned())));
    }
    // The state before the old label goes, with half of the boot files written.
    let document = media(&bench, "usb.img", &["a", "b"], &["--refresh"]).expect(0).json();
    is_sound(&usb);
    assert!(document["labels"][1]["sent_bytes"].as_u64().unwrap() <= 2 << 20, "{document}");
    let file = File::options().write(true).open(&usb).unwrap();
    file.write_all_at(&[0; 4096], ESP_AT).unwrap();
    let remove = ["--refresh", "--remove"];
    let document = media(&bench, "usb.img", &["b"], &remove).expect(0).json();
    assert_eq!(document["removed"], serde_json::json!(["a"]));
    assert_eq!(document["labels"][0]["sent_bytes"], 0);
    assert!(document["boot_bytes"].as_u64().unwrap() >= 4096, "{document}");
    assert_eq!(document["warnings"], serde_json::json!([]));
    is_sound(&usb);
    assert_eq!(on_stick(&usb, "labels"), ["b"]);
    // The same again moves nothing.
    let document = media(&bench, "usb.img", &["b"], &["--refresh"]).expect(0).json();
    assert_eq!(document["labels"][0]["sent_bytes"], 0);
    assert_eq!(document["boot_bytes"], 0);
    assert_eq!(document["removed_bytes"], 0);
}

#[test]
fn labels_that_are_not_named_stay_unless_they_are_given_away() {
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    bench.push("b", &image(2, 10));
    let made = media(&bench, "usb.img", &["a"], &[]).expect(0).json();
    let refused = media(&bench, "usb.img", &["b"], &["--refresh"]).expect(6);
    let words = format!(
        "is the medium {} and carries labels that are not named: a; --remove removes them",
        made["id"].as_str().unwrap()
    );
    assert!(refused.stderr.contains(&words), "{}", refused.stderr);
    assert_eq!(on_stick(&bench.path("usb.img"), "labels"), ["a"]);
    media(&bench, "usb.img", &["a", "b"], &["--refresh"]).expect(0);
    assert_eq!(on_stick(&bench.path("usb.img"), "labels"), ["a", "b"]);
}

#[test]
fn where_there_is_no_room_for_both_the_old_goes_first() {
    let bench = Bench::new();
    bench.push("a", &image(1, FITS));
    bench.push("b", &image(2, FITS));
    media(&bench, "usb.img", &["a"], &SMALL).expect(0);
    let ran = media(&bench, "usb.img", &["b"], &["--refresh", "--remove"]).expect(0);
    assert!(ran.stderr.contains("the old labels go first"), "{}", ran.stderr);
    assert_eq!(ran.json()["removed"], serde_json::json!(["a"]));
    assert_eq!(on_stick(&bench.path("usb.img"), "labels"), ["b"]);
    is_sound(&bench.path("usb.img"));
}

#[test]
fn what_never_fits_leaves_the_old_labels() {
    let bench = Bench::new();
    bench.push("a", &image(1, FITS));
    bench.push("b", &image(2, TOO_MUCH));
    media(&bench, "usb.img", &["a"], &SMALL).expect(0);
    let refused = media(&bench, "usb.img", &["b"], &["--refresh", "--remove"]).expect(2);
    assert!(refused.stderr.contains("the medium's store: needs 2"), "{}", refused.stderr);
    assert_eq!(on_stick(&bench.path("usb.img"), "labels"), ["a"]);
    is_sound(&bench.path("usb.img"));
}

#[test]
fn what_a_stick_was_told_stays_until_something_else_is_told() {
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    bench.push("b", &image(2, 10));
    let told = ["--append", "quiet", "--store-chain", "http://depot/s", "--default", "b"];
    let made = media(&bench, "usb.img", &["a", "b"], &told).expect(0).json();
    let refresh = |more: &[&str]| {
        media(&bench, "usb.img", &["a", "b"], &[&["--refresh"], more].concat()).expect(0).json()
    };
    let same = refresh(&[]);
    assert_eq!((&same["cmdline"], &same["boot_bytes"]), (&made["cmdline"], &0.into()));
    let other = refresh(&["--append", ""]);
    let line = other["cmdline"].as_str().unwrap();
    assert!(
        line.ends_with("inaugurator.store=medium,http://depot/s inaugurator.label=b"),
        "{line}"
    );
    let gone = media(&bench, "usb.img", &["a"], &["--refresh", "--remove"]).expect(0);
    assert!(gone.stderr.contains("b, the --default of before, is not on"), "{}", gone.stderr);
    assert!(gone.json()["cmdline"].as_str().unwrap().ends_with("inaugurator.label=a"));
}

#[test]
fn nothing_on_a_stick_leads_to_this_hosts_files() {
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    for path in ["/store", "/store/labels", "/store/packs"] {
        media(&bench, "usb.img", &["a"], &[]).expect(0);
        debugfs(&bench, &format!("ln {path} /away"));
        debugfs(&bench, &format!("unlink {path}"));
        let ours = bench.text(&format!("store{}", path.trim_start_matches("/store")));
        debugfs(&bench, &format!("symlink {path} {ours}"));
        let refused = media(&bench, "usb.img", &["a"], &["--refresh", "--remove"]).expect(6);
        let words = "expected a medium made by inaug media, found ";
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        assert_eq!(bench.stored("labels").len(), 1);
    }
}

#[test]
fn labels_do_not_go_where_damage_keeps_their_packs() {
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    bench.push("b", &image(2, FITS));
    bench.push("c", &image(3, FITS));
    media(&bench, "usb.img", &["a"], &SMALL).expect(0);
    let usb = bench.path("usb.img");
    let pack = on_stick(&usb, "packs").remove(0);
    media(&bench, "usb.img", &["a", "b"], &["--refresh"]).expect(0);
    let blocks = debugfs(&bench, &format!("blocks /store/packs/{pack}"));
    let first: u64 = blocks.split_whitespace().next().unwrap().parse().unwrap();
    let file = File::options().write(true).open(&usb).unwrap();
    file.write_all_at(&[0; 64], STORE_AT + first * 4096).unwrap();
    let refused = media(&bench, "usb.img", &["c", "a"], &["--refresh", "--remove"]).expect(3);
    assert!(refused.stderr.contains("nothing can be deleted"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&pack[..12]), "{}", refused.stderr);
    assert_eq!(on_stick(&usb, "labels"), ["a", "b"]);
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

#[test]
fn only_root_refreshes_and_everybody_else_is_told() {
    let bench = Bench::new();
    bench.push("a", &image(1, 10));
    media(&bench, "usb.img", &["a"], &[]).expect(0);
    let before = fs::read(bench.path("usb.img")).unwrap();
    let (store, out) = (bench.store(), bench.text("usb.img"));
    let inaug = command(&[]).get_program().to_owned();
    // A user namespace in which whoever runs it is an ordinary user.
    let ran = Command::new("unshare")
        .args(["--user", "--map-user=1000"])
        .arg(inaug)
        .args(["media", "a", "--store", &store, "--refresh", "-o", &out])
        .args(["--kernel", &bench.text("vmlinuz"), "--initramfs", &bench.text("initramfs")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("only root refreshes a medium"), "{said}");
    assert!(fs::read(bench.path("usb.img")).unwrap() == before);
}
