//! Some of what a target lacks, brought: moved from where it is on the target, or fetched.

use crate::Error;
use crate::fetch::{Want, fetch, sort};
use crate::meter::add;
use crate::moves::{KEEP_MAX_BYTES, Move, Movers, Schedule, moves};
use crate::plan::Job;
use crate::seeds::Seeds;
use crate::stop::Stop;
use std::collections::HashSet;

impl Job {
    /// Brings `wants`, which are in the order of the content: moves what `seeds` know of and
    /// meanwhile fetches what belongs where nothing waits to be moved; then the rest.
    pub(crate) fn bring_window(&self, wants: Vec<Want>, seeds: &Seeds) -> Result<(), Error> {
        let (found, local, mut now) = split(wants, seeds);
        let schedule = Schedule::new(&found, KEEP_MAX_BYTES);
        // A frame is fetched once: all of it later where some of it has to wait.
        let is_late = |want: &&Want| {
            let end = want.offset_bytes + u64::from(want.length);
            schedule.is_source(&(want.offset_bytes..end))
        };
        let frames: HashSet<_> = now.iter().filter(is_late).map(|want| want.frame).collect();
        let mut later: Vec<_> = now.extract_if(.., |want| frames.contains(&want.frame)).collect();
        let stop = Stop::default();
        let (meter, view) = (&*self.meter, self.view());
        let crew = Movers { view, wants: &local, moves: &found, sink: self, meter, stop: &stop };
        let (lost, fetched) = std::thread::scope(|scope| {
            let moving = (!found.is_empty()).then(|| scope.spawn(|| crew.run(schedule)));
            let fetched = self.fetch(&mut now, &stop);
            let lost = moving.map_or(Ok(Ok(Vec::new())), std::thread::ScopedJoinHandle::join);
            (lost.unwrap_or(Err(Error::Stopped)), fetched)
        });
        for index in first_failure(lost, fetched)? {
            add(&self.meter.unmoved_bytes, u64::from(local[index].length));
            later.push(local[index].clone());
        }
        self.fetch(&mut later, &stop)
    }

    fn fetch(&self, wants: &mut [Want], stop: &Stop) -> Result<(), Error> {
        sort(wants);
        fetch(&self.label, wants, self, stop, &self.meter)
    }
}

/// The moves that bring some of `wants`, those wants, and the others.
fn split(wants: Vec<Want>, seeds: &Seeds) -> (Vec<Move>, Vec<Want>, Vec<Want>) {
    let mut found = moves(&wants, seeds);
    let mut is_local = vec![false; wants.len()];
    let mut count = 0;
    for one in &mut found {
        is_local[one.wants.clone()].fill(true);
        // From now on they are counted among themselves.
        let length = one.wants.len();
        one.wants = count..count + length;
        count += length;
    }
    let mut is_local = is_local.into_iter();
    let (local, fetched) = wants.into_iter().partition(|_| is_local.next().unwrap_or(false));
    (found, local, fetched)
}

/// What was lost, or why it failed: what stopped the others is said, not that they stopped.
fn first_failure(
    lost: Result<Vec<usize>, Error>,
    fetched: Result<(), Error>,
) -> Result<Vec<usize>, Error> {
    match (lost, fetched) {
        (Ok(_) | Err(Error::Stopped), Err(error)) => Err(error),
        (lost, _) => lost,
    }
}
