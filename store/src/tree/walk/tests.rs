//! Walks of real directories. Those with mounts are in `tests/walk.rs`.

use super::*;
use crate::tree::{Xattr, compare};
use rustix::fs::{CWD, Dev, Mode, OFlags, mkdirat, mkfifoat, mknodat, openat, setxattr};
use rustix::fs::{Timespec, Timestamps, XattrFlags, utimensat};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

type Row = (String, &'static str);

fn walk(root: &Path) -> Walk {
    let directory = File::open(root).unwrap();
    Walk::new(directory, root, WalkOptions::default())
}

fn nodes(root: &Path) -> Vec<Walked> {
    let node = |found: Found| match found {
        Found::Node(walked) => Some(walked),
        Found::Skipped { .. } => None,
    };
    walk(root).filter_map(|found| node(found.unwrap())).collect()
}

fn rows(root: &Path) -> Vec<Row> {
    rows_of(walk(root))
}

fn rows_of(walk: Walk) -> Vec<Row> {
    let row = |found| match found {
        Found::Node(Walked { node, .. }) => {
            let kind = match node.kind {
                NodeKind::Directory => "directory",
                NodeKind::File { .. } => "file",
                NodeKind::Symlink { .. } => "symlink",
                NodeKind::HardLink { .. } => "hard link",
                NodeKind::Fifo => "fifo",
                NodeKind::CharDevice { .. } | NodeKind::BlockDevice { .. } => "device",
            };
            (node.path.escape_ascii().to_string(), kind)
        }
        Found::Skipped { path, why } => {
            let why = match why {
                Skipped::Socket => "socket",
                Skipped::Mounted => "mounted",
                Skipped::Reserved => "reserved",
                Skipped::Changed => "changed",
                Skipped::Unknown => "unknown",
            };
            (path.escape_ascii().to_string(), why)
        }
    };
    walk.map(|found| row(found.unwrap())).collect()
}

#[test]
fn every_kind_in_order() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &[u8]| root.path().join(OsStr::from_bytes(name));
    std::fs::create_dir(at(b"a")).unwrap();
    std::fs::write(at(b"a/z"), b"z").unwrap();
    std::fs::write(at(b"a.b"), b"").unwrap();
    std::fs::write(at(b"\xff\n"), b"bytes").unwrap();
    symlink("nowhere", at(b"b")).unwrap();
    symlink("/", at(b"c")).unwrap();
    mkfifoat(CWD, at(b"d"), Mode::RUSR).unwrap();
    std::fs::hard_link(at(b"d"), at(b"e")).unwrap();
    std::fs::hard_link(at(b"b"), at(b"f")).unwrap();
    std::fs::hard_link(at(b"a/z"), at(b"g")).unwrap();
    let _socket = UnixListener::bind(at(b"s")).unwrap();
    std::fs::create_dir_all(at(b".inaugurator/stage")).unwrap();
    std::fs::create_dir_all(at(b"h/.inaugurator")).unwrap();
    let expected = [
        ("", "directory"),
        (".inaugurator", "reserved"),
        ("a", "directory"),
        ("a/z", "file"),
        ("a.b", "file"),
        ("b", "symlink"),
        ("c", "symlink"),
        ("d", "fifo"),
        ("e", "hard link"),
        ("f", "hard link"),
        ("g", "hard link"),
        ("h", "directory"),
        ("h/.inaugurator", "directory"),
        ("s", "socket"),
        ("\\xff\\n", "file"),
    ];
    assert_eq!(rows(root.path()), expected.map(|(path, kind)| (path.to_owned(), kind)));
    let nodes = nodes(root.path());
    let find = |path: &[u8]| nodes.iter().find(|walked| walked.node.path == path).unwrap();
    let linked = |to: &[u8]| NodeKind::HardLink { to: to.to_vec() };
    assert_eq!(find(b"e").node.kind, linked(b"d"));
    assert_eq!(find(b"f").node.kind, linked(b"b"));
    assert_eq!(find(b"g").node.kind, linked(b"a/z"));
    assert_eq!(find(b"g").stamp, find(b"a/z").stamp);
    assert_eq!(find(b"b").node.kind, NodeKind::Symlink { target: b"nowhere".to_vec() });
}

