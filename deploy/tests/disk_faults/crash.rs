//! What may be on a disk when its power fails: all that was durable, and of the rest any
//! part, in any order. Only a sector is all or nothing.

use super::disk::SECTOR_BYTES;
use super::noise::Noise;
use std::ops::Range;

/// With so few writes pending, tearing them is nearly all that can go wrong.
const FEW: usize = 4;

/// Bytes that were written.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) offset: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Write {
    /// Carries out `part` of it.
    pub(crate) fn put(&self, part: Range<usize>, onto: &mut [u8]) {
        let start = self.offset + part.start;
        onto[start..start + part.len()].copy_from_slice(&self.bytes[part]);
    }

    /// Puts what it has of the bytes at `offset` over them.
    pub(crate) fn overlay(&self, offset: usize, bytes: &mut [u8]) {
        let start = self.offset.max(offset);
        let end = (self.offset + self.bytes.len()).min(offset + bytes.len());
        if start < end {
            let mine = &self.bytes[start - self.offset..end - self.offset];
            bytes[start - offset..end - offset].copy_from_slice(mine);
        }
    }
}

/// How a disk loses what it was not told to keep.
#[derive(Clone, Copy)]
enum Mood {
    /// One in so many writes is lost.
    Loses(usize),
    /// One in so many writes is kept.
    Keeps(usize),
    /// The newest so many are kept, all before them lost.
    Newest(usize),
    /// All but one are kept.
    AllBut(usize),
    /// As a disk without a cache: in order, the last one torn.
    InOrder,
    /// Nothing arrived.
    Nothing,
}

impl Mood {
    fn of(pending: usize, noise: &mut Noise) -> Self {
        match noise.below(9) {
            0 | 1 => Self::Loses(2),
            2 => Self::Loses(16),
            3 => Self::Keeps(4),
            4 => Self::Keeps(16),
            5 => Self::Newest(1 + noise.below(pending.min(4))),
            6 => Self::AllBut(noise.below(pending)),
            7 => Self::Nothing,
            _ => Self::InOrder,
        }
    }

    fn keeps(self, index: usize, pending: usize, noise: &mut Noise) -> bool {
        match self {
            Self::Loses(of) => !noise.one_in(of),
            Self::Keeps(of) => noise.one_in(of),
            Self::Newest(count) => index + count >= pending,
            Self::AllBut(lost) => index != lost,
            Self::InOrder => true,
            Self::Nothing => false,
        }
    }
}

/// What reaches the medium of `pending`, in the order in which it does.
pub(crate) fn survivors<'a>(
    pending: &'a [Write],
    noise: &mut Noise,
) -> Vec<(&'a Write, Range<usize>)> {
    let mood = Mood::of(pending.len(), noise);
    let mut kept: Vec<Vec<(&Write, Range<usize>)>> = Vec::new();
    for (index, write) in pending.iter().enumerate() {
        if !mood.keeps(index, pending.len(), noise) {
            continue;
        }
        let in_order = matches!(mood, Mood::InOrder);
        let torn = if in_order {
            index + 1 == pending.len()
        } else {
            noise.one_in(if pending.len() <= FEW { 2 } else { 4 })
        };
        let parts = if torn { tear(write.bytes.len(), noise) } else { whole(write) };
        kept.push(parts.into_iter().map(|part| (write, part)).collect());
        if !in_order {
            let (other, last) = (noise.below(kept.len()), kept.len() - 1);
            kept.swap(other, last);
        }
    }
    kept.concat()
}

fn whole(write: &Write) -> Vec<Range<usize>> {
    std::iter::once(0..write.bytes.len()).collect()
}

/// The sectors of a write of `length` bytes that arrive: those before a place, those after it, or
/// any.
fn tear(length: usize, noise: &mut Noise) -> Vec<Range<usize>> {
    let at = noise.below(length / SECTOR_BYTES + 1) * SECTOR_BYTES;
    let one = |range: Range<usize>| std::iter::once(range).collect();
    match noise.below(3) {
        0 => one(0..at),
        1 => one(at..length),
        _ => (0..length)
            .step_by(SECTOR_BYTES)
            .filter(|_| noise.one_in(2))
            .map(|at| at..(at + SECTOR_BYTES).min(length))
            .collect(),
    }
}
