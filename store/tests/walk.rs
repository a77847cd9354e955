//! Walks of directories that something is mounted in.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod common;

use common::disk::SmallDisk;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use store::tree::NodeKind;
use store::tree::walk::{Found, Mounts, Skipped, Walk, WalkError, WalkOptions};

/// Paths of what is found; of what is skipped, in parentheses.
fn walk(root: &Path, mounts: Mounts) -> Result<Vec<String>, WalkError> {
    let options = WalkOptions { mounts, ..WalkOptions::default() };
    let row = |found| match found {
        Found::Node(walked) => {
            let is_file = matches!(walked.node.kind, NodeKind::File { .. });
            assert_eq!(walked.file.is_some(), is_file);
            String::from_utf8(walked.node.path).unwrap()
        }
        Found::Skipped { path, why } => {
            assert_eq!(why, Skipped::Mounted);
            format!("({})", String::from_utf8(path).unwrap())
        }
    };
    Walk::new(File::open(root).unwrap(), root, options).map(|found| found.map(row)).collect()
}

/// `mount --bind`: the same file system, so that device numbers show nothing.
struct Bound<'a>(&'a Path);

impl<'a> Bound<'a> {
    fn new(from: &Path, to: &'a Path) -> Self {
        let status = Command::new("mount").arg("--bind").args([from, to]).status().unwrap();
        assert!(status.success());
        Self(to)
    }
}

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0).status().unwrap();
    }
}

#[test]
fn what_is_mounted_in_a_tree_is_refused_left_out_or_taken() {
    let Some(disk) = SmallDisk::mount(1024) else { return };
    let at = |name: &str| disk.path().join(name);
    for directory in ["from", "to"] {
        std::fs::create_dir(at(directory)).unwrap();
    }
    for file in ["from/inside", "file", "mounted"] {
        std::fs::write(at(file), file).unwrap();
    }
    assert_eq!(walk(disk.path(), Mounts::Refuse).unwrap().len(), 6);
    let (directory, file) = (at("to"), at("mounted"));
    let _directory = Bound::new(&at("from"), &directory);
    let refused = walk(disk.path(), Mounts::Refuse).unwrap_err();
    let expected =
        format!("{}: expected one file system, found another mounted there", directory.display());
    assert_eq!(refused.to_string(), expected);
    let _file = Bound::new(&at("file"), &file);
    let common = ["", "file", "from", "from/inside"];
    let left_out = [&common[..], &["(mounted)", "to", "(to)"]].concat();
    assert_eq!(walk(disk.path(), Mounts::Empty).unwrap(), left_out);
    let taken = [&common[..], &["mounted", "to", "to/inside"]].concat();
    assert_eq!(walk(disk.path(), Mounts::Include).unwrap(), taken);
    // The root may be one.
    assert_eq!(walk(&directory, Mounts::Refuse).unwrap(), ["", "inside"]);
}
