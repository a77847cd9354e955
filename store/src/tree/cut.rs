//! Where a file is cut into objects.
//!
//! Blocks of zeroes on 4 KiB boundaries are in no object: they come back as holes. What is between
//! them is cut by content, at any byte: whether a cut falls after a byte is decided by the 64 bytes
//! before it, so that what was inserted or taken away changes the cuts around it only (`FastCDC`,
//! Xia et al. 2016: gear hash, no cut in the first part, two masks). Files of up to the smallest
//! cut are one object.

use crate::cut::{BLOCK_BYTES, is_zero};

/// No object that is cut is shorter, bytes, but at the end of a file or before zeroes.
const OBJECT_CUT_MIN_BYTES: usize = 32 << 10;

/// Below this length a cut is harder to come by, above it easier, bytes: most objects are about
/// as long.
const OBJECT_CUT_USUAL_BYTES: usize = 64 << 10;

/// No object is longer, bytes.
pub const OBJECT_CUT_MAX_BYTES: usize = 256 << 10;

/// How much of a file [`next_piece`] has to see unless the file ends before, bytes.
pub const LOOK_AHEAD_BYTES: usize = OBJECT_CUT_MAX_BYTES + BLOCK_BYTES;

/// 17 bits: one cut in 128 KiB. The upper bits depend on the most bytes.
const MASK_HARD: u64 = 0xffff_8000_0000_0000;

/// 15 bits: one cut in 32 KiB.
const MASK_EASY: u64 = 0xfffe_0000_0000_0000;

/// A stretch of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Zeroes, in whole blocks or up to the end of the file. More of them may follow.
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

/// The first piece of `content`, which starts `offset` bytes into its file, where another piece
/// has ended or the file starts. It holds at least [`LOOK_AHEAD_BYTES`] or all that is left of the
/// file, in which case `is_rest` says so. `None` if there is nothing left.
pub fn next_piece(content: &[u8], offset: u64, is_rest: bool) -> Option<Piece> {
    if content.is_empty() {
        return None;
    }
    let to_block = (BLOCK_BYTES - (offset % BLOCK_BYTES as u64) as usize) % BLOCK_BYTES;
    if to_block == 0 {
        let length = zero_run(content, is_rest);
        if length > 0 {
            return Some(Piece::Zero { length });
        }
    }
    let end = data_end(content, to_block, is_rest);
    Some(Piece::Data { length: cut(&content[..end]) })
}

/// Length of the blocks of zeroes that `content` starts with.
fn zero_run(content: &[u8], is_rest: bool) -> usize {
    let is_whole = |block: &[u8]| block.len() == BLOCK_BYTES || is_rest;
    let zero = |block: &&[u8]| is_whole(block) && is_zero(block);
    content.chunks(BLOCK_BYTES).take_while(zero).map(<[u8]>::len).sum()
}

/// Where the data that `content` starts with ends at the latest: before a block of zeroes, the
/// first of which can be at `to_block`, or at the longest object.
fn data_end(content: &[u8], to_block: usize, is_rest: bool) -> usize {
    let longest = content.len().min(OBJECT_CUT_MAX_BYTES);
    let first = if to_block == 0 { BLOCK_BYTES } else { to_block };
    let starts = (first..longest).step_by(BLOCK_BYTES);
    let mut zeroes = starts.filter(|start| {
        let block = &content[*start..content.len().min(start + BLOCK_BYTES)];
        (block.len() == BLOCK_BYTES || is_rest) && is_zero(block)
    });
    zeroes.next().unwrap_or(longest)
}

/// Length of the object that `data` starts with.
fn cut(data: &[u8]) -> usize {
    let mut hash = 0_u64;
    let mut roll = |from: usize, to: usize, mask: u64| {
        let bytes = data.get(from..to.min(data.len())).unwrap_or_default();
        let ends = bytes.iter().position(|byte| {
            hash = (hash << 1).wrapping_add(GEAR[*byte as usize]);
            hash & mask == 0
        });
        ends.map(|at| from + at + 1)
    };
    roll(OBJECT_CUT_MIN_BYTES, OBJECT_CUT_USUAL_BYTES, MASK_HARD)
        .or_else(|| roll(OBJECT_CUT_USUAL_BYTES, OBJECT_CUT_MAX_BYTES, MASK_EASY))
        .unwrap_or(data.len())
}

