//! When the power fails: chosen so that what happens seldom is looked at often.

use super::log::{Entry, WriteLog};
use super::replay::{Cut, mixed};
use wire::Noise;

/// Moments at which a run is cut off, in order of time. Half of them are spread evenly over
/// the requests; half lie before a flush, with something to lose, whichever flush it is: a
/// disk is sealed in a handful of requests with a flush after each, and its body written in
/// thousands with none.
pub(super) fn choose(log: &WriteLog, states: usize, seed: u64) -> Vec<Cut> {
    let epochs = epochs(log);
    let mut noise = Noise::of(mixed(seed, 0));
    let mut cuts: Vec<Cut> = (0..states as u64)
        .map(|number| {
            let done = if number % 2 == 0 || epochs.is_empty() {
                below(log.entries.len() + 1, &mut noise)
            } else {
                let (start, end) = epochs[below(epochs.len(), &mut noise)];
                start + 1 + below(end - start, &mut noise)
            };
            Cut { number, done, durable: flushed_at(log, done) }
        })
        .collect();
    cuts.sort_by_key(|cut| cut.done);
    cuts
}

/// Where requests begin and end between two flushes; the flush belongs to none.
fn epochs(log: &WriteLog) -> Vec<(usize, usize)> {
    let mut epochs = Vec::new();
    let mut start = 0;
    for (index, entry) in log.entries.iter().enumerate() {
        if *entry == Entry::Flush {
            // Two flushes in a row leave nothing to lose.
            if start < index {
                epochs.push((start, index));
            }
            start = index + 1;
        }
    }
    if start < log.entries.len() {
        epochs.push((start, log.entries.len()));
    }
    epochs
}

/// How many requests were durable when `done` were done.
fn flushed_at(log: &WriteLog, done: usize) -> usize {
    let flush = log.entries[..done].iter().rposition(|entry| *entry == Entry::Flush);
    flush.map_or(0, |index| index + 1)
}

fn below(bound: usize, noise: &mut Noise) -> usize {
    noise.number() as usize % bound.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_lie_between_flushes() {
        let write = Entry::Discard { at: 0, length: 512 };
        let (w, f) = (&write, &Entry::Flush);
        let entries = [w, w, f, f, w, f, w].map(Clone::clone).to_vec();
        let log = WriteLog { entries };
        assert_eq!(epochs(&log), [(0, 2), (4, 5), (6, 7)]);
        let cuts = choose(&log, 200, 1);
        assert!(cuts.iter().all(|cut| cut.durable <= cut.done && cut.done <= 7));
        for (done, durable) in [0, 0, 0, 3, 4, 4, 6, 6].into_iter().enumerate() {
            assert!(cuts.iter().any(|cut| cut.done == done), "{done}");
            assert_eq!(flushed_at(&log, done), durable, "{done}");
        }
        assert_eq!(cuts, choose(&log, 200, 1));
    }
}
