//! Everything that a tree can have, pushed and deployed, compared by tools that are not ours.

use crate::run::chain;
use crate::torture;
use deploy::tree::{Inventory, Keep, Options, Root, Settled, plan, settle, verify, write};
use deploy::{Error, Meter, ReadBack, Snapshot};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use store::dir::DirStore;
use store::push::{BootInput, LEVEL_DEFAULT, PushTree, TreeInput, push_tree};
use store::source::Source;
use store::tree::walk::{Found, Mounts, Walk, WalkOptions};

/// Pushes what is in `root` into a store in `place`.
pub(crate) fn push(place: &Path, root: &Path) -> Arc<dyn Source> {
    push_booting(place, root, None)
}

/// The same, with what boots it.
pub(crate) fn push_booting(place: &Path, root: &Path, boot: Option<BootInput>) -> Arc<dyn Source> {
    let store = DirStore::create(place.join("store")).unwrap();
    let (mounts, allow_changed) = (Mounts::Refuse, false);
    let request = PushTree {
        label: "torture".parse().unwrap(),
        input: TreeInput::Directory { path: root.to_owned(), mounts, allow_changed },
        boot,
        facts: Vec::new(),
        pushed_unix_s: 1,
        force: true,
        level: LEVEL_DEFAULT,
    };
    push_tree(&store, &request, &()).unwrap();
    Arc::new(store)
}

/// All stages, one after another.
pub(crate) fn deploy(store: &Arc<dyn Source>, to: &Path) -> Result<Snapshot, Error> {
    Ok(deployed(store, to)?.meter().snapshot())
}

/// The same, for what comes after them.
pub(crate) fn deployed(store: &Arc<dyn Source>, to: &Path) -> Result<Settled, Error> {
    let (root, _) = Root::open_or_make(to)?;
    let (root, meter) = (Arc::new(root), Arc::new(Meter::new()));
    let taking = Inventory::start(Arc::clone(&root), Keep::default(), Arc::clone(&meter));
    let name = "torture".parse().unwrap();
    let label = deploy::label::resolve(&[Arc::clone(store)], &name, &meter)?;
    let inventory = taking.finish()?;
    let plan = plan(vec![label], root, inventory, Options::default(), Arc::clone(&meter))?;
    Ok(settle(verify(write(plan)?, ReadBack::Yes)?))
}

/// Runs a tool on something; `None` where there is no such tool.
#[track_caller]
fn said(tool: &str, arguments: &[&str], within: &Path) -> Option<String> {
    let output = match Command::new(tool).args(arguments).current_dir(within).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            assert!(std::env::var_os("CI").is_none(), "no {tool}");
            eprintln!("SKIPPED: no {tool} on this machine");
            return None;
        }
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What differs between two directories, by tools that are not ours.
#[track_caller]
fn assert_same(one: &Path, other: &Path) {
    let with_slash = |path: &Path| format!("{}/", path.display());
    let arguments = ["-aHAXn", "--checksum", "--itemize-changes", "--delete", "--numeric-ids"];
    // Sockets are no part of trees.
    let (from, to) = (with_slash(one), with_slash(other));
    let arguments = [&arguments[..], &["--exclude=/var/socket", &from, &to]].concat();
    if let Some(changes) = said("rsync", &arguments, one) {
        assert_eq!(changes, "", "rsync sees differences");
    }
    let tools: [(&str, &[&str]); 3] = [
        ("getcap", &["-r", "."]),
        ("getfattr", &["-R", "-d", "-h", "-m", "-", "."]),
        ("getfacl", &["-R", "-n", "-P", "."]),
    ];
    for (tool, arguments) in tools {
        let sorted = |text: String| {
            let parts = text.split("\n\n").filter(|part| !part.contains("var/socket"));
            let mut parts: Vec<_> = parts.map(str::to_owned).collect();
            parts.sort();
            parts
        };
        let on = |path: &Path| said(tool, arguments, path).map(sorted);
        assert_eq!(on(one), on(other), "{tool}");
    }
    let used = |path: &Path| {
        let used = said("du", &["-s", "--block-size=1", "var"], path).unwrap();
        used.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    let (expected, found) = (used(one), used(other));
    assert!(found <= expected + (64 << 10), "holes: {expected} bytes became {found}");
}

/// The nodes as the engine's own walk sees them: for paths that other tools cannot take.
fn walked(root: &Path) -> Vec<store::tree::Node> {
    let walk = Walk::new(std::fs::File::open(root).unwrap(), root, WalkOptions::default());
    let nodes = walk.filter_map(|found| match found.unwrap() {
        Found::Node(walked) => Some(walked.node),
        Found::Skipped { .. } => None,
    });
    nodes.collect()
}

#[test]
fn every_kind_and_attribute_arrives() {
    let Some((place, root)) = torture::new(false) else {
        eprintln!("SKIPPED: needs root");
        return;
    };
    let store = push(place.path(), &root);
    let to = place.path().join("to");
    deploy(&store, &to).unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_same(&root, &to);
    let again = deploy(&store, &to).unwrap();
    assert_eq!((again.fetched_objects, again.written_bytes), (0, 0));
    assert_same(&root, &to);
}

#[test]
fn paths_that_other_tools_cannot_take_arrive() {
    let Some((place, root)) = torture::new(true) else {
        eprintln!("SKIPPED: needs root");
        return;
    };
    let store = push(place.path(), &root);
    let to = place.path().join("to");
    for _ in 0..2 {
        deploy(&store, &to).unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert!(walked(&root) == walked(&to));
    }
}