/// 256 numbers without a pattern: splitmix64 from zero.
const GEAR: [u64; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    let mut state = 0_u64;
    while index < table.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[index] = mixed ^ (mixed >> 31);
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8 | 1
        };
        core::iter::repeat_with(next).take(length).collect()
    }

    /// All pieces of a file, seen through windows of `window` bytes.
    fn pieces(file: &[u8], window: usize) -> Vec<Piece> {
        let (mut at, mut pieces) = (0, Vec::new());
        while at < file.len() {
            let end = file.len().min(at + window);
            let piece = next_piece(&file[at..end], at as u64, end == file.len()).unwrap();
            let (Piece::Zero { length } | Piece::Data { length }) = piece;
            at += length;
            match (pieces.last_mut(), piece) {
                (Some(Piece::Zero { length: before }), Piece::Zero { length }) => *before += length,
                _ => pieces.push(piece),
            }
        }
        pieces
    }

    #[test]
    fn small_files_are_one_object_and_zeroes_are_none() {
        let data = |length| Piece::Data { length };
        let zero = |length| Piece::Zero { length };
        let noise = noise(40_000, 1);
        let block = [0; BLOCK_BYTES];
        let table = [
            (vec![], vec![]),
            (vec![0; 9000], vec![zero(9000)]),
            (noise[..30_000].to_vec(), vec![data(30_000)]),
            ([&noise[..8192], &block, b"x"].concat(), vec![data(8192), zero(4096), data(1)]),
            // Zeroes that fill no block of the file are data.
            ([&noise[..100], &block, b"x"].concat(), vec![data(4197)]),
            ([&noise[..8192], &[0; 5][..]].concat(), vec![data(8192), zero(5)]),
        ];
        for (file, expected) in table {
            assert_eq!(pieces(&file, LOOK_AHEAD_BYTES), expected);
        }
    }

    #[test]
    fn an_insertion_changes_the_cuts_around_it_only() {
        let file = noise(4 << 20, 7);
        let more = [&file[..1_000_000], b"inserted", &file[1_000_000..]].concat();
        let objects = |file: &[u8]| {
            let (mut at, mut found) = (0, Vec::new());
            for piece in pieces(file, LOOK_AHEAD_BYTES) {
                let (Piece::Zero { length } | Piece::Data { length }) = piece;
                found.push(file[at..at + length].to_vec());
                at += length;
            }
            found
        };
        let (before, after) = (objects(&file), objects(&more));
        let new = after.iter().filter(|object| !before.contains(object)).count();
        assert!(new <= 3, "{new} of {} objects are new", after.len());
        let mean = file.len() / before.len();
        assert!((48 << 10..96 << 10).contains(&mean), "{mean} bytes on average");
    }

    proptest! {
        #[test]
        fn cuts_do_not_depend_on_the_window(
            parts in prop::collection::vec((1_usize..200_000, prop::bool::ANY), 0..6),
            more in 0_usize..300_000,
        ) {
            let parts: Vec<Vec<u8>> = parts
                .iter()
                .map(|(length, zero)| if *zero { vec![0; *length] } else { noise(*length, 3) })
                .collect();
            let file = parts.concat();
            let expected = pieces(&file, file.len().max(LOOK_AHEAD_BYTES));
            prop_assert_eq!(pieces(&file, LOOK_AHEAD_BYTES + more), expected.clone());
            let length = |piece: &Piece| match piece {
                Piece::Zero { length } | Piece::Data { length } => *length,
            };
            prop_assert_eq!(expected.iter().map(length).sum::<usize>(), file.len());
            for piece in &expected {
                let is_zero = matches!(piece, Piece::Zero { .. });
                prop_assert!(is_zero || length(piece) <= OBJECT_CUT_MAX_BYTES);
            }
        }
    }
}
