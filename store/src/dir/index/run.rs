//! A run: opened, looked into, read in order.

use super::{BLOCK_BYTES, BLOCK_RECORDS, RECORD_BYTES, Record, prefix};
use crate::map::PackRef;
use crate::{Digest, FormatError};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Counts and magic: the end of a run, bytes.
const TRAILER_BYTES: usize = 24;

const MAGIC: [u8; 8] = *b"inaugix1";

/// What a pack takes in a run's table, bytes.
const PACK_BYTES: usize = Digest::LEN + 8;

/// No run is made of more packs than this: its table is held in memory while a push runs.
const PACKS_MAX: u64 = 1 << 20;

/// Digests are spread evenly, so a guess of where one lies is right after one or two; after
/// this many the place is halved instead, so that no content makes a look-up long.
const GUESSES_MAX: u32 = 8;

/// The digest that each so-many-th block starts with is known without reading: 8 bytes of
/// memory for 2336 records, and a look-up reads one block more often than two.
pub(super) const FENCE_BLOCKS: u64 = 32;

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
#[derive(Debug)]
pub(crate) struct Run {
    file: File,
    seed: u64,
    records: u64,
    packs: Vec<PackRef>,
    /// For each [`FENCE_BLOCKS`]th block, the prefix of its first digest.
    fences: Vec<u64>,
}

type Block = [u8; BLOCK_BYTES];

impl Run {
    /// Opens the run in `file`, whose name is `name`.
    pub(crate) fn open(file: File, name: &Digest) -> Result<Self, RunError> {
        let size = file.metadata()?.len();
        let (records, packs) = read_trailer(&file, size)?;
        let blocks = records.div_ceil(BLOCK_RECORDS as u64);
        let table_bytes = packs * PACK_BYTES as u64;
        let end = table_bytes + blocks.div_ceil(FENCE_BLOCKS) * 8 + TRAILER_BYTES as u64;
        let expected = blocks.saturating_mul(BLOCK_BYTES as u64).saturating_add(end);
        if expected != size {
            return Err(wrong("length", 0, &expected, &size).into());
        }
        let mut bytes = vec![0; end as usize];
        file.read_exact_at(&mut bytes, size - end)?;
        let found = Digest::of(&bytes);
        if found != *name {
            return Err(wrong("name", size - end, name, &found).into());
        }
        let (table, fences) = bytes[..bytes.len() - TRAILER_BYTES].split_at(table_bytes as usize);
        let fences = fences.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let (packs, seed) = (read_table(table), seed_of(table));
        Ok(Self { file, seed, records, packs, fences })
    }

    /// A run that was just written.
    pub(super) fn from_parts(
        file: File,
        records: u64,
        packs: Vec<PackRef>,
        fences: Vec<u64>,
    ) -> Self {
        Self { file, seed: seed(&packs), records, packs, fences }
    }

    /// How many records it has.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// The packs it is made of: a [`super::Spot`]'s pack is a number of this table.
    pub(crate) fn packs(&self) -> &[PackRef] {
        &self.packs
    }

    /// Hands every record of `digest` to `take`, in order, until it says that it has enough.
    pub(crate) fn find(
        &self,
        digest: &Digest,
        take: &mut dyn FnMut(&Record) -> bool,
    ) -> Result<(), RunError> {
        let mut block = [0; BLOCK_BYTES];
        let Some(mut number) = self.locate(digest, &mut block)? else { return Ok(()) };
        while number > 0 && self.record(&block, number, 0).digest == *digest {
            number -= 1;
            self.read_block(number, &mut block)?;
        }
        loop {
            for index in 0..self.records_in(number) {
                let record = self.record(&block, number, index);
                if record.digest > *digest || record.digest == *digest && take(&record) {
                    return Ok(());
                }
            }
            number += 1;
            if number == self.blocks() {
                return Ok(());
            }
            self.read_block(number, &mut block)?;
        }
    }

