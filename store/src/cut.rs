//! Where content is cut into objects.
//!
//! File systems place data in blocks of 4 KiB, so cuts fall on 4 KiB boundaries
//! only. A block of zeroes is never part of an object. Whether the content is cut
//! after a block is decided by that block's bytes alone, so that the same run of
//! blocks is cut the same way wherever it lies: what an image shares with
//! another is found again after it has moved.

use xxhash_rust::xxh3::xxh3_64;

/// The grain of all cuts, bytes.
pub const BLOCK_BYTES: usize = 4096;

/// Content is also cut wherever its offset is a multiple of this, bytes: it is
/// what one segment of a manifest covers.
pub const SEGMENT_SPAN_BYTES: u64 = 64 << 20;

/// No object is longer, bytes: a run of blocks that all say "go on" ends here.
pub const OBJECT_CUT_MAX_BYTES: usize = 64 << 10;

/// A block ends an object when these bits of its hash are zero: one block in four,
/// objects of 16 KiB on average.
const CUT_MASK: u64 = 0b11;

/// A stretch of content between two cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Zeroes.
    Zero {
        /// Length, bytes.
        length: usize,
    },
    /// An object's bytes.
    Data {
        /// Length, bytes.
        length: usize,
    },
}

/// Cuts `content`, which starts at a cut and ends at one (the end of a segment or
/// of the image). Zero runs come out whole.
pub fn pieces(content: &[u8]) -> Pieces<'_> {
    Pieces { content }
}

/// Iterator over the [`Piece`]s of a stretch of content.
pub struct Pieces<'a> {
    content: &'a [u8],
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.content.is_empty() {
            return None;
        }
        let zeroes = zero_run(self.content);
        let piece = match zeroes {
            0 => Piece::Data { length: object_length(self.content) },
            length => Piece::Zero { length },
        };
        let (Piece::Zero { length } | Piece::Data { length }) = piece;
        self.content = &self.content[length..];
        Some(piece)
    }
}

/// Length of the zero blocks that `content` starts with, bytes.
fn zero_run(content: &[u8]) -> usize {
    content.chunks(BLOCK_BYTES).take_while(|block| is_zero(block)).map(<[u8]>::len).sum()
}

/// Length of the object that `content`, which does not start with a zero block, starts with.
fn object_length(content: &[u8]) -> usize {
    let mut length = 0;
    for block in content.chunks(BLOCK_BYTES) {
        if length > 0 && is_zero(block) {
            break;
        }
        length += block.len();
        if length >= OBJECT_CUT_MAX_BYTES || xxh3_64(block) & CUT_MASK == 0 {
            break;
        }
    }
    length
}

/// Whether all of `bytes` are zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|word| word == &[0; 64]) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn noise(blocks: usize, seed: u64) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        (0..blocks * BLOCK_BYTES).map(|_| next()).collect()
    }

    #[test]
    fn zeroes_are_cut_out_whole() {
        let mut content = vec![0; 5 * BLOCK_BYTES];
        content[2 * BLOCK_BYTES] = 1;
        let cut: Vec<_> = pieces(&content).collect();
        let zero = |blocks| Piece::Zero { length: blocks * BLOCK_BYTES };
        assert_eq!(cut, [zero(2), Piece::Data { length: BLOCK_BYTES }, zero(2)]);
    }

    #[test]
    fn a_short_last_block_is_kept() {
        let cut: Vec<_> = pieces(&[7; 100]).collect();
        assert_eq!(cut, [Piece::Data { length: 100 }]);
    }

    #[test]
    fn moved_content_is_cut_the_same_way_again() {
        let lengths = |content: &[u8]| -> Vec<Piece> { pieces(content).collect() };
        let content = noise(400, 1);
        let mut moved = noise(37, 2);
        moved.extend_from_slice(&content);
        let (first, second) = (lengths(&content), lengths(&moved));
        let shared = first.iter().rev().zip(second.iter().rev()).take_while(|(a, b)| a == b);
        assert!(shared.count() + 1 >= first.len(), "all but at most the first object");
    }

    proptest! {
        #[test]
        fn pieces_cover_the_content(blocks in prop::collection::vec(0_u8..4, 0..64)) {
            let content: Vec<u8> =
                blocks.iter().flat_map(|byte| [*byte; BLOCK_BYTES]).collect();
            let mut at = 0;
            for piece in pieces(&content) {
                match piece {
                    Piece::Zero { length } => {
                        prop_assert!(is_zero(&content[at..at + length]));
                        at += length;
                    }
                    Piece::Data { length } => {
                        prop_assert!(length <= OBJECT_CUT_MAX_BYTES);
                        for block in content[at..at + length].chunks(BLOCK_BYTES) {
                            prop_assert!(!is_zero(block));
                        }
                        at += length;
                    }
                }
            }
            prop_assert_eq!(at, content.len());
        }
    }
}
