//! Where bytes lie in the image: a list of ranges in order.

use std::io::{self, Read};

use crate::image::Window;

/// One range of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it starts, in bytes from the start of the image.
    pub offset_bytes: u64,
    /// How long it is, in bytes.
    pub length_bytes: u64,
}

/// Appends a range, merged with the last one where it continues it.
pub(crate) fn push(extents: &mut Vec<Extent>, next: Extent) {
    match extents.last_mut() {
        _ if next.length_bytes == 0 => {}
        Some(last) if last.offset_bytes + last.length_bytes == next.offset_bytes => {
            last.length_bytes += next.length_bytes;
        }
        _ => extents.push(next),
    }
}

/// The ranges that hold `length_bytes` from `start_bytes` of the sequence that
/// `extents` hold. Shorter where the sequence is shorter.
pub(crate) fn slice(extents: &[Extent], start_bytes: u64, length_bytes: u64) -> Vec<Extent> {
    let mut skip = start_bytes;
    let mut left = length_bytes;
    let mut out = Vec::new();
    for extent in extents {
        let skipped = skip.min(extent.length_bytes);
        skip -= skipped;
        let taken = left.min(extent.length_bytes - skipped);
        left -= taken;
        push(&mut out, Extent { offset_bytes: extent.offset_bytes + skipped, length_bytes: taken });
    }
    out
}

/// Reads ranges of the image one after the other.
pub(crate) struct ExtentReader {
    image: Window,
    extents: std::vec::IntoIter<Extent>,
    current: Extent,
}

impl ExtentReader {
    pub(crate) fn new(image: Window, extents: Vec<Extent>) -> Self {
        let current = Extent { offset_bytes: 0, length_bytes: 0 };
        Self { image, extents: extents.into_iter(), current }
    }
}

impl Read for ExtentReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.length_bytes == 0 {
            match self.extents.next() {
                Some(next) => self.current = next,
                None => return Ok(0),
            }
        }
        let length = (buf.len() as u64).min(self.current.length_bytes);
        let part = &mut buf[..length as usize];
        self.image.read_exact_at(self.current.offset_bytes, part).map_err(io::Error::other)?;
        self.current.offset_bytes += length;
        self.current.length_bytes -= length;
        Ok(part.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ranges: &[(u64, u64)]) -> Vec<Extent> {
        ranges
            .iter()
            .map(|&(offset_bytes, length_bytes)| Extent { offset_bytes, length_bytes })
            .collect()
    }

    #[test]
    fn neighbours_merge_and_empty_ranges_vanish() {
        let mut extents = Vec::new();
        for next in list(&[(10, 5), (15, 1), (20, 0), (16, 4), (30, 2)]) {
            push(&mut extents, next);
        }
        assert_eq!(extents, list(&[(10, 10), (30, 2)]));
    }

    #[test]
    fn slices_are_the_bytes_of_the_sequence() {
        let extents = list(&[(100, 10), (50, 10), (0, 5)]);
        for (start, length, expected) in [
            (0, 25, vec![(100, 10), (50, 10), (0, 5)]),
            (3, 4, vec![(103, 4)]),
            (8, 4, vec![(108, 2), (50, 2)]),
            (20, 100, vec![(0, 5)]),
            (25, 1, vec![]),
        ] {
            assert_eq!(slice(&extents, start, length), list(&expected), "{start}+{length}");
        }
    }
}
