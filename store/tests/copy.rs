//! Labels copied between stores: what is sent, what a cut leaves, what is refused.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::oracle::read_back;
use common::{Place, PushImage, label, noise, request};
use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use store::copy::{CopyError, CopyOptions, CopyReport, copy_label};
use store::dir::{DirStore, LabelChange};
use store::push::push_image;
use store::source::{Body, Item, Source, SourceError};
use store::verify::verify;

/// A store that counts what is read of packs, and ends where it is told to.
struct Tap<'a> {
    inner: &'a DirStore,
    pack_bytes: AtomicU64,
    requests: AtomicU64,
    requests_max: u64,
}

impl<'a> Tap<'a> {
    fn new(inner: &'a DirStore, requests_max: u64) -> Self {
        let (pack_bytes, requests) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { inner, pack_bytes, requests, requests_max }
    }

    fn pack_bytes(&self) -> u64 {
        self.pack_bytes.load(Ordering::Relaxed)
    }
}

impl Source for Tap<'_> {
    fn name(&self) -> &'static str {
        "tap"
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        if self.requests.fetch_add(1, Ordering::Relaxed) >= self.requests_max {
            let (item, store) = (item.clone(), "tap".to_owned());
            return Err(SourceError::Stalled { item, store, waited_s: 20, found: 0 });
        }
        if let (Item::Pack(_), Some(range)) = (item, &range) {
            self.pack_bytes.fetch_add(range.end - range.start, Ordering::Relaxed);
        }
        self.inner.open(item, range)
    }
}

/// Compresses a little, so that frames are of some KiB in packs of some.
fn image(parts: &[u64]) -> Vec<u8> {
    let part = |seed: &u64| [noise(700 << 10, *seed), vec![7; 100 << 10]].concat();
    parts.iter().flat_map(part).collect()
}

fn push(place: &Place, name: &str, bytes: &[u8]) {
    let file = place.file("image", bytes);
    let facts = vec![("git".to_owned(), "1a2b".to_owned())];
    let push = PushImage { facts, force: true, ..request(name, &file) };
    push_image(&place.store, &push, &()).unwrap();
}

const SMALL: CopyOptions = CopyOptions { force: false, pack_bytes: 200_000 };

fn copy(from: &dyn Source, to: &Place, name: &str) -> Result<CopyReport, CopyError> {
    copy_label(from, &to.store, &label(name), SMALL, &|_, _| ())
}

fn check(from: &Place, to: &Place, name: &str, bytes: &[u8]) {
    assert!(read_back(&to.store, &label(name)).unwrap() == bytes, "{name}");
    let record = |place: &Place| fs::read(place.item(&Item::Label(label(name)))).unwrap();
    assert_eq!(record(from), record(to));
    assert_eq!(verify(&to.store, None).unwrap().damages, []);
    assert!(to.store.path().join("tmp").read_dir().unwrap().next().is_none());
}

#[test]
fn only_what_is_missing_is_sent() {
    let (from, to) = (Place::new(), Place::new());
    let (one, two) = (image(&[1, 2, 3]), image(&[1, 9, 3]));
    push(&from, "one", &one);
    push(&from, "two", &two);

    let tap = Tap::new(&from.store, u64::MAX);
    let first = copy(&tap, &to, "one").unwrap();
    check(&from, &to, "one", &one);
    assert_eq!(first.change, LabelChange::New);
    assert!(first.packs.len() > 3, "{first:?}");
    assert_eq!(first.sent_packed_bytes, tap.pack_bytes(), "frames are taken as they are");

    let tap = Tap::new(&from.store, u64::MAX);
    let second = copy(&tap, &to, "two").unwrap();
    check(&from, &to, "two", &two);
    assert!((700 << 10..900 << 10).contains(&second.sent_raw_bytes), "{second:?}");
    assert!(tap.pack_bytes() < 1000 << 10, "{}", tap.pack_bytes());

    let tap = Tap::new(&from.store, u64::MAX);
    let again = copy(&tap, &to, "two").unwrap();
    assert_eq!((again.change, again.objects_sent), (LabelChange::Same, 0));
    assert_eq!(tap.requests.load(Ordering::Relaxed), 2, "the record, and whether there are diffs");
}

