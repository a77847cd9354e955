//! Crash states: runs are recorded, and from what was written and flushed the disks are made
//! that a power failure at any moment may leave.

use super::crash::{Write, survivors};
use super::disk::{Disk, Step};
use super::fault::{Fault, Kind, When};
use super::noise::Noise;
use super::oracle::{Judge, Verdict};
use super::picture::{MIB, Picture, Table};
use super::run::{Stock, run};
use deploy::target::TargetKind;
use std::ops::Range;

/// States made of each run.
const STATES: u64 = 1_200;

/// A run that was recorded.
struct Recorded {
    name: &'static str,
    base: Vec<u8>,
    steps: Vec<Step>,
    judge: Judge,
}

/// What was seen of the states of a run.
#[derive(Debug, Default)]
struct Seen {
    states: u64,
    dead: u64,
    old: u64,
    new: u64,
    wrong: Vec<String>,
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    Noise::of(77).fill(&mut noise);
    noise
}

fn first() -> Picture {
    Picture::of_runs(Table::Gpt, 1, &[1, 2, 3, 0, 4, 5, 6, 7, 0, 8], 64)
}

/// The same content in another order, some of it new.
fn second() -> Picture {
    Picture::of_runs(Table::Gpt, 2, &[6, 7, 1, 2, 0, 9, 3, 4, 5, 8], 64)
}

/// Runs `second` on a disk that holds `base`, with `faults`, and writes down what happens.
fn record(name: &'static str, stock: &Stock, base: Vec<u8>, fault: Option<Fault>) -> Recorded {
    let disk = Disk::with(base.clone());
    disk.ail(fault, 3);
    disk.record();
    let ran = run(&stock.source, "second", &disk, TargetKind::Device);
    ran.ended.unwrap();
    let judge = Judge::new(&base, &second(), true);
    judge.is_whole(&disk.content()).unwrap();
    match name {
        "incremental" => assert!(ran.snapshot.copied_objects > 50, "{:?}", ran.snapshot),
        "repair" => assert!(disk.struck() == 1 && ran.snapshot.fetched_objects < 60),
        _ => {}
    }
    Recorded { name, base, steps: disk.recorded(), judge }
}

fn recordings() -> Vec<Recorded> {
    let stock = Stock::of(&[("first", &first()), ("second", &second())]);
    let size = second().image().len() + 3 * MIB / 2;
    let old = stock.deployed("first", noise(size));
    let mut damaged = stock.deployed("second", noise(size));
    damaged[MIB + 9000..MIB + 20_000].fill(0xee);
    let place = MIB as u64 + 12_288..MIB as u64 + 16_384;
    let dropped = Fault::new(Kind::Dropped, When::OnceAt(place));
    vec![
        record("cold over noise", &stock, noise(size), None),
        record("cold over zeroes", &stock, vec![0; size], None),
        record("incremental", &stock, old, None),
        record("repair", &stock, damaged, Some(dropped)),
    ]
}

impl Recorded {
    /// Makes `count` states and looks at each.
    fn look(&self, count: u64) -> Seen {
        let mut noise = Noise::of(11);
        let mut cuts: Vec<usize> = (0..count).map(|number| self.cut(number, &mut noise)).collect();
        cuts.sort_unstable();
        let (mut seen, mut disk) = (Seen::default(), self.base.clone());
        let (mut durable, mut from) = (self.base.clone(), 0);
        for (number, done) in cuts.into_iter().enumerate() {
            let flushed = self.flushed_before(done);
            for step in &self.steps[from..flushed.max(from)] {
                if let Step::Write(write) = step {
                    write.put(0..write.bytes.len(), &mut durable);
                    write.put(0..write.bytes.len(), &mut disk);
                }
            }
            from = flushed.max(from);
            let pending: Vec<Write> =
                self.steps[flushed..done].iter().filter_map(written).collect();
            let mut changed: Vec<Range<usize>> = Vec::new();
            for (write, part) in survivors(&pending, &mut Noise::of(number as u64)) {
                let start = write.offset + part.start;
                changed.push(start..start + part.len());
                write.put(part, &mut disk);
            }
            seen.count(self.judge.look(&disk), number, done);
            for range in changed {
                disk[range.clone()].copy_from_slice(&durable[range]);
            }
        }
        seen
    }

