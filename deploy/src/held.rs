//! What is held back: the parts of a disk that firmware boots by.
//!
//! The first MiB (boot code, partition table, mark) and the end of the disk
//! (where firmware finds a backup table when the first is broken) stay in memory until
//! everything between them is proven. Meanwhile the disk has zeroes there.

use crate::target::{Target, TargetError};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// The start that is held back, bytes: where the first partition starts by convention.
pub(crate) const HEAD_BYTES: usize = 1 << 20;

/// The end that is held back, bytes: room for any backup table whose first copy fits the
/// head, and for the labels that RAID and ZFS keep at the end of a disk, which must not outlive
/// what they were part of.
pub(crate) const TAIL_BYTES: u64 = 1 << 20;

/// Both parts, in memory, as the image has them.
pub(crate) struct Held {
    head: Region,
    tail: Region,
}

struct Region {
    range: Range<u64>,
    bytes: Mutex<Vec<u8>>,
}

impl Held {
    /// Both parts of a disk of `disk_bytes`, zero as yet.
    pub(crate) fn new(disk_bytes: u64) -> Self {
        let head_end = disk_bytes.min(HEAD_BYTES as u64);
        let tail_start = disk_bytes.saturating_sub(TAIL_BYTES).max(head_end);
        Self { head: Region::zero(0..head_end), tail: Region::zero(tail_start..disk_bytes) }
    }

    /// Takes in what the target has, up to its size.
    pub(crate) fn load(&self, target: &Target) -> Result<(), TargetError> {
        for region in [&self.head, &self.tail] {
            let end = region.range.end.min(target.size_bytes());
            if region.range.start < end {
                let length = (end - region.range.start) as usize;
                target.read(region.range.start, &mut region.lock()[..length])?;
            }
        }
        Ok(())
    }

    /// Ranges of the disk that are held back.
    pub(crate) fn ranges(&self) -> [Range<u64>; 2] {
        [self.head.range.clone(), self.tail.range.clone()]
    }

    /// Gives the head to `change`.
    pub(crate) fn with_head<T>(&self, change: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        change(&mut self.head.lock())
    }

    /// Gives the tail and where it starts to `change`.
    pub(crate) fn with_tail<T>(&self, change: impl FnOnce(u64, &mut Vec<u8>) -> T) -> T {
        change(self.tail.range.start, &mut self.tail.lock())
    }

    /// Copies what is held of `bytes` at `offset` over them.
    pub(crate) fn overlay(&self, offset: u64, bytes: &mut [u8]) {
        for region in [&self.head, &self.tail] {
            if let Some((here, there)) = region.overlap(offset, bytes.len()) {
                bytes[here].copy_from_slice(&region.lock()[there]);
            }
        }
    }

    /// Whether any of `length` bytes at `offset` is held.
    pub(crate) fn touches(&self, offset: u64, length: usize) -> bool {
        [&self.head, &self.tail].iter().any(|region| region.overlap(offset, length).is_some())
    }

    /// Takes what belongs here out of `bytes`; what does not comes back as ranges of them.
    pub(crate) fn take(&self, offset: u64, bytes: &[u8]) -> Range<usize> {
        let mut rest = 0..bytes.len();
        if let Some((here, there)) = self.head.overlap(offset, bytes.len()) {
            rest.start = here.end;
            self.head.lock()[there].copy_from_slice(&bytes[here]);
        }
        if let Some((here, there)) = self.tail.overlap(offset, bytes.len()) {
            rest.end = here.start;
            self.tail.lock()[there].copy_from_slice(&bytes[here]);
        }
        rest
    }

    /// Zeroes what belongs here of `range`; what does not comes back.
    pub(crate) fn zero(&self, range: Range<u64>) -> Range<u64> {
        let length = (range.end - range.start) as usize;
        let mut rest = range.clone();
        if let Some((here, there)) = self.head.overlap(range.start, length) {
            rest.start = range.start + here.end as u64;
            self.head.lock()[there].fill(0);
        }
        if let Some((here, there)) = self.tail.overlap(range.start, length) {
            rest.end = range.start + here.start as u64;
            self.tail.lock()[there].fill(0);
        }
        rest
    }
}

impl Region {
    fn zero(range: Range<u64>) -> Self {
        let bytes = Mutex::new(vec![0; (range.end - range.start) as usize]);
        Self { range, bytes }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where `length` bytes at `offset` and this region meet: in those bytes, and in the region.
    fn overlap(&self, offset: u64, length: usize) -> Option<(Range<usize>, Range<usize>)> {
        let start = offset.max(self.range.start);
        let end = (offset + length as u64).min(self.range.end);
        (start < end).then(|| {
            let within = |base: u64| (start - base) as usize..(end - base) as usize;
            (within(offset), within(self.range.start))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_taken_and_the_rest_comes_back() {
        let held = Held::new(10 << 20);
        let mib = 1_u64 << 20;
        assert_eq!(held.take(mib - 4, &[7; 10]), 4..10);
        assert_eq!(held.take(10 * mib - TAIL_BYTES - 2, &[8; 6]), 0..2);
        assert_eq!(held.take(5 * mib, &[9; 3]), 0..3);
        let mut seen = [1; 10];
        held.overlay(mib - 4, &mut seen);
        assert_eq!(seen, [7, 7, 7, 7, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_tiny_disk_is_held_whole() {
        let held = Held::new(4096);
        assert_eq!(held.ranges(), [0..4096, 4096..4096]);
        assert_eq!(held.take(0, &[1; 4096]), 4096..4096);
    }
}
