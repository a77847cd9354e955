//! Disks that stop, and disks that lose writes, as far as they are not written by a mounted file
//! system.

use deploy::Medium;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What a test puts between the engine and the disk.
pub(crate) type Wrap = Box<dyn FnOnce(Box<dyn Medium>) -> Box<dyn Medium>>;

/// A disk that takes no more writes after so many.
pub(crate) struct Stopping {
    left: usize,
    stopped: Arc<AtomicBool>,
}

impl Stopping {
    pub(crate) fn after(writes: usize) -> Self {
        Self { left: writes, stopped: Arc::default() }
    }

    /// Whether it came to that.
    pub(crate) fn stopped(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stopped)
    }
}

impl From<Stopping> for Wrap {
    fn from(Stopping { left, stopped }: Stopping) -> Self {
        Box::new(move |inner| {
            let left = AtomicUsize::new(left);
            let write = move |_: &Range<u64>| {
                let taken = left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
                stopped.fetch_or(taken.is_err(), Ordering::Relaxed);
                taken.map(|_| true).or(Err(io::ErrorKind::BrokenPipe.into()))
            };
            Box::new(Ill { inner, write: Box::new(write) })
        })
    }
}

/// A disk that says that it wrote, and did not.
pub(crate) struct Losing(Range<u64>);

impl Losing {
    pub(crate) fn writes_to(range: Range<u64>) -> Self {
        Self(range)
    }
}

impl From<Losing> for Wrap {
    fn from(Losing(lost): Losing) -> Self {
        Box::new(move |inner| {
            let write =
                move |range: &Range<u64>| Ok(range.end <= lost.start || lost.end <= range.start);
            Box::new(Ill { inner, write: Box::new(write) })
        })
    }
}

/// Whether a write of a range is carried out.
type Decide = dyn Fn(&Range<u64>) -> io::Result<bool> + Send + Sync;

/// A disk on which bytes of others change at its first write into a range.
pub(crate) struct Spoiling {
    at: Range<u64>,
    spoil: Box<dyn FnOnce() + Send>,
}

impl Spoiling {
    pub(crate) fn when_written(at: Range<u64>, spoil: impl FnOnce() + Send + 'static) -> Self {
        Self { at, spoil: Box::new(spoil) }
    }
}

impl From<Spoiling> for Wrap {
    fn from(Spoiling { at, spoil }: Spoiling) -> Self {
        Box::new(move |inner| {
            let spoil = Mutex::new(Some(spoil));
            let write = move |range: &Range<u64>| {
                if at.contains(&range.start) {
                    spoil.lock().unwrap().take().into_iter().for_each(|spoil| spoil());
                }
                Ok(true)
            };
            Box::new(Ill { inner, write: Box::new(write) })
        })
    }
}

struct Ill {
    inner: Box<dyn Medium>,
    write: Box<Decide>,
}

impl std::fmt::Debug for Ill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ill")
    }
}

impl Medium for Ill {
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, into)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let range = offset..offset + bytes.len() as u64;
        if (self.write)(&range)? { self.inner.write(offset, bytes) } else { Ok(()) }
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.inner.zero(range)
    }

    fn flush(&self) -> io::Result<()> {
        self.inner.flush()
    }

    fn set_size(&self, size_bytes: u64) -> io::Result<()> {
        self.inner.set_size(size_bytes)
    }

    fn drop_cache(&self) {
        self.inner.drop_cache();
    }

    fn next_data(&self, offset: u64) -> Option<u64> {
        self.inner.next_data(offset)
    }

    fn reread_partitions(&self) {
        self.inner.reread_partitions();
    }
}
