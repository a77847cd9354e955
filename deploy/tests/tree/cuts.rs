//! Cut at any call that changes the target, and run again.

use crate::gates::CutAfter;
use crate::model::{Tree, noise};
use crate::oracle::{Seen, assert_is, expected, see};
use crate::random::{self, Dice};
use crate::run::Run;
use crate::shelf::Shelf;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How many calls a whole run makes, and how many objects it fetches.
pub(crate) fn whole_run(shelf: &Arc<Shelf>, first: &str, second: &str) -> (u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("to");
    Run::new(shelf, &[first], &to).done();
    let gate = Arc::new(CutAfter::new(u64::MAX));
    let done = Run::new(shelf, &[second], &to).with_gate(gate.clone()).done();
    (gate.passed.load(Ordering::Relaxed), done.fetched_objects)
}

/// The content of each file is old or new, whole.
pub(crate) fn assert_old_or_new(found: &Seen, old: &Tree, new: &Tree, context: &str) {
    let whole = |text: &String| text.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let (old, new) = (expected(old), expected(new));
    for (path, text) in found.iter().filter(|(_, text)| text.starts_with("file ")) {
        if path.starts_with(b".inaugurator") {
            continue;
        }
        let resolve = |seen: &Seen| {
            let text = seen.get(path)?;
            let link = text.strip_prefix("link to ");
            let to = link.and_then(|to| {
                seen.iter().find(|(path, _)| path.escape_ascii().to_string() == *to)
            });
            Some(whole(to.map_or(text, |(_, text)| text)))
        };
        let allowed = [resolve(&old), resolve(&new)];
        let is = Some(whole(text));
        assert!(allowed.contains(&is), "{context}: {}: {is:?} of {allowed:?}", path.escape_ascii());
    }
}

fn cut_and_go_on(shelf: &Arc<Shelf>, to: &Path, trees: (&Tree, &Tree), cut: u64, fetches: u64) {
    let (first, second) = trees;
    Run::new(shelf, &["first"], to).done();
    let gate = Arc::new(CutAfter::new(cut));
    let (result, cut_run) = Run::new(shelf, &["second"], to).with_gate(gate).go();
    let context = format!("cut after {cut} calls");
    assert_old_or_new(&see(to), first, second, &context);
    let rest = Run::new(shelf, &["second"], to).done();
    assert_is(to, second, &context);
    if result.is_ok() {
        assert_eq!(rest.fetched_objects, 0, "{context}");
    }
    let all = cut_run.fetched_objects + rest.fetched_objects;
    // What was fetched and could not be put any more comes twice, and nothing else.
    assert!(
        all <= fetches + cut_run.fetched_objects.min(UNDER_WAY_MAX),
        "{context}: {all} objects"
    );
}

/// Objects that are fetched and not put yet when a run is cut: those of a frame of each worker.
const UNDER_WAY_MAX: u64 = 8 * 7;

/// Many files of one object each, so that what comes twice is seen.
#[test]
fn what_was_staged_is_not_fetched_again() {
    let file = |tree: Tree, n: u64| tree.file(&format!("d{}/f{n}", n % 7), noise(n, 20_000));
    let second = (0..400).fold(Tree::new(), file);
    let first = Tree::new().file("other", b"x");
    let shelf = Shelf::new();
    shelf.put("first", &first);
    shelf.put("second", &second);
    let (calls, fetches) = whole_run(&shelf, "first", "second");
    assert_eq!(fetches, 400);
    for cut in (0..9).map(|part| calls * part / 9 + part) {
        let dir = tempfile::tempdir().unwrap();
        cut_and_go_on(&shelf, &dir.path().join("to"), (&first, &second), cut, fetches);
    }
}

/// A long file goes on where it was: its pieces are known by their places.
#[test]
fn a_long_file_goes_on() {
    let second = Tree::new().file("long", noise(1, 8_000_000));
    let shelf = Shelf::new();
    shelf.put("first", &Tree::new());
    shelf.put("second", &second);
    let (calls, fetches) = whole_run(&shelf, "first", "second");
    for cut in (1..6).map(|part| calls * part / 6) {
        let dir = tempfile::tempdir().unwrap();
        cut_and_go_on(&shelf, &dir.path().join("to"), (&Tree::new(), &second), cut, fetches);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_run_that_goes_on_ends_as_one_that_was_not_cut(
        first in any::<u32>(), second in any::<u32>(), at in any::<u32>(),
    ) {
        let (first, second) = (random::tree(first.into()), random::tree(second.into()));
        let shelf = Shelf::new();
        shelf.put("first", &first);
        shelf.put("second", &second);
        let (calls, fetches) = whole_run(&shelf, "first", "second");
        let dir = tempfile::tempdir().unwrap();
        let cut = Dice::new(at.into()).roll(calls + 1);
        cut_and_go_on(&shelf, &dir.path().join("to"), (&first, &second), cut, fetches);
    }
}
