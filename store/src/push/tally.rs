//! What has been done so far, counted by all threads of a push.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How far a push is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// Bytes of content and payloads looked at, holes included.
    pub read_bytes: u64,
    /// Bytes of content and payloads in all, as far as that is known: of a tree, 0.
    pub total_bytes: u64,
    /// Bytes of objects the store did not have.
    pub new_bytes: u64,
    /// Bytes written to packs.
    pub packed_bytes: u64,
}

/// Told how far a push is, about once per MiB, from several threads.
pub trait Progress: Sync {
    /// The push is this far.
    fn advance(&self, done: &Done);
}

/// Nobody watches.
impl Progress for () {
    fn advance(&self, _: &Done) {}
}

/// Where the time of a push went. Stages overlap: those that several threads do add up over
/// the threads.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Seconds {
    /// Opening the store's index, and reading the indexes of packs that are not in it.
    pub index: f64,
    /// Reading and cutting the input; one thread.
    pub read: f64,
    /// Hashing objects and looking for them in the store; all threads together.
    pub hash: f64,
    /// Compressing; all threads together.
    pub compress: f64,
    /// Hashing, writing and syncing packs; one thread.
    pub write: f64,
    /// Manifest, map, label, making all names durable, and the index.
    pub publish: f64,
    /// From start to end.
    pub total: f64,
}

/// The counters behind [`Done`] and [`Seconds`].
pub(super) struct Tally<'a> {
    progress: &'a dyn Progress,
    total_bytes: u64,
    read_bytes: AtomicU64,
    new_bytes: AtomicU64,
    packed_bytes: AtomicU64,
    read_ns: AtomicU64,
    hash_ns: AtomicU64,
    compress_ns: AtomicU64,
    write_ns: AtomicU64,
}

impl<'a> Tally<'a> {
    pub(super) fn new(progress: &'a dyn Progress, total_bytes: u64) -> Self {
        let zero = AtomicU64::default;
        Self {
            progress,
            total_bytes,
            read_bytes: zero(),
            new_bytes: zero(),
            packed_bytes: zero(),
            read_ns: zero(),
            hash_ns: zero(),
            compress_ns: zero(),
            write_ns: zero(),
        }
    }

    pub(super) fn read(&self, bytes: u64) {
        self.count(&self.read_bytes, bytes);
    }

    pub(super) fn new_object(&self, bytes: u64) {
        self.new_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn packed(&self, bytes: u64) {
        self.count(&self.packed_bytes, bytes);
    }

    pub(super) fn reading<T>(&self, work: impl FnOnce() -> T) -> T {
        timed(&self.read_ns, work)
    }

    pub(super) fn hashing<T>(&self, work: impl FnOnce() -> T) -> T {
        timed(&self.hash_ns, work)
    }

    pub(super) fn compressing<T>(&self, work: impl FnOnce() -> T) -> T {
        timed(&self.compress_ns, work)
    }

    pub(super) fn writing<T>(&self, work: impl FnOnce() -> T) -> T {
        timed(&self.write_ns, work)
    }

    pub(super) fn done(&self) -> Done {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Done {
            read_bytes: get(&self.read_bytes),
            total_bytes: self.total_bytes,
            new_bytes: get(&self.new_bytes),
            packed_bytes: get(&self.packed_bytes),
        }
    }

    /// The stages counted here; the others are zero.
    pub(super) fn seconds(&self) -> Seconds {
        let get = |counter: &AtomicU64| {
            Duration::from_nanos(counter.load(Ordering::Relaxed)).as_secs_f64()
        };
        Seconds {
            read: get(&self.read_ns),
            hash: get(&self.hash_ns),
            compress: get(&self.compress_ns),
            write: get(&self.write_ns),
            ..Seconds::default()
        }
    }

    fn count(&self, counter: &AtomicU64, bytes: u64) {
        counter.fetch_add(bytes, Ordering::Relaxed);
        self.progress.advance(&self.done());
    }
}

fn timed<T>(counter: &AtomicU64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    counter.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    result
}