#[test]
fn metadata_to_the_nanosecond_and_attributes_in_order() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o4751)).unwrap();
    for name in ["user.z", "user.a"] {
        setxattr(&file, name, name.as_bytes(), XattrFlags::empty()).unwrap();
    }
    let link = root.path().join("link");
    symlink("x", &link).unwrap();
    let time = Timespec { tv_sec: -7, tv_nsec: 123_456_789 };
    let times = Timestamps { last_access: time, last_modification: time };
    for path in [&file, &link] {
        utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    let nodes = nodes(root.path());
    let meta = |index: usize| &nodes[index].node.meta;
    let xattr = |name: &str| Xattr { name: name.into(), value: name.into() };
    assert_eq!(meta(1).xattrs, [xattr("user.a"), xattr("user.z")]);
    assert_eq!((meta(1).mode, meta(1).mtime_s, meta(1).mtime_ns), (0o4751, -7, 123_456_789));
    assert_eq!((meta(2).mode, meta(2).mtime_s, meta(2).mtime_ns), (0o777, -7, 123_456_789));
}

#[test]
fn attributes_of_nodes_that_cannot_be_opened() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    symlink("nowhere", at("link")).unwrap();
    mkfifoat(CWD, at("fifo"), Mode::RUSR).unwrap();
    let set = |name: &str| {
        rustix::fs::lsetxattr(at(name), "trusted.kept", name.as_bytes(), XattrFlags::empty())
    };
    if set("link").is_err() {
        return; // Only root may.
    }
    set("fifo").unwrap();
    let mut expected = vec![("fifo", true), ("link", true)];
    if mknodat(CWD, at("null"), FileType::CharacterDevice, Mode::RUSR, device()).is_ok() {
        set("null").unwrap();
        expected.push(("null", true));
    }
    let found = nodes(root.path());
    let has = |walked: &Walked| {
        let path = String::from_utf8(walked.node.path.clone()).unwrap();
        let xattr = Xattr { name: b"trusted.kept".to_vec(), value: path.clone().into_bytes() };
        (path, walked.node.meta.xattrs == [xattr])
    };
    let found: Vec<_> = found[1..].iter().map(has).collect();
    let found: Vec<_> = found.iter().map(|(path, has)| (path.as_str(), *has)).collect();
    assert_eq!(found, expected);
}

/// `/dev/null`.
fn device() -> Dev {
    rustix::fs::makedev(1, 3)
}

#[test]
fn deeper_than_the_kernel_takes_a_path() {
    let root = tempfile::tempdir().unwrap();
    let name = "n".repeat(200);
    let mut directory: rustix::fd::OwnedFd = File::open(root.path()).unwrap().into();
    let levels = 300;
    for _ in 0..levels {
        mkdirat(&directory, &name, Mode::RWXU).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        directory = openat(&directory, &name, flags, Mode::empty()).unwrap();
        openat(&directory, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    }
    let found = nodes(root.path());
    assert_eq!(found.len(), 1 + 2 * levels);
    let paths: Vec<_> = found.iter().map(|walked| walked.node.path.clone()).collect();
    assert!(paths.is_sorted_by(|one, other| compare(one, other).is_lt()));
    assert_eq!(paths.iter().map(Vec::len).max(), Some(levels * 201 + 4));
    // A level more each, and the longest path a tree can have is passed.
    let mut levels = levels;
    while levels * 201 <= PATH_MAX_BYTES {
        mkdirat(&directory, &name, Mode::RWXU).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        directory = openat(&directory, &name, flags, Mode::empty()).unwrap();
        levels += 1;
    }
    let error = walk(root.path()).find_map(Result::err).unwrap();
    assert!(matches!(error, WalkError::Limit { what: "path", .. }), "{error}");
}

#[test]
fn a_thousand_levels() {
    let root = tempfile::tempdir().unwrap();
    let mut directory: rustix::fd::OwnedFd = File::open(root.path()).unwrap().into();
    for _ in 0..1000 {
        mkdirat(&directory, "d", Mode::RWXU).unwrap();
        mkdirat(&directory, "e", Mode::RWXU).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        directory = openat(&directory, "d", flags, Mode::empty()).unwrap();
    }
    assert_eq!(nodes(root.path()).len(), 2001);
}

#[test]
fn what_trees_cannot_have_is_an_error_or_told() {
    let root = tempfile::tempdir().unwrap();
    // Some file systems take no more than a block: then the path is the only one that is too long.
    std::fs::create_dir(root.path().join("attributes")).unwrap();
    let mut found = 0;
    for number in 0..20 {
        let value = vec![7; 60_000];
        let name = format!("user.{number}");
        let at = root.path().join("attributes");
        found += usize::from(setxattr(at, name, &value, XattrFlags::empty()).is_ok());
    }
    let mut at = openat(CWD, root.path(), OFlags::RDONLY, Mode::empty()).unwrap();
    let name = "n".repeat(255);
    for _ in 0..257 {
        mkdirat(&at, &name, Mode::RWXU).unwrap();
        at = openat(&at, &name, OFlags::RDONLY, Mode::empty()).unwrap();
    }
    let directory = || File::open(root.path()).unwrap();
    let error = Walk::new(directory(), root.path(), WalkOptions::default()).find_map(Result::err);
    assert!(matches!(error, Some(WalkError::Limit { .. })), "{error:?}");
    let options = WalkOptions { allow_unknown: true, ..WalkOptions::default() };
    let rows = rows_of(Walk::new(directory(), root.path(), options));
    let unknown = rows.iter().filter(|(_, kind)| *kind == "unknown");
    let unknown: Vec<_> = unknown.map(|(path, _)| path.len()).collect();
    let deep = 257 * 256 - 1;
    assert_eq!(unknown, if found == 20 { vec![10, deep] } else { vec![deep] });
    assert_eq!(rows.len(), 2 + 257);
}

#[test]
fn what_is_gone_meanwhile_is_an_error_or_passed_over() {
    for allow_changed in [false, true] {
        let root = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(root.path().join(name), name).unwrap();
        }
        let options = WalkOptions { allow_changed, ..WalkOptions::default() };
        let mut walk = Walk::new(File::open(root.path()).unwrap(), root.path(), options);
        walk.next().unwrap().unwrap();
        std::fs::remove_file(root.path().join("b")).unwrap();
        let rest: Vec<_> = walk.collect();
        if allow_changed {
            let is_node = |found: &&_| matches!(found, Ok(Found::Node(_)));
            assert_eq!(rest.iter().filter(is_node).count(), 2);
            continue;
        }
        let error = rest.last().unwrap().as_ref().unwrap_err();
        let path = root.path().join("b");
        let expected = format!("{} changed while it was looked at", path.display());
        assert_eq!(error.to_string(), expected);
    }
}

