//! Reading a label back as a machine would, with nothing but the formats: what can be read is
//! right, what is not right cannot be read.

use std::io::Read;
use store::Digest;
use store::label::LabelName;
use store::manifest::{Entry, Part, Segment};
use store::manifest_reader::{read_label, read_map, read_root, read_segments};
use store::map::{Map, Section};
use store::source::{Item, Source};

/// The image that `name` stands for, or why it cannot be had.
pub fn read_back(source: &dyn Source, name: &LabelName) -> Result<Vec<u8>, String> {
    let record = read_label(source, name).map_err(|error| error.to_string())?;
    let read = read_root(source, &record.manifest);
    let (manifest, root_bytes) = read.map_err(|error| error.to_string())?;
    let map = read_map(source, &record.manifest, &manifest).map_err(|error| error.to_string())?;
    let segments = read_segments::<Segment>(source, &manifest, root_bytes, &record.manifest);
    let mut image = Vec::new();
    for ((segment, section), of) in segments.zip(&map.sections).zip(&manifest.segments) {
        let segment = segment.map_err(|error| error.to_string())?;
        let bytes = segment_bytes(source, &segment, section, &map)?;
        if of.part == Part::Content {
            image.extend(bytes);
        }
    }
    if image.len() as u64 == record.size_bytes { Ok(image) } else { Err("too short".into()) }
}

fn segment_bytes(
    source: &dyn Source,
    segment: &Segment,
    section: &Section,
    map: &Map,
) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut places = section.places.iter();
    let mut last = (u32::MAX, Vec::new());
    for entry in &segment.entries {
        let (digest, length) = match entry {
            Entry::Zero { length } => {
                bytes.resize(bytes.len() + *length as usize, 0);
                continue;
            }
            Entry::Data { digest, length } => (digest, *length as usize),
        };
        let place = places.next().ok_or("no place")?;
        if last.0 != place.frame {
            last = (place.frame, frame_bytes(source, section, place.frame, map)?);
        }
        let object = last.1.get(place.offset_bytes as usize..).and_then(|rest| rest.get(..length));
        let object = object.filter(|object| Digest::of(object) == *digest);
        bytes.extend_from_slice(object.ok_or_else(|| format!("object {digest}"))?);
    }
    Ok(bytes)
}

fn frame_bytes(
    source: &dyn Source,
    section: &Section,
    number: u32,
    map: &Map,
) -> Result<Vec<u8>, String> {
    let frame = section.frames[number as usize];
    let pack = Item::Pack(map.packs[frame.pack as usize].digest);
    let range = frame.offset_bytes..frame.offset_bytes + u64::from(frame.packed_bytes);
    let mut body = source.open(&pack, Some(range)).map_err(|error| error.to_string())?;
    let mut packed = Vec::new();
    body.reader.read_to_end(&mut packed).map_err(|error| error.to_string())?;
    let raw = zstd::bulk::decompress(&packed, frame.raw_bytes as usize);
    let raw = raw.map_err(|error| error.to_string())?;
    if raw.len() == frame.raw_bytes as usize { Ok(raw) } else { Err("short frame".into()) }
}
