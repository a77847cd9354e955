//! Chains of stores: what one does not give comes from the next, and it is named.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::{Shop, finish, image_of};
use deploy::{Error, Meter, PassedOver, ReadBack, Target};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::map::Map;
use store::near::Near;
use store::source::{Body, Item, Source, SourceError};

const BLOCKS: usize = 300;

/// What is wrong with a store.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ill {
    /// Nothing.
    Not,
    /// Nobody answers.
    Dead,
    /// It answers nothing but about labels.
    DeadAfterLabel,
    /// One of these is not there.
    Lacks(Kind),
    /// One of these has wrong bytes.
    Wrong(Kind),
    /// Its map has a place too few.
    LiesInMap,
    /// One of these stops coming.
    Stalls(Kind),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Label,
    Manifest,
    Map,
    Pack,
}

fn kind(item: &Item) -> Option<Kind> {
    Some(match item {
        Item::Label(_) => Kind::Label,
        Item::Manifest(_) => Kind::Manifest,
        Item::Map(_) => Kind::Map,
        Item::Pack(_) => Kind::Pack,
        Item::LabelList | Item::Diffs(_) | Item::File(_) => return None,
    })
}

struct Sick {
    inner: Arc<dyn Source>,
    name: &'static str,
    ill: Ill,
}

impl Source for Sick {
    fn name(&self) -> &str {
        self.name
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        let (item, store, kind) = (item.clone(), self.name.to_owned(), kind(item));
        let is_of = |ill: Kind| kind == Some(ill);
        match self.ill {
            Ill::Dead => return Err(refused(item, store)),
            Ill::DeadAfterLabel if kind != Some(Kind::Label) => return Err(refused(item, store)),
            Ill::Lacks(ill) if is_of(ill) => return Err(SourceError::NotFound { item, store }),
            _ => {}
        }
        if self.ill == Ill::LiesInMap && is_of(Kind::Map) {
            return Ok(body_of(&shortened(self.inner.open(&item, None)?), range));
        }
        let body = self.inner.open(&item, range)?;
        let reader: Box<dyn Read + Send> = match self.ill {
            Ill::Wrong(ill) if is_of(ill) => Box::new(Flipped(body.reader)),
            Ill::Stalls(ill) if is_of(ill) => {
                let error = SourceError::Stalled { item, store, waited_s: 20, found: 100 };
                Box::new(body.reader.take(100).chain(Broken(Some(error))))
            }
            _ => body.reader,
        };
        Ok(Body { reader, ..body })
    }
}

fn refused(item: Item, store: String) -> SourceError {
    SourceError::Io { item, store, source: io::ErrorKind::ConnectionRefused.into() }
}

/// A map without the last place of its first section that has one.
fn shortened(mut body: Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    body.reader.read_to_end(&mut bytes).unwrap();
    let mut map = Map::decode(&bytes).unwrap();
    let section = map.sections.iter_mut().find(|section| section.places.len() > 1).unwrap();
    section.places.pop();
    map.encode()
}

fn body_of(bytes: &[u8], range: Option<Range<u64>>) -> Body {
    let all = bytes.len() as u64;
    let range = range.unwrap_or(0..all);
    let part = bytes[range.start.min(all) as usize..range.end.min(all) as usize].to_vec();
    let length_bytes = Some(part.len() as u64);
    Body { length_bytes, total_bytes: Some(all), reader: Box::new(io::Cursor::new(part)) }
}

/// Each byte is another.
struct Flipped(Box<dyn Read + Send>);

impl Read for Flipped {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(into)?;
        into[..count].iter_mut().for_each(|byte| *byte ^= 1);
        Ok(count)
    }
}

struct Broken(Option<SourceError>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), |error| Err(io::Error::other(error)))
    }
}

/// Two shops that have the same label in different packs.
struct Town {
    image: Vec<u8>,
    near: Arc<dyn Source>,
    far: Arc<dyn Source>,
    shops: [Shop; 2],
}

impl Town {
    fn new() -> Self {
        let shops = [Shop::new(), Shop::new()];
        let image = image_of(&[1, 0, 2, 3], BLOCKS);
        let near = shops[0].push("os", &image);
        shops[1].push("older", &image_of(&[3, 9], BLOCKS));
        let far = shops[1].push("os", &image);
        Self { image, near, far, shops }
    }

    fn near(&self, ill: Ill) -> Arc<dyn Source> {
        Arc::new(Sick { inner: Arc::clone(&self.near), name: "near", ill })
    }

    fn far(&self, ill: Ill) -> Arc<dyn Source> {
        Arc::new(Sick { inner: Arc::clone(&self.far), name: "far", ill })
    }

    /// Deploys onto a new file; who was passed over, or the error.
    fn deploy(&self, chain: &[Arc<dyn Source>]) -> Result<Vec<PassedOver>, Error> {
        let path = self.shops[0].path("target");
        std::fs::remove_file(&path).ok();
        let meter = Arc::new(Meter::new());
        let label = deploy::label::resolve(chain, &"os".parse().unwrap(), &meter)?;
        let plan = deploy::plan::plan(label, Target::open(&path)?, Arc::clone(&meter))?;
        finish(plan, ReadBack::Yes)?;
        assert!(std::fs::read(&path).unwrap() == self.image);
        Ok(meter.passed_over())
    }
}

