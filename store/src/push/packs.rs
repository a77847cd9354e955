//! New packs: frames in order, each pack closed when it is full.

use super::PushError;
use super::catalog::Frame;
use super::tally::Tally;
use crate::dir::DirStore;
use crate::dir::temp::{self, TempFile};
use crate::map::PackRef;
use crate::pack::{self, HEADER, Index};
use crate::{Digest, Hasher};

/// A pack is closed when it has this many bytes: few files for a server and a bucket,
/// and none that a tool with 32-bit sizes cannot handle.
const PACK_CLOSE_BYTES: u64 = 2_000_000_000;

/// A pack is closed when its index has this many bytes, so that a reader can hold it; only
/// content that compresses to almost nothing comes here before [`PACK_CLOSE_BYTES`].
const INDEX_CLOSE_BYTES: u64 = 64 << 20;

/// What an object takes in an index at most, bytes: digest and varint.
const INDEX_OBJECT_BYTES: u64 = Digest::LEN as u64 + 3;

/// What a frame takes in an index besides its objects at most, bytes.
const INDEX_FRAME_BYTES: u64 = 6;

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
#[derive(Default)]
pub(super) struct Written {
    /// The packs.
    pub(super) packs: Vec<NewPack>,
    /// The frames in order; `pack` counts from the first new pack.
    pub(super) frames: Vec<Frame>,
}

/// Writes `frames` to packs in the store's `tmp`, and makes them durable.
pub(super) fn write_packs(
    store: &DirStore,
    frames: impl Iterator<Item = std::io::Result<PackedFrame>>,
    tally: &Tally<'_>,
) -> Result<Written, PushError> {
    let mut written = Written::default();
    let mut open: Option<OpenPack> = None;
    for frame in frames {
        let frame = frame.map_err(PushError::Compress)?;
        tally.writing(|| -> Result<(), PushError> {
            let mut pack = match open.take() {
                Some(pack) => pack,
                None => OpenPack::create(store)?,
            };
            let number = written.packs.len() as u32;
            written.frames.push(pack.append(number, frame)?);
            if pack.is_full() {
                written.packs.push(pack.close()?);
            } else {
                open = Some(pack);
            }
            Ok(())
        })?;
        let bytes = written.frames.last().map_or(0, |frame| u64::from(frame.packed_bytes));
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
    index: Index,
    index_bytes: u64,
}

impl OpenPack {
    fn create(store: &DirStore) -> Result<Self, PushError> {
        let file = temp::create(store, "a pack")?;
        let (hasher, index) = (Hasher::new(), Index::default());
        let mut pack = Self { file, hasher, size_bytes: 0, index, index_bytes: 0 };
        pack.write(&HEADER)?;
        Ok(pack)
    }

    fn append(&mut self, pack: u32, frame: PackedFrame) -> Result<Frame, PushError> {
        let offset_bytes = self.size_bytes;
        self.write(&frame.packed)?;
        let packed_bytes = frame.packed.len() as u32;
        self.index_bytes += INDEX_FRAME_BYTES + INDEX_OBJECT_BYTES * frame.objects.len() as u64;
        let indexed = pack::Frame { offset_bytes, packed_bytes, objects: frame.objects };
        let raw_bytes = indexed.raw_bytes();
        self.index.frames.push(indexed);
        Ok(Frame { pack, offset_bytes, packed_bytes, raw_bytes })
    }

    fn is_full(&self) -> bool {
        self.size_bytes >= PACK_CLOSE_BYTES || self.index_bytes >= INDEX_CLOSE_BYTES
    }

    fn close(mut self) -> Result<NewPack, PushError> {
        let index = self.index.encode();
        self.write(&index)?;
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
