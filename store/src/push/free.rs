//! Bytes of an image that no file system uses: they are pushed as if they were zeroes.

use crate::stamp::Stamp;
use std::ops::Range;

/// Free stretches this long are not even read, bytes; shorter ones are read and made zeroes, so
/// that a fragmented image is still read in large steps.
const SKIPPED_MIN_BYTES: u64 = 1 << 20;

/// What is free in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Free {
    /// Where, as (offset, length) in bytes.
    pub ranges: Vec<(u64, u64)>,
    /// What the image was before this was found out: another file, or one that was written to
    /// since, is not pushed. A block device shows nothing of that kind; who trims one holds it
    /// exclusively (open(2), `O_EXCL`) until it is pushed.
    pub as_of: Stamp,
}

/// The ranges in order and apart, for looking up.
#[derive(Debug, Default)]
pub(super) struct FreeMap {
    ranges: Vec<Range<u64>>,
    /// Those that are skipped.
    long: Vec<Range<u64>>,
}

impl FreeMap {
    /// The map of `ranges` within `size_bytes`.
    pub(super) fn new(ranges: &[(u64, u64)], size_bytes: u64) -> Self {
        let end = |start: u64, length| start.saturating_add(length).min(size_bytes);
        let mut sorted: Vec<_> =
            ranges.iter().map(|(start, length)| *start..end(*start, *length)).collect();
        sorted.retain(|range| range.start < range.end);
        sorted.sort_by_key(|range| range.start);
        sorted.dedup_by(|next, last| {
            let joined = next.start <= last.end;
            if joined {
                last.end = last.end.max(next.end);
            }
            joined
        });
        let is_long = |range: &&Range<u64>| range.end - range.start >= SKIPPED_MIN_BYTES;
        Self { long: sorted.iter().filter(is_long).cloned().collect(), ranges: sorted }
    }

    /// All of it, bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// Makes what is free of `bytes`, which were read at `offset`, zeroes.
    pub(super) fn clear(&self, bytes: &mut [u8], offset: u64) {
        let end = offset + bytes.len() as u64;
        let first = self.ranges.partition_point(|range| range.end <= offset);
        for range in self.ranges[first..].iter().take_while(|range| range.start < end) {
            let (from, to) = (range.start.max(offset), range.end.min(end));
            bytes[(from - offset) as usize..(to - offset) as usize].fill(0);
        }
    }

    /// The first long stretch that ends after `offset`.
    pub(super) fn long_ahead(&self, offset: u64) -> Option<&Range<u64>> {
        self.long.get(self.long.partition_point(|range| range.end <= offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sorted_joined_and_kept_within_the_image() {
        let map = FreeMap::new(&[(90, 50), (10, 5), (15, 5), (12, 2), (40, 0), (200, 9)], 100);
        assert_eq!(map.ranges, [10..20, 90..100]);
        assert_eq!(map.bytes(), 20);
        let mut bytes = [1; 12];
        map.clear(&mut bytes, 15);
        assert_eq!(bytes, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]);
        map.clear(&mut bytes[..3], 30);
    }
}
