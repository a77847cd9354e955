//! Free space against independent accounts of it: `dumpe2fs` names the same blocks, and file
//! systems whose free space is overwritten have the same files and nothing for fsck to find.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is the test's failure")]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use bootfacts::{Extent, free_space};
use common::{Bench, Node, file, noise, run};

/// Written where nothing is said to be: what used it would show.
const JUNK: u8 = 0xa5;

/// mke2fs' options: generations, block sizes, checksums, where metadata lies, where copies lie.
const FEATURES: [&[&str]; 18] = [
    &["-t", "ext2", "-b", "1024"],
    &["-t", "ext2", "-b", "4096", "-O", "^sparse_super,^resize_inode"],
    &["-t", "ext3", "-b", "1024"],
    &["-t", "ext3", "-b", "2048", "-I", "128"],
    &["-t", "ext4", "-b", "1024"],
    &["-t", "ext4", "-b", "4096"],
    &["-t", "ext4", "-b", "1024", "-O", "^64bit"],
    &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum"],
    &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^uninit_bg"],
    &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,uninit_bg,^64bit"],
    &["-t", "ext4", "-b", "1024", "-O", "^flex_bg"],
    &["-t", "ext4", "-b", "1024", "-G", "4"],
    &["-t", "ext4", "-b", "1024", "-O", "sparse_super2,^resize_inode"],
    &["-t", "ext4", "-b", "1024", "-O", "^resize_inode", "-E", "packed_meta_blocks=1"],
    &["-t", "ext4", "-b", "1024", "-O", "metadata_csum_seed,orphan_file"],
    &["-t", "ext4", "-b", "1024", "-O", "^has_journal,inline_data,quota,project"],
    &["-t", "ext4", "-b", "1024", "-E", "lazy_itable_init=1,lazy_journal_init=1"],
    &["-t", "ext4", "-b", "1024", "-g", "4096", "-O", "casefold,encrypt,verity,large_dir,ea_inode"],
];

fn tree_nodes() -> Vec<(&'static str, Node)> {
    vec![
        ("/boot/vmlinuz", file(noise(1, 3_000_000))),
        ("/boot/gone", file(noise(2, 9_000_000))),
        ("/etc/small", file("small")),
        ("/usr/lib/also-gone", file(noise(3, 70_000))),
        ("/usr/lib/library", file(noise(4, 700_000))),
        ("/usr/link", Node::Link("lib/library")),
    ]
}

