//! Packs: file, index, frames, objects.

use super::{Damage, Report, chain};
use crate::dir::DirStore;
use crate::dir::index::Spot;
use crate::dir::packs::read_index;
use crate::map::{FrameRef, PackRef, Place};
use crate::pack::{Frame, HEADER};
use crate::parallel::{Closed, Submit, lane, panic_text};
use crate::source::Item;
use crate::{Digest, Hasher};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::thread;

/// How much of a pack's end, which no frame holds, is read at once, bytes.
const READ_BYTES: usize = 1 << 20;

/// What was found in the packs.
#[derive(Default)]
pub(crate) struct Packs {
    packs: HashMap<Digest, Pack>,
    /// Those that are being collected: they may be read for as long as they are there, and nothing
    /// may be led there.
    leaving: BTreeSet<Digest>,
}

/// A pack that was looked at.
#[derive(Default)]
pub(super) struct Pack {
    /// Length of its file, bytes; `None`: its index cannot be read.
    pub(super) size_bytes: Option<u64>,
    /// The damage of the whole pack: number in [`Report::damages`].
    pub(super) damage: Option<usize>,
    /// Its frames by offset.
    pub(super) frames: HashMap<u64, CheckedFrame>,
}

impl Pack {
    fn is_damaged(&self) -> bool {
        let mut frames = self.frames.values();
        self.damage.is_some() || self.size_bytes.is_none() || frames.any(|f| f.damage.is_some())
    }
}

/// A frame that was looked at.
pub(super) struct CheckedFrame {
    /// As the index says it.
    pub(super) frame: Frame,
    /// Its damage: number in [`Report::damages`].
    pub(super) damage: Option<usize>,
}

impl CheckedFrame {
    /// Whether this is `frame`, and has at `place` the object `digest` of `length` bytes.
    pub(super) fn holds(
        &self,
        frame: &FrameRef,
        place: Place,
        digest: Digest,
        length: u32,
    ) -> bool {
        let mut at = 0;
        let mut objects = self.frame.objects.iter();
        let found = objects.any(|(other, other_length)| {
            let here = at == place.offset_bytes && (*other, *other_length) == (digest, length);
            at += other_length;
            here
        });
        let lengths = (self.frame.packed_bytes, self.frame.raw_bytes());
        found && lengths == (frame.packed_bytes, frame.raw_bytes)
    }
}

impl Packs {
    pub(super) fn get(&self, pack: &Digest) -> Option<&Pack> {
        self.packs.get(pack)
    }

    /// The pack, if it is there and going to stay, and all of it is as it should be.
    pub(crate) fn sound(&self, pack: &Digest) -> Option<PackRef> {
        self.whole(pack).filter(|_| !self.leaving.contains(pack))
    }

    /// The pack, if it is there and all of it is as it should be.
    fn whole(&self, pack: &Digest) -> Option<PackRef> {
        let found = self.packs.get(pack).filter(|found| !found.is_damaged())?;
        found.size_bytes.map(|size_bytes| PackRef { digest: *pack, size_bytes })
    }

    /// Brings these up to date: those that are gone by now are not there, nothing is to be led to those
    /// that are `leaving`, and those of `names` that came are looked at.
    pub(crate) fn refresh(
        &mut self,
        store: &DirStore,
        names: &[Digest],
        leaving: BTreeSet<Digest>,
        report: &mut Report,
    ) {
        let is_there = |name: &Digest| store.path().join(Item::Pack(*name).path()).exists();
        self.packs.retain(|name, _| is_there(name));
        for name in names.iter().filter(|name| !leaving.contains(name)) {
            self.look_if_new(store, name, report);
        }
        self.leaving = leaving;
    }

    /// Whether the pack is there.
    pub(crate) fn has(&self, pack: &Digest) -> bool {
        self.packs.contains_key(pack)
    }

    /// Whether the pack was not looked at, and may be relied on if it is there.
    pub(crate) fn is_unknown(&self, pack: &Digest) -> bool {
        !self.packs.contains_key(pack) && !self.leaving.contains(pack)
    }

    /// Packs that are there and are not as they should be.
    pub(crate) fn damaged(&self) -> BTreeSet<Digest> {
        let damaged = self.packs.iter().filter(|(_, pack)| pack.is_damaged());
        damaged.map(|(name, _)| *name).collect()
    }

    /// Whether `spot` of a pack that is sound is the object `digest` of `length` bytes.
    pub(crate) fn holds(&self, pack: &Digest, spot: Spot, digest: Digest, length: u32) -> bool {
        let Spot { offset_bytes, packed_bytes, raw_bytes, at_bytes, .. } = spot;
        let frame = FrameRef { pack: 0, offset_bytes, packed_bytes, raw_bytes };
        let place = Place { frame: 0, offset_bytes: at_bytes };
        let found = self.packs.get(pack).and_then(|pack| pack.frames.get(&offset_bytes));
        found.is_some_and(|checked| checked.holds(&frame, place, digest, length))
    }

