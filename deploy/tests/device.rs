//! The engine on block devices: tables fitted, marks kept, who holds a disk respected.
#![allow(clippy::unwrap_used, reason = "a failed step is the test's failure")]

mod common;

use common::{Shop, deploy, image_of};
use deploy::{Category, Mark, ReadBack};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A loop device; gone when dropped.
struct Loop(PathBuf);

impl Loop {
    fn over(file: &Path, sector_bytes: u32) -> Self {
        let mut command = Command::new("losetup");
        command.args(["--find", "--show", "--direct-io=on", "--sector-size"]);
        let output = command.arg(sector_bytes.to_string()).arg(file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.0).status();
    }
}

fn run(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).stdin(Stdio::null()).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// An image with a GPT and one partition of noise.
fn partitioned(shop: &Shop) -> Vec<u8> {
    let file = shop.path("table");
    fs::write(&file, vec![0; 16 << 20]).unwrap();
    run("sgdisk", &["-n", "1:2048:+12M", "-c", "1:root"], &file);
    let mut image = fs::read(&file).unwrap();
    let noise = image_of(&[1, 2, 3], 1000);
    image[1 << 20..(1 << 20) + noise.len()].copy_from_slice(&noise);
    image
}

fn disk(shop: &Shop, bytes: usize) -> PathBuf {
    let file = shop.path("disk");
    fs::write(&file, vec![0; bytes]).unwrap();
    file
}

#[test]
fn a_larger_disk_gets_a_right_table_and_a_mark_and_the_same_again_moves_nothing() {
    let shop = Shop::new();
    let image = partitioned(&shop);
    let source = shop.push("lab/first", &image);
    let file = disk(&shop, image.len() + (5 << 20));
    let device = Loop::over(&file, 512);
    deploy(&source, "lab/first", &device.0, ReadBack::Yes).unwrap();
    assert!(run("sgdisk", &["-v"], &device.0).contains("No problems found"));
    let content = fs::read(&device.0).unwrap();
    assert!(content[1 << 20..image.len()] == image[1 << 20..]);
    let mark = Mark::read(&content[..1 << 20]).unwrap();
    assert_eq!(mark.label.as_str(), "lab/first");
    assert!(mark.owns(&content[..1 << 20]));
    let again = deploy(&source, "lab/first", &device.0, ReadBack::Yes).unwrap();
    assert_eq!((again.fetched_objects, again.written_bytes), (0, 0));
}

#[test]
fn a_disk_a_sector_larger_or_just_as_large_keeps_what_was_proven() {
    for more in [0, 512, 8192, 64 << 10] {
        let shop = Shop::new();
        let image = partitioned(&shop);
        let source = shop.push("v1", &image);
        let device = Loop::over(&disk(&shop, image.len() + more), 512);
        deploy(&source, "v1", &device.0, ReadBack::Yes).unwrap();
        let content = fs::read(&device.0).unwrap();
        assert!(content[..Mark::OFFSET] == image[..Mark::OFFSET], "{more}");
        assert!(content[1 << 20..image.len()] == image[1 << 20..], "{more}");
        let again = deploy(&source, "v1", &device.0, ReadBack::Yes).unwrap();
        assert_eq!((again.fetched_objects, again.written_bytes), (0, 0), "{more}");
    }
}

#[test]
fn what_a_disk_was_part_of_does_not_outlive_it() {
    let shop = Shop::new();
    let image = partitioned(&shop);
    let source = shop.push("v1", &image);
    let file = shop.path("disk");
    fs::write(&file, vec![0xee; image.len() + (5 << 20)]).unwrap();
    let device = Loop::over(&file, 512);
    deploy(&source, "v1", &device.0, ReadBack::Yes).unwrap();
    let content = fs::read(&device.0).unwrap();
    let backup = content.len() - 33 * 512;
    assert!(content[content.len() - (1 << 20)..backup].iter().all(|byte| *byte == 0));
    assert!(run("sgdisk", &["-v"], &device.0).contains("No problems found"));
}

#[test]
fn a_disk_that_is_too_small_has_other_sectors_or_is_mounted_is_refused() {
    let shop = Shop::new();
    let image = partitioned(&shop);
    let source = shop.push("v1", &image);
    let refused = |device: &Loop| {
        let error = deploy(&source, "v1", &device.0, ReadBack::Yes).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        (error.category(), source.unwrap_or_else(|| error.to_string()))
    };
    let name = |device: &Loop| device.0.display().to_string();

    let small = Loop::over(&disk(&shop, image.len() - 512), 512);
    let words = format!(
        "label v1 needs 16777216 bytes (16.0 MiB), {} has 16776704 (16.0 MiB)",
        name(&small)
    );
    assert_eq!(refused(&small), (Category::Refused, words));

    let other = Loop::over(&disk(&shop, image.len()), 4096);
    let words = format!("label v1 is for 512-byte sectors, {} has 4096", name(&other));
    assert_eq!(refused(&other), (Category::Refused, words));
    drop((small, other));

    let file = disk(&shop, image.len());
    run("mke2fs", &["-q", "-F"], &file);
    let mounted = Loop::over(&file, 512);
    let place = shop.path("mounted");
    fs::create_dir(&place).unwrap();
    let mount = Command::new("mount").arg(&mounted.0).arg(&place).status().unwrap();
    assert!(mount.success());
    let (category, words) = refused(&mounted);
    run("umount", &[], &place);
    assert_eq!(category, Category::Storage);
    assert!(words.ends_with("is in use: mounted, or held by RAID, LVM, swap or another program"));
}
