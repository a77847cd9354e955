//! Whether labels are whole, and the store holds little else: told with nothing but the formats.

use crate::world::{CONTENTS, States};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io::Read;
use store::Digest;
use store::dir::DirStore;
use store::label::{LabelName, LabelRecord};
use store::manifest_reader::{ReadError, read_label, read_map, read_root};
use store::map::FrameRef;
use store::objects::read_objects;
use store::pack::{INDEX_HEAD_BYTES, Index, TAIL_BYTES};
use store::source::{Item, Source, SourceError};
use store::verify::verify;

/// How often a reader begins again because what it knew is gone: collections do not follow
/// each other so fast.
const READS_MAX: u32 = 12;

/// What a reader met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// All of it: this content.
    Whole(u64),
    /// No such label.
    Gone,
}

/// Reads all of `label` and hashes every object; begins again where record or map say something
/// else by now. What is not there or not right then is lost.
pub fn read(source: &dyn Source, label: &LabelName, contents: &[Digest]) -> Result<Seen, String> {
    let mut before = None;
    for _ in 0..READS_MAX {
        let record = match read_label(source, label) {
            Err(ReadError::Source(SourceError::NotFound { .. })) => return Ok(Seen::Gone),
            record => record.map_err(|error| error.to_string())?,
        };
        let map = read_root(source, &record.manifest)
            .and_then(|(manifest, _)| read_map(source, &record.manifest, &manifest));
        let known = (record.clone(), map.map_err(|error| error.to_string()));
        match objects(source, &record) {
            Ok(()) => return content(&record, contents),
            Err(error) if before.as_ref() == Some(&known) => return Err(error),
            Err(_) => before = Some(known),
        }
    }
    Err(format!("{label} was something else {READS_MAX} times"))
}

fn content(record: &LabelRecord, contents: &[Digest]) -> Result<Seen, String> {
    let fact = record.facts.iter().find(|(key, _)| key == "content");
    let content = fact.and_then(|(_, value)| value.parse::<u64>().ok()).ok_or("no fact")?;
    match contents.get(content as usize) {
        Some(digest) if *digest == record.manifest => Ok(Seen::Whole(content)),
        _ => Err(format!("{} says that it is {content} of {CONTENTS}", record.name)),
    }
}

fn objects(source: &dyn Source, record: &LabelRecord) -> Result<(), String> {
    let failed = |error: ReadError| error.to_string();
    let (manifest, root_bytes) = read_root(source, &record.manifest).map_err(failed)?;
    let map = read_map(source, &record.manifest, &manifest).map_err(failed)?;
    let mut frames: HashMap<(Digest, u64), Vec<u8>> = HashMap::new();
    let segments = read_objects(source, &manifest, root_bytes, &record.manifest);
    for (segment, section) in segments.zip(&map.sections) {
        let objects = segment.map_err(failed)?.objects;
        if objects.len() != section.places.len() {
            return Err("places".into());
        }
        for ((digest, length), place) in objects.iter().zip(&section.places) {
            let frame = section.frames[place.frame as usize];
            let pack = map.packs[frame.pack as usize].digest;
            let raw = match frames.entry((pack, frame.offset_bytes)) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(raw(source, pack, frame)?),
            };
            let object = raw.get(place.offset_bytes as usize..);
            let object = object.and_then(|rest| rest.get(..*length as usize));
            if object.map(Digest::of) != Some(*digest) {
                return Err(format!("object {digest} in pack {pack}"));
            }
        }
    }
    Ok(())
}

fn raw(source: &dyn Source, pack: Digest, frame: FrameRef) -> Result<Vec<u8>, String> {
    let range = frame.offset_bytes..frame.offset_bytes + u64::from(frame.packed_bytes);
    let body = source.open(&Item::Pack(pack), Some(range));
    let mut packed = Vec::new();
    let read = body.map_err(|error| error.to_string())?.reader.read_to_end(&mut packed);
    read.map_err(|error| error.to_string())?;
    zstd::bulk::decompress(&packed, frame.raw_bytes as usize).map_err(|error| error.to_string())
}

/// Each label is one of what it may be, whole, and verifying finds nothing.
pub fn check(store: &DirStore, contents: &[Digest], states: &States) {
    let there = store.labels("*").unwrap();
    for label in &there {
        let Ok(Seen::Whole(content)) = read(store, label, contents) else {
            panic!("{label}: {:?}", read(store, label, contents));
        };
        let allowed = states.get(label).unwrap_or_else(|| panic!("{label} is nobody's"));
        assert!(allowed.contains(&Some(content)), "{label} is {content}, not of {allowed:?}");
    }
    for (label, allowed) in states {
        assert!(there.contains(label) || allowed.contains(&None), "{label}: lost of {allowed:?}");
    }
    assert_eq!(verify(store, None).unwrap().damages, []);
}

/// Of each pack at most a third is needed by nobody: a quarter of its frames makes it be
/// collected, and a part of a frame is counted by its content. Returns bytes needed, and not.
pub fn garbage(store: &DirStore) -> (u64, u64) {
    let mut needed = HashSet::new();
    for label in store.labels("*").unwrap() {
        let digest = store.read_record(&label).unwrap().manifest;
        let (manifest, root_bytes) = read_root(store, &digest).unwrap();
        for segment in read_objects(store, &manifest, root_bytes, &digest) {
            needed.extend(segment.unwrap().objects.into_iter().map(|(digest, _)| digest));
        }
    }
    let (mut live, mut dead) = (0, 0);
    for entry in store.path().join("packs").read_dir().unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let tail = &bytes[bytes.len() - TAIL_BYTES..];
        let (offset, length) = Index::locate(tail, bytes.len() as u64).unwrap();
        assert!(offset >= INDEX_HEAD_BYTES as u64);
        let body = &bytes[offset as usize..][..length as usize];
        let frames = Index::decode(body, offset, tail).unwrap().frames;
        let objects = frames.iter().flat_map(|frame| &frame.objects);
        let (of_labels, of_nobody): (Vec<_>, Vec<_>) =
            objects.partition(|(digest, _)| needed.contains(digest));
        let sum =
            |objects: &[&(Digest, u32)]| objects.iter().map(|(_, l)| u64::from(*l)).sum::<u64>();
        let (of_labels, of_nobody) = (sum(&of_labels), sum(&of_nobody));
        assert!(of_nobody <= (of_labels + of_nobody) / 3, "{of_nobody} beside {of_labels}");
        (live, dead) = (live + of_labels, dead + of_nobody);
    }
    (live, dead)
}
