//! Runs being written: records in order into blocks, packs and counts at the end.

use super::layout::{End, FENCE_BLOCKS, seal_block, seed};
use super::run::Run;
use super::{BLOCK_BYTES, BLOCK_RECORDS, RECORD_BYTES, Record, prefix};
use crate::Digest;
use crate::dir::temp::{self, TempFile};
use crate::dir::{DirError, DirStore};
use crate::map::PackRef;

/// How much of a run is handed to the kernel at once, bytes.
const WRITE_BYTES: usize = 16 * BLOCK_BYTES;

/// A run in `tmp` that has no name yet.
pub(super) struct Writer {
    file: TempFile,
    packs: Vec<PackRef>,
    seed: u64,
    records: u64,
    last: Option<Record>,
    fences: Vec<u64>,
    blocks: u64,
    block: Vec<u8>,
    full: Vec<u8>,
}

impl Writer {
    /// Starts a run of records of `packs`, which are in order of their digests.
    pub(super) fn create(store: &DirStore, packs: Vec<PackRef>) -> Result<Self, DirError> {
        Ok(Self {
            file: temp::create(store, "a run of the index")?,
            seed: seed(&packs),
            packs,
            records: 0,
            last: None,
            fences: Vec::new(),
            blocks: 0,
            block: Vec::with_capacity(BLOCK_BYTES),
            full: Vec::with_capacity(WRITE_BYTES),
        })
    }

    /// Adds a record, which is not below the last. One place of an object in a pack is
    /// enough: the first.
    pub(super) fn push(&mut self, record: Record) -> Result<(), DirError> {
        let same = |last: Record| (last.digest, last.spot.pack);
        if self.last.map(same) == Some(same(record)) {
            return Ok(());
        }
        if self.block.is_empty() && self.blocks.is_multiple_of(FENCE_BLOCKS) {
            self.fences.push(prefix(&record.digest));
        }
        self.last = Some(record);
        self.records += 1;
        self.block.extend_from_slice(&record.encode());
        if self.block.len() < BLOCK_RECORDS * RECORD_BYTES {
            return Ok(());
        }
        self.end_block()
    }

    fn end_block(&mut self) -> Result<(), DirError> {
        let mut block = [0; BLOCK_BYTES];
        block[..self.block.len()].copy_from_slice(&self.block);
        seal_block(&mut block, self.blocks, self.seed);
        self.block.clear();
        self.blocks += 1;
        self.full.extend_from_slice(&block);
        if self.full.len() < WRITE_BYTES {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), DirError> {
        self.file.write(&self.full)?;
        self.full.clear();
        Ok(())
    }

    /// Ends the run. It is not synced: what a power cut leaves of it fails its checks.
    pub(super) fn finish(mut self) -> Result<Written, DirError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        self.flush()?;
        let end = End { records: self.records, packs: self.packs, fences: self.fences };
        let bytes = end.encode();
        self.file.write(&bytes)?;
        let run = Run::from_parts(self.file.reader()?, end);
        Ok(Written { run, name: Digest::of(&bytes), file: self.file })
    }
}

/// A run that was written and has no name yet; it is gone when this is dropped.
pub(crate) struct Written {
    /// To be read.
    pub(crate) run: Run,
    /// The name it is to have.
    pub(crate) name: Digest,
    /// Its file.
    pub(crate) file: TempFile,
}

/// Writes `records`, which are in order.
pub(crate) fn write_sorted(
    store: &DirStore,
    packs: Vec<PackRef>,
    records: impl Iterator<Item = Record>,
) -> Result<Written, DirError> {
    let mut writer = Writer::create(store, packs)?;
    for record in records {
        writer.push(record)?;
    }
    writer.finish()
}
