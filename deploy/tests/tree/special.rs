//! What only root can set up: file systems that are mounted, full or read-only, and attributes that
//! forbid changes.

use crate::model::{Tree, noise};
use crate::oracle::{assert_is, see};
use crate::run::{Run, chain};
use crate::shelf::Shelf;
use deploy::tree::{Rights, Root};
use rustix::fs::{CWD, IFlags, Mode, OFlags, XattrFlags, ioctl_getflags, ioctl_setflags};
use rustix::fs::{mkdirat, openat, setxattr};
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

/// Directories with this bit, and what is made in them, get the directory's group (inode(7)).
#[test]
fn what_is_made_in_directories_that_give_their_group_has_its_own() {
    if !is_root() {
        return;
    }
    let (dir, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    let set = |tree: &mut Tree, path: &[&str]| {
        let names: Vec<Vec<u8>> = path.iter().map(|name| name.as_bytes().to_vec()).collect();
        let meta = &mut tree.0.get_mut(&names).unwrap().1;
        (meta.mode, meta.gid) = (0o2775, 7);
    };
    let mut old = Tree::new().file("mail/old", b"1");
    set(&mut old, &[]);
    set(&mut old, &["mail"]);
    let mut new = Tree::new()
        .file("mail/new", b"2")
        .file("mail/sub/file", b"3")
        .with("mail/link", crate::model::Item::Symlink(b"new".into()))
        .with("mail/fifo", crate::model::Item::Fifo);
    set(&mut new, &[]);
    set(&mut new, &["mail"]);
    shelf.put("old", &old);
    shelf.put("new", &new);
    Run::new(&shelf, &["old"], dir.path()).done();
    // Reading back would mend it.
    Run::new(&shelf, &["new"], dir.path()).unverified();
    assert_is(dir.path(), &new, "in directories that give their group");
}

/// What others have mounted where files are staged stays, and does not end a deployment.
#[test]
fn what_is_mounted_in_the_staging_area_stays() {
    if !is_root() {
        return;
    }
    let (dir, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    shelf.put("label", &files(0..2));
    let mounted = Mounted::at(&dir.path().join(".inaugurator/stage/a/b"), 1 << 20);
    std::fs::write(mounted.0.join("inside"), b"inside").unwrap();
    std::fs::write(dir.path().join(".inaugurator/stage/a/beside"), b"beside").unwrap();
    Run::new(&shelf, &["label"], dir.path()).done();
    assert_eq!(std::fs::read(mounted.0.join("inside")).unwrap(), b"inside");
    assert!(!dir.path().join(".inaugurator/stage/a/beside").exists());
    let again = Run::new(&shelf, &["label"], dir.path()).done();
    assert_eq!(again.written_bytes, 0);
}

#[test]
fn two_deployments_do_not_write_to_one_directory() {
    let (dir, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    let tree = Tree::new().file("a", b"1");
    shelf.put("label", &tree);
    let other = Root::open(dir.path()).unwrap();
    other.claim().unwrap();
    let (result, _) = Run::new(&shelf, &["label"], dir.path()).go();
    let to = dir.path().display();
    let expected = format!("refused: {to} is in use: another deployment writes to it");
    assert_eq!(chain(&result.unwrap_err()), expected);
    assert_eq!(see(dir.path()).len(), 1);
    drop(other);
    Run::new(&shelf, &["label"], dir.path()).done();
    assert_is(dir.path(), &tree, "once the other is done");
}

/// What an earlier run staged is not looked at where nothing can be written.
#[test]
fn what_is_left_on_a_read_only_file_system_stays() {
    if !is_root() {
        return;
    }
    let (dir, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    let mounted = Mounted::at(&dir.path().join("ro"), 4 << 20);
    shelf.put("label", &files(0..2));
    Run::new(&shelf, &["label"], &mounted.0).done();
    let touched = mounted.0.metadata().unwrap().modified().unwrap();
    std::fs::create_dir_all(mounted.0.join(".inaugurator/stage")).unwrap();
    File::open(&mounted.0).unwrap().set_modified(touched).unwrap();
    mount_remount(&mounted.0, MountFlags::RDONLY, c"").unwrap();
    Run::new(&shelf, &["label"], &mounted.0).done();
}

/// A refusal when all is read back is not one before anything is written.
#[test]
fn what_cannot_be_repaired_is_said() {
    if !is_root() {
        return;
    }
    let (dir, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    shelf.put("label", &files(0..2));
    let mounted = Mounted::at(&dir.path().join("to"), 4 << 20);
    let meter = std::sync::Arc::new(deploy::Meter::new());
    let plan = Run::new(&shelf, &["label"], &mounted.0).plan(&meter).unwrap();
    let written = deploy::tree::write(plan).unwrap();
    std::fs::write(mounted.0.join("other"), b"").unwrap();
    mount_remount(&mounted.0, MountFlags::RDONLY, c"").unwrap();
    let result = deploy::tree::verify(written, deploy::ReadBack::Yes);
    let expected = format!(
        "what was written reads back wrong, and cannot be repaired: {} is on a file system that is read-only",
        mounted.0.display()
    );
    assert_eq!(chain(&result.err().unwrap()), expected);
}

/// Files of which each takes a good part of the room, two of them the same.
fn tight(seed: u64) -> Tree {
    let files = (seed..seed + 13)
        .fold(Tree::new(), |tree, n| tree.file(&format!("f{:02}", n - seed), noise(n, 200_000)));
    let long = [noise(seed, 200_000), noise(seed + 50, 200_000)].concat();
    files.file("f13", long).file("z", noise(seed, 200_000))
}

/// What an earlier run left takes room; it is used, or goes.
#[test]
fn runs_that_are_cut_in_little_room_are_gone_on_from() {
    if !is_root() {
        return;
    }
    let (dir, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    let [old, new, other] = [tight(100), tight(200), tight(300)];
    shelf.put("old", &old);
    shelf.put("new", &new);
    shelf.put("other", &other);
    for cut in [8, 20, 33, 47, 60, 80, 110] {
        let mounted = Mounted::at(&dir.path().join(format!("small-{cut}")), 4 << 20);
        Run::new(&shelf, &["old"], &mounted.0).done();
        for label in ["new", "new", "other", "new"] {
            let gate = std::sync::Arc::new(crate::gates::CutAfter::new(cut));
            let (result, _) = Run::new(&shelf, &[label], &mounted.0).with_gate(gate).go();
            let said = result.map_err(|error| chain(&error)).err().unwrap_or_default();
            assert!(!said.starts_with("refused"), "cut after {cut} calls: {said}");
        }
        // Reading back would mend what was put in place wrong.
        Run::new(&shelf, &["new"], &mounted.0).unverified();
        assert_is(&mounted.0, &new, &format!("cut after {cut} calls in little room"));
    }
}

/// A later file that was staged before a cut may stand where an earlier one would have its room.
#[test]
fn what_is_staged_gives_way_where_nothing_else_has_room() {
    if !is_root() {
        return;
    }
    let (dir, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    let mounted = Mounted::at(&dir.path().join("small"), 4 << 20);
    let [old, new] = [tight(100), tight(200)];
    shelf.put("old", &old);
    shelf.put("new", &new);
    Run::new(&shelf, &["old"], &mounted.0).done();
    let (stage, last) = (mounted.0.join(".inaugurator/stage"), noise(212, 200_000));
    let is_last = |path: &Path| std::fs::read(path).unwrap() == last;
    // Cut where the last file was staged.
    let cut = (1..300).find(|cut| {
        let gate = std::sync::Arc::new(crate::gates::CutAfter::new(*cut));
        let (result, _) = Run::new(&shelf, &["new"], &mounted.0).with_gate(gate).go();
        let staged: Vec<_> = std::fs::read_dir(&stage).map_or(Vec::new(), Iterator::collect);
        result.is_err() && staged.into_iter().any(|entry| is_last(&entry.unwrap().path()))
    });
    assert!(cut.is_some(), "it was never staged beside others");
    // All others go, and it takes all the room there is.
    for entry in std::fs::read_dir(&stage).unwrap() {
        let path = entry.unwrap().path();
        if !is_last(&path) {
            std::fs::remove_file(path).unwrap();
        }
    }
    let path = std::fs::read_dir(&stage).unwrap().next().unwrap().unwrap().path();
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    let full = (0..1 << 20).find_map(|_| std::io::Write::write_all(&mut file, &[7; 4096]).err());
    assert_eq!(full.unwrap().kind(), std::io::ErrorKind::StorageFull);
    drop(file);
    Run::new(&shelf, &["new"], &mounted.0).done();
    assert_is(&mounted.0, &new, "after what was staged gave way");
}

#[test]
fn a_file_that_has_no_room_beside_the_old_one_is_refused() {
    if !is_root() {
        return;
    }
    let (dir, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    let mounted = Mounted::at(&dir.path().join("small"), 4 << 20);
    let file = |seed| Tree::new().file("a", b"x").file("long", noise(seed, 3 << 20));
    let [old, new] = [file(1), file(2)];
    shelf.put("old", &old);
    shelf.put("new", &new);
    Run::new(&shelf, &["old"], &mounted.0).done();
    let (result, _) = Run::new(&shelf, &["new"], &mounted.0).go();
    let said = chain(&result.unwrap_err());
    let expected = format!("refused: {}/long needs 3145728 bytes more", mounted.0.display());
    assert!(said.starts_with(&expected), "{said}");
    assert_is(&mounted.0, &old, "after a refusal");
}

/// What no tree can have is removed like all that no label knows, and in the way of nothing.
#[test]
fn what_trees_cannot_have_is_removed() {
    if !is_root() {
        return;
    }
    let (dir, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    let tree =
        files(0..2).file("much", b"little").with("link", crate::model::Item::Symlink(b"f".into()));
    shelf.put("label", &tree);
    let mounted = Mounted::at(&dir.path().join("to"), 64 << 20);
    for name in ["much", "link", "unknown/much"] {
        let path = mounted.0.join(name);
        std::fs::create_dir_all(path.join("inner")).unwrap();
        for number in 0..20 {
            let name = format!("trusted.{number}");
            let value = vec![7; 60_000];
            setxattr(&path, name, &value, XattrFlags::empty()).unwrap();
        }
    }
    let mut at = openat(CWD, &mounted.0, OFlags::PATH, Mode::empty()).unwrap();
    let name = "n".repeat(255);
    for _ in 0..300 {
        mkdirat(&at, &name, Mode::RWXU).unwrap();
        at = openat(&at, &name, OFlags::PATH, Mode::empty()).unwrap();
    }
    drop(at);
    Run::new(&shelf, &["label"], &mounted.0).done();
    assert_is(&mounted.0, &tree, "in place of what trees cannot have");
}