#[test]
fn what_one_store_does_not_give_comes_from_the_next_and_it_is_named() {
    use Ill::{Dead, DeadAfterLabel, Lacks, LiesInMap, Not, Stalls, Wrong};
    use Kind::{Label, Manifest, Map, Pack};
    let town = Town::new();
    let table = [
        (Not, None),
        (Dead, Some("label os from near: connection refused")),
        (DeadAfterLabel, Some("connection refused")),
        // A store that does not have the label is no worse than others.
        (Lacks(Label), None),
        (Lacks(Manifest), Some("is not in the store near")),
        (Lacks(Map), Some("map of manifest")),
        (Lacks(Pack), Some("pack")),
        (Wrong(Label), Some("label os from near")),
        (Wrong(Manifest), Some("manifest")),
        (Wrong(Map), Some("map of manifest")),
        (Wrong(Pack), Some("expected")),
        (LiesInMap, Some("map of manifest")),
        (Stalls(Label), Some("nothing came for 20 s")),
        (Stalls(Manifest), Some("nothing came for 20 s")),
        (Stalls(Map), Some("nothing came for 20 s")),
        (Stalls(Pack), Some("nothing came for 20 s")),
    ];
    for (ill, expected) in table {
        let passed = town.deploy(&[town.near(ill), town.far(Not)]).unwrap();
        match expected {
            None => assert_eq!(passed, [], "{ill:?}"),
            Some(why) => {
                let [PassedOver { store, why: found }] = &passed[..] else {
                    panic!("{ill:?}: {passed:?}")
                };
                assert_eq!(store, "near", "{ill:?}");
                assert!(found.contains(why), "{ill:?}: expected {why:?} in {found:?}");
            }
        }
    }
}

#[test]
fn where_all_fail_the_first_failure_is_the_error() {
    let town = Town::new();
    for (near, far, expected) in [
        (Ill::Dead, Ill::Lacks(Kind::Label), "label os from near"),
        (Ill::Lacks(Kind::Map), Ill::Dead, "map of manifest"),
        (Ill::Wrong(Kind::Pack), Ill::Stalls(Kind::Pack), "in the frame at"),
        (Ill::Lacks(Kind::Pack), Ill::Lacks(Kind::Pack), "is not in the store"),
        (Ill::LiesInMap, Ill::Lacks(Kind::Map), "map of manifest"),
    ] {
        let error = town.deploy(&[town.near(near), town.far(far)]).unwrap_err();
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
        let text: Vec<_> = causes.map(ToString::to_string).collect();
        assert!(text.join(": ").contains(expected), "{near:?} {far:?}: {text:?}");
    }
}

#[test]
fn what_came_from_far_is_near_the_next_time() {
    let town = Town::new();
    let near_path = town.shops[0].path("beside");
    let target = town.shops[0].path("target");
    let run = |far: Ill, max_bytes: u64| {
        std::fs::remove_file(&target).ok();
        let meter = Arc::new(Meter::new());
        let near = Arc::new(Near::open(&near_path, max_bytes).unwrap());
        let label = deploy::label::resolve(&[town.far(far)], &"os".parse().unwrap(), &meter)?;
        let label = label.with_near(near, &meter);
        let plan = deploy::plan::plan(label, Target::open(&target)?, Arc::clone(&meter))?;
        let written = deploy::write::write(plan)?;
        let settled = deploy::settle::settle(deploy::verify::verify(written, ReadBack::Yes)?);
        assert!(std::fs::read(&target).unwrap() == town.image);
        Ok::<_, Error>((meter.snapshot(), settled.label().finish_near().unwrap()))
    };
    let (first, kept) = run(Ill::Not, 1 << 30).unwrap();
    assert_eq!(first.near_objects, 0);
    assert!(first.fetched_objects > 0 && kept.kept_bytes > 0);
    // The store that is far has no packs any more.
    let (second, kept) = run(Ill::Lacks(Kind::Pack), 1 << 30).unwrap();
    assert_eq!((second.fetched_objects, second.near_objects), (0, first.fetched_objects));
    assert_eq!(kept.kept_bytes, 0);
    // A pack that rots is passed over, and its objects come from far.
    let packs = || near_path.join("packs").read_dir().unwrap().map(|entry| entry.unwrap().path());
    for pack in packs() {
        let mut bytes = std::fs::read(&pack).unwrap();
        bytes[1000..2000].fill(7);
        std::fs::write(&pack, bytes).unwrap();
    }
    let (third, _) = run(Ill::Not, 1 << 30).unwrap();
    assert!(third.fetched_objects > 0);
    let (_, kept) = run(Ill::Not, 100_000).unwrap();
    assert!(kept.size_bytes <= 100_000 && kept.removed_packs > 0, "{kept:?}");
}

/// A store that is tidied up while it is read: what it had is in other packs from then on.
struct Tidied {
    before: Arc<dyn Source>,
    after: Arc<dyn Source>,
    is_done: AtomicBool,
}

impl Source for Tidied {
    fn name(&self) -> &str {
        self.before.name()
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        if matches!(item, Item::Pack(_)) {
            self.is_done.store(true, Ordering::Relaxed);
        }
        let is_done = self.is_done.load(Ordering::Relaxed);
        if is_done { &self.after } else { &self.before }.open(item, range)
    }
}

#[test]
fn a_store_that_is_tidied_up_meanwhile_is_read_on_by_its_new_map() {
    let town = Town::new();
    let (before, after) = (Arc::clone(&town.near), Arc::clone(&town.far));
    let tidied = Tidied { before, after, is_done: AtomicBool::new(false) };
    town.deploy(&[Arc::new(tidied)]).unwrap();
}
