//! Archives as GNU tar makes them, against the directories they are of.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::tree::{read, request};
use common::{Place, label, torture};
use std::fs::File;
use std::path::Path;
use std::process::Command;
use store::push::{Noted, PushTree, TarTree, TreeInput, push_tree};

/// Archives the directory `root`, its names in the order of `sort`.
fn tar(root: &Path, archive: &Path, sort: &str, options: &[&str]) {
    let script = "cd \"$1\" && find . -print0 | sort $2 | \
                  tar -c -f \"$3\" --null --no-recursion -T - \"${@:4}\"";
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).args([root, Path::new(sort), archive]).args(options);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

const ALL: [&str; 3] = ["--xattrs", "--xattrs-include=*", "--format=posix"];

#[test]
fn an_archive_has_the_manifest_of_its_directory() {
    let Some((_place, root)) = torture::new(false) else { return };
    // Of these GNU tar makes two fifos.
    std::fs::remove_file(root.join("dev/fifo-too")).unwrap();
    let place = Place::new();
    let expected = push_tree(&place.store, &request("directory", &root), &()).unwrap();
    let archive = place.root.path().join("a.tar");
    for (sort, options) in [
        ("-z", &[][..]),
        ("-rz", &["--acls", "--numeric-owner"]),
        ("-Rz", &["-S"]),
        ("-z", &["-S", "--sparse-version=0.0"]),
        ("-z", &["-S", "--sparse-version=0.1"]),
        // More than 100 characters, times and sizes, each in a header of its own way.
        ("-rz", &["-S", "--pax-option=exthdr.name=%d/%f"]),
    ] {
        tar(&root, &archive, sort, &[&ALL[..], options].concat());
        for in_place in [true, false] {
            let mut file = File::open(&archive).unwrap();
            let tree = if in_place {
                TarTree::read_file(file, &archive, false)
            } else {
                TarTree::read(&place.store, &mut file, &archive, false)
            };
            let input = TreeInput::Tar(tree.unwrap());
            let push = PushTree { input, force: true, ..request("tar", &root) };
            let report = push_tree(&place.store, &push, &()).unwrap();
            let [one, other] =
                ["directory", "tar"].map(|name| read(&place.store, &label(name)).nodes);
            let differs = one.iter().zip(&other).find(|(one, other)| one != other);
            assert_eq!(differs, None, "{sort} {options:?}");
            assert_eq!(report.manifest, expected.manifest, "{sort} {options:?}");
            assert_eq!(report.objects_new, 0);
        }
    }
    assert!(place.store.path().join("tmp").read_dir().unwrap().next().is_none());
}

#[test]
fn the_old_formats_have_what_they_can() {
    let Some((_place, root)) = torture::new(false) else { return };
    // Of these GNU tar makes two fifos.
    std::fs::remove_file(root.join("dev/fifo-too")).unwrap();
    let place = Place::new();
    push_tree(&place.store, &request("directory", &root), &()).unwrap();
    let directory = read(&place.store, &label("directory"));
    let archive = place.root.path().join("a.tar");
    for options in [&["--format=gnu"][..], &["--format=gnu", "-S"], &["--format=oldgnu"]] {
        tar(&root, &archive, "-z", options);
        let file = File::open(&archive).unwrap();
        let input = TreeInput::Tar(TarTree::read_file(file, &archive, false).unwrap());
        let push = PushTree { input, force: true, ..request("tar", &root) };
        push_tree(&place.store, &push, &()).unwrap();
        let nodes = read(&place.store, &label("tar")).nodes;
        assert_eq!(nodes.len(), directory.nodes.len());
        for (found, whole) in nodes.iter().zip(&directory.nodes) {
            let mut expected = whole.clone();
            (expected.node.meta.mtime_ns, expected.node.meta.xattrs) = (0, Vec::new());
            assert_eq!(*found, expected);
        }
    }
}

#[test]
fn an_archive_without_its_root_says_so() {
    let place = Place::new();
    let root = place.root.path().join("root");
    std::fs::create_dir_all(root.join("a")).unwrap();
    std::fs::write(root.join("a/b"), "content").unwrap();
    let archive = place.root.path().join("a.tar");
    let status =
        Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg("a").status();
    assert!(status.unwrap().success());
    let tree = TarTree::read_file(File::open(&archive).unwrap(), &archive, false).unwrap();
    let push = PushTree { input: TreeInput::Tar(tree), ..request("tar", &root) };
    let told = push_tree(&place.store, &push, &()).unwrap().tree.unwrap();
    assert_eq!((told.notes.len(), told.notes[0].what, told.nodes), (1, Noted::Implied, 3));
}
