//! Making the diffs of a label against another, from what the store has of both.
//!
//! ```text
//! files      both trees: paths, pieces, and where the store has them
//! choose     for each run of new pieces, an earlier file's pieces around the same place
//! compress   every core: the new with the old as prefix
//! write      what is clearly shorter than the objects, into a pack; then the list
//! ```
//!
//! In memory are both trees' files and pieces, some frames, and a few diffs for each core.

mod files;

use super::choose::{Bases, Placed, references};
use super::list::{NewList, existing, together, within};
use super::{Diff, Diffs, Part};
use crate::dir::users::register;
use crate::dir::{DirError, DirStore, journal, temp};
use crate::manifest_reader::ReadError;
use crate::map::{FRAME_MAX_BYTES, FrameRef, PackRef};
use crate::parallel::{Submit, lane};
use crate::push::packs::{OpenPack, PackedFrame};
use crate::source::Item;
use crate::{Digest, FormatError};
use files::{File, Files, Frames, Piece};
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

/// How hard diffs are compressed: level 3 makes them a third longer, level 12 one part in a
/// hundred shorter in five times the time (`examples/diff_sizes.rs`).
const LEVEL: i32 = 9;

/// What zstd looks back over: all references and the content.
const WINDOW_LOG: u32 = 23;

/// A diff is kept if it takes at most so many tenths of what its objects take where they are.
const WORTH_TENTHS: u64 = 8;

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Made {
    /// How many diffs.
    pub diffs: u64,
    /// Bytes of the objects that they bring.
    pub target_bytes: u64,
    /// Bytes that they take.
    pub packed_bytes: u64,
    /// Bytes of the label's list of diffs.
    pub list_bytes: u64,
}

/// Why no diffs were made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The store could not be written to.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A manifest or map could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A pack does not have what a map says.
    #[error("object {object} in {pack}: expected its bytes at {offset_bytes}, found {found}")]
    Object {
        /// The object.
        object: Digest,
        /// The pack.
        pack: Digest,
        /// Where the frame starts in it, bytes.
        offset_bytes: u64,
        /// What was there.
        found: String,
    },
    /// It is no tree.
    #[error("manifest {manifest}: expected a tree, found an image: diffs are made between trees")]
    Kind {
        /// Of what.
        manifest: Digest,
    },
    /// A tree's segments do not follow each other, or the list would be too long to be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// zstd failed.
    #[error("cannot compress a diff")]
    Compress(#[source] io::Error),
    /// A thread ended early.
    #[error("a thread that reads objects ended early; it said: {said}")]
    Thread {
        /// What it said.
        said: String,
    },
}

/// Makes diffs of the tree `manifest` against the tree `base` and adds them to the list of the
/// former. Both are in `store`. A cut leaves the list as it was.
pub fn make_diffs(store: &DirStore, manifest: &Digest, base: &Digest) -> Result<Made, MakeError> {
    // What is read stays while this is held.
    let user = register(store)?;
    let (new, old) = (Files::read(store, manifest)?, Files::read(store, base)?);
    let stays = |pack: &PackRef| !user.condemned.packs.contains_key(&pack.digest);
    let list = within(existing(store, manifest), &stays);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut writer = Writer { store, pack: None, diffs: Vec::new() };
    std::thread::scope(|scope| {
        let (submit, packed) = lane(scope, threads, || compress);
        let reader = scope.spawn(move || read_works(store, &new, &old, &submit));
        for one in packed {
            writer.take(one?)?;
        }
        reader.join().unwrap_or_else(|payload| {
            Err(MakeError::Thread { said: crate::parallel::panic_text(&*payload) })
        })
    })?;
    publish(store, manifest, list, writer)
}

/// A run of new pieces, and what it is told by.
struct Work {
    references: Vec<Part>,
    targets: Vec<Part>,
    prefix: Vec<u8>,
    content: Vec<u8>,
    /// What the pieces take where they are, bytes.
    packed_bytes: u64,
}

/// Hands on all runs of pieces that only `new` has and for which `old` has an earlier file.
fn read_works(
    store: &DirStore,
    new: &Files,
    old: &Files,
    submit: &Submit<Work, Result<PackedDiff, MakeError>>,
) -> Result<(), MakeError> {
    let mut bases = Bases::default();
    for (number, file) in old.files.iter().enumerate() {
        bases.add(&file.path, file.size_bytes, number);
    }
    let pieces = old.files.iter().flat_map(|file| &file.pieces);
    let held: HashSet<Digest> = pieces.map(|piece| piece.placed.digest).collect();
    let (mut of_new, mut of_old) = (Frames::new(store, &new.map), Frames::new(store, &old.map));
    let mut seen = HashSet::new();
    for file in &new.files {
        let Some(base) = bases.find(&file.path, file.size_bytes) else { continue };
        let base = &old.files[base];
        let mut is_new = |piece: &Piece| {
            let digest = piece.placed.digest;
            !held.contains(&digest) && seen.insert(digest)
        };
        for run in runs(file, base, &mut is_new) {
            let work = work(&run, base, &mut of_new, &mut of_old)?;
            if submit.submit(work).is_err() {
                // Whoever takes the diffs has failed, and says why.
                return Ok(());
            }
        }
    }
    Ok(())
}

/// New pieces of a file that lie next to each other, and the bytes of the base that they
/// correspond to.
struct Run<'a> {
    pieces: Vec<&'a Piece>,
    place: std::ops::Range<u64>,
}

