//! Files are read, cut and hashed by several threads.

use super::seeds::Seeds;
use super::{Inventory, Seed, UNKNOWN, key};
use crate::Error;
use crate::meter::{Limit, Meter, add};
use crate::stop::Stop;
use crate::tree::content_id::ContentId;
use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use store::manifest::Entry;
use store::tree::{FilePiece, FilePieces};
use store::{Digest, Stamp};

/// Fewer threads would leave a disk idle while they compute.
const THREADS_MIN: usize = 4;

/// Each takes about a MiB.
const THREADS_MAX: usize = 16;

/// Files that are open and wait for a thread.
const WAITING_MAX: usize = 128;

/// How much of each of them is read beforehand, bytes: all of most files.
const CALLED_BYTES: u64 = 512 << 10;

/// So many objects are found by a thread before it hands them over.
const BATCH_OBJECTS: usize = 1024;

/// A file to be hashed.
pub(super) struct Job {
    /// Its number.
    pub(super) number: u32,
    /// It, open for reading.
    pub(super) file: File,
    /// As it was met.
    pub(super) stamp: Stamp,
}

/// What was found in files.
pub(super) struct Hashed {
    /// What each file is, by its number, as far as that is known.
    pub(super) ids: Vec<Digest>,
    /// Where objects are, in order.
    pub(super) seeds: Vec<Seed>,
}

/// What all threads work with.
#[derive(Clone, Copy)]
pub(super) struct Hashers<'a> {
    pub(super) meter: &'a Meter,
    pub(super) stop: &'a Stop,
}

impl Hashers<'_> {
    /// Has the files hashed that `walk` hands over, and returns what it returns, what the files
    /// are, and where which objects are.
    pub(super) fn run(
        self,
        walk: impl FnOnce(&mut dyn FnMut(Job) -> Result<(), Error>) -> Result<Inventory, Error>,
    ) -> Result<(Inventory, Hashed), Error> {
        let threads = available_parallelism().map_or(1, usize::from);
        let threads = threads.clamp(THREADS_MIN, THREADS_MAX);
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let (receiver, ids) = (Mutex::new(receiver), Mutex::new(Vec::new()));
        let seeds = Seeds::default();
        let walked = std::thread::scope(|scope| {
            let hashers: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| self.work(&receiver, &ids, &seeds))).collect();
            // All threads are gone only when one of them has broken down.
            let walked = walk(&mut |job| {
                Self::call(&job);
                sender.send(job).or(Err(Error::Stopped))
            });
            drop(sender);
            let mut ended = hashers.into_iter().map(|one| one.join().or(Err(Error::Stopped)));
            walked.and_then(|walked| ended.try_for_each(|one| one).map(|()| walked))
        });
        let ids = ids.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((walked?, Hashed { ids, seeds: seeds.done() }))
    }

    /// Has the disk begin to read a file before its turn comes. That this is not to be had, or that
    /// memory holds what it has to write first, costs time only.
    fn call(job: &Job) {
        let _ = fadvise(&job.file, 0, NonZeroU64::new(CALLED_BYTES), Advice::WillNeed);
    }

    fn work(self, jobs: &Mutex<Receiver<Job>>, ids: &Mutex<Vec<Digest>>, all: &Seeds) {
        let (mut seeds, mut pieces) = (Vec::new(), FilePieces::default());
        loop {
            let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = next else { return all.add(&mut seeds) };
            if self.stop.check().is_err() {
                continue;
            }
            let number = job.number as usize;
            if let Ok(Some(id)) = self.hash(job, &mut pieces, &mut seeds, all) {
                let mut ids = ids.lock().unwrap_or_else(PoisonError::into_inner);
                if ids.len() <= number {
                    ids.resize(number + 1, UNKNOWN);
                }
                ids[number] = id;
            }
        }
    }

    /// What a file is made of; `None` if it changed meanwhile.
    fn hash(
        self,
        job: Job,
        pieces: &mut FilePieces,
        seeds: &mut Vec<Seed>,
        all: &Seeds,
    ) -> io::Result<Option<Digest>> {
        let Job { number: file, file: opened, stamp } = job;
        pieces.open(opened, stamp);
        let (mut id, mut offset_bytes) = (ContentId::default(), 0);
        while let Some(piece) = self.meter.time(Limit::Disk, || pieces.next_piece())? {
            // A long file is no reason to wait.
            if self.stop.check().is_err() {
                return Ok(None);
            }
            let length = match piece {
                FilePiece::Zero(length) => {
                    id.add(&Entry::Zero { length });
                    length
                }
                FilePiece::Data(bytes) => {
                    let digest = self.meter.time(Limit::Hash, || Digest::of(bytes));
                    let length = bytes.len() as u32;
                    id.add(&Entry::Data { digest, length });
                    seeds.push(Seed { key: key(&digest), file, length, offset_bytes });
                    if seeds.len() >= BATCH_OBJECTS {
                        all.add(seeds);
                    }
                    u64::from(length)
                }
            };
            offset_bytes += length;
            add(&self.meter.done_bytes, length);
        }
        Ok((!pieces.is_changed()).then(|| id.finish()))
    }
}
