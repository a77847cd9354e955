//! In which order blocks are moved, so that none is overwritten before it was read. Pure.
//!
//! A move may be carried out when nobody has yet to read what lies at its destination. Where
//! moves wait for each other in a circle, one is read into memory and written later; when too
//! much is in memory, it is given up and its objects are fetched. So memory is bounded
//! whatever the moves are.

use super::runs::{MOVE_MAX_BYTES, Move};
use std::collections::BTreeSet;
use std::ops::Range;

/// Not on the way.
const NOWHERE: u32 = u32::MAX;

/// What the next free hand is to do. The number is the move's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read it, say so by [`Schedule::was_read`], and write it.
    Copy(usize),
    /// Read it into memory and say so; a [`Step::Write`] follows.
    Keep(usize),
    /// Write what was kept.
    Write(usize),
    /// Its objects are to be fetched.
    GiveUp(usize),
    /// Nothing now: a read that is under way has to end first.
    Wait,
    /// Nothing any more.
    Done,
}

/// The state of all moves.
#[derive(Debug)]
pub(crate) struct Schedule<'a> {
    /// In order of destination; destinations do not overlap.
    moves: &'a [Move],
    /// Their numbers in order of source; sources may overlap.
    by_source: Vec<u32>,
    states: Vec<State>,
    /// For each, how many others have yet to read from its destination.
    blockers: Vec<u32>,
    ready: BTreeSet<u32>,
    /// Every number below is past waiting.
    first_waiting: usize,
    /// From whom one waits for to whom that one waits for, as far as it was followed: each has
    /// yet to read from the destination of the one before, and all wait.
    way: Vec<u32>,
    /// Where on the way each is, or [`NOWHERE`].
    on_way: Vec<u32>,
    reading: usize,
    kept_bytes: u64,
    keep_max_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not read yet.
    Waiting,
    /// Being read to be written at once.
    Copying,
    /// Being read into memory.
    Keeping,
    /// In memory.
    Kept,
    /// Read and written, being written, or given up.
    Over,
}

impl<'a> Schedule<'a> {
    /// Nothing moved yet. At most `keep_max_bytes` are kept in memory.
    pub(crate) fn new(moves: &'a [Move], keep_max_bytes: u64) -> Self {
        let mut by_source: Vec<u32> = (0..moves.len() as u32).collect();
        by_source.sort_by_key(|number| moves[*number as usize].from);
        let mut schedule = Self {
            moves,
            by_source,
            states: vec![State::Waiting; moves.len()],
            blockers: vec![0; moves.len()],
            ready: BTreeSet::new(),
            first_waiting: 0,
            way: Vec::new(),
            on_way: vec![NOWHERE; moves.len()],
            reading: 0,
            kept_bytes: 0,
            keep_max_bytes,
        };
        for (number, one) in moves.iter().enumerate() {
            let destination = one.destination();
            let blockers = schedule.readers(&destination).filter(|other| *other != number);
            schedule.blockers[number] = blockers.count() as u32;
            if schedule.blockers[number] == 0 {
                schedule.ready.insert(number as u32);
            }
        }
        schedule
    }

    /// Whether a move that has not been read reads from `range`.
    pub(crate) fn is_source(&self, range: &Range<u64>) -> bool {
        self.readers(range).next().is_some()
    }

    /// What to do next. A step is given out once.
    pub(crate) fn next(&mut self) -> Step {
        if let Some(number) = self.ready.pop_first() {
            let number = number as usize;
            if self.states[number] == State::Kept {
                self.kept_bytes -= self.moves[number].length;
                self.states[number] = State::Over;
                return Step::Write(number);
            }
            self.reading += 1;
            self.leave(number, State::Copying);
            return Step::Copy(number);
        }
        if self.reading > 0 {
            return Step::Wait;
        }
        let Some(number) = self.in_a_circle() else { return Step::Done };
        let length = self.moves[number].length;
        if self.kept_bytes + length > self.keep_max_bytes {
            self.leave(number, State::Over);
            self.release(number);
            return Step::GiveUp(number);
        }
        self.kept_bytes += length;
        self.reading += 1;
        self.leave(number, State::Keeping);
        Step::Keep(number)
    }

    /// The read that [`Step::Copy`] or [`Step::Keep`] asked for is over.
    pub(crate) fn was_read(&mut self, number: usize) {
        self.reading -= 1;
        if self.states[number] == State::Keeping {
            self.states[number] = State::Kept;
            if self.blockers[number] == 0 {
                self.ready.insert(number as u32);
            }
        } else {
            self.states[number] = State::Over;
        }
        self.release(number);
    }

