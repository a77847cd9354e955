//! How long the workers have been at each kind of work, what is under way included: a store that
//! sends a byte a second keeps a worker in one call for minutes.

use crate::meter::Limit;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time by kind of work, as an index of it.
pub(crate) type Times = [Duration; Limit::ALL.len()];

/// The clock of all workers.
#[derive(Debug)]
pub(crate) struct Busy {
    began: Instant,
    works: Mutex<Works>,
}

/// Times are since the clock began.
#[derive(Debug, Default)]
struct Works([Work; Limit::ALL.len()]);

/// One kind of work.
#[derive(Debug, Default, Clone, Copy)]
struct Work {
    done: Duration,
    /// How many are at it.
    running: u32,
    /// Their beginnings, added up.
    begun: Duration,
}

/// A piece of work under way, until it is dropped.
struct Piece<'a> {
    busy: &'a Busy,
    limit: Limit,
    began: Duration,
}

impl Default for Busy {
    fn default() -> Self {
        Self { began: Instant::now(), works: Mutex::default() }
    }
}

impl Busy {
    /// Does `work` and counts its time as `limit`, from its beginning on.
    pub(crate) fn time<T>(&self, limit: Limit, work: impl FnOnce() -> T) -> T {
        let began = self.began.elapsed();
        self.lock().begin(limit, began);
        let _piece = Piece { busy: self, limit, began };
        work()
    }

    /// The time that all workers together have spent so far.
    pub(crate) fn so_far(&self) -> Times {
        let works = self.lock();
        // Looked at with the lock held, so that nothing under way has begun after it.
        works.at(self.began.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Works> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Piece<'_> {
    fn drop(&mut self) {
        let now = self.busy.began.elapsed();
        self.busy.lock().end(self.limit, self.began, now);
    }
}

impl Works {
    fn begin(&mut self, limit: Limit, now: Duration) {
        let work = &mut self.0[limit as usize];
        work.running += 1;
        work.begun += now;
    }

    fn end(&mut self, limit: Limit, began: Duration, now: Duration) {
        let work = &mut self.0[limit as usize];
        work.running = work.running.saturating_sub(1);
        work.begun = work.begun.saturating_sub(began);
        work.done += now.saturating_sub(began);
    }

    fn at(&self, now: Duration) -> Times {
        self.0.map(|work| work.done + (now * work.running).saturating_sub(work.begun))
    }
}

/// What the workers were kept by between two looks: the kind of work in which they spent most of
/// their time, since whatever they wait for least could be faster without any use.
pub(crate) fn limit(before: &Times, now: &Times) -> Option<Limit> {
    let spent = |limit: &Limit| now[*limit as usize].saturating_sub(before[*limit as usize]);
    Limit::ALL.into_iter().filter(|limit| spent(limit) > Duration::ZERO).max_by_key(spent)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_under_way_counts_from_its_beginning() {
        let mut works = Works::default();
        works.begin(Limit::Net, at(1));
        works.begin(Limit::Net, at(2));
        works.begin(Limit::Disk, at(2));
        assert_eq!(works.at(at(4)), [at(5), at(0), at(0), at(2)]);
        works.end(Limit::Net, at(1), at(5));
        works.end(Limit::Disk, at(2), at(5));
        assert_eq!(works.at(at(9)), [at(11), at(0), at(0), at(3)]);
        works.end(Limit::Net, at(2), at(9));
        assert_eq!(works.at(at(99)), [at(11), at(0), at(0), at(3)]);
    }

    #[test]
    fn the_limit_is_what_most_was_waited_for_since_the_last_look() {
        let none = Times::default();
        // Net, decompress, hash, disk.
        let table = [
            (none, [0, 0, 0, 0], None),
            (none, [5, 0, 0, 4], Some(Limit::Net)),
            ([at(5), at(0), at(0), at(4)], [5, 0, 0, 6], Some(Limit::Disk)),
            (none, [1, 3, 2, 2], Some(Limit::Decompress)),
            (none, [0, 3, 4, 0], Some(Limit::Hash)),
            ([at(9); 4], [9, 9, 9, 9], None),
        ];
        for (before, now, expected) in table {
            assert_eq!(limit(&before, &now.map(at)), expected, "{before:?} {now:?}");
        }
    }

    /// What a decompressor that is slow looks like: the hands are all in it, others are soon done.
    #[test]
    fn hands_that_are_in_one_place_say_so_before_they_are_out() {
        const HANDS: usize = 8;
        for slow in Limit::ALL {
            let busy = Busy::default();
            let (entered, leave) = (Barrier::new(HANDS + 1), Barrier::new(HANDS + 1));
            thread::scope(|scope| {
                for _ in 0..HANDS {
                    scope.spawn(|| {
                        for other in Limit::ALL.into_iter().filter(|other| *other != slow) {
                            busy.time(other, || ());
                        }
                        busy.time(slow, || (entered.wait(), leave.wait()));
                    });
                }
                entered.wait();
                let before = busy.so_far();
                thread::sleep(Duration::from_millis(20));
                let found = limit(&before, &busy.so_far());
                leave.wait();
                assert_eq!(found, Some(slow));
            });
        }
    }

    #[test]
    fn a_worker_that_panics_is_not_at_it_for_ever() {
        let busy = Busy::default();
        let work = || busy.time(Limit::Hash, || panic!("for this test"));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        assert!(ended.is_err());
        assert_eq!(busy.lock().0[Limit::Hash as usize].running, 0);
    }
}