fn output(program: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let output = command.env("MTOOLS_SKIP_CHECK", "1").output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// An ext4 file system from which files were removed.
fn used(bench: &Bench, name: &str, options: &[&str]) -> std::path::PathBuf {
    let tree = bench.path("tree.tree");
    if !tree.exists() {
        bench.ext4("tree", 20, &[], &tree_nodes());
    }
    let image = bench.path(name);
    let (tree, path) = (tree.to_str().unwrap(), image.to_str().unwrap());
    run("mke2fs", &[&["-q", "-d", tree], options, &[path, "100M"]].concat(), "");
    for gone in ["/boot/gone", "/usr/lib/also-gone"] {
        run("debugfs", &["-w", "-R", &format!("rm {gone}"), image.to_str().unwrap()], "");
    }
    // Brings quotas up to date, which debugfs does not.
    output("e2fsck", &["-fy", path]);
    image
}

/// The free blocks by dumpe2fs' account.
fn free_blocks(image: &Path) -> (u64, Vec<u64>) {
    let (_, text) = output("dumpe2fs", &[image.to_str().unwrap()]);
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    let (mut blocks, mut in_group) = (Vec::new(), false);
    for line in text.lines() {
        in_group |= line.starts_with("Group 0:");
        let Some(list) = line.trim().strip_prefix("Free blocks: ").filter(|_| in_group) else {
            continue;
        };
        for range in list.split(", ").filter(|range| !range.is_empty()) {
            let (start, end) = range.split_once('-').unwrap_or((range, range));
            blocks.extend(start.parse::<u64>().unwrap()..=end.parse().unwrap());
        }
    }
    assert_eq!(field("Free blocks:").parse(), Ok(blocks.len()));
    (field("Block size:").parse().unwrap(), blocks)
}

/// Overwrites what is said to be free.
fn spoil(image: &Path, extents: &[Extent]) {
    let disk = File::options().write(true).open(image).unwrap();
    for Extent { offset_bytes, length_bytes } in extents {
        disk.write_all_at(&vec![JUNK; *length_bytes as usize], *offset_bytes).unwrap();
    }
}

fn extents(image: &Path) -> Vec<Extent> {
    let free = free_space(&File::open(image).unwrap()).unwrap();
    assert_eq!(free.bytes(), free.volumes.iter().map(|(_, bytes)| bytes).sum::<u64>());
    free.extents
}

fn refusal(image: &Path) -> String {
    free_space(&File::open(image).unwrap()).unwrap_err().to_string()
}

fn files(image: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let dump = format!("rdump / {}", to.to_str().unwrap());
    output("debugfs", &["-R", &dump, image.to_str().unwrap()]);
}

#[test]
fn every_kind_of_ext4_has_the_free_blocks_that_dumpe2fs_names() {
    let bench = Bench::new();
    for (index, options) in FEATURES.iter().enumerate() {
        let image = used(&bench, &format!("fs{index}"), options);
        let (block_bytes, expected) = free_blocks(&image);
        let found = extents(&image);
        let blocks = found.iter().flat_map(|extent| {
            let first = extent.offset_bytes / block_bytes;
            first..first + extent.length_bytes / block_bytes
        });
        assert!(blocks.eq(expected.iter().copied()), "{options:?}");

        let (before, after) = (bench.path("before"), bench.path("after"));
        files(&image, &before);
        spoil(&image, &found);
        files(&image, &after);
        let (path, paths) =
            (image.to_str().unwrap(), [&before, &after].map(|p| p.to_str().unwrap()));
        let (sound, said) = output("e2fsck", &["-fn", path]);
        assert!(sound, "{options:?}: {said}");
        assert!(before.join("usr/lib/library").exists());
        let (same, differ) = output("diff", &["-r", "--no-dereference", paths[0], paths[1]]);
        assert!(same, "{options:?}: {differ}");
        for path in paths {
            fs::remove_dir_all(path).unwrap();
        }
        fs::remove_file(image).unwrap();
    }
}

#[test]
fn every_kind_of_vfat_keeps_its_files() {
    let bench = Bench::new();
    let (kept, gone) = (noise(5, 300_000), noise(6, 400_000));
    for (index, (mib, options)) in [
        (2, &["-F", "12"] as &[&str]),
        (33, &["-F", "16"]),
        (40, &["-F", "32", "-s", "1"]),
        (40, &["-F", "32", "-s", "1", "-f", "1"]),
    ]
    .into_iter()
    .enumerate()
    {
        let nodes = [("/EFI/kept", file(&kept)), ("/gone", file(&gone)), ("/end", file("end"))];
        let image = bench.vfat(&format!("fat{index}"), mib, options, &nodes);
        let path = image.to_str().unwrap();
        run("mdel", &["-i", path, "::/gone"], "");
        let found = extents(&image);
        let free: u64 = found.iter().map(|extent| extent.length_bytes).sum();
        let all = mib << 20;
        assert!(free < all - 300_000 && free > all - 300_000 - all / 10 - 100_000, "{free}");
        spoil(&image, &found);
        let (sound, said) = output("fsck.vfat", &["-n", "-v", path]);
        assert!(sound, "{options:?}: {said}");
        let copy = bench.path("copy");
        run("mcopy", &["-n", "-o", "-i", path, "::/EFI/kept", copy.to_str().unwrap()], "");
        assert!(fs::read(&copy).unwrap() == kept, "{options:?}");
    }
}

#[test]
fn partitions_are_found_and_what_is_no_file_system_stays() {
    let bench = Bench::new();
    let root = used(&bench, "root", &["-t", "ext4", "-b", "1024"]);
    let esp = bench.vfat("esp", 33, &[], &[("/file", file("text"))]);
    let other = bench.path("other");
    fs::write(&other, noise(9, 3 << 20)).unwrap();
    let parts = [&esp as &Path, &other, &root];
    for disk in [bench.gpt("gpt", &parts), bench.gpt_4096("4096", &parts), bench.mbr("mbr", &parts)]
    {
        let space = free_space(&File::open(&disk).unwrap()).unwrap();
        let bytes = [&esp, &root].map(|part| extents(part).iter().map(|e| e.length_bytes).sum());
        let found: Vec<u64> = space.volumes.iter().map(|(_, bytes)| *bytes).collect();
        assert_eq!(found, bytes);
        let start = 1 << 20;
        let of_esp = space.extents.iter().take_while(|e| e.offset_bytes < start + (33 << 20));
        let moved = |e: &Extent| Extent { offset_bytes: e.offset_bytes + start, ..*e };
        assert!(of_esp.copied().eq(extents(&esp).iter().map(moved)));
    }
}

fn flip_in_bitmap(image: &Path) {
    let (_, text) = output("dumpe2fs", &[image.to_str().unwrap()]);
    let at = text.split("Block bitmap at ").nth(1).unwrap();
    let block: u64 = at.split([' ', ',']).next().unwrap().parse().unwrap();
    let disk = File::options().write(true).open(image).unwrap();
    disk.write_all_at(&[0], block * 1024).unwrap();
}

#[test]
fn what_may_be_in_use_is_refused_in_a_sentence() {
    let bench = Bench::new();
    for (change, expected) in [
        (Some("feature needs_recovery"), "a journal that has to be replayed: run e2fsck"),
        (Some("ssv state 0"), "expected a file system that was unmounted and has no errors"),
        (Some("ssv state 3"), "found state 0x3: mounted, or run e2fsck on it first"),
        (Some("ssv last_orphan 12"), "files that are still to be removed"),
        (Some("feature mmp"), "expected only features whose free blocks are understood"),
        (Some("set_bg 0 checksum 7"), "expected group descriptors with the right checksum"),
        (None, "expected a block bitmap with the right checksum"),
    ] {
        let image = bench.ext4("refused", 20, &["-b", "1024"], &tree_nodes()[2..3]);
        if let Some(change) = change {
            run("debugfs", &["-w", "-R", change, image.to_str().unwrap()], "");
        } else {
            flip_in_bitmap(&image);
        }
        let said = refusal(&image);
        assert!(said.starts_with("whole image (ext4): ") && said.contains(expected), "{said}");
    }
    let image = bench.ext4("refused", 20, &["-b", "1024", "-O", "^metadata_csum"], &[]);
    run("debugfs", &["-w", "-R", "ssv free_blocks_count 7", image.to_str().unwrap()], "");
    extents(&image); // a sum over all groups that is only advice
    let plain = ["-b", "1024", "-O", "^metadata_csum,^uninit_bg"];
    let image = bench.ext4("refused", 20, &plain, &[]);
    run("debugfs", &["-w", "-R", "set_bg 0 free_blocks_count 7", image.to_str().unwrap()], "");
    assert!(refusal(&image).contains("expected as many free blocks as are counted, found 7 for "));
    // A table of inodes that its bitmap, one block, cannot name: a walk without end.
    let image = bench.ext4("refused", 20, &plain, &[]);
    let disk = File::options().write(true).open(&image).unwrap();
    disk.write_all_at(&u32::MAX.to_le_bytes(), 1024 + 0x28).unwrap();
    assert!(refusal(&image).contains("expected a geometry that fits the volume"));
    for options in [&["-O", "bigalloc"] as &[&str], &["-O", "meta_bg,^resize_inode"]] {
        let image = bench.ext4("refused", 20, options, &[]);
        let said = refusal(&image);
        assert!(said.starts_with("whole image (ext4): expected "), "{said}");
    }
    for dirty_at in [37, 512 * 4 + 3] {
        let image = bench.vfat("refused-fat", 33, &["-F", "16", "-R", "4"], &[]);
        let disk = File::options().read(true).write(true).open(&image).unwrap();
        let mut byte = [0];
        disk.read_exact_at(&mut byte, dirty_at).unwrap();
        disk.write_all_at(&[if dirty_at == 37 { 1 } else { 0x7f }], dirty_at).unwrap();
        assert!(refusal(&image).contains("one that is mounted or has errors"));
        fs::remove_file(image).unwrap();
    }
}

/// What was a file system and is something else now.
#[test]
fn what_was_overlaid_is_refused() {
    let bench = Bench::new();
    let root = used(&bench, "root", &["-t", "ext4", "-b", "4096"]);
    for (at_bytes, magic, expected) in [
        (4096 - 10, b"SWAPSPACE2" as &[u8], "what looks like swap space too"),
        (4096, b"\xfc\x4e\x2b\xa9", "a member of a RAID"),
        (0, b"XFSB", "an xfs file system"),
    ] {
        let image = bench.path("overlaid");
        fs::copy(&root, &image).unwrap();
        let disk = File::options().write(true).open(&image).unwrap();
        disk.write_all_at(magic, at_bytes).unwrap();
        assert!(refusal(&image).contains(expected), "{expected}");
    }
    // A table was made on a disk that had been one file system.
    let image = bench.path("overlaid");
    fs::copy(&root, &image).unwrap();
    run(
        "sfdisk",
        &["-q", "-w", "never", "--force", image.to_str().unwrap()],
        "label: dos\n2048,,83\n",
    );
    assert_eq!(
        refusal(&image),
        "image: expected one partition table, or a file system and none, found an MBR, no GPT in its place and a file system over both"
    );
}
