//! Objects that the target has elsewhere are read there, hashed, and put where they are wanted.

use crate::Error;
use crate::fetch::Sink;
use crate::meter::{Limit, add};
use crate::stop::Stop;
use crate::tree::inventory::{Inventory, Seed};
use crate::tree::plan::Job;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use store::Digest;

/// Fewer threads would leave a disk idle while they compute; each holds an object.
const THREADS_MIN: usize = 4;

/// As many as fetch at the same time.
const THREADS_MAX: usize = 8;

/// How many objects a thread takes at once: a large file is shared among several.
const SHARE_OBJECTS: usize = 256;

/// An object to be copied.
pub(super) struct Copy {
    /// Where it is said to be.
    pub(super) seed: Seed,
    /// Where else it is: see [`crate::tree::wanted::From::Label`].
    pub(super) place: u32,
    /// What it is.
    pub(super) digest: Digest,
    /// Where it goes.
    pub(super) at: u64,
}

/// Those who copy.
pub(super) struct Copies<'a> {
    pub(super) job: &'a Job,
    pub(super) has: &'a Inventory,
    pub(super) sink: &'a dyn Sink,
    pub(super) stop: &'a Stop,
}

impl Copies<'_> {
    /// Copies what is where it is said to be, and returns the rest.
    pub(super) fn run(&self, mut copies: Vec<Copy>) -> Result<Vec<Copy>, Error> {
        copies.sort_unstable_by_key(|copy| (copy.seed.file, copy.seed.offset_bytes, copy.at));
        let shares = shares(&copies);
        let (next, lost, failure) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(None));
        let work = || {
            while let Some(share) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
                match self.share(&copies, share.clone()) {
                    Ok(mut missed) => {
                        lost.lock().unwrap_or_else(PoisonError::into_inner).append(&mut missed);
                    }
                    Err(error) => {
                        if !matches!(error, Error::Stopped) {
                            failure
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .get_or_insert(error);
                        }
                        return self.stop.say();
                    }
                }
            }
        };
        let threads = available_parallelism().map_or(1, usize::from);
        let threads = threads.clamp(THREADS_MIN, THREADS_MAX).min(shares.len());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        self.stop.check()?;
        let mut lost = lost.into_inner().unwrap_or_else(PoisonError::into_inner);
        lost.sort_unstable();
        let mut lost = lost.into_iter().peekable();
        let all = copies.into_iter().enumerate();
        Ok(all.filter_map(|(index, copy)| lost.next_if_eq(&index).map(|_| copy)).collect())
    }

    /// Copies `share`, all from one file; returns which were not there.
    fn share(&self, copies: &[Copy], share: Range<usize>) -> Result<Vec<usize>, Error> {
        let file = self.has.open(&self.job.root, copies[share.start].seed.file);
        let Ok(file) = file else { return Ok(share.collect()) };
        let (mut lost, mut bytes, mut held) = (Vec::new(), Vec::new(), None);
        for index in share {
            self.stop.check()?;
            let copy = &copies[index];
            if held != Some(copy.digest) {
                held = self.read(&file, copy, &mut bytes).then_some(copy.digest);
            }
            if held.is_none() {
                lost.push(index);
                continue;
            }
            self.sink.put(copy.at, &bytes)?;
            add(&self.job.meter.copied_objects, 1);
            add(&self.job.meter.copied_bytes, bytes.len() as u64);
            add(&self.job.meter.done_bytes, bytes.len() as u64);
        }
        Ok(lost)
    }

    /// Whether the object is where it is said to be, and can be read.
    fn read(&self, file: &File, copy: &Copy, bytes: &mut Vec<u8>) -> bool {
        bytes.resize(copy.seed.length as usize, 0);
        let meter = &self.job.meter;
        let read = meter.time(Limit::Disk, || file.read_exact_at(bytes, copy.seed.offset_bytes));
        read.is_ok() && meter.time(Limit::Hash, || Digest::of(bytes)) == copy.digest
    }
}

/// Ranges of `copies`, which are sorted, each from one file and not too long.
fn shares(copies: &[Copy]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut shares = Vec::new();
    for of_file in copies.chunk_by(|one, other| one.seed.file == other.seed.file) {
        for share in of_file.chunks(SHARE_OBJECTS) {
            shares.push(start..start + share.len());
            start += share.len();
        }
    }
    shares
}
