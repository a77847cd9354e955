//! Free space is left out of a push when asked: the file system that is deployed is sound and
//! has the same files.

use crate::support::{Bench, image, inaug};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs one of e2fsprogs' programs, or another; whether it was content, and what it said.
fn tool(program: &str, arguments: &[&str]) -> (bool, String) {
    let path = "/usr/sbin:/usr/bin:/sbin:/bin";
    let output = Command::new(program).args(arguments).env("PATH", path).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// An ext4 file system of 40 MiB in which 8 MiB were used and are not any more.
fn file_system(bench: &Bench) -> String {
    let tree = bench.path("tree");
    fs::create_dir_all(tree.join("usr/lib")).unwrap();
    fs::write(tree.join("usr/lib/kept"), image(1, 700)).unwrap();
    fs::write(tree.join("usr/gone"), image(2, 2048)).unwrap();
    fs::write(tree.join("small"), "small").unwrap();
    let disk = bench.text("disk.img");
    let made = tool("mke2fs", &["-q", "-t", "ext4", "-d", tree.to_str().unwrap(), &disk, "40M"]);
    assert!(made.0 && tool("debugfs", &["-w", "-R", "rm /usr/gone", &disk]).0);
    disk
}

fn files(disk: &str, to: &Path) -> String {
    fs::create_dir_all(to).unwrap();
    let to = to.to_str().unwrap();
    assert!(tool("debugfs", &["-R", &format!("rdump / {to}"), disk]).0);
    to.to_owned()
}

#[test]
fn a_trimmed_label_is_smaller_sound_and_has_the_same_files() {
    let bench = Bench::new();
    let disk = file_system(&bench);
    let push = |label: &str, options: &[&str]| {
        let push = ["push", label, "--image", &disk, "--no-boot", "--json"];
        bench.run(&[&push, options].concat()).expect(0).json()
    };
    let whole = push("whole", &[]);
    let trimmed = push("trimmed", &["--trim"]);
    assert_eq!(whole["trimmed_bytes"], 0);
    assert!(trimmed["trimmed_bytes"].as_u64() > Some(8 << 20), "{trimmed}");
    let zeroes = |pushed: &serde_json::Value| pushed["zero_bytes"].as_u64().unwrap();
    assert!(zeroes(&trimmed) > zeroes(&whole) + (6 << 20), "{trimmed}");
    let said = bench.run(&["push", "trimmed", "--image", &disk, "--no-boot", "--trim"]).expect(0);
    let sentence = "of free space: the label is not bit by bit the image file\n";
    assert!(said.stdout.contains(sentence), "{said:#?}");

    let out = bench.text("out.img");
    inaug(&["deploy", "trimmed", "--store", &bench.store(), "--to", &out]).expect(0);
    let (sound, found) = tool("e2fsck", &["-fn", &out]);
    assert!(sound, "{found}");
    let (before, after) = (bench.path("before"), bench.path("after"));
    let (before, after) = (files(&disk, &before), files(&out, &after));
    let (same, differ) = tool("diff", &["-r", &before, &after]);
    assert!(same && Path::new(&after).join("usr/lib/kept").exists(), "{differ}");
    assert_ne!(fs::read(&disk).unwrap(), fs::read(&out).unwrap());
}

#[test]
fn what_cannot_be_trimmed_safely_is_refused_and_nothing_is_pushed() {
    let bench = Bench::new();
    let disk = file_system(&bench);
    assert!(tool("debugfs", &["-w", "-R", "feature needs_recovery", &disk]).0);
    let push = ["push", "a", "--image", &disk, "--no-boot"];
    let refused = bench.run(&[&push[..], &["--trim"]].concat()).expect(6);
    let sentence = "refused: cannot trim: whole image (ext4): expected a file system that was unmounted, found a journal that has to be replayed: run e2fsck on it first";
    assert!(refused.stderr.contains(sentence), "{refused:#?}");
    assert!(!bench.path("store").exists());
    bench.run(&push).expect(0);

    let nothing = bench.file("noise", &image(3, 64));
    let push = ["push", "b", "--image", &nothing, "--no-boot", "--trim"];
    let warned = bench.run(&push).expect(0);
    assert!(warned.stderr.contains("nothing to trim: no ext2, ext3, ext4 or vfat"), "{warned:#?}");
}
