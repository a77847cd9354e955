//! The packs of a directory store and their indexes.

use super::{DirError, DirStore};
use crate::Digest;
use crate::codec::FormatError;
use crate::map::PackRef;
use crate::pack::{Frame, HEADER, INDEX_HEAD_BYTES, Index, TAIL_BYTES, index_head};
use crate::source::Item;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// Why a pack's index could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no pack, or not a whole one.
    #[error(transparent)]
    Format(#[from] FormatError),
}

impl DirStore {
    /// The names of all packs, in order.
    pub(crate) fn packs(&self) -> Result<Vec<Digest>, DirError> {
        let directory = self.path().join("packs");
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).map_err(DirError::io("read", &directory))? {
            let entry = entry.map_err(DirError::io("read", &directory))?;
            names.extend(entry.file_name().to_str().and_then(|name| name.parse::<Digest>().ok()));
        }
        names.sort();
        Ok(names)
    }

    /// All packs with the lengths of their files, in order of their digests.
    pub(crate) fn packs_with_sizes(&self) -> Result<Vec<PackRef>, DirError> {
        let packs = self.packs()?.into_iter();
        packs.filter_map(|digest| self.pack_with_size(digest).transpose()).collect()
    }

    /// The pack `digest` with the length of its file, if it is there.
    pub(crate) fn pack_with_size(&self, digest: Digest) -> Result<Option<PackRef>, DirError> {
        let path = self.path().join(Item::Pack(digest).path());
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(PackRef { digest, size_bytes: metadata.len() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DirError::io("look at", &path)(error)),
        }
    }
}

/// Reads the index of the pack in `file`; also returns the file's length, bytes. The pack's
/// frames are as long as the index says, or it is an error.
pub(crate) fn read_index(file: &File) -> Result<(Index, u64), IndexError> {
    let mut frames = Vec::new();
    let size = each_frame(file, &mut |frame| frames.push(frame))?;
    Ok((Index { frames }, size))
}

/// Like [`read_index`], but hands each frame to `take`. After an error, nothing that was handed
/// on is to be believed.
pub(crate) fn each_frame(file: &File, take: &mut dyn FnMut(Frame)) -> Result<u64, IndexError> {
    let size = file.metadata()?.len();
    let Ends { tail, offset, length } = read_ends(file, size)?;
    let mut body = vec![0; length as usize];
    file.read_exact_at(&mut body, offset)?;
    Index::visit(&body, offset, &tail, take)?;
    Ok(size)
}

/// Where a pack's own ends say that its index is, bytes.
struct Ends {
    tail: [u8; TAIL_BYTES],
    offset: u64,
    length: u64,
}

/// Reads what is around the frames and the index of a pack of `size` bytes.
fn read_ends(file: &File, size: u64) -> Result<Ends, IndexError> {
    let wrong = |at: u64, expected: &str, found: String| FormatError {
        what: "pack".into(),
        at,
        expected: expected.into(),
        found,
    };
    let around = (HEADER.len() + INDEX_HEAD_BYTES + TAIL_BYTES) as u64;
    if size < around {
        return Err(wrong(0, &format!("at least {around} bytes"), format!("{size}")).into());
    }
    let mut header = [0; HEADER.len()];
    file.read_exact_at(&mut header, 0)?;
    if header != HEADER {
        return Err(wrong(0, "a pack's header", format!("\"{}\"", header.escape_ascii())).into());
    }
    let mut tail = [0; TAIL_BYTES];
    file.read_exact_at(&mut tail, size - TAIL_BYTES as u64)?;
    let (offset, length) = Index::locate(&tail, size)?;
    let mut head = [0; INDEX_HEAD_BYTES];
    let at = offset - INDEX_HEAD_BYTES as u64;
    file.read_exact_at(&mut head, at)?;
    if head != index_head(length) {
        let found = format!("\"{}\"", head.escape_ascii());
        return Err(wrong(at, "a skippable frame as long as the index", found).into());
    }
    Ok(Ends { tail, offset, length })
}

/// Whether `pack` still begins and ends like one: what a look at every pack can afford. A pack
/// whose blocks were lost in a power cut, and that has its length, mostly does not.
pub(crate) fn has_ends(store: &DirStore, pack: &PackRef) -> bool {
    let file = File::open(store.path().join(Item::Pack(pack.digest).path()));
    file.is_ok_and(|file| read_ends(&file, pack.size_bytes).is_ok())
}

/// How much of `pack` is frames, bytes; `None` where it does not begin and end like a pack.
pub(crate) fn frames_bytes(store: &DirStore, pack: &PackRef) -> Option<u64> {
    let file = File::open(store.path().join(Item::Pack(pack.digest).path())).ok()?;
    let ends = read_ends(&file, pack.size_bytes).ok()?;
    Some(ends.offset - (HEADER.len() + INDEX_HEAD_BYTES) as u64)
}
