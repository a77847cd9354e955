//! Fetches objects: coalesced range requests, decompressed, hashed, put where they belong.
//!
//! A few workers each do all of it for one request at a time: while one waits for
//! the network the others decompress, hash and write, and what is in memory is bounded
//! by their number. An object is hashed before it is put anywhere.

mod requests;
mod worker;

pub(crate) use requests::{Want, sort};

use crate::diffs::{Holder, UsableDiffs};
use crate::links::{Link, TRIES_BEFORE_NEXT};
use crate::meter::Meter;
use crate::near::NearLink;
use crate::stop::Stop;
use crate::{Error, Label};
use requests::requests;
use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use store::map::Map;
use worker::Worker;

/// Requests under way at once: most of the time a worker waits for the disk, and disks do
/// more at once than one thing.
const WORKERS: usize = 8;

/// Where objects go.
pub(crate) trait Sink: Sync {
    /// Takes `bytes`, which have been proven, for `offset` bytes into the content.
    fn put(&self, offset: u64, bytes: &[u8]) -> Result<(), Error>;
}

/// Fetches `wants`, which are sorted, and puts them into `sink`: from the nearest store of the
/// label, and what that does not give from the next. A failure that no store is left for ends it,
/// as does `stop`, which such a failure sets.
pub(crate) fn fetch(
    label: &Label,
    wants: &[Want],
    sink: &dyn Sink,
    stop: &Stop,
    meter: &Meter,
) -> Result<(), Error> {
    fetch_by_diffs(label, wants, None, sink, stop, meter)
}

/// The same, by `diffs` where these bring something.
pub(crate) fn fetch_by_diffs(
    label: &Label,
    wants: &[Want],
    diffs: Option<Told<'_>>,
    sink: &dyn Sink,
    stop: &Stop,
    meter: &Meter,
) -> Result<(), Error> {
    let job = Job { label, sink, meter, stop };
    let mut left = Left { wants: Cow::Borrowed(wants), map: label.map() };
    let mut first = None;
    if let Some(near) = &label.near {
        left = job.ask_near(near, left)?;
    }
    if let Some(told) = diffs {
        left = job.ask_for_diffs(told, left)?;
    }
    for (link, tries_max) in label.links.live() {
        if left.wants.is_empty() {
            break;
        }
        left = match job.ask(link, tries_max, left, &mut first) {
            Ok(left) => left,
            // Of several stores that failed the nearest is named.
            Err(error) if error.is_lie() || error.is_not_given() => {
                return Err(first.unwrap_or(error));
            }
            Err(error) => return Err(error),
        };
    }
    if left.wants.is_empty() { Ok(()) } else { Err(first.unwrap_or(Error::Stopped)) }
}

/// Diffs, and what has the objects that they are told by.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) diffs: &'a UsableDiffs,
    pub(crate) holder: &'a dyn Holder,
}

/// What is to be fetched, where `map` says it is.
struct Left<'a> {
    wants: Cow<'a, [Want]>,
    map: Arc<Map>,
}

/// One fetch, whatever store it is from.
#[derive(Clone, Copy)]
struct Job<'a> {
    label: &'a Label,
    sink: &'a dyn Sink,
    meter: &'a Meter,
    stop: &'a Stop,
}

