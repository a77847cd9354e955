//! Collecting: what goes, what stays, and what stands against it.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::oracle::read_back;
use common::{Place, PushImage, files, label, noise, request};
use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};
use store::Digest;
use store::diffs::{Diffs, make_diffs};
use store::dir::{DirStore, LabelChange, Moment};
use store::gc::{GcError, GcOptions, GcReport, gc};
use store::push::{PushReport, PushTree, TreeInput, push_image, push_tree};
use store::source::Item;
use store::tree::walk::Mounts;
use store::verify::verify;

const PART_BYTES: usize = 300 << 10;

fn image(parts: &[u64]) -> Vec<u8> {
    parts.iter().flat_map(|seed| noise(PART_BYTES, *seed)).collect()
}

fn push(place: &Place, name: &str, parts: &[u64]) -> PushReport {
    let file = place.file("image", &image(parts));
    let push = PushImage { force: true, ..request(name, &file) };
    push_image(&place.store, &push, &()).unwrap()
}

fn at(seconds: u64) -> impl Fn() -> Moment {
    move || Moment { boot: "one".into(), seconds }
}

fn options(clock: &dyn Fn() -> Moment) -> GcOptions<'_> {
    GcOptions {
        dry_run: false,
        max_bytes: None,
        keep: Vec::new(),
        grace_s: 0,
        wait: Duration::ZERO,
        clock,
    }
}

fn collect(store: &DirStore) -> GcReport {
    gc(store, &options(&at(0))).unwrap()
}

fn count(store: &DirStore, directory: &str) -> usize {
    store.path().join(directory).read_dir().unwrap().count()
}

