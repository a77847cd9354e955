//! The parts of a run's file: blocks with their checks, and what follows them.

use super::{BLOCK_BYTES, BLOCK_RECORDS, RECORD_BYTES, Record, RunError};
use crate::map::PackRef;
use crate::{Digest, FormatError};
use std::fs::File;
use std::os::unix::fs::FileExt;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Counts and magic: the end of a run, bytes.
const TRAILER_BYTES: usize = 24;

const MAGIC: [u8; 8] = *b"inaugix1";

/// What a pack takes in a run's table, bytes.
const PACK_BYTES: usize = Digest::LEN + 8;

/// No run is made of more packs than this: its table is held in memory while a push runs.
pub(super) const PACKS_MAX: u64 = 1 << 20;

/// The digest that each so-many-th block starts with is known without reading: 8 bytes of
/// memory for 2336 records, and a look-up reads one block more often than two.
pub(super) const FENCE_BLOCKS: u64 = 32;

/// A block of a run.
pub(super) type Block = [u8; BLOCK_BYTES];

/// What follows the blocks.
pub(super) struct End {
    /// How many records there are.
    pub(super) records: u64,
    /// The packs, in order of their digests.
    pub(super) packs: Vec<PackRef>,
    /// For each [`FENCE_BLOCKS`]th block, the prefix of its first digest.
    pub(super) fences: Vec<u64>,
}

impl End {
    /// Reads the end of the run in `file`, whose name is `name`.
    pub(super) fn read(file: &File, name: &Digest) -> Result<Self, RunError> {
        let size = file.metadata()?.len();
        let (records, packs) = read_trailer(file, size)?;
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
        Ok(Self { records, packs: read_table(table), fences })
    }

    /// As bytes; their digest is the run's name.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = encode_table(&self.packs);
        bytes.extend(self.fences.iter().flat_map(|fence| fence.to_le_bytes()));
        bytes.extend_from_slice(&self.records.to_le_bytes());
        bytes.extend_from_slice(&(self.packs.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&MAGIC);
        bytes
    }

    /// How many blocks the records take.
    pub(super) fn blocks(&self) -> u64 {
        self.records.div_ceil(BLOCK_RECORDS as u64)
    }

    /// How many records a block has: all are full but the last.
    pub(super) fn records_in(&self, block: u64) -> usize {
        (self.records - block * BLOCK_RECORDS as u64).min(BLOCK_RECORDS as u64) as usize
    }
}

/// What the checks of a run of `packs` are seeded with.
pub(super) fn seed(packs: &[PackRef]) -> u64 {
    let digest = Digest::of(&encode_table(packs));
    digest.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// A record of a block.
pub(super) fn record(block: &Block, index: usize) -> Record {
    let mut bytes = [0; RECORD_BYTES];
    bytes.copy_from_slice(&block[index * RECORD_BYTES..][..RECORD_BYTES]);
    Record::decode(&bytes)
}

/// Puts the check at the end of `block`.
pub(super) fn seal_block(block: &mut Block, number: u64, seed: u64) {
    let check = block_check(block, number, seed);
    block[BLOCK_BYTES - 8..].copy_from_slice(&check);
}

fn block_check(block: &Block, number: u64, seed: u64) -> [u8; 8] {
    xxh3_64_with_seed(&block[..BLOCK_BYTES - 8], seed ^ number).to_le_bytes()
}

/// Compares the check at the end of `block`.
pub(super) fn check_block(block: &Block, number: u64, seed: u64) -> Result<(), FormatError> {
    let (expected, found) = (block_check(block, number, seed), &block[BLOCK_BYTES - 8..]);
    if expected == *found {
        return Ok(());
    }
    let at = number * BLOCK_BYTES as u64;
    Err(wrong("check", at, &expected.escape_ascii(), &found.escape_ascii()))
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
