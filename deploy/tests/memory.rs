//! Memory stays flat: an image of 64 GiB takes no more than one of 1 GiB.
//!
//! Each deployment is a process of its own, this test binary again, which says how much memory it
//! had resident at most.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is the test's failure")]

mod common;

use common::{Shop, deploy};
use deploy::ReadBack;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use store::dir::DirStore;
use store::source::Source;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What a deployment may have resident at most.
const RESIDENT_MAX_BYTES: u64 = 64 * MIB;

/// By how much more an image 64 times as large may take.
const GROWTH_MAX_BYTES: u64 = 8 * MIB;

/// Where the child finds store and target: directories, joined by a colon.
const PLACES: &str = "DEPLOY_MEMORY_PLACES";

/// What the child says before the number.
const SAYS: &str = "resident at most, bytes:";

/// Noise in the image: a few MiB, spread over all of it.
fn image(path: &Path, size_bytes: u64) {
    let file = File::create(path).unwrap();
    file.set_len(size_bytes).unwrap();
    let mut state = 1_u64;
    let mut noise = vec![0; MIB as usize / 2];
    for number in 0..16 {
        for word in noise.chunks_exact_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(number);
            word.copy_from_slice(&(state ^ (state >> 29)).to_le_bytes());
        }
        file.write_all_at(&noise, size_bytes / 16 * number).unwrap();
    }
}

/// Deploys an image of this size twice in a process of its own, and returns what that had
/// resident at most.
fn resident(size_bytes: u64) -> u64 {
    let shop = Shop::new();
    image(&shop.path("image"), size_bytes);
    shop.push_file("sparse");
    let places = format!("{}:{}", shop.path("store").display(), shop.path("disk").display());
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
    let (store, disk) = places.split_once(':').unwrap();
    let source: Arc<dyn Source> = Arc::new(DirStore::open(store).unwrap());
    for _ in 0..2 {
        deploy(&source, "sparse", Path::new(disk), ReadBack::Yes).unwrap();
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("{SAYS} {}", kib * 1024);
}

#[test]
fn an_image_64_times_as_large_takes_no_more_memory() {
    let (small, large) = (resident(GIB), resident(64 * GIB));
    println!("resident at most: 1 GiB {} KiB, 64 GiB {} KiB", small >> 10, large >> 10);
    assert!(small <= RESIDENT_MAX_BYTES && large <= RESIDENT_MAX_BYTES, "{small} {large}");
    assert!(large <= small + GROWTH_MAX_BYTES, "{small} {large}");
}
