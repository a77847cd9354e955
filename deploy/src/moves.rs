//! Moves what the target has to where it belongs, instead of fetching it.
//!
//! Everything that is moved is hashed before it is written, so a wrong hint costs a
//! read, and memory is bounded: a few moves under way, and what [`schedule`] keeps.

mod runs;
mod schedule;

pub(crate) use runs::{MOVE_MAX_BYTES, Move, moves};
pub(crate) use schedule::Schedule;

use crate::Error;
use crate::fetch::{Sink, Want};
use crate::meter::{Limit, Meter, add};
use crate::stop::Stop;
use crate::survey::View;
use crate::target::AlignedBuffer;
use schedule::Step;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use store::Digest;

/// Moves under way at once: while one waits for the disk another is hashed.
const MOVERS: usize = 4;

/// Kept in memory at most to undo circles, bytes.
pub(crate) const KEEP_MAX_BYTES: u64 = 8 << 20;

/// Carries moves out.
pub(crate) struct Movers<'a> {
    pub(crate) view: View<'a>,
    pub(crate) wants: &'a [Want],
    pub(crate) moves: &'a [Move],
    pub(crate) sink: &'a dyn Sink,
    pub(crate) meter: &'a Meter,
    pub(crate) stop: &'a Stop,
}

impl Movers<'_> {
    /// Does all of `schedule`. Returns which wants were not brought and have to be fetched.
    pub(crate) fn run(&self, schedule: Schedule<'_>) -> Result<Vec<usize>, Error> {
        let shared = Shared {
            schedule: Mutex::new(schedule),
            turn: Condvar::new(),
            kept: Mutex::default(),
            lost: Mutex::default(),
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let work = || {
                let mut leaving = Leaving { stop: self.stop, shared: &shared, is_well: false };
                let result = self.work(&shared);
                leaving.is_well = result.is_ok();
                result
            };
            let movers: Vec<_> = (0..MOVERS).map(|_| scope.spawn(work)).collect();
            movers.into_iter().map(|mover| mover.join().unwrap_or(Err(Error::Stopped))).collect()
        });
        // What stopped the others is said, not that they stopped.
        let mut failed: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        failed.sort_by_key(|error| matches!(error, Error::Stopped));
        match failed.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(shared.lost.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn work(&self, shared: &Shared<'_>) -> Result<(), Error> {
        let mut buffer = AlignedBuffer::new(MOVE_MAX_BYTES as usize);
        while let Some(step) = shared.next(self.stop)? {
            match step {
                Step::Copy(number) => {
                    let bytes = &mut buffer[..self.moves[number].length as usize];
                    let there = self.read(number, bytes);
                    shared.was_read(number);
                    self.put(number, there.then_some(&*bytes), shared)?;
                }
                Step::Keep(number) => {
                    let mut bytes = AlignedBuffer::new(self.moves[number].length as usize);
                    let there = self.read(number, &mut bytes);
                    lock(&shared.kept).insert(number, there.then_some(bytes));
                    shared.was_read(number);
                }
                Step::Write(number) => {
                    let bytes = lock(&shared.kept).remove(&number).flatten();
                    self.put(number, bytes.as_deref(), shared)?;
                }
                Step::GiveUp(number) => self.put(number, None, shared)?,
                Step::Wait | Step::Done => {}
            }
        }
        Ok(())
    }

    /// Whether `number` could be read. What cannot is fetched: a bad sector of what is replaced
    /// anyway is no reason to stop.
    fn read(&self, number: usize, bytes: &mut [u8]) -> bool {
        self.meter.time(Limit::Disk, || self.view.read(self.moves[number].from, bytes)).is_ok()
    }

    /// Proves what was read and writes what is right of it, in as few pieces as possible.
    fn put(&self, number: usize, bytes: Option<&[u8]>, shared: &Shared<'_>) -> Result<(), Error> {
        let Move { to, wants, .. } = &self.moves[number];
        let Some(bytes) = bytes else {
            shared.lose(wants.clone());
            return Ok(());
        };
        let (mut right, mut at) = (0..0, 0);
        for index in wants.clone() {
            let want = &self.wants[index];
            let end = at + want.length as usize;
            let found = self.meter.time(Limit::Hash, || Digest::of(&bytes[at..end]));
            if found == want.digest {
                right.end = end;
                add(&self.meter.copied_objects, 1);
            } else {
                self.write(*to, bytes, right)?;
                right = end..end;
                shared.lose(index..index + 1);
            }
            at = end;
        }
        self.write(*to, bytes, right)
    }

    fn write(&self, to: u64, bytes: &[u8], range: Range<usize>) -> Result<(), Error> {
        if range.is_empty() {
            return Ok(());
        }
        let length = range.len() as u64;
        self.sink.put(to + range.start as u64, &bytes[range])?;
        add(&self.meter.copied_bytes, length);
        add(&self.meter.done_bytes, length);
        Ok(())
    }
}

/// Tells the others when a mover fails, or panics while they wait for its read.
struct Leaving<'a, 'b> {
    stop: &'a Stop,
    shared: &'a Shared<'b>,
    is_well: bool,
}

impl Drop for Leaving<'_, '_> {
    fn drop(&mut self) {
        if !self.is_well {
            self.stop.say();
            // Taken so that nobody is between looking and waiting.
            drop(lock(&self.shared.schedule));
            self.shared.turn.notify_all();
        }
    }
}

/// What the movers share.
struct Shared<'a> {
    schedule: Mutex<Schedule<'a>>,
    turn: Condvar,
    kept: Mutex<HashMap<usize, Option<AlignedBuffer>>>,
    lost: Mutex<Vec<usize>>,
}

impl Shared<'_> {
    /// The next thing to do; none when all is done. Waits for the reads of others where need be.
    fn next(&self, stop: &Stop) -> Result<Option<Step>, Error> {
        let mut schedule = lock(&self.schedule);
        loop {
            stop.check()?;
            match schedule.next() {
                Step::Done => return Ok(None),
                Step::Wait => {
                    schedule = self.turn.wait(schedule).unwrap_or_else(PoisonError::into_inner);
                }
                other => return Ok(Some(other)),
            }
        }
    }

    fn was_read(&self, number: usize) {
        lock(&self.schedule).was_read(number);
        self.turn.notify_all();
    }

    fn lose(&self, wants: Range<usize>) {
        lock(&self.lost).extend(wants);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