impl Job<'_> {
    /// Takes what it has from the store beside the target; returns the rest.
    fn ask_near<'w>(&self, near: &NearLink, left: Left<'w>) -> Result<Left<'w>, Error> {
        if near.link.is_out() {
            return Ok(left);
        }
        self.first(Way::Near(near), &near.link, &near.map, |want| near.located(want), left)
    }

    /// Takes what comes by diffs; returns the rest.
    fn ask_for_diffs<'w>(&self, told: Told<'_>, left: Left<'w>) -> Result<Left<'w>, Error> {
        let Some(link) = told.diffs.link(self.label).filter(|link| !link.is_out()) else {
            return Ok(left);
        };
        let (map, located) = (&told.diffs.map, |want: &Want| told.diffs.located(want));
        self.first(Way::Diffs(told), link, map, located, left)
    }

    /// Takes what `located` knows of from where it says it is, in packs of `map`, before any store is
    /// asked for the rest. Whatever fails of it is left to the stores.
    fn first<'w>(
        &self,
        way: Way<'_>,
        link: &Link,
        map: &Map,
        located: impl Fn(&Want) -> Option<Want>,
        left: Left<'w>,
    ) -> Result<Left<'w>, Error> {
        let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
        for want in left.wants.iter() {
            match located(want) {
                Some(want) => here.push(want),
                None => elsewhere.push(want.clone()),
            }
        }
        if here.is_empty() {
            return Ok(left);
        }
        sort(&mut here);
        let lost = Round { job: *self, link, way, tries_max: TRIES_BEFORE_NEXT, map, wants: &here }
            .run()?;
        // Where they are in the stores is known by their places in the manifest.
        let located = |want: Want| want.located(&left.map).unwrap_or(want);
        elsewhere.extend(lost.wants.into_iter().map(located));
        sort(&mut elsewhere);
        Ok(Left { wants: Cow::Owned(elsewhere), map: left.map })
    }

    /// Fetches from `link` what it has of `left`; returns the rest, and leaves in `first` why it
    /// did not come, unless something is there already.
    fn ask<'w>(
        &self,
        link: &Link,
        tries_max: u32,
        mut left: Left<'w>,
        first: &mut Option<Error>,
    ) -> Result<Left<'w>, Error> {
        let Label { record, manifest, links, .. } = self.label;
        let digest = &record.manifest;
        let mut map = match link.map(digest, manifest) {
            Ok(map) => map,
            Err(source) => {
                links.pass_over(link, &source);
                let object = format!("map of label {}", record.name);
                first.get_or_insert(Error::Label { object, source });
                return Ok(left);
            }
        };
        loop {
            let (here, mut elsewhere) = relocate(&left, &map);
            let (way, wants) = (Way::Store, &*here);
            let round = Round { job: *self, link, way, tries_max, map: &map, wants };
            let lost = round.run()?;
            elsewhere.extend(lost.wants);
            *first = first.take().or(lost.failure);
            sort(&mut elsewhere);
            left = Left { wants: Cow::Owned(elsewhere), map: Arc::clone(&map) };
            // Where a pack is gone, the store may have been tidied up since its map was read.
            let newer = lost.is_gone.then(|| link.newer_map(&map, digest, manifest)).flatten();
            match newer {
                Some(newer) => map = newer,
                None => return Ok(left),
            }
        }
    }
}

/// The wants of `left` where `map` says they are, sorted, and those that it does not know of.
fn relocate<'a>(left: &Left<'a>, map: &Arc<Map>) -> (Cow<'a, [Want]>, Vec<Want>) {
    if Arc::ptr_eq(&left.map, map) {
        return (left.wants.clone(), Vec::new());
    }
    let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
    for want in left.wants.iter() {
        match want.located(map) {
            Some(want) => here.push(want),
            None => elsewhere.push(want.clone()),
        }
    }
    sort(&mut here);
    (Cow::Owned(here), elsewhere)
}

/// What it comes from.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// A store of the chain.
    Store,
    /// The store beside the target.
    Near(&'a NearLink),
    /// Diffs.
    Diffs(Told<'a>),
}

/// What one store is asked for.
struct Round<'a> {
    job: Job<'a>,
    link: &'a Link,
    way: Way<'a>,
    tries_max: u32,
    map: &'a Map,
    wants: &'a [Want],
}

/// What a store did not give.
#[derive(Default)]
struct Lost {
    wants: Vec<Want>,
    /// Why, the first of it.
    failure: Option<Error>,
    /// Whether a pack was not there.
    is_gone: bool,
}

impl Round<'_> {
    /// Fetches all wants; returns those that another store is to be asked for.
    fn run(&self) -> Result<Lost, Error> {
        let requests = requests(self.wants);
        let next = AtomicUsize::new(0);
        let (failure, lost) = (Mutex::new(None), Mutex::new(Lost::default()));
        let work = || {
            let mut worker = Worker::new(self, &lost);
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = worker.request(request) {
                    // What stopped the others is said, not that they stopped.
                    if !matches!(error, Error::Stopped) {
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                    self.job.stop.say();
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..WORKERS.min(requests.len()) {
                scope.spawn(work);
            }
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(lost.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Whether what this store does not give may come from another, or from this one by a newer
    /// map.
    fn has_other(&self, error: &Error) -> bool {
        if !matches!(self.way, Way::Store) {
            return true;
        }
        let is_other = |(other, _): (&Link, u32)| !std::ptr::eq(other, self.link);
        // A link is only ever followed by those after it.
        self.job.label.links.live().last().is_some_and(is_other)
            || error.is_gone() && self.link.may_have_newer_map()
    }
}
