//! Memory stays flat: a tree of 100,000 nodes and a file of 64 GiB takes little more to push than
//! a small one.
//!
//! Each push is a process of its own, this test binary again, which says how much memory it had
//! resident at most.
#![allow(clippy::unwrap_used, reason = "a failed step is the test's failure")]

mod common;

use common::tree::request;
use common::{Place, noise};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use store::dir::DirStore;
use store::push::push_tree;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What a push may have resident at most.
const RESIDENT_MAX_BYTES: u64 = 128 * MIB;

/// By how much more a tree 100 times as large may take: names of a directory, sorted places.
const GROWTH_MAX_BYTES: u64 = 32 * MIB;

/// Files in each directory.
const FILES: u32 = 1000;

/// Where the child finds store and tree: directories, joined by a colon.
const PLACES: &str = "STORE_MEMORY_PLACES";

/// What the child says before the number.
const SAYS: &str = "resident at most, bytes:";

/// Directories of small files, and a large one that is mostly a hole.
fn tree(root: &Path, directories: u32, large_bytes: u64) {
    for directory in 0..directories {
        let path = root.join(format!("directory-{directory:04}"));
        std::fs::create_dir_all(&path).unwrap();
        for file in 0..FILES {
            let content = (directory * FILES + file).to_le_bytes();
            std::fs::write(path.join(format!("file-{file:04}")), content).unwrap();
        }
    }
    let large = File::create(root.join("large")).unwrap();
    large.set_len(large_bytes).unwrap();
    for number in 0..16 {
        large.write_all_at(&noise(300_000, number), large_bytes / 16 * number).unwrap();
    }
}

/// Pushes such a tree in a process of its own, and returns what that had resident at most.
fn resident(directories: u32, large_bytes: u64) -> u64 {
    let place = Place::new();
    let root = place.root.path().join("tree");
    tree(&root, directories, large_bytes);
    let places = format!("{}:{}", place.store.path().display(), root.display());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(PLACES, places)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let number = said.split(SAYS).nth(1).unwrap().split_whitespace().next().unwrap();
    number.parse().unwrap()
}

/// Not a test of its own: what the other one runs.
#[test]
fn child() {
    let Ok(places) = std::env::var(PLACES) else { return };
    let (store, root) = places.split_once(':').unwrap();
    let store = DirStore::open(store).unwrap();
    push_tree(&store, &request("a", Path::new(root)), &()).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("{SAYS} {}", kib * 1024);
}

#[test]
fn a_tree_100_times_as_large_takes_little_more_memory() {
    let (small, large) = (resident(1, GIB), resident(100, 64 * GIB));
    println!("resident at most: small {} KiB, large {} KiB", small >> 10, large >> 10);
    assert!(small <= RESIDENT_MAX_BYTES && large <= RESIDENT_MAX_BYTES, "{small} {large}");
    assert!(large <= small + GROWTH_MAX_BYTES, "{small} {large}");
}
