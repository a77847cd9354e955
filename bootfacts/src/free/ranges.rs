//! Ranges of bytes, bounded in number: where there are too many, the shortest are given up.

use crate::Extent;
use crate::extents;

/// No more ranges are held, 16 bytes each. A file system of 1 TiB that is well used has some
/// hundred thousand.
const RANGES_MAX: usize = 1 << 20;

/// Ranges in the order in which they were found.
#[derive(Debug)]
pub(super) struct Ranges {
    extents: Vec<Extent>,
    max: usize,
    /// Shorter ones are not held, bytes.
    least_bytes: u64,
}

impl Default for Ranges {
    fn default() -> Self {
        Self { extents: Vec::new(), max: RANGES_MAX, least_bytes: 1 }
    }
}

impl Ranges {
    /// Adds a range; one that goes on where the last ended makes that longer.
    pub(super) fn push(&mut self, next: Extent) {
        extents::push(&mut self.extents, next);
        while self.extents.len() > self.max {
            self.least_bytes *= 2;
            self.drop_short();
        }
    }

    /// Their length, bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.extents.iter().map(|extent| extent.length_bytes).sum()
    }

    pub(super) fn into_extents(self) -> Vec<Extent> {
        self.extents
    }

    /// The last one stays: it may grow yet.
    fn drop_short(&mut self) {
        let last = self.extents.pop();
        self.extents.retain(|extent| extent.length_bytes >= self.least_bytes);
        self.extents.extend(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_ranges_lose_the_shortest() {
        let mut ranges = Ranges { max: 4, ..Ranges::default() };
        for (offset_bytes, length_bytes) in
            [(0, 1), (10, 5), (15, 5), (30, 2), (40, 8), (50, 1), (60, 3), (70, 1)]
        {
            ranges.push(Extent { offset_bytes, length_bytes });
        }
        let kept: Vec<_> =
            ranges.into_extents().iter().map(|e| (e.offset_bytes, e.length_bytes)).collect();
        assert_eq!(kept, [(10, 10), (40, 8), (60, 3), (70, 1)]);
    }
}
