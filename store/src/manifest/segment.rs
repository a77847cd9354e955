//! Segments: the entries of one stretch of content, in order.

use crate::Digest;
use crate::codec::{FormatError, Reader, put_varint};
use alloc::format;
use alloc::vec::Vec;

/// A segment's encoded length. 64 MiB of content in its smallest objects is about 600 kB.
pub const SEGMENT_MAX_BYTES: usize = 4 << 20;

/// The largest object, bytes: what a reader must be able to hold at once.
pub const OBJECT_MAX_BYTES: u64 = 1 << 20;

/// One stretch of content, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segment {
    /// What it is made of.
    pub entries: Vec<Entry>,
}

/// A part of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// This many zero bytes: in no pack.
    Zero {
        /// Length, bytes.
        length: u64,
    },
    /// An object.
    Data {
        /// Its digest.
        digest: Digest,
        /// Its length, bytes: 1 to [`OBJECT_MAX_BYTES`].
        length: u32,
    },
}

/// What the segments of a kind of manifest hold: entries of an image or a payload
/// ([`Segment`]), or nodes of a tree ([`crate::tree::TreeSegment`]).
pub trait SegmentKind: Sized {
    /// Reads a segment that must cover exactly `span_bytes` of content.
    fn decode(bytes: &[u8], span_bytes: u64) -> Result<Self, FormatError>;

    /// Its objects with their lengths, in the order of the places in its map.
    fn objects(&self) -> impl Iterator<Item = (Digest, u32)>;
}

impl Entry {
    /// The object, if it is one, and its length, bytes.
    pub fn object(&self) -> Option<(Digest, u32)> {
        match self {
            Self::Zero { .. } => None,
            Self::Data { digest, length } => Some((*digest, *length)),
        }
    }

    /// Bytes of content this entry covers.
    pub fn length(&self) -> u64 {
        match self {
            Self::Zero { length } => *length,
            Self::Data { length, .. } => u64::from(*length),
        }
    }
}

impl Segment {
    /// The segment as bytes. Equal segments have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() * (Digest::LEN + 3));
        self.entries.iter().for_each(|entry| put_entry(&mut out, entry));
        out
    }

    /// Bytes of content the segment covers.
    pub fn span_bytes(&self) -> u64 {
        self.entries.iter().map(Entry::length).sum()
    }
}

impl SegmentKind for Segment {
    fn decode(bytes: &[u8], span_bytes: u64) -> Result<Self, FormatError> {
        let mut reader = Reader::new("manifest segment", bytes);
        let mut entries = Vec::with_capacity(bytes.len() / (Digest::LEN + 3));
        let mut covered = 0_u64;
        while reader.left() > 0 {
            let entry = read_entry(&mut reader)?;
            if matches!((entries.last(), entry), (Some(Entry::Zero { .. }), Entry::Zero { .. })) {
                return Err(reader.wrong("entry", "an object after zeroes", "more zeroes"));
            }
            covered = covered.saturating_add(entry.length());
            entries.push(entry);
        }
        if covered != span_bytes {
            let found = format!("{covered}");
            return Err(reader.wrong("entries", &format!("{span_bytes} bytes"), &found));
        }
        Ok(Self { entries })
    }

    fn objects(&self) -> impl Iterator<Item = (Digest, u32)> {
        self.entries.iter().filter_map(Entry::object)
    }
}

/// Appends an entry as bytes.
pub(crate) fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    match entry {
        Entry::Zero { length } => put_varint(out, length << 1),
        Entry::Data { digest, length } => {
            put_varint(out, u64::from(*length) << 1 | 1);
            out.extend_from_slice(digest.as_bytes());
        }
    }
}

/// Reads an entry.
pub(crate) fn read_entry(reader: &mut Reader<'_>) -> Result<Entry, FormatError> {
    let head = reader.varint("entry", u64::MAX)?;
    let length = head >> 1;
    let is_data = head & 1 == 1;
    let max = if is_data { OBJECT_MAX_BYTES } else { i64::MAX as u64 };
    if length == 0 || length > max {
        return Err(reader.wrong("entry length", &format!("1 to {max}"), &format!("{length}")));
    }
    if is_data {
        return Ok(Entry::Data { digest: reader.digest("entry digest")?, length: length as u32 });
    }
    Ok(Entry::Zero { length })
}