    /// A block whose first and last record enclose `digest`, read into `block`.
    fn locate(&self, digest: &Digest, block: &mut Block) -> Result<Option<u64>, RunError> {
        let key = prefix(digest);
        let below = self.fences.partition_point(|fence| *fence < key).saturating_sub(1);
        let above = self.fences.partition_point(|fence| *fence <= key);
        let mut low = below as u64 * FENCE_BLOCKS;
        let mut high = (above as u64 * FENCE_BLOCKS).min(self.blocks());
        let mut low_key = self.fences.get(below).copied().unwrap_or(0).min(key);
        let mut high_key = self.fences.get(above).copied().unwrap_or(u64::MAX);
        let mut guesses = 0;
        while low < high {
            let number = match guesses {
                0..GUESSES_MAX => guess(key, low..high, low_key, high_key),
                _ => low + (high - low) / 2,
            };
            guesses += 1;
            self.read_block(number, block)?;
            let first = self.record(block, number, 0).digest;
            let last = self.record(block, number, self.records_in(number) - 1).digest;
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

    fn blocks(&self) -> u64 {
        self.records.div_ceil(BLOCK_RECORDS as u64)
    }

    /// All blocks are full but the last.
    fn records_in(&self, block: u64) -> usize {
        (self.records - block * BLOCK_RECORDS as u64).min(BLOCK_RECORDS as u64) as usize
    }

    fn record(&self, block: &Block, number: u64, index: usize) -> Record {
        debug_assert!(index < self.records_in(number));
        record_of(block, index)
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
        if self.block >= self.run.blocks() {
            return None;
        }
        let record = self.read();
        self.index += 1;
        if record.is_err() {
            self.block = u64::MAX;
        } else if self.index == self.run.records_in(self.block) {
            (self.block, self.index) = (self.block + 1, 0);
        }
        Some(record)
    }
}

impl Records<'_> {
    fn read(&mut self) -> Result<Record, RunError> {
        let within = (self.block % READ_BLOCKS as u64) as usize * BLOCK_BYTES;
        if within == 0 && self.index == 0 {
            let count = (self.run.blocks() - self.block).min(READ_BLOCKS as u64);
            self.buffer.resize(count as usize * BLOCK_BYTES, 0);
            self.run.file.read_exact_at(&mut self.buffer, self.block * BLOCK_BYTES as u64)?;
        }
        let bytes = self.buffer.get(within..).and_then(|rest| rest.first_chunk());
        let Some(block) = bytes else { return Err(io::Error::other("no block read").into()) };
        if self.index == 0 {
            check_block(block, self.block, self.run.seed)?;
        }
        Ok(record_of(block, self.index))
    }
}

fn record_of(block: &Block, index: usize) -> Record {
    let mut bytes = [0; RECORD_BYTES];
    bytes.copy_from_slice(&block[index * RECORD_BYTES..][..RECORD_BYTES]);
    Record::decode(&bytes)
}

/// Where among the blocks `key` would lie if keys were spread evenly between those known.
fn guess(key: u64, blocks: std::ops::Range<u64>, low_key: u64, high_key: u64) -> u64 {
    let width = u128::from(high_key.saturating_sub(low_key)) + 1;
    let ahead = u128::from(key.saturating_sub(low_key)).min(width - 1);
    let count = blocks.end - blocks.start;
    blocks.start + (ahead * u128::from(count) / width) as u64
}

/// Puts the check at the end of `block`.
pub(super) fn seal_block(block: &mut Block, number: u64, seed: u64) {
    let check = block_check(block, number, seed);
    block[BLOCK_BYTES - 8..].copy_from_slice(&check);
}

fn block_check(block: &Block, number: u64, seed: u64) -> [u8; 8] {
    xxh3_64_with_seed(&block[..BLOCK_BYTES - 8], seed ^ number).to_le_bytes()
}

fn check_block(block: &Block, number: u64, seed: u64) -> Result<(), FormatError> {
    let (expected, found) = (block_check(block, number, seed), &block[BLOCK_BYTES - 8..]);
    if expected == *found {
        return Ok(());
    }
    let at = number * BLOCK_BYTES as u64;
    Err(wrong("check", at, &expected.escape_ascii(), &found.escape_ascii()))
}

/// What follows the blocks of a run.
pub(super) fn encode_end(records: u64, packs: &[PackRef], fences: &[u64]) -> Vec<u8> {
    let mut bytes = encode_table(packs);
    bytes.extend(fences.iter().flat_map(|fence| fence.to_le_bytes()));
    bytes.extend_from_slice(&records.to_le_bytes());
    bytes.extend_from_slice(&(packs.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&MAGIC);
    bytes
}

/// What the checks of a run of `packs` are seeded with.
pub(super) fn seed(packs: &[PackRef]) -> u64 {
    seed_of(&encode_table(packs))
}

fn seed_of(table: &[u8]) -> u64 {
    let digest = Digest::of(table);
    digest.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn encode_table(packs: &[PackRef]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(packs.len() * PACK_BYTES + TRAILER_BYTES);
    for pack in packs {
        bytes.extend_from_slice(pack.digest.as_bytes());
        bytes.extend_from_slice(&pack.size_bytes.to_le_bytes());
    }
    bytes
}

fn read_table(bytes: &[u8]) -> Vec<PackRef> {
    let (packs, _) = bytes.as_chunks::<PACK_BYTES>();
    let pack = |bytes: &[u8; PACK_BYTES]| {
        let (mut digest, mut size) = ([0; Digest::LEN], [0; 8]);
        digest.copy_from_slice(&bytes[..Digest::LEN]);
        size.copy_from_slice(&bytes[Digest::LEN..]);
        PackRef { digest: Digest::from_bytes(digest), size_bytes: u64::from_le_bytes(size) }
    };
    packs.iter().map(pack).collect()
}

/// Counts of records and packs.
fn read_trailer(file: &File, size: u64) -> Result<(u64, u64), RunError> {
    let Some(at) = size.checked_sub(TRAILER_BYTES as u64) else {
        return Err(wrong("length", 0, &format!("at least {TRAILER_BYTES}"), &size).into());
    };
    let mut bytes = [0; TRAILER_BYTES];
    file.read_exact_at(&mut bytes, at)?;
    let ([records, packs, magic], _) = bytes.as_chunks::<8>() else {
        return Err(wrong("end", at, &"24 bytes", &"others").into());
    };
    if *magic != MAGIC {
        let (expected, found) = (MAGIC.escape_ascii(), magic.escape_ascii());
        return Err(wrong("magic", at + 16, &expected, &found).into());
    }
    let (records, packs) = (u64::from_le_bytes(*records), u64::from_le_bytes(*packs));
    if packs > PACKS_MAX {
        return Err(wrong("packs", at + 8, &format!("at most {PACKS_MAX}"), &packs).into());
    }
    Ok((records, packs))
}

fn wrong(
    field: &str,
    at: u64,
    expected: &dyn std::fmt::Display,
    found: &dyn std::fmt::Display,
) -> FormatError {
    let (expected, found) = (expected.to_string(), found.to_string());
    FormatError { what: format!("index run: {field}"), at, expected, found }
}