    /// A moment: any, or every second time one near a flush with something to lose.
    fn cut(&self, number: u64, noise: &mut Noise) -> usize {
        let flushes: Vec<usize> = (0..self.steps.len())
            .filter(|index| matches!(self.steps[*index], Step::Flush))
            .collect();
        if number.is_multiple_of(2) || flushes.is_empty() {
            return noise.below(self.steps.len() + 1);
        }
        flushes[noise.below(flushes.len())] - noise.below(2).min(flushes[0])
    }

    /// How many steps were durable when `done` were done.
    fn flushed_before(&self, done: usize) -> usize {
        let flush = self.steps[..done].iter().rposition(|step| matches!(step, Step::Flush));
        flush.map_or(0, |index| index + 1)
    }
}

fn written(step: &Step) -> Option<Write> {
    match step {
        Step::Write(write) => Some(write.clone()),
        Step::Flush => None,
    }
}

impl Seen {
    fn count(&mut self, verdict: Verdict, number: usize, done: usize) {
        self.states += 1;
        match verdict {
            Verdict::Dead => self.dead += 1,
            Verdict::Boots("what was there") => self.old += 1,
            Verdict::Boots(_) => self.new += 1,
            Verdict::Wrong(why) => self.wrong.push(format!("state {number} after {done}: {why}")),
        }
    }
}

#[test]
fn no_crash_state_boots_what_was_not_proven() {
    let (mut states, mut wrong) = (0, Vec::new());
    println!("run | states | dead | what was there | the label | violations");
    for recorded in recordings() {
        let seen = recorded.look(STATES);
        let Seen { states: made, dead, old, new, .. } = seen;
        println!("{} | {made} | {dead} | {old} | {new} | {}", recorded.name, seen.wrong.len());
        assert!(dead > 0 && new > 0, "{seen:?}");
        states += made;
        wrong.extend(seen.wrong.into_iter().map(|why| format!("{}: {why}", recorded.name)));
    }
    println!("{states} crash states, {} violations", wrong.len());
    assert!(states >= 3_000);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A test of the test: a disk that ignores flushes, one that loses just the flush before the
/// first sector, and a first sector that is written too early, are caught.
#[test]
fn flushes_that_do_nothing_are_caught() {
    let violations = |change: &dyn Fn(&mut Vec<Step>)| {
        let counts = recordings().into_iter().map(|mut recorded| {
            change(&mut recorded.steps);
            recorded.look(400).wrong.len()
        });
        counts.collect::<Vec<_>>()
    };
    let all = violations(&|steps| steps.retain(|step| matches!(step, Step::Write(_))));
    let early = violations(&|steps| {
        let first = steps.iter().rposition(is_first_sector).unwrap();
        let step = steps.remove(first);
        let body = steps.iter().position(|step| matches!(step, Step::Flush)).unwrap();
        steps.insert(body + 3, step);
    });
    println!("violations without flushes: {all:?}, with an early first sector: {early:?}");
    assert!(all.iter().chain(&early).all(|count| *count > 0));
}

fn is_first_sector(step: &Step) -> bool {
    matches!(step, Step::Write(write) if write.offset == 0 && write.bytes[0] != 0)
}

/// The same where the disk itself ignores the engine's flushes.
#[test]
fn a_disk_that_ignores_flushes_is_caught() {
    let stock = Stock::of(&[("second", &second())]);
    let fault = Fault::new(Kind::FlushIgnored, When::From(0));
    let size = second().image().len() + 3 * MIB / 2;
    let recorded = record("ignored", &stock, noise(size), Some(fault));
    let wrong = recorded.look(400).wrong.len();
    println!("violations on a disk that ignores flushes: {wrong}");
    assert!(wrong > 0);
}