    /// Where the packs that are whole have any of `objects`: those that are sound, or those that are
    /// leaving.
    pub(crate) fn find(
        &self,
        objects: &HashSet<Digest>,
        leaving: bool,
    ) -> HashMap<Digest, (PackRef, Spot)> {
        let mut found = HashMap::new();
        for (name, pack) in &self.packs {
            let whole = self.whole(name).filter(|_| self.leaving.contains(name) == leaving);
            let Some(whole) = whole else { continue };
            for CheckedFrame { frame, .. } in pack.frames.values() {
                let (mut at_bytes, raw_bytes) = (0, frame.raw_bytes());
                for (digest, length) in &frame.objects {
                    let (offset_bytes, packed_bytes) = (frame.offset_bytes, frame.packed_bytes);
                    let spot = Spot { pack: 0, offset_bytes, packed_bytes, raw_bytes, at_bytes };
                    at_bytes += length;
                    if objects.contains(digest) {
                        found.insert(*digest, (whole, spot));
                    }
                }
            }
        }
        found
    }

    /// Looks at `name`, which is not among these yet.
    fn look(&mut self, path: &Path, name: &Digest, report: &mut Report) {
        let file = match File::open(path) {
            // Collected since it was listed, or lost: the labels that need it tell.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            opened => opened.map_err(|error| error.to_string()),
        };
        report.packs += 1;
        let checked = file.and_then(|file| check_pack(file, name, report));
        let pack = checked.unwrap_or_else(|found| {
            let expected = "a whole pack".to_owned();
            let object = Item::Pack(*name).to_string();
            let damage = Some(report.damages.len());
            report.damages.push(Damage { object, expected, found, labels: Vec::new() });
            Pack { damage, ..Pack::default() }
        });
        self.packs.insert(*name, pack);
    }

    /// Looks at `name` if it is there and was not when the packs were listed: a push that went
    /// on meanwhile put it there.
    pub(super) fn look_if_new(&mut self, store: &DirStore, name: &Digest, report: &mut Report) {
        if !self.packs.contains_key(name) {
            self.look(&store.path().join(Item::Pack(*name).path()), name, report);
        }
    }
}

/// Looks at all of `names`.
pub(super) fn check(store: &DirStore, names: &[Digest], report: &mut Report) -> Packs {
    let mut packs = Packs::default();
    for name in names {
        packs.look(&store.path().join(Item::Pack(*name).path()), name, report);
    }
    packs
}

fn check_pack(file: File, name: &Digest, report: &mut Report) -> Result<Pack, String> {
    let (index, size_bytes) = read_index(&file).map_err(|error| chain(&error))?;
    report.pack_bytes += size_bytes;
    report.objects += index.frames.iter().map(|frame| frame.objects.len() as u64).sum::<u64>();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut pack = Pack { size_bytes: Some(size_bytes), ..Pack::default() };
    let digest = thread::scope(|scope| {
        let (submit, results) = lane(scope, threads, || check_frame);
        let reader = scope.spawn(move || read_frames(&file, index.frames, &submit));
        for (frame, wrong) in results {
            let damage = wrong.map(|(object, expected, found)| {
                let object = format!("{}: {object}", Item::Pack(*name));
                report.damages.push(Damage { object, expected, found, labels: Vec::new() });
                report.damages.len() - 1
            });
            pack.frames.insert(frame.offset_bytes, CheckedFrame { frame, damage });
        }
        let read = reader.join().map_err(|payload| {
            format!("a reader that ended early; it said: {}", panic_text(&*payload))
        })?;
        read.map_err(|error| error.to_string())
    })?;
    let frames_right = pack.frames.values().all(|frame| frame.damage.is_none());
    if digest != *name && frames_right {
        pack.damage = Some(report.damages.len());
        let (expected, found) = (format!("digest {name}"), digest.to_string());
        let object = Item::Pack(*name).to_string();
        report.damages.push(Damage { object, expected, found, labels: Vec::new() });
    }
    Ok(pack)
}

/// What is wrong with a frame: object, expected, found.
type Wrong = Option<(String, String, String)>;

/// Reads the pack from its start to its end; returns the digest of it all.
fn read_frames(
    mut file: &File,
    frames: Vec<Frame>,
    submit: &Submit<(Frame, Vec<u8>), (Frame, Wrong)>,
) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut header = [0; HEADER.len()];
    file.read_exact(&mut header)?;
    hasher.update(&header);
    for frame in frames {
        let mut packed = vec![0; frame.packed_bytes as usize];
        file.read_exact(&mut packed)?;
        hasher.update(&packed);
        let handed_on = submit.submit((frame, packed));
        handed_on.map_err(|Closed| io::Error::other("a checker that ended early"))?;
    }
    let mut rest = vec![0; READ_BYTES];
    loop {
        let read = file.read(&mut rest)?;
        if read == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&rest[..read]);
    }
}

fn check_frame((frame, packed): (Frame, Vec<u8>)) -> (Frame, Wrong) {
    let wrong = find_wrong(&frame, &packed);
    (frame, wrong)
}

fn find_wrong(frame: &Frame, packed: &[u8]) -> Wrong {
    if frame.objects.is_empty() {
        // A diff: what it is told by is not known here. The pack's own digest covers it.
        return None;
    }
    let name = format!("frame at {}", frame.offset_bytes);
    let length = frame.raw_bytes() as usize;
    let raw = match zstd::bulk::decompress(packed, length) {
        Ok(raw) => raw,
        Err(error) => return Some((name, "a zstd frame".into(), error.to_string())),
    };
    if raw.len() != length {
        return Some((name, format!("{length} bytes"), format!("{}", raw.len())));
    }
    let mut at = 0;
    for (digest, length) in &frame.objects {
        let found = Digest::of(&raw[at..at + *length as usize]);
        if found != *digest {
            let object = format!("{name}: object {}", digest.short());
            return Some((object, format!("digest {digest}"), found.to_string()));
        }
        at += *length as usize;
    }
    None
}
