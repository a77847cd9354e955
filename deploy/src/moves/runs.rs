//! Which of the objects that a target lacks it has somewhere else. Pure.

use crate::fetch::Want;
use crate::seeds::Seeds;
use std::ops::Range;

/// Most that is moved at once, bytes: large enough that a disk is not kept seeking, and a few
/// of them under way take little memory. An object is never longer.
pub(crate) const MOVE_MAX_BYTES: u64 = 1 << 20;

/// Objects that lie next to each other on the target, and are to lie next to each other elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    /// Where they are, bytes.
    pub(crate) from: u64,
    /// Where they belong, bytes.
    pub(crate) to: u64,
    /// Their length together, bytes.
    pub(crate) length: u64,
    /// Which of the wants they are.
    pub(crate) wants: Range<usize>,
}

impl Move {
    /// The bytes it reads.
    pub(crate) fn source(&self) -> Range<u64> {
        self.from..self.from + self.length
    }

    /// The bytes it writes.
    pub(crate) fn destination(&self) -> Range<u64> {
        self.to..self.to + self.length
    }
}

/// The moves that bring those of `wants`, which are in order of their place in the content, that
/// `seeds` knows of; in the same order.
pub(crate) fn moves(wants: &[Want], seeds: &Seeds) -> Vec<Move> {
    let mut moves: Vec<Move> = Vec::new();
    for (index, want) in wants.iter().enumerate() {
        let length = u64::from(want.length);
        let found = seeds.find(&want.digest, want.length, want.offset_bytes);
        let Some(from) = found else { continue };
        match moves.last_mut() {
            Some(last)
                if last.wants.end == index
                    && last.source().end == from
                    && last.destination().end == want.offset_bytes
                    && last.length + length <= MOVE_MAX_BYTES =>
            {
                last.length += length;
                last.wants.end += 1;
            }
            _ => {
                let (to, wants) = (want.offset_bytes, index..index + 1);
                moves.push(Move { from, to, length, wants });
            }
        }
    }
    moves
}
