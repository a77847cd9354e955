//! Some of what a target lacks, brought: moved from where it is on the target, or fetched.

use crate::Error;
use crate::fetch::{Want, fetch, sort};
use crate::meter::add;
use crate::moves::{KEEP_MAX_BYTES, Movers, Schedule, moves};
use crate::plan::Job;
use crate::seeds::Seeds;
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

impl Job {
    /// Brings `wants`, which are in the order of the content: moves what `seeds` know of and
    /// meanwhile fetches what belongs where nothing waits to be moved; then the rest.
    pub(crate) fn bring_window(&self, wants: &mut Vec<Want>, seeds: &Seeds) -> Result<(), Error> {
        let found = moves(wants, seeds, self.target.size_bytes());
        let schedule = Schedule::new(&found, KEEP_MAX_BYTES);
        let mut local = found.iter().flat_map(|one| one.wants.clone()).peekable();
        let fetched = wants.iter().enumerate();
        let fetched = fetched.filter(|(index, _)| local.next_if_eq(index).is_none());
        let mut now: Vec<Want> = fetched.map(|(_, want)| want.clone()).collect();
        // A frame is fetched once: all of it later where some of it has to wait.
        let waits = |want: &&Want| {
            let end = want.offset_bytes + u64::from(want.length);
            schedule.is_source(&(want.offset_bytes..end))
        };
        let frames: HashSet<_> = now.iter().filter(waits).map(|want| want.frame).collect();
        let mut later: Vec<_> = now.extract_if(.., |want| frames.contains(&want.frame)).collect();
        let stop = AtomicBool::new(false);
        let (meter, view) = (&*self.meter, self.view());
        let crew = Movers { view, wants, moves: &found, sink: self, meter, stop: &stop };
        let (lost, fetched) = std::thread::scope(|scope| {
            let moving = (!found.is_empty()).then(|| scope.spawn(|| crew.run(schedule)));
            let fetched = self.fetch(&mut now, &stop);
            let lost = moving.map_or(Ok(Ok(Vec::new())), std::thread::ScopedJoinHandle::join);
            (lost.unwrap_or(Err(Error::Stopped)), fetched)
        });
        for index in first_failure(lost, fetched)? {
            add(&self.meter.unmoved_bytes, u64::from(wants[index].length));
            later.push(wants[index].clone());
        }
        wants.clear();
        self.fetch(&mut later, &stop)
    }

    fn fetch(&self, wants: &mut [Want], stop: &AtomicBool) -> Result<(), Error> {
        sort(wants);
        fetch(&self.label, wants, self, stop, &self.meter)
    }
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
