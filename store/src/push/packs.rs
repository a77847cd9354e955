//! New packs: frames in order, each pack closed when it is full.

use super::PushError;
use super::spool::Spool;
use super::tally::Tally;
use crate::dir::DirStore;
use crate::dir::index::Spot;
use crate::dir::temp::{self, TempFile};
use crate::map::PackRef;
use crate::pack::{HEADER, IndexWriter};
use crate::{Digest, Hasher};

/// A pack is closed when it has this many bytes: few files for a server and a bucket,
/// and none that a tool with 32-bit sizes cannot handle.
const PACK_CLOSE_BYTES: u64 = 2_000_000_000;

/// A pack is closed when its index has this many bytes: it is held in memory until then.
/// Only content that compresses to a third comes here before [`PACK_CLOSE_BYTES`].
const INDEX_CLOSE_BYTES: u64 = 16 << 20;

/// A compressed frame and what is in it.
pub(super) struct PackedFrame {
    /// The zstd frame.
    pub(super) packed: Vec<u8>,
    /// The objects in it with their lengths.
    pub(super) objects: Vec<(Digest, u32)>,
}

/// A pack that is durable, but does not have its name yet.
pub(super) struct NewPack {
    /// Its name and length.
    pub(super) pack: PackRef,
    /// Its file.
    pub(super) file: TempFile,
}

/// All that was written.
pub(super) struct Written<'a> {
    /// The packs.
    pub(super) packs: Vec<NewPack>,
    /// The frames in order, as [`Spot`]s; `pack` counts from the first new pack.
    pub(super) frames: Spool<'a>,
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
            if pack.is_full() {
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

struct OpenPack {
    file: TempFile,
    hasher: Hasher,
    size_bytes: u64,
    index: IndexWriter,
}

impl OpenPack {
    fn create(store: &DirStore) -> Result<Self, PushError> {
        let file = temp::create(store, "a pack")?;
        let (hasher, index) = (Hasher::new(), IndexWriter::default());
        let mut pack = Self { file, hasher, size_bytes: 0, index };
        pack.write(&HEADER)?;
        Ok(pack)
    }

    fn append(&mut self, pack: u32, frame: &PackedFrame) -> Result<Spot, PushError> {
        let offset_bytes = self.size_bytes;
        self.write(&frame.packed)?;
        let packed_bytes = frame.packed.len() as u32;
        self.index.add(packed_bytes, &frame.objects);
        let raw_bytes = frame.objects.iter().map(|(_, length)| length).sum();
        Ok(Spot { pack, offset_bytes, packed_bytes, raw_bytes, at_bytes: 0 })
    }

    fn is_full(&self) -> bool {
        self.size_bytes >= PACK_CLOSE_BYTES || self.index.size_bytes() >= INDEX_CLOSE_BYTES
    }

    fn close(mut self) -> Result<NewPack, PushError> {
        for part in std::mem::take(&mut self.index).finish() {
            self.write(&part)?;
        }
        self.file.sync()?;
        let pack = PackRef { digest: self.hasher.finish(), size_bytes: self.size_bytes };
        Ok(NewPack { pack, file: self.file })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PushError> {
        self.file.write(bytes)?;
        self.hasher.update(bytes);
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }
}
