//! What only root can set up: file systems that are mounted, full or read-only, and attributes that
//! forbid changes.

use crate::model::{Tree, noise};
use crate::oracle::{assert_is, see};
use crate::run::{Run, chain};
use crate::shelf::Shelf;
use deploy::tree::{Rights, Root};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use std::ffi::CString;
use std::fs::File;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Whether this is root; says so where it is not.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED: needs root");
    }
    is_root
}

/// A tmpfs; unmounted with its test.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: &Path, size_bytes: u64) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let data = CString::new(format!("size={size_bytes},mode=755")).unwrap();
        mount("tmpfs", path, "tmpfs", MountFlags::empty(), data.as_c_str()).unwrap();
        Self(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

fn set_flags(path: &Path, flags: IFlags) -> rustix::io::Result<()> {
    ioctl_setflags(File::open(path).unwrap(), flags)
}

#[test]
fn what_must_not_be_changed_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new();
    let old = Tree::new().file("a/changed", b"1").file("a/gone", b"2").file("a/mode", b"3");
    let mut new = Tree::new().file("a/changed", b"4").file("a/mode", b"3");
    new.0.get_mut(&vec![b"a".to_vec(), b"mode".to_vec()]).unwrap().1.mode = 0o600;
    shelf.put("old", &old);
    shelf.put("new", &new);
    Run::new(&shelf, &["old"], dir.path()).done();
    let paths = ["a/changed", "a/gone", "a/mode", "a", ""].map(|path| dir.path().join(path));
    for (number, path) in paths.iter().enumerate() {
        let flag = if number % 2 == 0 { IFlags::IMMUTABLE } else { IFlags::APPEND };
        if let Err(error) = set_flags(path, flag) {
            eprintln!("SKIPPED: cannot make {} immutable: {error}", path.display());
            return;
        }
    }
    Run::new(&shelf, &["new"], dir.path()).done();
    assert_is(dir.path(), &new, "over immutable files");
    let left = ioctl_getflags(File::open(dir.path().join("a/changed")).unwrap()).unwrap();
    assert!(!left.intersects(IFlags::IMMUTABLE | IFlags::APPEND));
}

#[test]
fn sockets_are_unknown_to_every_label() {
    let (dir, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    let tree = Tree::new().file("run/a", b"1").file("s", b"2");
    shelf.put("label", &tree);
    std::fs::create_dir(dir.path().join("run")).unwrap();
    let sockets =
        ["run/socket", "s"].map(|path| UnixListener::bind(dir.path().join(path)).unwrap());
    Run::new(&shelf, &["label"], dir.path()).done();
    assert_is(dir.path(), &tree, "over sockets");
    drop(sockets);
}

#[test]
fn what_is_mounted_is_left_or_refused() {
    if !is_root() {
        return;
    }
    let (dir, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    let tree = Tree::new().file("etc/a", b"1").with("proc", crate::model::Item::Directory);
    shelf.put("label", &tree);
    shelf.put("in-it", &tree.clone().file("proc/x", b"x"));
    shelf.put("over-it", &Tree::new().file("proc", b"x"));
    let known = Mounted::at(&dir.path().join("proc"), 1 << 20);
    let unknown = Mounted::at(&dir.path().join("mnt/unknown"), 1 << 20);
    std::fs::write(known.0.join("inside"), b"inside").unwrap();
    std::fs::write(unknown.0.join("inside"), b"inside").unwrap();
    std::fs::write(dir.path().join("mnt/beside"), b"beside").unwrap();
    Run::new(&shelf, &["label"], dir.path()).done();
    for mounted in [&known, &unknown] {
        assert_eq!(std::fs::read(mounted.0.join("inside")).unwrap(), b"inside");
    }
    assert!(!dir.path().join("mnt/beside").exists());
    assert_eq!(std::fs::read(dir.path().join("etc/a")).unwrap(), b"1");
    let (before, to) = (see(dir.path()), dir.path().display().to_string());
    let table = [
        ("in-it", "the label has something in it"),
        ("over-it", "the label has something else there"),
    ];
    for (label, why) in table {
        let (result, _) = Run::new(&shelf, &[label], dir.path()).go();
        let expected = format!(
            "refused: {to}/proc is a mount point, and {why}: unmount it, or keep it with --keep"
        );
        assert_eq!(chain(&result.unwrap_err()), expected);
    }
    assert_eq!(see(dir.path()), before);
    Run::new(&shelf, &["in-it"], dir.path()).keeping(&["proc"]).done();
}

fn files(seeds: std::ops::Range<u64>) -> Tree {
    let file = |tree: Tree, n| tree.file(&format!("f{n}"), noise(n, 200_000));
    seeds.fold(Tree::new(), file)
}

#[test]
fn where_room_is_short_files_change_places_some_at_a_time() {
    if !is_root() {
        return;
    }
    let (dir, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    let mounted = Mounted::at(&dir.path().join("small"), 4 << 20);
    let (old, new) = (files(0..14), files(7..21));
    shelf.put("old", &old);
    shelf.put("new", &new);
    shelf.put("huge", &files(0..30));
    Run::new(&shelf, &["old"], &mounted.0).done();
    Run::new(&shelf, &["new"], &mounted.0).done();
    assert_is(&mounted.0, &new, "in little room");
    // Each file's content changes, so that nothing can be removed beforehand.
    let changed = (0..14)
        .fold(Tree::new(), |tree, n| tree.file(&format!("f{}", n + 7), noise(n + 100, 210_000)));
    shelf.put("changed", &changed);
    Run::new(&shelf, &["changed"], &mounted.0).done();
    assert_is(&mounted.0, &changed, "changed in little room");
    let (result, _) = Run::new(&shelf, &["huge"], &mounted.0).go();
    let said = chain(&result.unwrap_err());
    let expected = format!("refused: {} needs ", mounted.0.display());
    assert!(said.starts_with(&expected) && said.contains("its file system has"), "{said}");
    assert_is(&mounted.0, &changed, "after a refusal");
}

#[test]
fn a_read_only_file_system_is_refused_before_anything_is_written() {
    if !is_root() {
        return;
    }
    let (dir, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    let mounted = Mounted::at(&dir.path().join("ro"), 4 << 20);
    let tree = files(0..2);
    shelf.put("label", &tree);
    shelf.put("next", &files(0..3));
    Run::new(&shelf, &["label"], &mounted.0).done();
    mount_remount(&mounted.0, MountFlags::RDONLY, c"").unwrap();
    Run::new(&shelf, &["label"], &mounted.0).done();
    let (result, _) = Run::new(&shelf, &["next"], &mounted.0).go();
    let expected =
        format!("refused: {} is on a file system that is read-only", mounted.0.display());
    assert_eq!(chain(&result.unwrap_err()), expected);
}

#[test]
fn the_running_system_and_the_store_are_no_targets() {
    let root = Root::open(Path::new("/")).unwrap();
    let said = root.refuse_own_root().unwrap_err().to_string();
    assert_eq!(said, "/ is the root of the running system");
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("sub/store");
    std::fs::create_dir_all(&store).unwrap();
    let root = Root::open(dir.path()).unwrap();
    assert!(root.refuse_own_root().is_ok() && root.refuse_store(Path::new("/usr")).is_ok());
    assert!(root.refuse_store(&store).is_err());
    assert!(matches!(Rights::of_process(), Rights::Root | Rights::User { .. }));
}
