//! `inaug boot`, as far as it comes without a machine; those are in `qemu-tests`.

use crate::support::{Bench, Ran, command, image};
use std::os::unix::fs::PermissionsExt;

/// Runs it where there is a QEMU that does nothing.
fn boot(bench: &Bench, arguments: &[&str]) -> Ran {
    let qemu = bench.file("qemu-system-x86_64", b"#!/bin/sh\nexit 3\n");
    std::fs::set_permissions(&qemu, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut boot = command(&["boot"]);
    boot.args(arguments).args(["--store", &bench.store()]).env("TMPDIR", bench.text(""));
    boot.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bench.text("")));
    Ran::from(boot.output().unwrap())
}

/// Nothing that was made for a machine is left.
fn assert_tidy(bench: &Bench) {
    let names = std::fs::read_dir(bench.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_str().unwrap().contains('-')).collect();
    assert!(left == ["qemu-system-x86_64"], "{left:?}");
}

#[test]
fn a_host_without_qemu_is_told_which_package_brings_it() {
    let bench = Bench::new();
    bench.push("a", &image(1, 16));
    let mut boot = command(&["boot", "a", "--store", &bench.store()]);
    let ran = Ran::from(boot.env("PATH", "/nowhere").output().unwrap()).expect(1);
    let sentence = "inaug: qemu-system-x86_64 is not there: install Debian's package \
                    qemu-system-x86\n";
    assert_eq!(ran.stderr, sentence);
}

#[test]
fn a_label_that_is_not_there_is_said_before_a_machine_is_started() {
    let bench = Bench::new();
    bench.push("a", &image(1, 16));
    let ran = boot(&bench, &["b"]).expect(1);
    assert!(ran.stderr.starts_with("inaug: label b is not in the store"), "{}", ran.stderr);
    let ran = boot(&bench, &["b", "--test", "true", "--json"]).expect(125);
    assert!(ran.stderr.starts_with("inaug: the test was not run\n  because: label b"), "{ran:?}");
    assert_eq!(ran.json()["exit_code"], 125);
    assert_tidy(&bench);
}

#[test]
fn what_cannot_be_said_to_a_kernel_is_wrong_usage() {
    let bench = Bench::new();
    bench.push("a", &image(1, 16));
    let file = bench.file("file", b"");
    let given = ["a", "--kernel", &file, "--initramfs", &file];
    let long = "x".repeat(2000);
    for append in ["a=\"b c\"", &long] {
        let ran = boot(&bench, &[&given[..], &["--append", append]].concat()).expect(2);
        assert!(ran.stderr.starts_with("inaug: "), "{}", ran.stderr);
        let ran = boot(&bench, &[&given[..], &["--append", append, "--test", "true"]].concat())
            .expect(125);
        assert!(ran.stdout.is_empty(), "{ran:?}");
    }
    assert_tidy(&bench);
}

#[test]
fn a_qemu_that_does_not_start_is_a_failure_that_leaves_nothing() {
    let bench = Bench::new();
    bench.push("a", &image(1, 16));
    let file = bench.file("file", b"");
    let given = ["a", "--kernel", &file, "--initramfs", &file];
    let ran = boot(&bench, &given).expect(1);
    assert!(ran.stderr.contains("did not start"), "{}", ran.stderr);
    boot(&bench, &[&given[..], &["--test", "true"]].concat()).expect(125);
    assert_tidy(&bench);
}

#[test]
fn what_would_not_be_what_was_asked_for_is_refused() {
    let bench = Bench::new();
    bench.push("a", &image(1, 16));
    boot(&bench, &["a", "--expect", ""]).expect(2);
    boot(&bench, &["a", "--accel", "hax"]).expect(2);
    let disk = bench.text("disk");
    let ran = boot(&bench, &["a", "--test", "true", "--disk-file", &disk]).expect(125);
    assert!(ran.stderr.contains("--test with --disk-file: the disk"), "{}", ran.stderr);
    assert!(!bench.path("disk").exists());
}
