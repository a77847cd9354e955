//! Counts what a deployment does, while it does it.
//!
//! Workers add; anyone may take a [`Snapshot`]. Time is added up for each kind of
//! work over all workers, which says what the limit is ([`Snapshot::limit_since`]).

use crate::busy::{Busy, Times, limit};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// Waiting for bytes from the store.
    Net,
    /// Decompressing.
    Decompress,
    /// Hashing.
    Hash,
    /// Reading from or writing to the target.
    Disk,
}

impl Limit {
    pub(crate) const ALL: [Self; 4] = [Self::Net, Self::Decompress, Self::Hash, Self::Disk];

    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Decompress => "decompress",
            Self::Hash => "hash",
            Self::Disk => "disk",
        }
    }
}

/// A store that did not give what it should have, and another did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PassedOver {
    /// What it is called.
    pub store: String,
    /// Why, with all causes.
    pub why: String,
}

impl PassedOver {
    /// The store with this name, because of `error`.
    pub(crate) fn new(store: &str, error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(error.source(), |error| error.source());
        let why = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
        Self { store: store.to_owned(), why }
    }
}

/// Live counters of one deployment.
#[derive(Debug, Default)]
pub struct Meter {
    /// Bytes that came from the store, packed, with manifests and maps.
    pub(crate) fetched_bytes: AtomicU64,
    /// Objects that came from the store.
    pub(crate) fetched_objects: AtomicU64,
    /// Of the objects that came from stores, those that came by diffs.
    pub(crate) diff_objects: AtomicU64,
    /// Their bytes, unpacked.
    pub(crate) diff_bytes: AtomicU64,
    /// Objects that came from the store beside the target.
    pub(crate) near_objects: AtomicU64,
    /// Their bytes.
    pub(crate) near_bytes: AtomicU64,
    /// Objects that were on the target and were moved to where they belong.
    pub(crate) copied_objects: AtomicU64,
    /// Their bytes.
    pub(crate) copied_bytes: AtomicU64,
    /// Bytes that were to be moved and had to be fetched: not what was thought to be there, or
    /// more than memory holds.
    pub(crate) unmoved_bytes: AtomicU64,
    /// Requests made to the store.
    pub(crate) requests: AtomicU64,
    /// Requests that were made again after a fault.
    pub(crate) retries: AtomicU64,
    /// Pieces of packs that came wrong once, and right when they were asked for again.
    pub(crate) came_right: AtomicU64,
    /// Bytes written to the target, zeroes apart.
    pub(crate) written_bytes: AtomicU64,
    /// Bytes discarded or zeroed on the target.
    pub(crate) zeroed_bytes: AtomicU64,
    /// Bytes of the stage that runs: how much is done.
    pub(crate) done_bytes: AtomicU64,
    /// Bytes of the stage that runs: how much there is.
    pub(crate) total_bytes: AtomicU64,
    /// Whether more of the stage that runs may still be found.
    is_open: AtomicBool,
    busy: Busy,
    passed_over: Mutex<Vec<PassedOver>>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Bytes that came from the store.
    pub fetched_bytes: u64,
    /// Objects that came from the store.
    pub fetched_objects: u64,
    /// Of the objects that came from stores, those that came by diffs.
    pub diff_objects: u64,
    /// Their bytes, unpacked.
    pub diff_bytes: u64,
    /// Objects that came from the store beside the target.
    pub near_objects: u64,
    /// Their bytes.
    pub near_bytes: u64,
    /// Objects that were on the target and were moved to where they belong.
    pub copied_objects: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Bytes that were to be moved and had to be fetched.
    pub unmoved_bytes: u64,
    /// Requests made to the store.
    pub requests: u64,
    /// Requests that were made again after a fault.
    pub retries: u64,
    /// Bytes written to the target, zeroes apart.
    pub written_bytes: u64,
    /// Bytes discarded or zeroed on the target.
    pub zeroed_bytes: u64,
    /// How much of the running stage is done, bytes of content.
    pub done_bytes: u64,
    /// How much the running stage has to do, bytes of content.
    pub total_bytes: u64,
    /// Whether the stage finds out while it runs how much that is: it is what was found so far.
    pub is_open: bool,
    busy: Times,
}

impl Meter {
    /// All counters at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Pieces of packs that came wrong once, and right when they were asked for again.
    pub fn came_right(&self) -> u64 {
        self.came_right.load(Ordering::Relaxed)
    }

    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            fetched_bytes: read(&self.fetched_bytes),
            fetched_objects: read(&self.fetched_objects),
            diff_objects: read(&self.diff_objects),
            diff_bytes: read(&self.diff_bytes),
            near_objects: read(&self.near_objects),
            near_bytes: read(&self.near_bytes),
            copied_objects: read(&self.copied_objects),
            copied_bytes: read(&self.copied_bytes),
            unmoved_bytes: read(&self.unmoved_bytes),
            requests: read(&self.requests),
            retries: read(&self.retries),
            written_bytes: read(&self.written_bytes),
            zeroed_bytes: read(&self.zeroed_bytes),
            done_bytes: read(&self.done_bytes),
            total_bytes: read(&self.total_bytes),
            is_open: self.is_open.load(Ordering::Relaxed),
            busy: self.busy.so_far(),
        }
    }

    /// The stores that failed and were passed over, in that order.
    pub fn passed_over(&self) -> Vec<PassedOver> {
        self.passed_over.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a store that is passed over.
    pub(crate) fn pass_over(&self, store: PassedOver) {
        self.passed_over.lock().unwrap_or_else(PoisonError::into_inner).push(store);
    }

    /// Starts a stage that has `total_bytes` of content to do.
    pub(crate) fn stage(&self, total_bytes: u64) {
        self.begin(total_bytes, false);
    }

    /// Starts a stage that adds to `total_bytes` what it finds.
    pub(crate) fn open_stage(&self) {
        self.begin(0, true);
    }

    fn begin(&self, total_bytes: u64, is_open: bool) {
        self.done_bytes.store(0, Ordering::Relaxed);
        self.total_bytes.store(total_bytes, Ordering::Relaxed);
        self.is_open.store(is_open, Ordering::Relaxed);
    }

    /// Does `work` and counts its time as `limit`, while it is under way too.
    pub(crate) fn time<T>(&self, limit: Limit, work: impl FnOnce() -> T) -> T {
        self.busy.time(limit, work)
    }
}

/// Adds to one of a [`Meter`]'s counters.
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

impl Snapshot {
    /// What the workers spent most of their time in since `earlier`; none where they did nothing.
    pub fn limit_since(&self, earlier: &Self) -> Option<Limit> {
        limit(&earlier.busy, &self.busy)
    }

    /// Time that all workers together spent in `limit`.
    pub fn busy(&self, limit: Limit) -> Duration {
        self.busy[limit as usize]
    }
}