    /// Nobody waits for `number` to be read any more.
    fn release(&mut self, number: usize) {
        let source = self.moves[number].source();
        let first = self.moves.partition_point(|other| other.destination().end <= source.start);
        for other in first..self.moves.len() {
            if self.moves[other].to >= source.end {
                break;
            }
            if other == number || self.states[other] == State::Over {
                continue;
            }
            self.blockers[other] -= 1;
            let waits = matches!(self.states[other], State::Waiting | State::Kept);
            if self.blockers[other] == 0 && waits {
                self.ready.insert(other as u32);
            }
        }
    }

    /// The moves that have yet to be read and read from `range`.
    fn readers(&self, range: &Range<u64>) -> impl Iterator<Item = usize> {
        let first = range.start.saturating_sub(MOVE_MAX_BYTES);
        let from = |number: &u32| self.moves[*number as usize].from;
        let start = self.by_source.partition_point(|number| from(number) < first);
        let range = range.clone();
        self.by_source[start..]
            .iter()
            .take_while(move |number| from(number) < range.end)
            .map(|number| *number as usize)
            .filter(move |number| self.moves[*number].source().end > range.start)
            .filter(|number| self.is_unread(*number))
    }

    fn is_unread(&self, number: usize) -> bool {
        matches!(self.states[number], State::Waiting | State::Copying | State::Keeping)
    }

    /// The smallest move of a circle, if any move waits. Nothing is ready and nothing being
    /// read, so every move that waits has somebody unread to wait for, and who is followed long
    /// enough comes up again. What was followed before is not followed again.
    fn in_a_circle(&mut self) -> Option<usize> {
        loop {
            let Some(last) = self.way.last() else {
                let first = self.next_waiting()?;
                self.step_to(first);
                continue;
            };
            let last = *last as usize;
            let destination = self.moves[last].destination();
            let Some(next) = self.readers(&destination).find(|other| *other != last) else {
                return Some(last);
            };
            if self.on_way[next] == NOWHERE {
                self.step_to(next);
                continue;
            }
            let circle = &self.way[self.on_way[next] as usize..];
            let smallest = circle.iter().min_by_key(|other| self.moves[**other as usize].length);
            return smallest.map(|number| *number as usize);
        }
    }

    fn next_waiting(&mut self) -> Option<usize> {
        while self.states.get(self.first_waiting).is_some_and(|state| *state != State::Waiting) {
            self.first_waiting += 1;
        }
        (self.first_waiting < self.moves.len()).then_some(self.first_waiting)
    }

    fn step_to(&mut self, number: usize) {
        self.on_way[number] = self.way.len() as u32;
        self.way.push(number as u32);
    }

