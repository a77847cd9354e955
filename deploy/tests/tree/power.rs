//! Power cuts: what was not made durable is lost.
//!
//! A file system on a loop device has in the file below it what was submitted to the disk, and not
//! what the kernel only remembers: a copy of that file is the disk as a power cut leaves it.

use crate::cuts::{assert_old_or_new, whole_run};
use crate::gates::CutAfter;
use crate::model::{Tree, noise};
use crate::oracle::{assert_is, see};
use crate::random;
use crate::run::Run;
use crate::shelf::Shelf;
use rustix::mount::{UnmountFlags, unmount};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// A file with a file system, mounted.
struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    fn mount(image: PathBuf, at: PathBuf) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        must(Command::new("mount").args(["-o", "loop,noauto_da_alloc"]).args([&image, &at]));
        Self { image, at }
    }

    /// Has the names made durable, as the kernel does now and then; content that has no place on the
    /// disk yet is not (ext4(5), `delalloc`).
    fn commit_names(&self) {
        std::fs::File::open(&self.at).unwrap().sync_all().unwrap();
    }

    /// What a power cut now would leave.
    fn cut(&self, image: PathBuf, at: PathBuf) -> Self {
        std::fs::copy(&self.image, &image).unwrap();
        Self::mount(image, at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(&self.at, UnmountFlags::DETACH);
    }
}

fn must(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Whether it can be done here; says so where not.
fn can_mount(kind: &str) -> bool {
    let tool = Command::new(format!("mkfs.{kind}")).arg("-V").output().is_ok();
    let can = rustix::process::geteuid().is_root() && tool;
    if !can {
        assert!(std::env::var_os("CI").is_none(), "no {kind} to mount");
        eprintln!("SKIPPED: needs root and mkfs.{kind}");
    }
    can
}

fn cut_power(shelf: &Arc<Shelf>, place: &Path, (old, new): (&Tree, &Tree), cut: u64) {
    let image = place.join(format!("image-{cut}"));
    std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    must(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
    let disk = Disk::mount(image, place.join("before"));
    Run::new(shelf, &["old"], &disk.at).done();
    let gate = Arc::new(CutAfter::new(cut));
    let _ = Run::new(shelf, &["new"], &disk.at).with_gate(gate).go();
    for is_committed in [false, true] {
        if is_committed {
            disk.commit_names();
        }
        let name = format!("left-{cut}-{is_committed}");
        let left = disk.cut(place.join(&name), place.join("after"));
        let context = format!("power cut after {cut} calls, names committed: {is_committed}");
        assert_old_or_new(&see(&left.at), old, new, &context);
        // Reading back would mend what is taken for right and is not.
        Run::new(shelf, &["new"], &left.at).unverified();
        assert_is(&left.at, new, &context);
    }
}

/// Cuts all through a run: at the first call, at the last, and between.
fn cut_all_through(old: &Tree, new: &Tree, parts: u64) {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let place = place.unwrap();
    let shelf = Shelf::new();
    shelf.put("old", old);
    shelf.put("new", new);
    let (calls, _) = whole_run(&shelf, "old", "new");
    for part in 0..=parts {
        cut_power(&shelf, place.path(), (old, new), calls * part / parts);
    }
}

#[test]
fn files_are_old_or_new_after_a_power_cut() {
    if !can_mount("ext4") {
        return;
    }
    let file = |seed: u64| {
        move |tree: Tree, n: u64| tree.file(&format!("d{}/f{n}", n % 5), noise(seed + n, 30_000))
    };
    let old = (0..40).fold(Tree::new(), file(0));
    let new = (0..40).fold(Tree::new(), file(20)).file("long", noise(7, 3_000_000));
    cut_all_through(&old, &new, 12);
}

#[test]
fn trees_of_all_kinds_become_the_label_after_a_power_cut() {
    if !can_mount("ext4") {
        return;
    }
    for seed in 0..4 {
        cut_all_through(&random::tree(seed), &random::tree(seed + 100), 4);
    }
}
