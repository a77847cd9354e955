//! Random histories, with processes killed in the middle of a step.

use crate::act::Act;
use crate::child::Worker;
use crate::whole::{check, garbage};
use crate::world::{CONTENTS, States, World, begin, end};
use proptest::prelude::*;
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::Duration;
use store::Digest;
use store::dir::DirStore;
use store::label::LabelName;

/// Labels that there may be.
const LABELS: u64 = 4;

/// The longest that is waited before a process is killed: about as long as a push takes.
const KILL_AFTER_MAX_MS: u64 = 40;

/// A step, and after how long it is killed.
type Step = (Act, Option<u64>);

fn name(number: u64) -> LabelName {
    format!("label/{number}").parse().unwrap()
}

fn act() -> impl Strategy<Value = Act> {
    let label = || (0..LABELS).prop_map(name);
    prop_oneof![
        5 => (label(), 0..CONTENTS).prop_map(|(label, content)| Act::Push(label, content)),
        2 => label().prop_map(Act::Remove),
        1 => (label(), label()).prop_filter_map("itself", |(old, new)| {
            (old != new).then_some(Act::Rename(old, new))
        }),
        1 => label().prop_map(Act::Give),
        2 => label().prop_map(Act::Take),
        3 => Just(Act::Collect),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((act(), prop::option::weighted(0.4, 0..KILL_AFTER_MAX_MS)), 1..14)
}

/// What was prepared once: contents are the same in each history.
fn prepared() -> &'static (tempfile::TempDir, Vec<Digest>) {
    static PREPARED: OnceLock<(tempfile::TempDir, Vec<Digest>)> = OnceLock::new();
    PREPARED.get_or_init(|| {
        let root = tempfile::tempdir().unwrap();
        let contents = World::at(root.path()).prepare();
        (root, contents)
    })
}

/// What the labels may be after `act`, given what they were, and whether it was done.
fn follow(states: &mut States, second: &mut States, act: &Act, done: bool) {
    let of = |states: &States, name: &LabelName| {
        states.get(name).cloned().unwrap_or_else(|| [None].into())
    };
    match act {
        Act::Push(name, content) if done => end(states, name, Some(*content)),
        Act::Push(name, content) => begin(states, name, Some(*content)),
        Act::Remove(name) if done => end(states, name, None),
        Act::Remove(name) => begin(states, name, None),
        Act::Rename(old, new) => {
            for state in of(states, old).into_iter().flatten() {
                begin(states, new, Some(state));
            }
            begin(states, old, None);
        }
        Act::Give(name) => {
            for state in of(states, name).into_iter().flatten() {
                begin(second, name, Some(state));
            }
        }
        Act::Take(name) => {
            for state in of(second, name).into_iter().flatten() {
                begin(states, name, Some(state));
            }
        }
        Act::Collect => {}
    }
}

/// What is there now, so that what may be does not grow for ever.
fn settle(store: &DirStore, contents: &[Digest], states: &mut States) {
    let names: Vec<LabelName> = states.keys().cloned().collect();
    for name in names {
        let content = store.read_record(&name).ok().map(|record| {
            contents.iter().position(|digest| *digest == record.manifest).unwrap() as u64
        });
        end(states, &name, content);
    }
}

fn killed(world: &World, contents: &[Digest], act: &Act, after_ms: u64) -> bool {
    let (said, hear) = channel();
    let mut worker = Worker::start(&world.root, contents, 0, said);
    worker.order(&act.to_string());
    let done = hear.recv_timeout(Duration::from_millis(after_ms)).is_ok();
    worker.kill();
    done
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]
    #[test]
    fn every_label_is_whole_after_every_step(steps in steps()) {
        let (prepared, contents) = prepared();
        let root = tempfile::tempdir().unwrap();
        for content in 0..CONTENTS {
            let name = format!("content{content}");
            std::os::unix::fs::symlink(prepared.path().join(&name), root.path().join(&name)).unwrap();
        }
        let world = World::at(root.path());
        let (mut states, mut second) = (States::new(), States::new());
        for (act, after_ms) in &steps {
            let mut done = true;
            if let Some(after_ms) = after_ms {
                done = killed(&world, contents, act, *after_ms);
            } else {
                let ran = act.run(&world);
                prop_assert!(ran.is_ok(), "{act}: {ran:?}");
            }
            follow(&mut states, &mut second, act, done);
            check(&world.store(), contents, &states);
            check(&world.second(), contents, &second);
            settle(&world.store(), contents, &mut states);
            settle(&world.second(), contents, &mut second);
        }
        prop_assert!(Act::Collect.run(&world).unwrap().starts_with("collected"));
        check(&world.store(), contents, &states);
        garbage(&world.store());
    }
}
