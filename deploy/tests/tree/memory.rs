//! Memory of the engine, for many files and for one that is long. The deployment is a process of its
//! own, this test binary again, which says how much memory it had resident at most.

use crate::fidelity::{deploy, push};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use store::dir::DirStore;
use store::source::Source;

/// What a deployment may have resident at most, KiB: about half a KiB for a file.
const RESIDENT_MAX_KIB: u64 = 32 << 10;

/// Where the child finds store and target: directories, joined by a colon.
const PLACES: &str = "TREE_MEMORY_PLACES";

/// What the child says before the number.
const SAYS: &str = "resident at most, KiB:";

/// 30,000 files of a line each, and one of 64 GiB that is a hole but for some bytes.
fn fill(root: &Path) {
    for package in 0..300 {
        let directory = root.join(format!("usr/share/part-{}/package-{package}", package / 100));
        std::fs::create_dir_all(&directory).unwrap();
        for number in 0..100 {
            let line = format!("file {number} of package {package}\n");
            let name = directory.join(format!("file-with-a-usual-name-{number}.txt"));
            std::fs::write(name, line).unwrap();
        }
    }
    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.set_len(64 << 30).unwrap();
    for offset in (0..64).map(|number| number << 30) {
        sparse.write_all_at(&crate::noise(100_000, offset), offset).unwrap();
    }
}

/// Not a test of its own: what the other one runs.
#[test]
fn child() {
    let Ok(places) = std::env::var(PLACES) else { return };
    let (store, to) = places.split_once(':').unwrap();
    let source: Arc<dyn Source> = Arc::new(DirStore::open(store).unwrap());
    deploy(&source, Path::new(to)).unwrap();
    let again = deploy(&source, Path::new(to)).unwrap();
    assert_eq!((again.fetched_objects, again.written_bytes), (0, 0));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{SAYS} {}", peak.trim().trim_end_matches(" kB"));
}

#[test]
fn many_files_and_a_long_one_take_little_memory() {
    // Many small files take their time on a disk that others use.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let place = place.unwrap();
    let root = place.path().join("root");
    fill(&root);
    push(place.path(), &root);
    std::fs::remove_dir_all(&root).unwrap();
    let [store, to] = ["store", "to"].map(|name| place.path().join(name).display().to_string());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "memory::child", "--nocapture", "--test-threads=1"])
        .env(PLACES, format!("{store}:{to}"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let number = said.split(SAYS).nth(1).unwrap().split_whitespace().next().unwrap();
    println!("resident at most: 30,000 files {number} KiB");
    let resident: u64 = number.parse().unwrap();
    assert!(resident <= RESIDENT_MAX_KIB, "{resident} KiB");
}
