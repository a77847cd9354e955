//! Whatever an image holds: an answer, no panic, and never extents that hold
//! something else than the file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers outside of #[test]

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::OnceLock;

use bootfacts::Located;
use common::{Bench, contents, debian_grub_cfg, file, noise, uki};
use proptest::prelude::*;

fn check(image: &[u8]) {
    let mut damaged = tempfile::NamedTempFile::new().unwrap();
    damaged.write_all(image).unwrap();
    check_file(damaged.path());
}

/// Lists, and reads all that is listed.
fn check_list(image: &[u8]) {
    let mut damaged = tempfile::NamedTempFile::new().unwrap();
    damaged.write_all(image).unwrap();
    let path = damaged.path();
    let Ok(listing) = bootfacts::list(&File::open(path).unwrap()) else { return };
    for facts in listing.entries {
        read_through(path, &facts.kernel);
        facts.initrd.iter().for_each(|initrd| read_through(path, initrd));
    }
}

fn check_file(path: &Path) {
    if let Ok(free) = bootfacts::free_space(&File::open(path).unwrap()) {
        let length = fs::metadata(path).unwrap().len();
        let ends = free.extents.iter().map(|extent| extent.offset_bytes + extent.length_bytes);
        assert!(ends.max() <= Some(length), "free space within the image");
    }
    let found = bootfacts::examine(&File::open(path).unwrap());
    let Some(facts) = found.ok().and_then(|found| found.facts) else { return };
    for located in [Some(&facts.kernel), facts.initrd.as_ref()].into_iter().flatten() {
        let Some(extents) = &located.extents else { continue };
        let sum: u64 = extents.iter().map(|extent| extent.length_bytes).sum();
        assert_eq!(sum, located.size_bytes);
        contents(path, located);
    }
}

/// Reads what was listed, which may fail, and must not give more than it said.
fn read_through(path: &Path, located: &Located) {
    let Ok(reader) = bootfacts::read_located(&File::open(path).unwrap(), located) else { return };
    let read = std::io::copy(&mut reader.take(located.size_bytes + 1), &mut std::io::sink());
    assert!(read.is_err() || read.unwrap() <= located.size_bytes, "{located:?}");
}

/// Small images, each with the offsets of what is worth damaging: bytes that
/// are not zero and not the noise of a file's contents.
fn images() -> &'static [(Vec<u8>, Vec<usize>)] {
    static IMAGES: OnceLock<Vec<(Vec<u8>, Vec<usize>)>> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let bench = Bench::new();
        let nodes = || {
            vec![
                ("/boot/vmlinuz-6.1.0-18-amd64", file(noise(1, 20_000))),
                ("/boot/initrd.img-6.1.0-18-amd64", file(noise(2, 20_000))),
                ("/boot/grub/grub.cfg", file(debian_grub_cfg("/boot"))),
                ("/vmlinuz", common::Node::Link("boot/vmlinuz-6.1.0-18-amd64")),
            ]
        };
        let esp_nodes = || {
            let (kernel, initrd) = (noise(1, 9000), noise(2, 9000));
            let unified = uki(&[(".cmdline", b"a"), (".linux", &kernel), (".initrd", &initrd)]);
            vec![
                ("/loader/entries/debian.conf", file("linux /linux\ninitrd /initrd\noptions a\n")),
                ("/linux", file(kernel)),
                ("/initrd", file(initrd)),
                ("/EFI/Linux/a-long-name+2-1.efi", file(unified)),
                ("/loader/loader.conf", file("default a-long-*\n")),
                ("/EFI/debian/grub.cfg", file("menuentry A {\nlinux /linux a\n}\n")),
            ]
        };
        let plain = ["-b", "1024", "-O", "^metadata_csum,^has_journal"];
        let map = ["-b", "1024", "-O", "^metadata_csum,^has_journal,^extent,^64bit"];
        let root = bench.ext4("root", 1, &plain, &nodes());
        let disk = bench.gpt("disk", &[&root]);
        let mbr = bench.mbr("mbr", &[&root, &root]);
        let mut paths = vec![root, disk, mbr];
        paths.push(bench.ext4("map", 1, &map, &nodes()));
        paths.push(bench.ext4("checked", 2, &["-b", "1024"], &nodes()));
        paths.push(bench.vfat("fat12", 1, &["-F", "12"], &esp_nodes()));
        paths.push(bench.vfat("fat16", 9, &["-F", "16", "-s", "1"], &esp_nodes()));
        paths.into_iter().map(|path| with_offsets(fs::read(path).unwrap())).collect()
    })
}

fn with_offsets(image: Vec<u8>) -> (Vec<u8>, Vec<usize>) {
    let is_noise = |block: &[u8]| block.iter().all(|byte| byte & 1 == 1);
    let offsets = image.chunks(512).enumerate().filter(|(_, block)| !is_noise(block));
    let offsets = offsets.flat_map(|(index, block)| {
        let here = block.iter().enumerate().filter(|(_, byte)| **byte != 0);
        here.map(move |(at, _)| index * 512 + at)
    });
    let offsets = offsets.collect();
    (image, offsets)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn flipped_and_overwritten_bytes(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec(
            (any::<prop::sample::Index>(), prop_oneof![Just(0xff), Just(0), Just(1), any::<u8>()], 1..5_usize),
            1..12,
        ),
    ) {
        let (image, offsets) = which.get(images());
        let mut damaged = image.clone();
        for (place, value, length) in damage {
            let at = *place.get(offsets);
            let end = (at + length).min(damaged.len());
            damaged[at..end].fill(value);
        }
        check(&damaged);
        check_list(&damaged);
    }

    #[test]
    fn cut_images(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        let (image, _) = which.get(images());
        let cut = &image[..at.index(image.len())];
        check(cut);
        check_list(cut);
    }
}

/// Each byte of the superblock, the boot sector, the tables and the first
/// directories in turn, at its extremes.
#[test]
fn every_byte_of_the_headers() {
    for (image, _) in images() {
        for at in (0..image.len().min(2048)).filter(|at| image[*at] != 0 || at % 7 == 0) {
            for value in [0, 0xff, image[at] ^ 0x80] {
                let mut damaged = image.clone();
                damaged[at] = value;
                check(&damaged);
            }
        }
    }
}