fn runs<'a>(file: &'a File, base: &File, is_new: &mut dyn FnMut(&Piece) -> bool) -> Vec<Run<'a>> {
    let at: HashMap<Digest, u64> =
        base.pieces.iter().map(|p| (p.placed.digest, p.placed.offset_bytes)).collect();
    let mut runs: Vec<Run<'a>> = Vec::new();
    // How much further on the base has what the file has, as of the last piece that both have.
    let mut shift = 0_i64;
    let mut end = None;
    for piece in &file.pieces {
        let Placed { digest, offset_bytes, length } = piece.placed;
        if let Some(offset) = at.get(&digest) {
            shift = offset.cast_signed().wrapping_sub(offset_bytes.cast_signed());
        }
        let after = offset_bytes + u64::from(length);
        if !is_new(piece) {
            end = None;
            continue;
        }
        let start = offset_bytes.saturating_add_signed(shift);
        let room = |run: &&mut Run<'_>| {
            let taken: u64 = run.pieces.iter().map(|p| u64::from(p.placed.length)).sum();
            taken + u64::from(length) <= u64::from(FRAME_MAX_BYTES)
        };
        let last = runs.last_mut().filter(|_| end == Some(offset_bytes));
        if let Some(run) = last.filter(room) {
            run.pieces.push(piece);
            run.place.end = run.place.end.max(start.saturating_add(u64::from(length)));
        } else {
            let place = start..start.saturating_add(u64::from(length));
            runs.push(Run { pieces: vec![piece], place });
        }
        end = Some(after);
    }
    runs
}

fn work(
    run: &Run<'_>,
    base: &File,
    of_new: &mut Frames<'_>,
    of_old: &mut Frames<'_>,
) -> Result<Work, MakeError> {
    let placed: Vec<Placed> = base.pieces.iter().map(|piece| piece.placed).collect();
    let told_by = &base.pieces[references(&placed, &run.place)];
    let part = |piece: &Piece| Part::of(&piece.placed.digest, piece.placed.length);
    let (mut prefix, mut content) = (Vec::new(), Vec::new());
    for piece in told_by {
        of_old.read(piece, &mut prefix)?;
    }
    for piece in &run.pieces {
        of_new.read(piece, &mut content)?;
    }
    Ok(Work {
        references: told_by.iter().map(part).collect(),
        targets: run.pieces.iter().map(|piece| part(piece)).collect(),
        prefix,
        content,
        packed_bytes: run.pieces.iter().map(|piece| piece.packed_bytes()).sum(),
    })
}

/// A diff without its place, and its frame; none where it is not worth it.
type PackedDiff = Option<(Diff, Vec<u8>)>;

fn compress(work: Work) -> Result<PackedDiff, MakeError> {
    let Work { references, targets, prefix, content, packed_bytes } = work;
    let packed = packed(&prefix, &content).map_err(MakeError::Compress)?;
    if packed.len() as u64 * 10 > packed_bytes * WORTH_TENTHS {
        return Ok(None);
    }
    let raw_bytes = content.len() as u32;
    let packed_bytes = packed.len() as u32;
    let frame = FrameRef { pack: 0, offset_bytes: 0, packed_bytes, raw_bytes };
    Ok(Some((Diff { frame, references, targets }, packed)))
}

fn packed(prefix: &[u8], content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::with_ref_prefix(Vec::new(), LEVEL, prefix)?;
    encoder.window_log(WINDOW_LOG)?;
    // With its length a frame needs no more memory to be read than its content.
    encoder.set_pledged_src_size(Some(content.len() as u64))?;
    encoder.include_contentsize(true)?;
    encoder.write_all(content)?;
    encoder.finish()
}

/// Writes diffs to a pack. Its index says of them only how long they are: nobody takes them for
/// objects.
struct Writer<'a> {
    store: &'a DirStore,
    pack: Option<OpenPack>,
    diffs: Vec<Diff>,
}

impl Writer<'_> {
    fn take(&mut self, one: PackedDiff) -> Result<(), MakeError> {
        let Some((mut diff, packed)) = one else { return Ok(()) };
        let mut pack = match self.pack.take() {
            Some(pack) => pack,
            None => OpenPack::create(self.store)?,
        };
        let spot = pack.append(0, &PackedFrame { packed, objects: Vec::new() })?;
        diff.frame.offset_bytes = spot.offset_bytes;
        self.diffs.push(diff);
        self.pack = Some(pack);
        Ok(())
    }
}

/// Gives the pack its name, then the list, with what it had before, its own.
fn publish(
    store: &DirStore,
    manifest: &Digest,
    list: Diffs,
    writer: Writer<'_>,
) -> Result<Made, MakeError> {
    let Some(pack) = writer.pack else { return Ok(Made::default()) };
    let new = pack.close()?;
    let added = Diffs { packs: vec![new.pack], diffs: writer.diffs };
    let made = Made {
        diffs: added.diffs.len() as u64,
        target_bytes: added.diffs.iter().map(|diff| u64::from(diff.frame.raw_bytes)).sum(),
        packed_bytes: added.diffs.iter().map(|diff| u64::from(diff.frame.packed_bytes)).sum(),
        list_bytes: 0,
    };
    let bytes = together(list, &added)?;
    let list = NewList::write(store, manifest, &bytes)?;
    let struck = journal::strike(store, &[new.pack.digest], &[])?;
    new.file.rename(store, &Item::Pack(new.pack.digest))?;
    drop(struck);
    temp::sync_directory(&store.path().join("packs"))?;
    list.publish(store)?;
    Ok(Made { list_bytes: bytes.len() as u64, ..made })
}
