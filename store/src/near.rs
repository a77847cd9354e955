//! A store beside the target that keeps what was fetched from far: objects only, no labels.
//!
//! It is a store directory like any other, of a bounded size: the packs that were not read for the
//! longest time are removed first. What it gives is hashed like what any store gives.

mod index;

use crate::Digest;
use crate::dir::touch::touch;
use crate::dir::{DirError, DirStore, temp};
use crate::map::{FrameRef, PackRef};
use crate::push::packs::{OpenPack, PackedFrame};
use crate::source::Item;
use index::Index;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// A pack is closed, and durable, when it has this many bytes: what a cut loses at most, and the
/// grain in which room is made.
const PACK_CLOSE_BYTES: u64 = 64 << 20;

/// Objects kept near.
pub struct Near {
    store: DirStore,
    packs: Vec<PackRef>,
    index: Index,
    max_bytes: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<OpenPack>,
    /// Bytes of the packs that this run has closed.
    closed_bytes: u64,
    /// Packs that were read from, by number.
    used: BTreeSet<u32>,
}

/// What a [`Near`] kept and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Bytes of new packs.
    pub kept_bytes: u64,
    /// Packs that made room.
    pub removed_packs: u64,
    /// Bytes of all packs now.
    pub size_bytes: u64,
}

impl Near {
    /// Opens the store in `path`, or makes one; it is to have at most `max_bytes` of packs.
    pub fn open(path: &Path, max_bytes: u64) -> Result<Self, DirError> {
        let store = DirStore::create(path)?;
        temp::clean(&store)?;
        let packs = store.packs_with_sizes()?;
        let index = Index::read(&store, &packs)?;
        Ok(Self { store, packs, index, max_bytes, state: Mutex::default() })
    }

    /// The store, to read its packs.
    pub fn store(&self) -> &DirStore {
        &self.store
    }

    /// The packs it had when it was opened; a frame's `pack` is a number of this table.
    pub fn packs(&self) -> &[PackRef] {
        &self.packs
    }

    /// The frame that holds the object, and where it starts in there, bytes.
    pub fn find(&self, digest: &Digest) -> Option<(FrameRef, u32)> {
        self.index.find(digest)
    }

    /// Notes that the pack with this number was of use.
    pub fn used(&self, pack: u32) {
        self.state().used.insert(pack);
    }

    /// Keeps a frame: `packed` is a zstd frame of `objects` one after another. Says whether there
    /// was room for it.
    pub fn keep(&self, packed: &[u8], objects: &[(Digest, u32)]) -> Result<bool, DirError> {
        let mut state = self.state();
        let open_bytes = state.open.as_ref().map_or(0, OpenPack::size_bytes);
        if state.closed_bytes + open_bytes + packed.len() as u64 > self.max_bytes {
            return Ok(false);
        }
        let mut pack = match state.open.take() {
            Some(pack) => pack,
            None => OpenPack::create(&self.store)?,
        };
        let frame = PackedFrame { packed: packed.to_vec(), objects: objects.to_vec() };
        pack.append(0, &frame)?;
        if pack.size_bytes() < PACK_CLOSE_BYTES {
            state.open = Some(pack);
            return Ok(true);
        }
        state.closed_bytes += self.close(pack)?;
        Ok(true)
    }

    /// Makes durable what was kept, and room where there is too much.
    pub fn finish(&self) -> Result<Kept, DirError> {
        let mut state = self.state();
        if let Some(open) = state.open.take() {
            state.closed_bytes += self.close(open)?;
        }
        for pack in std::mem::take(&mut state.used) {
            if let Some(pack) = self.packs.get(pack as usize) {
                touch(&self.path(&pack.digest))?;
            }
        }
        let (removed_packs, size_bytes) = self.make_room()?;
        Ok(Kept { kept_bytes: state.closed_bytes, removed_packs, size_bytes })
    }

    /// Ends a pack and gives it its name; returns its length, bytes.
    fn close(&self, pack: OpenPack) -> Result<u64, DirError> {
        let new = pack.close()?;
        new.file.rename(&self.store, &Item::Pack(new.pack.digest))?;
        temp::sync_directory(&self.store.path().join("packs"))?;
        Ok(new.pack.size_bytes)
    }

    /// Removes the packs that were of use the longest time ago; returns how many, and the bytes
    /// that stay.
    fn make_room(&self) -> Result<(u64, u64), DirError> {
        let mut packs = Vec::new();
        for pack in self.store.packs_with_sizes()? {
            let path = self.path(&pack.digest);
            let metadata = fs::metadata(&path).map_err(DirError::io("look at", &path))?;
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            packs.push((modified, pack));
        }
        packs.sort();
        let mut size_bytes: u64 = packs.iter().map(|(_, pack)| pack.size_bytes).sum();
        let mut removed = 0;
        for (_, pack) in packs {
            if size_bytes <= self.max_bytes {
                break;
            }
            let path = self.path(&pack.digest);
            fs::remove_file(&path).map_err(DirError::io("remove", &path))?;
            size_bytes -= pack.size_bytes;
            removed += 1;
        }
        Ok((removed, size_bytes))
    }

    fn path(&self, pack: &Digest) -> std::path::PathBuf {
        self.store.path().join(Item::Pack(*pack).path())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
