//! Some of what a target lacks, brought: moved from where it is on the target, or fetched.

use crate::Error;
use crate::fetch::{Want, fetch, sort};
use crate::meter::add;
use crate::moves::{KEEP_MAX_BYTES, Movers, Schedule, moves};
use crate::plan::Job;
use crate::seeds::Seeds;
use std::sync::atomic::AtomicBool;

impl Job {
    /// Brings `wants`, which are in the order of the content: moves what `seeds` know of and
    /// meanwhile fetches what belongs where nothing waits to be moved; then the rest.
    pub(crate) fn bring_window(&self, wants: &mut Vec<Want>, seeds: &Seeds) -> Result<(), Error> {
        let found = moves(wants, seeds, self.target.size_bytes());
        let schedule = Schedule::new(&found, KEEP_MAX_BYTES);
        let (mut now, mut later) = (Vec::new(), Vec::new());
        let mut local = found.iter().flat_map(|one| one.wants.clone()).peekable();
        for (index, want) in wants.iter().enumerate() {
            if local.next_if_eq(&index).is_none() {
                let range = want.offset_bytes..want.offset_bytes + u64::from(want.length);
                if schedule.is_source(&range) { &mut later } else { &mut now }.push(want.clone());
            }
        }
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
