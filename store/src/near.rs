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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// A pack is closed, and durable, when it has this many bytes: what a cut loses at most, and the
/// grain in which room is made.
const PACK_CLOSE_BYTES: u64 = 64 << 20;

/// Objects kept near.
pub struct Near {
    store: DirStore,
    /// Those that were of use last first.
    packs: Vec<PackRef>,
    /// Packs that made room, by number.
    gone: Vec<AtomicBool>,
    index: Index,
    max_bytes: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<OpenPack>,
    /// Bytes of the packs that this run has closed.
    closed_bytes: u64,
    /// Bytes of the packs that were there before, and still are.
    old_bytes: u64,
    /// Packs that were read from, by number.
    used: BTreeSet<u32>,
    removed_packs: u64,
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
    /// Opens the store in `path`, or makes one; it is to have at most `max_bytes` of packs. One that
    /// has labels is refused.
    pub fn open(path: &Path, max_bytes: u64) -> Result<Self, DirError> {
        let store = DirStore::create(path)?;
        if let Some(label) = store.labels("*")?.first() {
            // What makes room here knows of no labels.
            let found = format!("the label {label}");
            return Err(DirError::Occupied { path: path.to_owned(), found });
        }
        temp::clean(&store)?;
        let packs = by_use(&store)?;
        let index = Index::read(&store, &packs);
        let gone = packs.iter().map(|_| AtomicBool::new(false)).collect();
        let old_bytes = packs.iter().map(|pack| pack.size_bytes).sum();
        let state = Mutex::new(State { old_bytes, ..State::default() });
        Ok(Self { store, packs, gone, index, max_bytes, state })
    }

    /// The same, called `name`, where the path says nothing to people.
    #[must_use]
    pub fn called(self, name: &str) -> Self {
        Self { store: self.store.called(name), ..self }
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
        let found = self.index.find(digest)?;
        let gone = self.gone.get(found.0.pack as usize)?;
        (!gone.load(Ordering::Relaxed)).then_some(found)
    }

    /// Notes that the pack with this number was of use.
    pub fn used(&self, pack: u32) {
        self.state().used.insert(pack);
    }

    /// Keeps a frame: `packed` is a zstd frame of `objects` one after another. Packs that were of use
    /// the longest time ago, and not in this run, make room for it; says whether there was any.
    pub fn keep(&self, packed: &[u8], objects: &[(Digest, u32)]) -> Result<bool, DirError> {
        let mut state = self.state();
        if !self.make_room(&mut state, packed.len() as u64)? {
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
        self.make_room(&mut state, 0)?;
        Ok(Kept {
            kept_bytes: state.closed_bytes,
            removed_packs: state.removed_packs,
            size_bytes: state.old_bytes + state.closed_bytes,
        })
    }

    /// Ends a pack and gives it its name; returns its length, bytes.
    fn close(&self, pack: OpenPack) -> Result<u64, DirError> {
        let new = pack.close()?;
        new.file.rename(&self.store, &Item::Pack(new.pack.digest))?;
        temp::sync_directory(&self.store.path().join("packs"))?;
        Ok(new.pack.size_bytes)
    }

    /// Removes packs until so many bytes more fit; says whether they do.
    fn make_room(&self, state: &mut State, more_bytes: u64) -> Result<bool, DirError> {
        let open_bytes = state.open.as_ref().map_or(0, OpenPack::size_bytes);
        let new_bytes = state.closed_bytes + open_bytes + more_bytes;
        if new_bytes > self.max_bytes {
            return Ok(false);
        }
        for (number, pack) in self.packs.iter().enumerate().rev() {
            if new_bytes + state.old_bytes <= self.max_bytes {
                break;
            }
            let is_used = state.used.contains(&(number as u32));
            if is_used || self.gone[number].swap(true, Ordering::Relaxed) {
                continue;
            }
            let path = self.path(&pack.digest);
            fs::remove_file(&path).map_err(DirError::io("remove", &path))?;
            state.old_bytes -= pack.size_bytes;
            state.removed_packs += 1;
        }
        Ok(new_bytes + state.old_bytes <= self.max_bytes)
    }

    fn path(&self, pack: &Digest) -> std::path::PathBuf {
        self.store.path().join(Item::Pack(*pack).path())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The packs of a store, those first that were modified last.
fn by_use(store: &DirStore) -> Result<Vec<PackRef>, DirError> {
    let mut packs = Vec::new();
    for pack in store.packs_with_sizes()? {
        let path = store.path().join(Item::Pack(pack.digest).path());
        let metadata = fs::metadata(&path).map_err(DirError::io("look at", &path))?;
        packs.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), pack));
    }
    packs.sort();
    Ok(packs.into_iter().rev().map(|(_, pack)| pack).collect())
}