#[test]
fn a_copy_that_was_cut_goes_on_where_it_was() {
    let (from, bytes) = (Place::new(), image(&[1, 2, 3, 4, 5, 6]));
    push(&from, "a", &bytes);
    let whole = Tap::new(&from.store, u64::MAX);
    copy(&whole, &Place::new(), "a").unwrap();
    let all = whole.requests.load(Ordering::Relaxed);
    let to = Place::new();
    let mut sent = 0;
    for requests in 1..=all {
        let tap = Tap::new(&from.store, requests);
        let copied = copy(&tap, &to, "a");
        sent += tap.pack_bytes();
        assert!(to.store.path().join("tmp").read_dir().unwrap().next().is_none());
        if copied.is_ok() {
            break;
        }
        assert_eq!(to.store.labels("*").unwrap(), [], "{requests} of {all}");
    }
    check(&from, &to, "a", &bytes);
    let more = sent - whole.pack_bytes();
    // At each cut a pack that was not full, and the requests under way.
    assert!(more < all * (SMALL.pack_bytes + (12 << 20)), "{more} of {sent}");
    let tap = Tap::new(&from.store, u64::MAX);
    copy(&tap, &to, "a").unwrap();
    assert_eq!(tap.pack_bytes(), 0);
}

#[test]
fn a_label_is_not_replaced_unless_told_to() {
    let (from, to) = (Place::new(), Place::new());
    push(&from, "a", &image(&[1]));
    push(&to, "a", &image(&[2]));
    let tap = Tap::new(&from.store, u64::MAX);
    let error = copy(&tap, &to, "a").unwrap_err();
    assert!(matches!(error, CopyError::Taken { .. }), "{error}");
    assert_eq!(tap.pack_bytes(), 0);
    let forced = CopyOptions { force: true, ..SMALL };
    let copied = copy_label(&tap, &to.store, &label("a"), forced, &|_, _| ()).unwrap();
    assert!(matches!(copied.change, LabelChange::Replaced(_)));
    check(&from, &to, "a", &image(&[1]));
}

#[test]
fn what_is_not_what_its_digest_says_is_never_stored() {
    let from = Place::new();
    push(&from, "a", &image(&[1, 2]));
    let files = ["packs", "maps", "manifests", "labels"].map(|directory| {
        let entries = from.store.path().join(directory).read_dir().unwrap();
        entries.map(|entry| entry.unwrap().path()).next().unwrap()
    });
    for path in files {
        let sound = fs::read(&path).unwrap();
        for part in 1..8 {
            let mut rotten = sound.clone();
            rotten[sound.len() * part / 8] ^= 16;
            fs::write(&path, &rotten).unwrap();
            let to = Place::new();
            let copied = copy(&from.store, &to, "a");
            // A pack's index is not read.
            if copied.is_ok() {
                assert!(path.parent().unwrap().ends_with("packs"));
                assert!(read_back(&to.store, &label("a")).unwrap() == image(&[1, 2]));
            } else {
                assert_eq!(to.store.labels("*").unwrap(), []);
            }
            assert_eq!(verify(&to.store, None).unwrap().damages, []);
        }
        fs::write(path, sound).unwrap();
    }
}

#[test]
fn objects_that_the_store_has_lost_are_sent_again() {
    let (from, to) = (Place::new(), Place::new());
    let bytes = image(&[1, 2, 3]);
    push(&from, "a", &bytes);
    copy(&from.store, &to, "a").unwrap();
    let packs = to.store.path().join("packs").read_dir().unwrap();
    fs::remove_file(packs.map(|entry| entry.unwrap().path()).next().unwrap()).unwrap();
    let copied = copy(&from.store, &to, "a").unwrap();
    assert_eq!(copied.change, LabelChange::Same);
    assert!(copied.objects_sent > 0 && copied.sent_raw_bytes < 800 << 10, "{copied:?}");
    check(&from, &to, "a", &bytes);
}