/// Sets when `path` was modified, long ago: what follows shows, however fast it comes.
fn set_time(path: &Path, seconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, rustix::fs::AtFlags::empty()).unwrap();
}

#[test]
fn what_comes_meanwhile_is_an_error_or_told() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 3] = [
        ("", |root| std::fs::write(root.join("new"), b"").unwrap()),
        ("d", |root| std::fs::rename(root.join("d/e"), root.join("d/f")).unwrap()),
        ("d", |root| set_time(&root.join("d"), 2)),
    ];
    for (changed, change) in changes {
        for allow_changed in [false, true] {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir(root.path().join("d")).unwrap();
            std::fs::write(root.path().join("d/e"), b"").unwrap();
            set_time(&root.path().join(changed), 1);
            let options = WalkOptions { allow_changed, ..WalkOptions::default() };
            let mut walk = Walk::new(File::open(root.path()).unwrap(), root.path(), options);
            // The root, the directory, and its file.
            assert_eq!(walk.by_ref().take(3).flatten().count(), 3);
            change(root.path());
            let rest: Vec<_> = walk.collect();
            match &rest[..] {
                [Ok(Found::Skipped { path, why: Skipped::Changed })] if allow_changed => {
                    assert_eq!(path, changed.as_bytes());
                }
                [Err(WalkError::Changed { path })] if !allow_changed => {
                    assert_eq!(path, &root.path().join(changed));
                }
                other => panic!("{changed:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_deep_directory_that_changed_is_told_though_it_was_closed() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("d/".repeat(OPEN_LEVELS + 10))).unwrap();
    set_time(root.path(), 1);
    let mut walk = walk(root.path());
    walk.by_ref().nth(OPEN_LEVELS + 9).unwrap().unwrap();
    std::fs::write(root.path().join("new"), b"").unwrap();
    let error = walk.find_map(Result::err).unwrap();
    assert!(matches!(&error, WalkError::Changed { path } if path == root.path()), "{error}");
}

#[test]
fn a_directory_moved_out_while_it_is_walked_is_told() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let deep = "d/".repeat(OPEN_LEVELS + 10);
    std::fs::create_dir_all(root.path().join("z")).unwrap();
    std::fs::create_dir_all(root.path().join(&deep)).unwrap();
    let mut walk = walk(root.path());
    while walk.next().unwrap().is_ok_and(|found| match found {
        Found::Node(walked) => walked.node.path.len() + 1 < deep.len(),
        Found::Skipped { .. } => true,
    }) {}
    std::fs::rename(root.path().join("d/d"), elsewhere.path().join("d")).unwrap();
    let error = walk.find_map(Result::err).unwrap();
    assert!(matches!(error, WalkError::Changed { .. }), "{error}");
}
