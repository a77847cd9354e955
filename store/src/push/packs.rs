//! New packs: frames in order, each pack closed when it is full.

use super::PushError;
use super::spool::Spool;
use super::tally::Tally;
use crate::dir::index::Spot;
use crate::dir::temp::{self, TempFile};
use crate::dir::{DirError, DirStore};
use crate::map::PackRef;
use crate::pack::{HEADER, IndexWriter};
use crate::{Digest, Hasher};

/// A pack is closed when it has this many bytes: few files for a server and a bucket,
/// and none that a tool with 32-bit sizes cannot handle.
pub(crate) const PACK_CLOSE_BYTES: u64 = 2_000_000_000;

/// A pack is closed when its index has this many bytes: it is held in memory until then.
/// Only content that compresses to a third comes here before [`PACK_CLOSE_BYTES`].
const INDEX_CLOSE_BYTES: u64 = 16 << 20;

/// A compressed frame and what is in it.
pub(crate) struct PackedFrame {
    /// The zstd frame.
    pub(crate) packed: Vec<u8>,
    /// The objects in it with their lengths.
    pub(crate) objects: Vec<(Digest, u32)>,
}

/// A pack that is durable, but does not have its name yet.
pub(crate) struct NewPack {
    /// Its name and length.
    pub(crate) pack: PackRef,
    /// Its file.
    pub(crate) file: TempFile,
}

/// All that was written.
pub(crate) struct Written<'a> {
    /// The packs.
    pub(crate) packs: Vec<NewPack>,
    /// The frames in order, as [`Spot`]s; `pack` counts from the first new pack.
    pub(crate) frames: Spool<'a>,
}

/// Writes `frames` to packs in the store's `tmp`, and makes them durable.
pub(super) fn write_packs<'a>(
    store: &'a DirStore,
    frames: impl Iterator<Item = std::io::Result<PackedFrame>>,
    tally: &Tally<'_>,
) -> Result<Written<'a>, PushError> {
    let mut written =
        Written { packs: Vec::new(), frames: Spool::new(store, "the list of new frames") };
    let mut open: Option<OpenPack> = None;
    for frame in frames {
        let frame = frame.map_err(PushError::Compress)?;
        let bytes = frame.packed.len() as u64;
        tally.writing(|| -> Result<(), PushError> {
            let mut pack = match open.take() {
                Some(pack) => pack,
                None => OpenPack::create(store)?,
            };
            let number = written.packs.len() as u32;
            written.frames.write(&pack.append(number, &frame)?.encode())?;
            if pack.is_full(PACK_CLOSE_BYTES) {
                written.packs.push(pack.close()?);
            } else {
                open = Some(pack);
            }
            Ok(())
        })?;
        tally.packed(bytes);
    }
    if let Some(pack) = open {
        written.packs.push(tally.writing(|| pack.close())?);
    }
    Ok(written)
}

/// A pack that is being written.
pub(crate) struct OpenPack {
    file: TempFile,
    hasher: Hasher,
    size_bytes: u64,
    index: IndexWriter,
}

impl OpenPack {
    /// An empty one in the store's `tmp`.
    pub(crate) fn create(store: &DirStore) -> Result<Self, DirError> {
        let file = temp::create(store, "a pack")?;
        let (hasher, index) = (Hasher::new(), IndexWriter::default());
        let mut pack = Self { file, hasher, size_bytes: 0, index };
        pack.write(&HEADER)?;
        Ok(pack)
    }

    /// Adds a frame; returns where it lies in the pack with this number.
    pub(crate) fn append(&mut self, pack: u32, frame: &PackedFrame) -> Result<Spot, DirError> {
        let offset_bytes = self.size_bytes;
        self.write(&frame.packed)?;
        let packed_bytes = frame.packed.len() as u32;
        self.index.add(packed_bytes, &frame.objects);
        let raw_bytes = frame.objects.iter().map(|(_, length)| length).sum();
        Ok(Spot { pack, offset_bytes, packed_bytes, raw_bytes, at_bytes: 0 })
    }

    /// Whether it has `close_bytes`, or an index as long as one may be held.
    pub(crate) fn is_full(&self, close_bytes: u64) -> bool {
        self.size_bytes >= close_bytes || self.index.size_bytes() >= INDEX_CLOSE_BYTES
    }

    /// How long it is by now, bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Ends it with its index, durable.
    pub(crate) fn close(mut self) -> Result<NewPack, DirError> {
        for part in std::mem::take(&mut self.index).finish() {
            self.write(&part)?;
        }
        self.file.sync()?;
        let pack = PackRef { digest: self.hasher.finish(), size_bytes: self.size_bytes };
        Ok(NewPack { pack, file: self.file })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DirError> {
        self.file.write(bytes)?;
        self.hasher.update(bytes);
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }
}