fn pack_bytes(store: &DirStore) -> u64 {
    let packs = store.path().join("packs").read_dir().unwrap();
    packs.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// Every label whole, nothing left over, and the index knows all there is.
fn check(place: &Place, labels: &[(&str, &[u64])]) {
    let names: Vec<_> = labels.iter().map(|(name, _)| label(name)).collect();
    assert_eq!(place.store.labels("*").unwrap(), names);
    for (name, parts) in labels {
        assert!(read_back(&place.store, &label(name)).unwrap() == image(parts), "{name}");
    }
    assert_eq!(verify(&place.store, None).unwrap().damages, []);
    assert_eq!(count(&place.store, "tmp"), 0);
    for (name, parts) in labels {
        let again = push(place, name, parts);
        assert_eq!((again.label, again.objects_new), (LabelChange::Same, 0), "{name}");
    }
}

#[test]
fn what_is_needed_stays_as_it_is() {
    let place = Place::new();
    push(&place, "a", &[1, 2]);
    push(&place, "b", &[2, 3]);
    collect(&place.store);
    let before = files(&place.store);
    let report = collect(&place.store);
    assert_eq!((report.removed.len(), report.repacked.len()), (0, 0));
    assert_eq!(files(&place.store), before);
    check(&place, &[("a", &[1, 2]), ("b", &[2, 3])]);
}

#[test]
fn all_that_only_a_removed_label_needed_goes() {
    let place = Place::new();
    push(&place, "a", &[1, 2]);
    push(&place, "b", &[3]);
    place.store.remove_label(&label("a")).unwrap();
    let report = collect(&place.store);
    assert_eq!(report.removed.len(), 3, "map, manifest, pack: {report:?}");
    check(&place, &[("b", &[3])]);
    place.store.remove_label(&label("b")).unwrap();
    collect(&place.store);
    for directory in ["packs", "maps", "manifests", "labels", "index", "tmp"] {
        assert_eq!(count(&place.store, directory), 0, "{directory}");
    }
    check(&place, &[]);
}

#[test]
fn a_pack_that_is_mostly_dead_gives_what_is_needed_to_a_new_one() {
    let place = Place::new();
    push(&place, "a", &[1, 2, 3, 4]);
    push(&place, "b", &[9, 2]);
    push(&place, "c", &[2, 8]);
    place.store.remove_label(&label("a")).unwrap();
    let before = pack_bytes(&place.store);
    let report = collect(&place.store);
    assert_eq!(report.repacked.len(), 1);
    assert_eq!(report.new_packs.len(), 1);
    let freed = before - pack_bytes(&place.store);
    assert_eq!(freed, report.removed_bytes() - report.new_bytes - meta_bytes(&report));
    assert!((3 * PART_BYTES as u64..).contains(&(freed + (64 << 10))), "{freed}");
    assert_eq!(report.size_bytes, pack_bytes(&place.store) + part_bytes(&place));
    check(&place, &[("b", &[9, 2]), ("c", &[2, 8])]);
}

fn meta_bytes(report: &GcReport) -> u64 {
    let meta = report.removed.iter().filter(|(path, _)| !path.starts_with("packs/"));
    meta.map(|(_, bytes)| bytes).sum()
}

fn part_bytes(place: &Place) -> u64 {
    let of = |directory: &str| {
        let entries = place.store.path().join(directory).read_dir().unwrap();
        entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    of("manifests") + of("maps")
}

#[test]
fn what_is_a_little_dead_stays() {
    let place = Place::new();
    push(&place, "a", &[1, 2, 3, 4, 5, 6]);
    push(&place, "b", &[1, 2, 3, 4, 5]);
    place.store.remove_label(&label("a")).unwrap();
    let report = collect(&place.store);
    assert_eq!(report.repacked, []);
    assert_eq!(count(&place.store, "packs"), 1);
    check(&place, &[("b", &[1, 2, 3, 4, 5])]);
}

#[test]
fn readers_have_the_time_of_grace_by_a_clock_that_nobody_sets() {
    let place = Place::new();
    push(&place, "a", &[1]);
    push(&place, "b", &[2]);
    place.store.remove_label(&label("a")).unwrap();
    let run = |boot: &str, seconds| {
        let clock = move || Moment { boot: boot.into(), seconds };
        gc(&place.store, &GcOptions { grace_s: 100, ..options(&clock) }).unwrap()
    };
    for (boot, seconds, removed, pending) in [
        ("one", 1000, 0, 3),
        ("one", 1099, 0, 3),
        ("two", 5000, 0, 3),
        ("two", 10, 0, 3),
        ("two", 5099, 0, 3),
        ("two", 5100, 3, 0),
    ] {
        let report = run(boot, seconds);
        let found = (report.removed.len(), report.pending.len());
        assert_eq!(found, (removed, pending), "{boot} {seconds}");
    }
    check(&place, &[("b", &[2])]);
}

#[test]
fn what_is_pushed_again_while_it_is_condemned_stays() {
    let place = Place::new();
    push(&place, "a", &[1, 2]);
    push(&place, "b", &[3]);
    place.store.remove_label(&label("a")).unwrap();
    let clock = at(1000);
    gc(&place.store, &GcOptions { grace_s: 100, ..options(&clock) }).unwrap();
    let again = push(&place, "a", &[1, 2]);
    assert!(again.objects_new > 0, "nothing that is condemned is relied on");
    assert_eq!(count(&place.store, "packs"), 2, "the very same pack again");
    assert!(!place.store.path().join("gc.journal").exists());
    let clock = at(5000);
    let report = gc(&place.store, &GcOptions { grace_s: 100, ..options(&clock) }).unwrap();
    assert_eq!(report.removed, []);
    check(&place, &[("a", &[1, 2]), ("b", &[3])]);
}

#[test]
fn those_who_began_before_are_waited_for() {
    let place = Place::new();
    push(&place, "a", &[1]);
    place.store.remove_label(&label("a")).unwrap();
    let before = files(&place.store);
    let path = place.store.path().join("tmp/user-1-0");
    let user = File::create(&path).unwrap();
    user.lock().unwrap();
    let error = gc(&place.store, &options(&at(0))).unwrap_err().to_string();
    assert!(error.starts_with("1 of those who began to write before did not end"), "{error}");
    fs::remove_file(path).unwrap();
    drop(user);
    assert_eq!(files(&place.store), before);
    assert_eq!(collect(&place.store).removed.len(), 3);
}

#[test]
fn one_collects_at_a_time() {
    let place = Place::new();
    let lock = File::create(place.store.path().join("gc.lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(gc(&place.store, &options(&at(0))), Err(GcError::Busy { .. })));
}

#[test]
fn a_label_that_cannot_be_read_stops_it() {
    for directory in ["labels", "manifests", "maps"] {
        let place = Place::new();
        push(&place, "a", &[1]);
        push(&place, "b", &[2]);
        let record = place.store.read_record(&label("b")).unwrap();
        let path = place.item(&match directory {
            "labels" => Item::Label(label("b")),
            "manifests" => Item::Manifest(record.manifest),
            _ => Item::Map(record.manifest),
        });
        fs::write(&path, "rotten").unwrap();
        place.store.remove_label(&label("a")).unwrap();
        let before = files(&place.store);
        let error = gc(&place.store, &options(&at(0))).unwrap_err().to_string();
        assert!(error.starts_with("label b cannot be read, so nothing is collected"), "{error}");
        assert_eq!(files(&place.store), before);
    }
}

#[test]
fn a_label_whose_record_is_lost_keeps_what_it_needs() {
    let place = Place::new();
    push(&place, "a", &[1]);
    let path = place.item(&Item::Label(label("a")));
    let record = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(collect(&place.store).removed, []);
    fs::write(path, record).unwrap();
    check(&place, &[("a", &[1])]);
}

#[test]
fn what_cannot_be_read_is_not_moved_and_stays() {
    let place = Place::new();
    let pack = push(&place, "a", &[1, 2, 3, 4]).packs[0].digest;
    push(&place, "b", &[1]);
    place.store.remove_label(&label("a")).unwrap();
    let path = place.item(&Item::Pack(pack));
    let mut bytes = fs::read(&path).unwrap();
    bytes[100_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let report = collect(&place.store);
    assert_eq!(report.damaged.iter().map(|(pack, _)| *pack).collect::<Vec<_>>(), [pack]);
    assert!(path.exists() && report.repacked.is_empty());
    bytes[100_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let report = collect(&place.store);
    assert_eq!(report.damaged, []);
    assert!(!path.exists());
    check(&place, &[("b", &[1])]);
}

/// Lets the label have been of use so many hours ago.
fn used(place: &Place, name: &str, hours: u64) {
    let path = place.item(&Item::Label(label(name)));
    let time = SystemTime::now() - Duration::from_hours(hours);
    let times = FileTimes::new().set_modified(time).set_accessed(time);
    File::options().write(true).open(path).unwrap().set_times(times).unwrap();
}

#[test]
fn labels_that_were_not_used_for_the_longest_time_make_room() {
    let place = Place::new();
    let labels = [("a", 1, 5), ("b", 2, 9), ("c", 3, 7), ("keep/d", 4, 99)];
    for (name, part, _) in labels {
        push(&place, name, &[part]);
    }
    // To read a label's file is to use it, for all the store knows.
    let use_all = || labels.iter().for_each(|(name, _, hours)| used(&place, name, *hours));
    let clock = at(0);
    let room = |parts: u64| parts * (PART_BYTES as u64 + (12 << 10));
    let run = |parts, dry_run| {
        let keep = vec!["keep/*".to_owned()];
        let max_bytes = Some(room(parts));
        gc(&place.store, &GcOptions { dry_run, max_bytes, keep, ..options(&clock) }).unwrap()
    };
    assert_eq!(run(4, false).labels, []);
    let before = files(&place.store);
    use_all();
    let dry = run(2, true);
    assert_eq!(files(&place.store), before);
    use_all();
    let report = run(2, false);
    assert_eq!(report.labels, [label("b"), label("c")]);
    assert_eq!((&dry.labels, &dry.removed), (&report.labels, &report.removed));
    assert!(report.size_bytes <= room(2) && report.over_bytes == 0, "{report:?}");
    check(&place, &[("a", &[1]), ("keep/d", &[4])]);
    let report = run(0, false);
    assert_eq!(report.labels, [label("a")]);
    assert_eq!(report.over_bytes, report.size_bytes);
    check(&place, &[("keep/d", &[4])]);
}

#[test]
fn a_label_that_is_used_or_pushed_is_not_the_least_recently_used() {
    let place = Place::new();
    for (name, part) in [("a", 1), ("b", 2), ("c", 3)] {
        push(&place, name, &[part]);
        used(&place, name, 10);
    }
    // Neither listing nor reading nor verifying is a use.
    place.store.read_record(&label("b")).unwrap();
    verify(&place.store, None).unwrap();
    push(&place, "a", &[1]);
    place.store.touch_label(&label("c")).unwrap();
    let clock = at(0);
    let max_bytes = Some(2 * PART_BYTES as u64 + (32 << 10));
    let report = gc(&place.store, &GcOptions { max_bytes, ..options(&clock) }).unwrap();
    assert_eq!(report.labels, [label("b")]);
}

#[test]
fn a_damaged_journal_stops_pushes_until_gc_has_run() {
    let place = Place::new();
    push(&place, "a", &[1]);
    fs::write(place.store.path().join("gc.journal"), "inaug-gc 1\nrotten").unwrap();
    let file = place.file("image", &image(&[2]));
    let error = push_image(&place.store, &request("b", &file), &()).unwrap_err().to_string();
    assert!(error.ends_with("gc.journal is damaged: inaug gc makes it anew"), "{error}");
    collect(&place.store);
    push(&place, "b", &[2]);
    check(&place, &[("a", &[1]), ("b", &[2])]);
}

#[test]
fn leftovers_of_nobody_go() {
    let place = Place::new();
    push(&place, "a", &[1]);
    let orphan = Digest::of(b"orphan");
    for item in [Item::Map(orphan), Item::Manifest(orphan), Item::Pack(orphan)] {
        fs::write(place.item(&item), "of nobody").unwrap();
    }
    let strange = place.store.path().join("packs/notes");
    fs::write(&strange, "of somebody").unwrap();
    fs::write(place.store.path().join("tmp/1-1"), "of the dead").unwrap();
    let report = collect(&place.store);
    assert_eq!((report.removed.len(), report.cleaned_files), (3, 1));
    assert!(Path::new(&strange).exists());
    check(&place, &[("a", &[1])]);
}

/// A tree of one file in the middle of which something changes.
fn tree(place: &Place, name: &str, change: u64) -> Digest {
    let path = place.root.path().join("tree");
    fs::create_dir_all(&path).unwrap();
    let mut bytes = noise(PART_BYTES, 1);
    bytes.splice(100_000..100_100, noise(100, change));
    fs::write(path.join("file"), bytes).unwrap();
    let push = PushTree {
        label: label(name),
        input: TreeInput::Directory { path, mounts: Mounts::Refuse, allow_changed: false },
        boot: None,
        facts: Vec::new(),
        pushed_unix_s: 1_700_000_000,
        force: true,
        level: 3,
    };
    push_tree(&place.store, &push, &()).unwrap().manifest
}

#[test]
fn diffs_stay_as_long_as_their_label() {
    let place = Place::new();
    let (old, new) = (tree(&place, "old", 2), tree(&place, "new", 3));
    assert!(make_diffs(&place.store, &new, &old).unwrap().diffs > 0);
    assert_eq!((count(&place.store, "diffs"), count(&place.store, "packs")), (1, 3));
    assert_eq!(collect(&place.store).removed, []);
    // A machine may hold the base for longer than the store does.
    place.store.remove_label(&label("old")).unwrap();
    let report = collect(&place.store);
    assert_eq!(report.damaged, []);
    assert_eq!(count(&place.store, "diffs"), 1);
    let bytes = fs::read(place.item(&Item::Diffs(new))).unwrap();
    for pack in Diffs::decode(&bytes).unwrap().packs {
        assert!(place.item(&Item::Pack(pack.digest)).exists());
    }
    assert_eq!(verify(&place.store, None).unwrap().damages, []);
    place.store.remove_label(&label("new")).unwrap();
    collect(&place.store);
    for directory in ["packs", "maps", "manifests", "diffs", "index"] {
        assert_eq!(count(&place.store, directory), 0, "{directory}");
    }
}
