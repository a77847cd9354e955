//! Looking after a store: what happens at once, is cut, or meets damage loses nothing.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::oracle::read_back;
use common::{Place, PushImage, files, label, noise, request};
use std::fs::{self, File};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use store::Digest;
use store::dir::{DirStore, Moment};
use store::gc::{GcError, GcOptions, GcReport, gc};
use store::heal::verify_and_heal;
use store::push::{PushTree, TreeInput, push_image, push_tree};
use store::source::{Body, Item, Source, SourceError};
use store::tree::walk::Mounts;
use store::verify::verify;

const PART_BYTES: usize = 200 << 10;

fn image(parts: &[u64]) -> Vec<u8> {
    parts.iter().flat_map(|seed| noise(PART_BYTES, *seed)).collect()
}

/// Pushes an image; returns the packs that this wrote.
fn push(place: &Place, name: &str, parts: &[u64]) -> Vec<Digest> {
    let file = place.file("image", &image(parts));
    let push = PushImage { force: true, ..request(name, &file) };
    let report = push_image(&place.store, &push, &()).unwrap();
    report.packs.iter().map(|pack| pack.digest).collect()
}

fn at(seconds: u64) -> Moment {
    Moment { boot: "one".into(), seconds }
}

fn collect(
    store: &DirStore,
    grace_s: u64,
    clock: &dyn Fn() -> Moment,
) -> Result<GcReport, GcError> {
    let wait = Duration::from_mins(10);
    let (dry_run, max_bytes, keep) = (false, None, Vec::new());
    gc(store, &GcOptions { dry_run, max_bytes, keep, grace_s, wait, clock })
}

fn check(place: &Place, labels: &[(&str, &[u64])]) {
    for (name, parts) in labels {
        assert!(read_back(&place.store, &label(name)).unwrap() == image(parts), "{name}");
    }
    assert_eq!(verify(&place.store, None).unwrap().damages, []);
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// A store that says when it is first asked, and then waits to be let go on.
struct Gate<'a> {
    inner: &'a DirStore,
    arrived: Sender<()>,
    go: Mutex<Option<Receiver<()>>>,
}

impl Source for Gate<'_> {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        let go = self.go.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(go) = go {
            self.arrived.send(()).unwrap();
            go.recv().unwrap();
        }
        self.inner.open(item, range)
    }
}

#[test]
fn healing_relies_on_nothing_that_is_being_collected() {
    let (place, second) = (Place::new(), Place::new());
    push(&second, "a", &[1, 2, 5]);
    let pack = push(&place, "a", &[1, 2, 5])[0];
    // A pack of no label that has most of what is going to be lost.
    let (path, aside) = (place.item(&Item::Pack(pack)), place.root.path().join("aside"));
    fs::rename(&path, &aside).unwrap();
    let dead = push(&place, "b", &[1, 2, 9])[0];
    place.store.remove_label(&label("b")).unwrap();
    fs::rename(aside, &path).unwrap();
    flip(&path, 1000);
    flip(&path, 300_000);
    flip(&path, 500_000);

    let writer = place.store.path().join("tmp/user-1-0");
    let began_before = File::create(&writer).unwrap();
    began_before.lock().unwrap();
    let (condemning, condemned) = mpsc::channel();
    let (arrived, has_arrived) = mpsc::channel();
    let (let_go, go) = mpsc::channel();
    let gate = Gate { inner: &second.store, arrived, go: Mutex::new(Some(go)) };
    std::thread::scope(|scope| {
        let store = &place.store;
        let collecting = scope.spawn(move || {
            let clock = || {
                condemning.send(()).ok();
                at(0)
            };
            collect(store, 0, &clock)
        });
        condemned.recv().unwrap();
        drop(condemned);
        // It has the lock until its journal is written.
        let lock = File::options().write(true).open(store.path().join("lock")).unwrap();
        lock.lock().unwrap();
        drop(lock);
        assert!(store.path().join("gc.journal").exists());
        let healing = scope.spawn(|| verify_and_heal(store, None, &gate, Duration::ZERO));
        has_arrived.recv().unwrap();
        fs::remove_file(&writer).unwrap();
        drop(began_before);
        collecting.join().unwrap().unwrap();
        assert!(!place.item(&Item::Pack(dead)).exists());
        let_go.send(()).unwrap();
        let (report, healed) = healing.join().unwrap().unwrap();
        assert_eq!(report.damages, [], "{healed:?}");
    });
    check(&place, &[("a", &[1, 2, 5])]);
}

#[test]
fn what_nobody_else_has_is_taken_from_what_is_being_collected() {
    let (place, empty) = (Place::new(), Place::new());
    let pack = push(&place, "a", &[1, 2])[0];
    let (path, aside) = (place.item(&Item::Pack(pack)), place.root.path().join("aside"));
    fs::rename(&path, &aside).unwrap();
    let dead = push(&place, "b", &[1, 2, 9])[0];
    place.store.remove_label(&label("b")).unwrap();
    fs::rename(aside, &path).unwrap();
    let report = collect(&place.store, 600, &|| at(0)).unwrap();
    assert_eq!((report.removed.len(), report.pending.len()), (0, 3));
    flip(&path, 1000);
    let (report, healed) =
        verify_and_heal(&place.store, None, &empty.store, Duration::ZERO).unwrap();
    assert_eq!((report.damages, healed.taken_objects), (vec![], 0));
    // Healing goes by the real clock: of another boot, as far as this one knows.
    for seconds in [700, 1300] {
        collect(&place.store, 600, &|| at(seconds)).unwrap();
    }
    assert!(!place.item(&Item::Pack(dead)).exists());
    check(&place, &[("a", &[1, 2])]);
}

