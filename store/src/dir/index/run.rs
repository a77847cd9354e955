//! A run: opened, looked into, read in order.

use super::layout::{Block, End, FENCE_BLOCKS, check_block, record, seed};
use super::{BLOCK_BYTES, Record, prefix};
use crate::map::PackRef;
use crate::{Digest, FormatError};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Digests are spread evenly, so a guess of where one lies is right after one or two; after
/// this many the place is halved instead, so that no content makes a look-up long.
const GUESSES_MAX: u32 = 8;

/// How many blocks are read at once where a run is read in order.
const READ_BLOCKS: usize = 16;

/// Why a run cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no run, or not a whole one.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// A run that is open. Its file may lose its name meanwhile.
pub(crate) struct Run {
    file: File,
    seed: u64,
    end: End,
}

impl Run {
    /// Opens the run in `file`, whose name is `name`.
    pub(crate) fn open(file: File, name: &Digest) -> Result<Self, RunError> {
        let end = End::read(&file, name)?;
        Ok(Self::from_parts(file, end))
    }

    /// A run whose end is known.
    pub(super) fn from_parts(file: File, end: End) -> Self {
        Self { file, seed: seed(&end.packs), end }
    }

    /// How many records it has.
    pub(crate) fn records(&self) -> u64 {
        self.end.records
    }

    /// The packs it is made of: a [`super::Spot`]'s pack is a number of this table.
    pub(crate) fn packs(&self) -> &[PackRef] {
        &self.end.packs
    }

    /// Hands every record of `digest` to `take`, in order, until it says that it has enough.
    pub(crate) fn find(
        &self,
        digest: &Digest,
        take: &mut dyn FnMut(&Record) -> bool,
    ) -> Result<(), RunError> {
        let mut block = [0; BLOCK_BYTES];
        let Some(mut number) = self.locate(digest, &mut block)? else { return Ok(()) };
        while number > 0 && record(&block, 0).digest == *digest {
            number -= 1;
            self.read_block(number, &mut block)?;
        }
        loop {
            for index in 0..self.end.records_in(number) {
                let record = record(&block, index);
                if record.digest > *digest || record.digest == *digest && take(&record) {
                    return Ok(());
                }
            }
            number += 1;
            if number == self.end.blocks() {
                return Ok(());
            }
            self.read_block(number, &mut block)?;
        }
    }

    /// A block whose first and last record enclose `digest`, read into `block`.
    fn locate(&self, digest: &Digest, block: &mut Block) -> Result<Option<u64>, RunError> {
        let key = prefix(digest);
        let below = self.end.fences.partition_point(|fence| *fence < key).saturating_sub(1);
        let above = self.end.fences.partition_point(|fence| *fence <= key);
        let mut low = below as u64 * FENCE_BLOCKS;
        let mut high = (above as u64 * FENCE_BLOCKS).min(self.end.blocks());
        let mut low_key = self.end.fences.get(below).copied().unwrap_or(0).min(key);
        let mut high_key = self.end.fences.get(above).copied().unwrap_or(u64::MAX);
        let mut guesses = 0;
        while low < high {
            let number = match guesses {
                0..GUESSES_MAX => guess(key, low..high, low_key, high_key),
                _ => low + (high - low) / 2,
            };
            guesses += 1;
            self.read_block(number, block)?;
            let first = record(block, 0).digest;
            let last = record(block, self.end.records_in(number) - 1).digest;
            if *digest < first {
                (high, high_key) = (number, prefix(&first));
            } else if *digest > last {
                (low, low_key) = (number + 1, prefix(&last));
            } else {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    fn read_block(&self, number: u64, block: &mut Block) -> Result<(), RunError> {
        self.file.read_exact_at(block, number * BLOCK_BYTES as u64)?;
        Ok(check_block(block, number, self.seed)?)
    }

    /// All records, in order; the first error ends them.
    pub(crate) fn iter(&self) -> Records<'_> {
        Records { run: self, buffer: Vec::new(), block: 0, index: 0 }
    }
}

/// Iterator over the records of a [`Run`].
pub(crate) struct Records<'a> {
    run: &'a Run,
    /// Blocks from a multiple of [`READ_BLOCKS`] on.
    buffer: Vec<u8>,
    block: u64,
    index: usize,
}

impl Iterator for Records<'_> {
    type Item = Result<Record, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.block >= self.run.end.blocks() {
            return None;
        }
        let record = self.read();
        self.index += 1;
        if record.is_err() {
            self.block = u64::MAX;
        } else if self.index == self.run.end.records_in(self.block) {
            (self.block, self.index) = (self.block + 1, 0);
        }
        Some(record)
    }
}

impl Records<'_> {
    fn read(&mut self) -> Result<Record, RunError> {
        let within = (self.block % READ_BLOCKS as u64) as usize * BLOCK_BYTES;
        if within == 0 && self.index == 0 {
            let count = (self.run.end.blocks() - self.block).min(READ_BLOCKS as u64);
            self.buffer.resize(count as usize * BLOCK_BYTES, 0);
            self.run.file.read_exact_at(&mut self.buffer, self.block * BLOCK_BYTES as u64)?;
        }
        let bytes = self.buffer.get(within..).and_then(|rest| rest.first_chunk());
        let Some(block) = bytes else { return Err(io::Error::other("no block read").into()) };
        if self.index == 0 {
            check_block(block, self.block, self.run.seed)?;
        }
        Ok(record(block, self.index))
    }
}

/// Where among the blocks `key` would lie if keys were spread evenly between those known.
fn guess(key: u64, blocks: std::ops::Range<u64>, low_key: u64, high_key: u64) -> u64 {
    let width = u128::from(high_key.saturating_sub(low_key)) + 1;
    let ahead = u128::from(key.saturating_sub(low_key)).min(width - 1);
    let count = blocks.end - blocks.start;
    blocks.start + (ahead * u128::from(count) / width) as u64
}
