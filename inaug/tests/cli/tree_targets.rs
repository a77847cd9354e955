//! Deploying trees onto directories: what is said, what is refused, what is left.

use super::support::{Bench, command, inaug};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;

/// A store with two labels that cannot be joined.
fn bench() -> Bench {
    let bench = Bench::new();
    for label in ["one", "two"] {
        fs::create_dir_all(bench.path(label)).unwrap();
        fs::write(bench.path(label).join("file"), label).unwrap();
        let (tree, store) = (bench.text(label), bench.store());
        inaug(&["push", label, "--tree", &tree, "--store", &store]).expect(0);
    }
    bench
}

fn deploy(bench: &Bench, label: &str, more: &[&str]) -> super::support::Ran {
    let (to, store) = (bench.text("to"), bench.store());
    let arguments = ["deploy", label, "--store", &store, "--to", &to];
    inaug(&[&arguments[..], more].concat())
}

#[test]
fn a_plan_leaves_no_directory_whatever_comes_of_it() {
    let bench = bench();
    deploy(&bench, "one", &["--plan"]).expect(0);
    assert!(!bench.path("to").exists());
    let failed = deploy(&bench, "one+two", &["--plan"]);
    assert!(failed.code != 0 && failed.stderr.contains("cannot be joined"), "{failed:?}");
    assert!(!bench.path("to").exists());
}

#[test]
fn what_is_for_images_is_refused() {
    let bench = bench();
    let refused = deploy(&bench, "one", &["--seed", "two"]).expect(2);
    assert!(refused.stderr.contains("--seed is for images"), "{refused:?}");
    assert!(!bench.path("to").exists());
}

#[test]
fn what_was_right_before_is_said_to_be_compared() {
    let bench = bench();
    let first = deploy(&bench, "one", &["--json"]).expect(0).json();
    assert_eq!(first["read_back"], true);
    assert_eq!((&first["diff_objects"], &first["diff_bytes"]), (&0.into(), &0.into()));
    let again = deploy(&bench, "one", &["--json"]).expect(0).json();
    assert_eq!(again["read_back"], false);
    let again = deploy(&bench, "one", &[]).expect(0);
    assert!(again.stdout.contains("compared and found right"), "{again:?}");
    let plan = deploy(&bench, "two", &["--plan", "--json"]).expect(0).json();
    for key in ["near_objects", "near_bytes", "diff_objects", "diff_bytes"] {
        assert_eq!(plan[key], 0, "{key}");
    }
}

#[test]
fn a_directory_that_another_deployment_has_is_left_alone() {
    let bench = bench();
    fs::create_dir(bench.path("to")).unwrap();
    let other = deploy::tree::Root::open(&bench.path("to")).unwrap();
    other.claim().unwrap();
    let refused = deploy(&bench, "one", &[]);
    assert!(refused.code != 0, "{refused:?}");
    assert!(refused.stderr.contains("is in use: another deployment writes to it"), "{refused:?}");
    assert_eq!(fs::read_dir(bench.path("to")).unwrap().count(), 0);
    deploy(&bench, "one", &["--plan"]).expect(0);
}

#[test]
fn a_user_is_told_what_was_left_out() {
    let bench = bench();
    if bench.path("one").metadata().unwrap().uid() != 0 {
        eprintln!("SKIPPED: only root can be another user");
        return;
    }
    fs::set_permissions(bench.path("."), PermissionsExt::from_mode(0o755)).unwrap();
    fs::create_dir(bench.path("to")).unwrap();
    chown(bench.path("to"), Some(1234), Some(1234)).unwrap();
    let (to, store) = (bench.text("to"), bench.store());
    let mut as_user = command(&["deploy", "one", "--store", &store, "--to", &to]);
    let ran = super::support::Ran::from(as_user.uid(1234).gid(1234).output().unwrap()).expect(0);
    let expected = "rights    2 belong to the user instead of their owner";
    assert!(ran.stdout.lines().any(|line| line == expected), "{ran:?}");
}