#[test]
fn nothing_is_deleted_while_a_pack_that_is_needed_is_damaged() {
    for damage in ["missing", "short"] {
        let (place, empty) = (Place::new(), Place::new());
        let pack = push(&place, "a", &[1, 2])[0];
        let path = place.item(&Item::Pack(pack));
        let bytes = fs::read(&path).unwrap();
        match damage {
            "missing" => fs::remove_file(&path).unwrap(),
            _ => fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
        }
        push(&place, "b", &[1, 2, 9]);
        place.store.remove_label(&label("b")).unwrap();
        let before = files(&place.store);
        let report = collect(&place.store, 0, &|| at(0)).unwrap();
        assert!(report.is_refused && report.removed.is_empty());
        assert_eq!(report.damaged.iter().map(|(pack, _)| *pack).collect::<Vec<_>>(), [pack]);
        assert_eq!(files(&place.store), before, "{damage}");
        let healed = verify_and_heal(&place.store, None, &empty.store, Duration::ZERO).unwrap();
        assert_eq!(healed.0.damages, [], "{damage}");
        assert!(!collect(&place.store, 0, &|| at(0)).unwrap().is_refused);
        check(&place, &[("a", &[1, 2])]);
    }
}

/// A store in which a pack is dead and another one mostly.
fn to_collect() -> (Place, [Digest; 2]) {
    let place = Place::new();
    let dead = push(&place, "dead", &[7])[0];
    let mostly = push(&place, "mostly", &[1, 2, 3, 4])[0];
    push(&place, "a", &[1]);
    for name in ["dead", "mostly"] {
        place.store.remove_label(&label(name)).unwrap();
    }
    (place, [dead, mostly])
}

#[test]
fn readers_have_their_time_after_a_collection_that_was_cut() {
    // The clock is looked at when packs are condemned, when maps lead elsewhere, and when they are
    // deleted.
    for cut in 1..=3 {
        let (place, packs) = to_collect();
        let looks = AtomicU64::new(0);
        let clock = || {
            assert!(looks.fetch_add(1, Ordering::Relaxed) + 1 != cut, "cut, as it is meant");
            at(1000)
        };
        let ended = catch_unwind(AssertUnwindSafe(|| collect(&place.store, 600, &clock)));
        assert!(ended.is_err(), "{cut}");
        // By now they may be dead since long ago, or since now.
        let since = if cut == 3 { 1000 } else { 2000 };
        for (seconds, is_there) in [(since + 599, true), (since + 600, false)] {
            if cut < 3 {
                collect(&place.store, 600, &|| at(2000)).unwrap();
            }
            collect(&place.store, 600, &|| at(seconds)).unwrap();
            for pack in packs {
                let path = place.item(&Item::Pack(pack));
                assert_eq!(path.exists(), is_there, "{cut} {seconds}");
            }
        }
        check(&place, &[("a", &[1])]);
    }
}

#[test]
fn a_collection_that_fails_leaves_no_journal() {
    let (place, packs) = to_collect();
    push(&place, "b", &[8]);
    let record = place.item(&Item::Label(label("b")));
    let sound = fs::read(&record).unwrap();
    let clock = || {
        fs::write(&record, "rotten").unwrap();
        at(0)
    };
    let error = collect(&place.store, 0, &clock).unwrap_err().to_string();
    assert!(error.starts_with("label b cannot be read"), "{error}");
    assert!(!place.store.path().join("gc.journal").exists());
    fs::write(&record, sound).unwrap();
    assert!(packs.iter().all(|pack| place.item(&Item::Pack(*pack)).exists()));
    check(&place, &[("a", &[1]), ("b", &[8])]);
}

fn push_files(place: &Place, name: &str, files: &[(&str, &[u8])]) -> u64 {
    let path = place.root.path().join(name);
    fs::create_dir(&path).unwrap();
    for (name, bytes) in files {
        fs::write(path.join(name), bytes).unwrap();
    }
    let push = PushTree {
        label: label(name),
        input: TreeInput::Directory { path, mounts: Mounts::Refuse, allow_changed: false },
        boot: None,
        facts: Vec::new(),
        pushed_unix_s: 1_700_000_000,
        force: false,
        level: 3,
    };
    push_tree(&place.store, &push, &()).unwrap().objects_new
}

#[test]
fn what_is_needed_of_a_frame_is_needed_however_short_it_is_there() {
    let place = Place::new();
    let small: &[u8] = &[1; 100];
    push_files(&place, "large", &[("a", small), ("b", &vec![2; 200_000])]);
    assert_eq!(push_files(&place, "small", &[("a", small)]), 0);
    place.store.remove_label(&label("large")).unwrap();
    collect(&place.store, 0, &|| at(0)).unwrap();
    assert_eq!(verify(&place.store, None).unwrap().damages, []);
}

#[test]
fn what_is_damaged_goes_also_if_it_was_condemned_before() {
    let (place, empty) = (Place::new(), Place::new());
    push(&place, "a", &[1]);
    let dead = push(&place, "b", &[2])[0];
    place.store.remove_label(&label("b")).unwrap();
    collect(&place.store, 600, &|| at(0)).unwrap();
    flip(&place.item(&Item::Pack(dead)), 1000);
    let (report, healed) =
        verify_and_heal(&place.store, None, &empty.store, Duration::ZERO).unwrap();
    assert_eq!((report.damages, healed.removed_packs), (vec![], vec![dead]));
    check(&place, &[("a", &[1])]);
}
