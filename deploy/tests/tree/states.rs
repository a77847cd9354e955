//! Whatever a target holds, it becomes the label.

use crate::model::{Item, Tree, noise};
use crate::oracle::{Seen, assert_is, see, see_each};
use crate::random;
use crate::run::{Run, chain};
use crate::shelf::Shelf;
use proptest::prelude::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn one_after_another_is_as_if_the_other_had_never_been(first in any::<u32>(), second in any::<u32>()) {
        let (first, second) = (random::tree(first.into()), random::tree(second.into()));
        let shelf = Shelf::new();
        shelf.put("first", &first);
        shelf.put("second", &second);
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("to");
        Run::new(&shelf, &["first"], &to).done();
        assert_is(&to, &first, "first onto nothing");
        Run::new(&shelf, &["second"], &to).done();
        assert_is(&to, &second, "second onto first");
        let before = see(&to);
        let again = Run::new(&shelf, &["second"], &to).done();
        prop_assert_eq!(again.fetched_objects + again.written_bytes + again.copied_objects, 0);
        prop_assert_eq!(see(&to), before);
    }
}

/// Whatever stands at a path, and whatever a label has there: it is kept as it is, or the deployment
/// is refused and changes nothing.
fn keeping(first: &Tree, second: &Tree, kept: &str) -> Result<(), TestCaseError> {
    let shelf = Shelf::new();
    shelf.put("first", first);
    shelf.put("second", second);
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("to");
    Run::new(&shelf, &["first"], &to).done();
    let look = || -> Seen {
        let is_kept = |path: &[u8]| Path::new(OsStr::from_bytes(path)).starts_with(kept);
        see_each(&to).into_iter().filter(|(path, _)| is_kept(path)).collect()
    };
    let (before, kept_before) = (see(&to), look());
    let (result, _) = Run::new(&shelf, &["second"], &to).keeping(&[kept]).go();
    if let Err(error) = result {
        prop_assert!(chain(&error).starts_with("refused: "), "{}", chain(&error));
        prop_assert_eq!(see(&to), before);
        return Ok(());
    }
    if !kept_before.is_empty() {
        prop_assert_eq!(look(), kept_before);
    }
    let again = Run::new(&shelf, &["second"], &to).keeping(&[kept]).done();
    prop_assert_eq!(again.written_bytes, 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_kept_is_kept_whatever_a_label_has_there(
        first in any::<u32>(), second in any::<u32>(), kept in "[abc](/[abc]){0,2}",
    ) {
        keeping(&random::tree(first.into()), &random::tree(second.into()), &kept)?;
    }
}

#[test]
fn what_matches_is_not_touched() {
    let shelf = Shelf::new();
    let old =
        Tree::new().file("same", b"1").file("sub/changed", b"2").file("sub/same", noise(1, 99_999));
    let new =
        Tree::new().file("same", b"1").file("sub/changed", b"3").file("sub/same", noise(1, 99_999));
    shelf.put("old", &old);
    shelf.put("new", &new);
    let dir = tempfile::tempdir().unwrap();
    Run::new(&shelf, &["old"], dir.path()).done();
    let stat = |name: &str| {
        let meta = dir.path().join(name).metadata().unwrap();
        (meta.ino(), meta.ctime(), meta.ctime_nsec())
    };
    let before = (stat("same"), stat("sub/same"), stat("sub/changed"));
    let done = Run::new(&shelf, &["new"], dir.path()).done();
    assert_is(dir.path(), &new, "next");
    assert_eq!((stat("same"), stat("sub/same")), (before.0, before.1));
    assert_ne!(stat("sub/changed").0, before.2.0);
    assert_eq!((done.fetched_objects, done.copied_objects), (1, 0));
}

#[test]
fn what_is_there_under_another_name_is_copied() {
    let shelf = Shelf::new();
    let (large, small) = (noise(3, 1_000_000), noise(4, 500));
    shelf.put("old", &Tree::new().file("a/large-1", &large).file("small", &small));
    let longer = [&b"before"[..], &large].concat();
    let new = Tree::new().file("b/large-2", &large).file("b/longer", &longer).file("x", &small);
    shelf.put("new", &new);
    let dir = tempfile::tempdir().unwrap();
    Run::new(&shelf, &["old"], dir.path()).done();
    let done = Run::new(&shelf, &["new"], dir.path()).done();
    assert_is(dir.path(), &new, "next");
    assert!(done.fetched_objects <= 2 && done.copied_bytes > 1_800_000, "{done:?}");
}

#[test]
fn metadata_alone_is_changed_in_place() {
    let shelf = Shelf::new();
    let tree = Tree::new().file("a", noise(1, 200_000)).file("b/c", b"x");
    shelf.put("a", &tree);
    let dir = tempfile::tempdir().unwrap();
    Run::new(&shelf, &["a"], dir.path()).done();
    let inode = dir.path().join("a").metadata().unwrap().ino();
    let chmod = std::os::unix::fs::PermissionsExt::from_mode;
    std::fs::set_permissions(dir.path().join("a"), chmod(0o4711)).unwrap();
    std::fs::set_permissions(dir.path().join("b"), chmod(0o711)).unwrap();
    let name = dir.path().join("b/c");
    rustix::fs::setxattr(&name, "user.more", b"1", rustix::fs::XattrFlags::empty()).unwrap();
    let done = Run::new(&shelf, &["a"], dir.path()).done();
    assert_is(dir.path(), &tree, "again");
    assert_eq!((done.fetched_objects, done.written_bytes, done.copied_objects), (0, 0, 0));
    assert_eq!(dir.path().join("a").metadata().unwrap().ino(), inode);
}

#[test]
fn content_is_hashed_though_metadata_are_right() {
    let shelf = Shelf::new();
    let tree = Tree::new().file("a", b"right");
    shelf.put("a", &tree);
    let dir = tempfile::tempdir().unwrap();
    Run::new(&shelf, &["a"], dir.path()).done();
    let path = dir.path().join("a");
    let modified = path.metadata().unwrap().modified().unwrap();
    std::fs::write(&path, b"wrong").unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    Run::new(&shelf, &["a"], dir.path()).done();
    assert_is(dir.path(), &tree, "again");
}

#[test]
fn links_out_of_the_root_are_not_followed() {
    let shelf = Shelf::new();
    let tree = Tree::new().file("etc/passwd", b"new").file("etc/x/y", b"z");
    shelf.put("a", &tree);
    let dir = tempfile::tempdir().unwrap();
    let (to, out) = (dir.path().join("to"), dir.path().join("out"));
    std::fs::create_dir_all(out.join("x")).unwrap();
    std::fs::write(out.join("passwd"), b"precious").unwrap();
    std::fs::create_dir(&to).unwrap();
    std::os::unix::fs::symlink(&out, to.join("etc")).unwrap();
    std::os::unix::fs::symlink(&out, to.join("unknown")).unwrap();
    let before = see(&out);
    Run::new(&shelf, &["a"], &to).done();
    assert_is(&to, &tree, "over a link");
    assert_eq!(see(&out), before);
}

#[test]
fn kept_paths_stay_as_they_are() {
    let shelf = Shelf::new();
    let tree =
        Tree::new().file("srv/from-label", b"1").file("etc/hosts", b"2").file("etc/conf", b"3");
    shelf.put("a", &tree);
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, bytes: &[u8]| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write("srv/data", b"data");
    write("etc/hosts", b"mine");
    write("var/lib/deep/kept", b"kept");
    write("var/lib/deep/not", b"x");
    write("var/other", b"x");
    let paths = ["/srv", "etc/hosts", "var/lib/deep/kept", "absent/path"];
    Run::new(&shelf, &["a"], dir.path()).keeping(&paths).done();
    let read = |path: &str| std::fs::read(dir.path().join(path)).ok();
    assert_eq!(read("srv/data").unwrap(), b"data");
    assert_eq!(read("etc/hosts").unwrap(), b"mine");
    assert_eq!(read("var/lib/deep/kept").unwrap(), b"kept");
    assert_eq!(read("etc/conf").unwrap(), b"3");
    for gone in ["srv/from-label", "var/other", "var/lib/deep/not"] {
        assert!(read(gone).is_none(), "{gone}");
    }
    let again = Run::new(&shelf, &["a"], dir.path()).keeping(&paths).done();
    assert_eq!(again.written_bytes, 0);
}

#[test]
fn what_is_kept_where_the_label_has_something_else_is_said() {
    let shelf = Shelf::new();
    shelf.put("a", &Tree::new().file("srv", b"1"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("srv")).unwrap();
    std::fs::write(dir.path().join("srv/data"), b"data").unwrap();
    let (result, _) = Run::new(&shelf, &["a"], dir.path()).keeping(&["srv/data"]).go();
    let to = dir.path().display();
    let expected =
        format!("refused: {to}/srv/data is to be kept, and the label has a file at {to}/srv");
    assert_eq!(chain(&result.unwrap_err()), expected);
    assert_eq!(std::fs::read(dir.path().join("srv/data")).unwrap(), b"data");
}

#[test]
fn joined_labels_are_their_union() {
    let shelf = Shelf::new();
    let base = Tree::new().file("a", b"1").file("d/b", b"2").with("d/l", Item::Link(b"d/b".into()));
    let more = Tree::new().file("a", b"1").file("d/b", b"2").file("d/c", noise(9, 200_000));
    let more = more.with("e", Item::Link(b"d/b".into()));
    shelf.put("base", &base);
    shelf.put("more", &more);
    let dir = tempfile::tempdir().unwrap();
    Run::new(&shelf, &["base", "more"], dir.path()).done();
    let union = base.clone().file("d/c", noise(9, 200_000)).with("e", Item::Link(b"d/b".into()));
    assert_is(dir.path(), &union, "joined");
    shelf.put("other", &Tree::new().file("d/b", b"three"));
    let (result, _) = Run::new(&shelf, &["base", "other"], dir.path()).go();
    let said = chain(&result.unwrap_err());
    assert!(
        said.starts_with("labels base and other cannot be joined: /d/b is a file of 1 bytes"),
        "{said}"
    );
    assert_is(dir.path(), &union, "after a refusal");
}

/// A machine's own files go where the label's links lead, and never take the place of a directory's
/// link: a merged `/usr` has one at `/lib`.
#[test]
fn a_machines_own_files_go_through_links_of_the_label() {
    let (shelf, dir) = (Shelf::new(), tempfile::tempdir().unwrap());
    let link = |to: &str| Item::Symlink(to.into());
    let label = Tree::new()
        .file("usr/lib/x", b"1")
        .with("lib", link("usr/lib"))
        .with("root", link("/var/./roothome"))
        .with("etc/resolv.conf", link("../run/resolv.conf"))
        .with("etc/up", link("../../../srv"))
        .with("loop", link("loop"))
        .with("fifo", Item::Fifo);
    shelf.put("a", &label);
    let go = |paths: &[&str]| {
        let mut run = Run::new(&shelf, &["a"], dir.path());
        for path in paths {
            let meta = crate::model::meta(0o600, 1);
            run.options.overlay.file(path.as_bytes(), meta, path.as_bytes().to_vec());
        }
        run.go().0
    };
    let table = [
        ("lib/own", "usr/lib/own"),
        ("root/.ssh/authorized_keys", "var/roothome/.ssh/authorized_keys"),
        ("etc/resolv.conf", "etc/resolv.conf"),
        ("etc/up/data", "srv/data"),
    ];
    go(&table.map(|(path, _)| path)).unwrap();
    for (path, at) in table {
        let at = dir.path().join(at);
        assert_eq!(std::fs::read(&at).unwrap(), path.as_bytes());
        assert!(at.symlink_metadata().unwrap().is_file(), "{path}");
    }
    assert_eq!(std::fs::read(dir.path().join("lib/x")).unwrap(), b"1");
    for (path, found) in [
        ("loop/own", "loop: expected a directory above others, found a symbolic link"),
        ("fifo/own", "fifo: expected a directory above others, found a fifo"),
    ] {
        let said = chain(&go(&[path]).unwrap_err());
        assert_eq!(said, format!("label a+of this machine's own files: /{found}"));
    }
}

/// What was right before and not written to was compared, and is not said to be read back.
#[test]
fn what_was_not_written_to_is_not_said_to_be_read_back() {
    let (shelf, dir) = (Shelf::new(), tempfile::tempdir().unwrap());
    shelf.put("a", &Tree::new().file("x", b"1"));
    let read_back = || {
        let meter = std::sync::Arc::new(deploy::Meter::new());
        let plan = Run::new(&shelf, &["a"], dir.path()).plan(&meter).unwrap();
        let written = deploy::tree::write(plan).unwrap();
        let verified = deploy::tree::verify(written, deploy::ReadBack::Yes).unwrap();
        deploy::tree::settle(verified).is_read_back()
    };
    assert_eq!([read_back(), read_back()], [true, false]);
}
