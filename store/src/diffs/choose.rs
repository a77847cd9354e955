//! Which file of a base, and what of it, a file of a label is told by. Pure.

use crate::Digest;
use crate::tree::name;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use super::REFERENCES_MAX_BYTES;

/// How far before and after the place that corresponds to the targets the references reach, bytes.
/// Measured on two Debian trees with `examples/diff_sizes.rs`.
pub const REACH_BYTES: u64 = 1 << 20;

/// A file of the same name elsewhere is taken for the same file if neither is longer than the other by
/// more than this factor.
const SIMILAR_FACTOR: u64 = 2;

/// An object and where in its file it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The object.
    pub digest: Digest,
    /// Where it starts, bytes.
    pub offset_bytes: u64,
    /// Its length, bytes.
    pub length: u32,
}

/// The files of a base, to be found by path.
#[derive(Debug, Default)]
pub struct Bases {
    paths: BTreeMap<Vec<u8>, usize>,
    /// Paths without their version numbers.
    shapes: BTreeMap<Vec<u8>, Vec<(u64, usize)>>,
    names: BTreeMap<Vec<u8>, Vec<(u64, usize)>>,
}

impl Bases {
    /// Adds the file number `file`, which has `size_bytes`.
    pub fn add(&mut self, path: &[u8], size_bytes: u64, file: usize) {
        self.paths.insert(path.to_vec(), file);
        self.shapes.entry(shape(path)).or_default().push((size_bytes, file));
        self.names.entry(shape(name(path))).or_default().push((size_bytes, file));
    }

    /// The file that is most likely an earlier version of the one at `path`: at the same path,
    /// else at one that differs in its numbers only, else of the same name elsewhere; of several
    /// the one closest in length, and of these the one added first.
    pub fn find(&self, path: &[u8], size_bytes: u64) -> Option<usize> {
        if let Some(file) = self.paths.get(path) {
            return Some(*file);
        }
        let closest = |files: &[(u64, usize)]| {
            files.iter().min_by_key(|(size, file)| (size.abs_diff(size_bytes), *file)).copied()
        };
        if let Some((_, file)) = self.shapes.get(&shape(path)).and_then(|files| closest(files)) {
            return Some(file);
        }
        let (size, file) = closest(self.names.get(&shape(name(path)))?)?;
        let (short, long) = (size.min(size_bytes), size.max(size_bytes));
        (short.saturating_mul(SIMILAR_FACTOR) >= long).then_some(file)
    }
}

/// A path with each number in it, and what joins numbers, made one sign: `vmlinuz-6.1.0-21-amd64`
/// and `vmlinuz-6.1.0-22-amd64` have the same shape.
fn shape(path: &[u8]) -> Vec<u8> {
    let mut shape = Vec::with_capacity(path.len());
    for (at, byte) in path.iter().enumerate() {
        let joins = matches!(byte, b'.' | b'-' | b'+' | b'~' | b':' | b'_')
            && at > 0
            && path[at - 1].is_ascii_digit()
            && path.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !byte.is_ascii_digit() && !joins {
            shape.push(*byte);
        } else if shape.last() != Some(&b'0') {
            shape.push(b'0');
        }
    }
    shape
}

/// Which objects of a base's file, `pieces` in order, are the references of targets that
/// correspond to the bytes `place` of it: those within [`REACH_BYTES`], as many as
/// [`REFERENCES_MAX_BYTES`] allow.
pub fn references(pieces: &[Placed], place: &Range<u64>) -> Range<usize> {
    let start = place.start.saturating_sub(REACH_BYTES);
    let end = place.end.saturating_add(REACH_BYTES);
    let is_before = |piece: &Placed| piece.offset_bytes + u64::from(piece.length) <= start;
    let first = pieces.partition_point(is_before);
    let mut left = REFERENCES_MAX_BYTES;
    let within = pieces[first..].iter().take_while(|piece| {
        let fits = left.checked_sub(u64::from(piece.length));
        left = fits.unwrap_or(0);
        piece.offset_bytes < end && fits.is_some()
    });
    first..first + within.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_paths_make_no_difference() {
        let files: [(&str, u64); 6] = [
            ("boot/vmlinuz-6.1.0-21-cloud-amd64", 8_000),
            ("lib/modules/6.1.0-21-cloud-amd64/kernel/fs/ext4.ko", 900),
            ("usr/lib/libssl.so.3.0.13", 600),
            ("usr/bin/tool", 100),
            ("opt/a/data.bin", 50),
            ("opt/b/data.bin", 90),
        ];
        let mut bases = Bases::default();
        for (number, (path, size)) in files.iter().enumerate() {
            bases.add(path.as_bytes(), *size, number);
        }
        let table = [
            ("boot/vmlinuz-6.1.0-22-cloud-amd64", 8_100, Some(0)),
            ("boot/vmlinuz-6.10-cloud-amd64", 1, Some(0)),
            ("lib/modules/6.1.0-25-cloud-amd64/kernel/fs/ext4.ko", 950, Some(1)),
            ("usr/lib/libssl.so.3.0.14", 700, Some(2)),
            ("usr/bin/tool", 10_000, Some(3)),
            ("srv/tool", 150, Some(3)),
            ("srv/tool", 201, None),
            ("srv/data.bin", 80, Some(5)),
            ("usr/bin/other", 100, None),
        ];
        for (path, size, expected) in table {
            assert_eq!(bases.find(path.as_bytes(), size), expected, "{path} {size}");
        }
    }

    #[test]
    fn references_are_around_the_place_and_bounded() {
        let piece = |index: u64| Placed {
            digest: Digest::of(&index.to_le_bytes()),
            offset_bytes: index << 18,
            length: 1 << 18,
        };
        let pieces: Vec<_> = (0..100).map(piece).collect();
        let at = |start: u64, end: u64| references(&pieces, &(start << 18..end << 18));
        assert_eq!(at(0, 1), 0..5);
        assert_eq!(at(50, 52), 46..56);
        assert_eq!(at(99, 100), 95..100);
        assert_eq!(at(50, 90), 46..62, "as many as are allowed");
        assert_eq!(at(500, 501), 100..100);
        assert_eq!(references(&[], &(0..10)), 0..0);
    }
}
