//! Trees onto directories.

use crate::support::{Bench, Ran, image, inaug};
use serde_json::Value;
use std::path::Path;

/// The most lines that a plan may have: an old console has 25.
const SCREEN_LINES: usize = 25;

/// Pushes a directory with these files as `label`.
#[track_caller]
fn push(bench: &Bench, label: &str, files: &[(&str, &[u8])]) {
    let root = bench.path(&format!("tree-of-{}", label.replace('/', "-")));
    for (path, content) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let tree = root.to_str().unwrap();
    bench.run(&["push", label, "--tree", tree, "--no-boot"]).expect(0);
}

fn deploy(bench: &Bench, label: &str, more: &[&str]) -> Ran {
    bench.run(&[&["deploy", label, "--to", &bench.text("to")], more].concat())
}

fn read(bench: &Bench, path: &str) -> Option<Vec<u8>> {
    std::fs::read(bench.path("to").join(path)).ok()
}

fn nodes(document: &Value) -> Vec<u64> {
    let names = ["all", "kept", "changed", "new", "replaced", "removed", "left"];
    names.iter().map(|name| document["nodes"][name].as_u64().unwrap()).collect()
}

#[test]
fn a_tree_goes_onto_a_directory_and_the_next_one_over_it() {
    let bench = Bench::new();
    push(&bench, "v1", &[("etc/a", b"1"), ("etc/b", b"2"), ("usr/c", &image(1, 30))]);
    push(&bench, "v2", &[("etc/a", b"1"), ("etc/b", b"three"), ("usr/d", &image(1, 30))]);
    let plan = deploy(&bench, "v1", &["--plan"]).expect(0);
    assert!(plan.stdout.lines().count() <= SCREEN_LINES, "{}", plan.stdout);
    assert!(!bench.path("to").exists(), "a plan leaves nothing");

    let first = deploy(&bench, "v1", &["--json"]).expect(0).json();
    assert_eq!(first["schema"], "inaug/deploy/1");
    assert_eq!(read(&bench, "etc/b").unwrap(), b"2");
    let again = deploy(&bench, "v1", &["--json"]).expect(0).json();
    assert_eq!(again["fetched_objects"], 0);
    assert_eq!(nodes(&again), [6, 6, 0, 0, 0, 0, 0]);

    std::fs::write(bench.path("to/etc/more"), b"more").unwrap();
    let next = deploy(&bench, "v2", &["--json"]).expect(0).json();
    assert_eq!(next["fetched_objects"], 1, "all of usr/d is copied");
    assert_eq!(nodes(&next)[5], 2, "{next:#}");
    assert_eq!(read(&bench, "etc/b").unwrap(), b"three");
    assert_eq!(read(&bench, "usr/d").unwrap(), image(1, 30));
    assert_eq!((read(&bench, "usr/c"), read(&bench, "etc/more")), (None, None));
    let text = deploy(&bench, "v2", &[]).expect(0).stdout;
    assert!(text.contains("fetched   0 objects"), "{text}");
}

#[test]
fn what_is_kept_stays_and_a_local_store_in_the_directory_too() {
    let bench = Bench::new();
    push(&bench, "a", &[("etc/a", b"1")]);
    std::fs::create_dir_all(bench.path("to/srv")).unwrap();
    std::fs::write(bench.path("to/srv/data"), b"data").unwrap();
    let near = bench.text("to/var/near");
    std::fs::create_dir_all(bench.path("to/var")).unwrap();
    let more = ["--keep", "/srv", "--local-store", &near];
    deploy(&bench, "a", &more).expect(0);
    assert_eq!(read(&bench, "srv/data").unwrap(), b"data");
    assert!(Path::new(&near).join("inaug-store").exists());
    deploy(&bench, "a", &["--keep", "/srv"]).expect(0);
    assert_eq!(read(&bench, "srv/data").unwrap(), b"data");
    assert!(!Path::new(&near).exists());
    deploy(&bench, "a", &["--keep", ".."]).expect(6);
}

#[test]
fn labels_are_joined_unless_they_contradict_each_other() {
    let bench = Bench::new();
    push(&bench, "base", &[("etc/a", b"1"), ("etc/b", b"2")]);
    push(&bench, "more", &[("opt/c", b"3")]);
    push(&bench, "other", &[("etc/b", b"two")]);
    let both = deploy(&bench, "base+more", &["--json"]).expect(0).json();
    assert_eq!(both["label"], "base+more");
    assert_eq!(
        (read(&bench, "etc/b").unwrap(), read(&bench, "opt/c").unwrap()),
        (b"2".into(), b"3".into())
    );
    let refused = deploy(&bench, "base+other", &[]).expect(6);
    let expected = "inaug: labels base and other cannot be joined: /etc/b is a file of 1 bytes (";
    assert!(refused.stderr.starts_with(expected), "{}", refused.stderr);
    assert_eq!(read(&bench, "etc/b").unwrap(), b"2");
}

#[test]
fn kinds_and_targets_that_do_not_go_together_are_said() {
    let bench = Bench::new();
    push(&bench, "tree", &[("a", b"1")]);
    bench.push("image", &image(1, 16));
    let file = bench.file("file", b"");
    let store = bench.store();
    let onto_file = bench.run(&["deploy", "tree", "--to", &file]).expect(6);
    assert!(onto_file.stderr.contains("expected one of kind image, found tree"), "{onto_file:?}");
    std::fs::create_dir(bench.path("to")).unwrap();
    let onto_directory = deploy(&bench, "image", &[]).expect(5);
    assert!(onto_directory.stderr.contains("found a directory"), "{onto_directory:?}");
    let over_store = inaug(&["deploy", "tree", "--store", &store, "--to", &store]).expect(6);
    assert!(over_store.stderr.contains("refused"), "{over_store:?}");
    bench.run(&["verify"]).expect(0);
    deploy(&bench, "absent", &[]).expect(1);
    bench.run(&["deploy", "image", "--to", &file, "--keep", "a"]).expect(2);
}
