//! Records from the indexes of packs.

use super::spills::Spills;
use super::write::Written;
use super::{Record, Spot};
use crate::dir::packs::{IndexError, each_frame};
use crate::dir::{DirError, DirStore};
use crate::map::PackRef;
use crate::pack::Frame;
use crate::source::Item;
use std::fs::File;

/// Records that are sorted in memory at once: 7 MB.
const SORT_RECORDS: usize = 128 << 10;

/// Puts records that come in any order into a run, in little memory.
pub(crate) struct Sorter<'a> {
    spills: Spills<'a>,
    records: Vec<Record>,
}

impl<'a> Sorter<'a> {
    /// For records of `packs`, which are in order of their digests.
    pub(crate) fn new(store: &'a DirStore, packs: Vec<PackRef>) -> Self {
        Self { spills: Spills::new(store, packs), records: Vec::new() }
    }

    pub(super) fn push(&mut self, record: Record) -> Result<(), DirError> {
        self.records.push(record);
        if self.records.len() < SORT_RECORDS { Ok(()) } else { self.spills.add(&mut self.records) }
    }

    /// The run of them all.
    pub(crate) fn finish(mut self) -> Result<Option<Written>, DirError> {
        self.spills.add(&mut self.records)?;
        self.spills.finish()
    }
}

/// Adds what is in `pack`, whose number is `number`, to `sorter`. `false`: the pack cannot be
/// read; what was added of it must not be believed.
pub(crate) fn add_pack(
    store: &DirStore,
    pack: &PackRef,
    number: u32,
    sorter: &mut Sorter<'_>,
) -> Result<bool, DirError> {
    let mut failed = Ok(());
    let mut take = |frame: Frame| {
        let (mut at_bytes, raw_bytes) = (0, frame.raw_bytes());
        for (digest, length) in &frame.objects {
            let (offset_bytes, packed_bytes) = (frame.offset_bytes, frame.packed_bytes);
            let spot = Spot { pack: number, offset_bytes, packed_bytes, raw_bytes, at_bytes };
            at_bytes += length;
            if failed.is_ok() {
                failed = sorter.push(Record { digest: *digest, spot });
            }
        }
    };
    let path = store.path().join(Item::Pack(pack.digest).path());
    let read = File::open(path).map_err(IndexError::from);
    let size = read.and_then(|file| each_frame(&file, &mut take));
    failed?;
    Ok(size.is_ok_and(|size| size == pack.size_bytes))
}
