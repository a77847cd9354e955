//! The stores that a label comes from, nearest first. One that fails is passed over, and named;
//! what it should have given comes from the next.
//!
//! Manifests and objects are the same in every store, by digest; packs need not be. So each store
//! has a map of its own, read when it is first needed, and read once more where a pack that it
//! leads to is gone: the store may have been tidied up meanwhile.

use crate::counted::Counted;
use crate::meter::{Meter, add};
use crate::retry::{TRIES_MAX, retry_at_most};
use crate::{Error, meter::PassedOver};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use store::Digest;
use store::manifest::Manifest;
use store::manifest_reader::{ReadError, read_map};
use store::map::Map;
use store::source::Source;

/// How often something is tried while another store is left: once more, for a server that was
/// restarted or a connection that had been closed.
pub(crate) const TRIES_BEFORE_NEXT: u32 = 2;

/// A store that gave so many frames of wrong bytes is not asked for more.
const LIES_MAX: u32 = 3;

/// So many frames of wrong bytes of one store are asked for once more. A box on the way that changes bytes
/// changes one in thousands; more of them are the store's own, which come wrong again.
const DOUBTS_MAX: u32 = 16;

/// The stores of a label.
pub(crate) struct Links {
    links: Vec<Link>,
    meter: Arc<Meter>,
}

/// One of them.
pub(crate) struct Link {
    /// The store; what it is asked and gives is counted.
    pub(crate) source: Arc<dyn Source>,
    map: Mutex<Option<Arc<Map>>>,
    /// Its map was read again because a pack was gone.
    map_is_fresh: AtomicBool,
    out: AtomicBool,
    named: AtomicBool,
    lies: AtomicU32,
    doubts: AtomicU32,
}

impl Links {
    /// The stores `sources`, nearest first.
    pub(crate) fn new(
        sources: impl IntoIterator<Item = Arc<dyn Source>>,
        meter: &Arc<Meter>,
    ) -> Self {
        let link = |inner| Link::new(Arc::new(Counted { inner, meter: Arc::clone(meter) }));
        let links = sources.into_iter().map(link).collect();
        Self { links, meter: Arc::clone(meter) }
    }

    /// All of them, nearest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// Those that were not passed over, each with how often it is to be tried.
    pub(crate) fn live(&self) -> impl Iterator<Item = (&Link, u32)> {
        let last = self.links.iter().rposition(|link| !link.is_out());
        let live = self.links.iter().enumerate().filter(|(_, link)| !link.is_out());
        live.map(move |(index, link)| {
            (link, if Some(index) == last { TRIES_MAX } else { TRIES_BEFORE_NEXT })
        })
    }

    /// Keeps only the links from number `first` on.
    pub(crate) fn starting_at(mut self, first: usize) -> Self {
        self.links.drain(..first.min(self.links.len()));
        self
    }

    /// What the nearest store is called.
    pub(crate) fn name(&self) -> &str {
        let nearest = self.live().next().map(|(link, _)| link).or(self.links.first());
        nearest.map_or("", |link| link.source.name())
    }

    /// The first answer of a live store to `read`; stores that fail to answer are passed over,
    /// unless none other is left.
    pub(crate) fn read<T>(
        &self,
        mut read: impl FnMut(&Link) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut first = None;
        for (link, tries) in self.live() {
            let failed = || add(&self.meter.retries, 1);
            match retry_at_most(tries, || read(link), failed) {
                Ok(value) => return Ok(value),
                Err(error) => self.failed(link, error, &mut first),
            }
        }
        Err(first.unwrap_or_else(|| self.nobody()))
    }

    /// Passes over `link` and keeps its error if it is the first.
    pub(crate) fn failed(&self, link: &Link, error: ReadError, first: &mut Option<ReadError>) {
        self.pass_over(link, &error);
        first.get_or_insert(error);
    }

    /// Asks `link` for nothing more, if there is another to ask.
    pub(crate) fn pass_over(&self, link: &Link, why: &dyn std::error::Error) {
        if self.live().any(|(other, _)| !std::ptr::eq(other, link)) {
            link.put_out();
            self.name_it(link, why);
        }
    }

    /// Notes that `link` did not give something that another has; one that gives wrong bytes
    /// again and again is passed over.
    pub(crate) fn lacks(&self, link: &Link, why: &Error) {
        self.name_it(link, why);
        if why.is_lie() && link.lies.fetch_add(1, Ordering::Relaxed) + 1 >= LIES_MAX {
            self.pass_over(link, why);
        }
    }

    /// Each store is named once, with the first that it failed in.
    fn name_it(&self, link: &Link, why: &dyn std::error::Error) {
        if !link.named.swap(true, Ordering::Relaxed) {
            self.meter.pass_over(PassedOver::new(link.source.name(), why));
        }
    }

    /// The error where there is no store at all.
    pub(crate) fn nobody(&self) -> ReadError {
        let store = self.name().to_owned();
        ReadError::Sections { object: "chain of stores".into(), store, expected: 1, found: 0 }
    }
}

impl Link {
    /// The store `source`, of which nothing is known yet.
    pub(crate) fn new(source: Arc<dyn Source>) -> Self {
        Self {
            source,
            map: Mutex::default(),
            map_is_fresh: AtomicBool::new(false),
            out: AtomicBool::new(false),
            named: AtomicBool::new(false),
            lies: AtomicU32::new(0),
            doubts: AtomicU32::new(0),
        }
    }

    /// Whether what it gave wrong is to be asked for once more.
    pub(crate) fn may_doubt(&self) -> bool {
        self.doubts.fetch_add(1, Ordering::Relaxed) < DOUBTS_MAX
    }

    /// Sees to it that it is asked for nothing more; says whether it was so already.
    pub(crate) fn put_out(&self) -> bool {
        self.out.swap(true, Ordering::Relaxed)
    }

    /// Whether it was passed over.
    pub(crate) fn is_out(&self) -> bool {
        self.out.load(Ordering::Relaxed)
    }

    /// Its map of `manifest`, whose digest is `digest`.
    pub(crate) fn map(&self, digest: &Digest, manifest: &Manifest) -> Result<Arc<Map>, ReadError> {
        let mut held = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = &*held {
            return Ok(Arc::clone(map));
        }
        let map = Arc::new(read_map(&*self.source, digest, manifest)?);
        Ok(Arc::clone(held.insert(map)))
    }

    /// Whether this is its map.
    pub(crate) fn has_map(&self, map: &Arc<Map>) -> bool {
        let held = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().is_some_and(|held| Arc::ptr_eq(held, map))
    }

    /// Notes the map that was read.
    pub(crate) fn set_map(&self, map: &Arc<Map>) {
        *self.map.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(map));
    }

    /// Whether its map was not read again yet.
    pub(crate) fn may_have_newer_map(&self) -> bool {
        !self.map_is_fresh.load(Ordering::Relaxed)
    }

    /// Its map as it is now, if it has become another since it was read; asked for once.
    pub(crate) fn newer_map(
        &self,
        old: &Map,
        digest: &Digest,
        manifest: &Manifest,
    ) -> Option<Arc<Map>> {
        if self.map_is_fresh.swap(true, Ordering::Relaxed) {
            return None;
        }
        // A store that cannot give it now has said why with the pack already.
        let map = Arc::new(read_map(&*self.source, digest, manifest).ok()?);
        (*map != *old).then(|| {
            self.set_map(&map);
            map
        })
    }
}
