//! Maps: where a manifest's objects are.
//!
//! A map is not trusted. It leads to frames of packs; what comes out of them is
//! hashed and compared with the manifest. Its own check finds rot, not malice.
//! Every length in it is bounded, so that a wrong map costs an error and no more.

use crate::Digest;
use crate::codec::{FormatError, Reader, put_varint};
use alloc::format;
use alloc::vec::Vec;

const MAGIC: [u8; 8] = *b"inaugmp1";

/// The most a frame may hold, decompressed, bytes: a reader holds a few of them at once.
pub const FRAME_MAX_BYTES: u32 = 1 << 20;

/// The most a frame may take in a pack: what zstd needs at worst for [`FRAME_MAX_BYTES`].
pub const FRAME_MAX_PACKED_BYTES: u32 = FRAME_MAX_BYTES + (FRAME_MAX_BYTES >> 7) + 512;

/// The map of a 1 TiB image takes about 200 MB; beyond that a map is a lie.
pub const MAP_MAX_BYTES: u64 = 256 << 20;

/// Where the objects of one manifest are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Map {
    /// The packs it leads to.
    pub packs: Vec<PackRef>,
    /// One section for each segment of the manifest, in the same order.
    pub sections: Vec<Section>,
}

/// A pack as a map names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackRef {
    /// Digest of the pack's whole file: its name.
    pub digest: Digest,
    /// Length of the pack's file, bytes.
    pub size_bytes: u64,
}

/// Where the objects of one segment are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// The frames that hold them.
    pub frames: Vec<FrameRef>,
    /// For each `Data` entry of the segment, in order.
    pub places: Vec<Place>,
}

/// A frame of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameRef {
    /// Index in [`Map::packs`].
    pub pack: u32,
    /// Where it starts in the pack's file, bytes.
    pub offset_bytes: u64,
    /// What it takes there, bytes.
    pub packed_bytes: u32,
    /// What it holds, decompressed, bytes.
    pub raw_bytes: u32,
}

/// An object inside a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index in [`Section::frames`].
    pub frame: u32,
    /// Where the object starts in the decompressed frame, bytes.
    pub offset_bytes: u32,
}

impl Map {
    /// The map as bytes, its check at the end.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = encode_head(&self.packs, self.sections.len());
        self.sections.iter().for_each(|section| section.encode(&mut out));
        let check = Digest::of(&out);
        out.extend_from_slice(check.as_bytes());
        out
    }

    /// Reads a map.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let body = checked_body("map", MAGIC, bytes)?;
        let mut reader = Reader::new("map", body);
        reader.magic(MAGIC)?;
        let packs = read_packs(&mut reader)?;
        let count = reader.count("sections", 2)?;
        let sections = (0..count)
            .map(|_| Section::decode(&mut reader, &packs))
            .collect::<Result<Vec<_>, _>>()?;
        reader.end()?;
        Ok(Self { packs, sections })
    }
}

/// What a map has before its `sections` sections.
pub(crate) fn encode_head(packs: &[PackRef], sections: usize) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    put_packs(&mut out, packs);
    put_varint(&mut out, sections as u64);
    out
}

/// What of `bytes`, which start with `magic`, comes before the digest of it at their end.
pub(crate) fn checked_body<'a>(
    what: &'static str,
    magic: [u8; 8],
    bytes: &'a [u8],
) -> Result<&'a [u8], FormatError> {
    let mut reader = Reader::new(what, bytes);
    reader.magic(magic)?;
    let Some((body, check)) = bytes.split_last_chunk::<{ Digest::LEN }>() else {
        return Err(reader.wrong("check", "32 bytes at the end", "fewer"));
    };
    let (expected, found) = (Digest::from_bytes(*check), Digest::of(body));
    if expected == found {
        return Ok(body);
    }
    let (expected, found) = (format!("{expected}"), format!("{found}"));
    Err(reader.wrong("check", &expected, &found))
}

/// Appends a table of packs.
pub(crate) fn put_packs(out: &mut Vec<u8>, packs: &[PackRef]) {
    put_varint(out, packs.len() as u64);
    for pack in packs {
        out.extend_from_slice(pack.digest.as_bytes());
        put_varint(out, pack.size_bytes);
    }
}

/// Reads a table of packs.
pub(crate) fn read_packs(reader: &mut Reader<'_>) -> Result<Vec<PackRef>, FormatError> {
    let count = reader.count("packs", Digest::LEN + 1)?;
    let pack = |reader: &mut Reader<'_>| {
        let digest = reader.digest("pack digest")?;
        Ok(PackRef { digest, size_bytes: reader.varint("pack size", i64::MAX as u64)? })
    };
    (0..count).map(|_| pack(reader)).collect()
}

impl Section {
    /// Appends the section as it is in a map.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.frames.len() as u64);
        for frame in &self.frames {
            frame.encode(out);
        }
        put_varint(out, self.places.len() as u64);
        for place in &self.places {
            put_varint(out, u64::from(place.frame));
            put_varint(out, u64::from(place.offset_bytes));
        }
    }

    fn decode(reader: &mut Reader<'_>, packs: &[PackRef]) -> Result<Self, FormatError> {
        let count = reader.count("frames", 4)?;
        let frames =
            (0..count).map(|_| read_frame(reader, packs)).collect::<Result<Vec<_>, _>>()?;
        let count = reader.count("places", 2)?;
        let places =
            (0..count).map(|_| read_place(reader, &frames)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { frames, places })
    }
}

impl FrameRef {
    /// Appends it; [`read_frame`] reads it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.pack));
        put_varint(out, self.offset_bytes);
        put_varint(out, u64::from(self.packed_bytes));
        put_varint(out, u64::from(self.raw_bytes));
    }
}

/// Reads where a frame is, in one of `packs`.
pub(crate) fn read_frame(
    reader: &mut Reader<'_>,
    packs: &[PackRef],
) -> Result<FrameRef, FormatError> {
    let pack = reader.varint("frame's pack", u64::from(u32::MAX))? as u32;
    let Some(file) = packs.get(pack as usize) else {
        let expected = format!("one of {} packs", packs.len());
        return Err(reader.wrong("frame's pack", &expected, &format!("number {pack}")));
    };
    let offset_bytes = reader.varint("frame offset", file.size_bytes)?;
    let packed_max = (file.size_bytes - offset_bytes).min(u64::from(FRAME_MAX_PACKED_BYTES));
    Ok(FrameRef {
        pack,
        offset_bytes,
        packed_bytes: reader.varint("frame length", packed_max)? as u32,
        raw_bytes: reader.varint("frame size", u64::from(FRAME_MAX_BYTES))? as u32,
    })
}

fn read_place(reader: &mut Reader<'_>, frames: &[FrameRef]) -> Result<Place, FormatError> {
    let frame = reader.varint("object's frame", u64::from(u32::MAX))? as u32;
    let Some(holder) = frames.get(frame as usize) else {
        let expected = format!("one of {} frames", frames.len());
        return Err(reader.wrong("object's frame", &expected, &format!("number {frame}")));
    };
    let offset_bytes = reader.varint("object offset", u64::from(holder.raw_bytes))? as u32;
    Ok(Place { frame, offset_bytes })
}
