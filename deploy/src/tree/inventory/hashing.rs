//! Files are read, cut and hashed by several threads.

use super::{Cache, Inventory, Seed, key};
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

/// A file to be hashed.
pub(super) struct Job {
    /// Its number.
    pub(super) number: u32,
    /// It, open for reading.
    pub(super) file: File,
    /// As it was met.
    pub(super) stamp: Stamp,
}

/// What a thread found.
#[derive(Default)]
pub(super) struct Found {
    /// Of files, by their numbers, what all of them is; none of those that could not be read.
    pub(super) ids: Vec<(u32, Option<Digest>)>,
    /// Their objects.
    pub(super) seeds: Vec<Seed>,
}

/// What all threads work with.
#[derive(Clone, Copy)]
pub(super) struct Hashers<'a> {
    pub(super) cache: Cache,
    pub(super) meter: &'a Meter,
    pub(super) stop: &'a Stop,
}

impl Hashers<'_> {
    /// Has the files hashed that `walk` hands over, and returns what it returns, and what was
    /// found.
    pub(super) fn run(
        self,
        walk: impl FnOnce(&mut dyn FnMut(Job) -> Result<(), Error>) -> Result<Inventory, Error>,
    ) -> Result<(Inventory, Vec<Found>), Error> {
        let threads = available_parallelism().map_or(1, usize::from);
        let threads = threads.clamp(THREADS_MIN, THREADS_MAX);
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let receiver = Mutex::new(receiver);
        std::thread::scope(|scope| {
            let hashers: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| self.work(&receiver))).collect();
            // All threads are gone only when one of them has broken down.
            let walked = walk(&mut |job| {
                self.call(&job);
                sender.send(job).or(Err(Error::Stopped))
            });
            drop(sender);
            let found = hashers.into_iter().map(|one| one.join().or(Err(Error::Stopped)));
            let found = found.collect::<Result<Vec<_>, _>>();
            Ok((walked?, found?))
        })
    }

    /// Has the disk begin to read a file before its turn comes. That this is not to be had, or that
    /// memory holds what it has to write first, costs time only.
    fn call(self, job: &Job) {
        if self.cache == Cache::Dropped {
            let _ = fadvise(&job.file, 0, None, Advice::DontNeed);
        }
        let _ = fadvise(&job.file, 0, NonZeroU64::new(CALLED_BYTES), Advice::WillNeed);
    }

    fn work(self, jobs: &Mutex<Receiver<Job>>) -> Found {
        let (mut found, mut pieces) = (Found::default(), FilePieces::default());
        loop {
            let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = next else { return found };
            if self.stop.check().is_err() {
                continue;
            }
            let number = job.number;
            let id = self.hash(job, &mut pieces, &mut found.seeds);
            found.ids.push((number, id.ok().flatten()));
        }
    }

    /// What a file is made of; `None` if it changed meanwhile.
    fn hash(
        self,
        job: Job,
        pieces: &mut FilePieces,
        seeds: &mut Vec<Seed>,
    ) -> io::Result<Option<Digest>> {
        let Job { number: file, file: opened, stamp } = job;
        pieces.open(opened, stamp);
        let (mut id, mut offset_bytes) = (ContentId::default(), 0);
        while let Some(piece) = self.meter.time(Limit::Disk, || pieces.next_piece())? {
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
                    u64::from(length)
                }
            };
            offset_bytes += length;
            add(&self.meter.done_bytes, length);
        }
        Ok((!pieces.is_changed()).then(|| id.finish()))
    }
}