    /// `number` waits no more: who waited for it may have nobody to wait for now.
    fn leave(&mut self, number: usize, state: State) {
        self.states[number] = state;
        if self.on_way[number] != NOWHERE {
            for left in self.way.drain(self.on_way[number] as usize..) {
                self.on_way[left as usize] = NOWHERE;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn moves(places: &[(u64, u64)]) -> Vec<Move> {
        let each = places.iter().enumerate();
        let mut moves: Vec<_> = each
            .map(|(number, (from, to))| Move {
                from: *from,
                to: *to,
                length: 4,
                wants: number..number + 1,
            })
            .collect();
        moves.sort_by_key(|one| one.to);
        moves
    }

    /// Carries all of it out one by one and returns the steps.
    fn steps(moves: &[Move], keep_max_bytes: u64) -> Vec<Step> {
        let mut schedule = Schedule::new(moves, keep_max_bytes);
        let mut steps = Vec::new();
        loop {
            let step = schedule.next();
            match step {
                Step::Done => return steps,
                Step::Copy(number) | Step::Keep(number) => schedule.was_read(number),
                _ => {}
            }
            steps.push(step);
        }
    }

    #[test]
    fn what_moved_forward_is_moved_from_its_end() {
        let forward = moves(&[(0, 4), (4, 8), (8, 12)]);
        assert_eq!(steps(&forward, 0), [Step::Copy(2), Step::Copy(1), Step::Copy(0)]);
        let back = moves(&[(4, 0), (8, 4), (12, 8)]);
        assert_eq!(steps(&back, 0), [Step::Copy(0), Step::Copy(1), Step::Copy(2)]);
    }

    #[test]
    fn a_swap_goes_through_memory_or_one_of_both_is_fetched() {
        let swap = moves(&[(0, 8), (8, 0)]);
        assert_eq!(steps(&swap, 4), [Step::Keep(0), Step::Copy(1), Step::Write(0)]);
        assert_eq!(steps(&swap, 3), [Step::GiveUp(0), Step::Copy(1)]);
    }

    #[test]
    fn who_only_waits_for_a_circle_is_not_given_up() {
        let tail = moves(&[(100, 0), (0, 8), (8, 0x100), (0x100, 8 + 4)]);
        let given_up =
            steps(&tail, 0).iter().filter(|step| matches!(step, Step::GiveUp(_))).count();
        assert_eq!(given_up, 0, "there is no circle here");
    }

    #[test]
    fn a_move_over_itself_waits_for_nobody() {
        let one = [Move { from: 0, to: 2, length: 4, wants: 0..1 }];
        assert_eq!(steps(&one, 0), [Step::Copy(0)]);
    }

    proptest! {
        /// Whatever the moves, whoever is quick and who slow: what is written is what was there at
        /// first, no more is kept than allowed, and all end.
        #[test]
        fn nothing_is_overwritten_before_it_was_read(
            sources in prop::collection::vec((0_u64..60, 1_u64..5), 1..40),
            gaps in prop::collection::vec(0_u64..3, 40),
            keep in 0_u64..12,
            choices in prop::collection::vec(any::<u16>(), 400),
        ) {
            let mut to = 0;
            let mut moves = Vec::new();
            for (number, ((from, length), gap)) in sources.iter().zip(&gaps).enumerate() {
                to += gap;
                moves.push(Move { from: *from, to, length: *length, wants: number..number + 1 });
                to += length;
            }
            let before: Vec<u64> = (0..300).collect();
            let mut disk = before.clone();
            let mut schedule = Schedule::new(&moves, keep);
            let mut choices = choices.into_iter().cycle();
            // Under way: reads that were asked for, and writes of what was read.
            let (mut reads, mut writes, mut kept) = (Vec::new(), Vec::new(), Vec::new());
            let mut given_up = Vec::new();
            for _ in 0..10_000 {
                let choice = choices.next().unwrap() as usize;
                if choice.is_multiple_of(3) && !reads.is_empty() {
                    let (number, keeps): (usize, bool) = reads.swap_remove(choice / 3 % reads.len());
                    let source = moves[number].source();
                    let bytes = disk[source.start as usize..source.end as usize].to_vec();
                    if keeps { kept.push((number, bytes)) } else { writes.push((number, bytes)) }
                    schedule.was_read(number);
                } else if choice % 3 == 1 && !writes.is_empty() {
                    let (number, bytes) = writes.swap_remove(choice / 3 % writes.len());
                    disk[moves[number].to as usize..][..bytes.len()].copy_from_slice(&bytes);
                } else {
                    match schedule.next() {
                        Step::Copy(number) => reads.push((number, false)),
                        Step::Keep(number) => reads.push((number, true)),
                        Step::Write(number) => {
                            let at = kept.iter().position(|(kept, _)| *kept == number).unwrap();
                            writes.push(kept.swap_remove(at));
                        }
                        Step::GiveUp(number) => given_up.push(number),
                        Step::Wait => prop_assert!(!reads.is_empty()),
                        Step::Done if reads.is_empty() && writes.is_empty() => break,
                        Step::Done => {}
                    }
                }
                let in_memory: usize = kept.iter().map(|(_, bytes)| bytes.len()).sum();
                prop_assert!(in_memory as u64 <= keep);
            }
            prop_assert!(reads.is_empty() && writes.is_empty() && kept.is_empty(), "it ends");
            for (number, one) in moves.iter().enumerate() {
                let found = &disk[one.to as usize..(one.to + one.length) as usize];
                let expected = &before[one.from as usize..(one.from + one.length) as usize];
                prop_assert!(given_up.contains(&number) || found == expected, "{number}");
            }
        }
    }

    #[test]
    fn sources_are_known_until_they_are_read() {
        let one = [Move { from: 3 * MIB, to: 0, length: 4, wants: 0..1 }];
        let mut schedule = Schedule::new(&one, 0);
        assert!(schedule.is_source(&(3 * MIB + 3..4 * MIB)) && !schedule.is_source(&(0..3 * MIB)));
        assert_eq!(schedule.next(), Step::Copy(0));
        schedule.was_read(0);
        assert!(!schedule.is_source(&(3 * MIB..4 * MIB)));
    }
}
