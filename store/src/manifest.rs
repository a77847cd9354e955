//! Manifests: what a label is. Digests and facts, never locations.
//!
//! A manifest is a *root* and its *segments*. The root's digest is the
//! manifest's digest; the root names every segment by digest. So a reader holds
//! one segment at a time, however large the image, and a segment that two
//! labels share is the same bytes in both.

mod boot;
pub(crate) mod segment;

pub use boot::{Boot, Payload, Place};
pub use segment::{Entry, OBJECT_MAX_BYTES, SEGMENT_MAX_BYTES, Segment, SegmentKind};

use crate::Digest;
use crate::codec::{FormatError, Reader, put_varint};
use crate::cut::SEGMENT_SPAN_BYTES;
use alloc::format;
use alloc::vec::Vec;

const MAGIC: [u8; 8] = *b"inaugmf1";

/// Magic and root length: what must be read to know how long the root is.
pub const PREFIX_BYTES: usize = 12;

/// A root of 16 MiB describes an image of about 24 TiB; a longer one is a lie.
pub const ROOT_MAX_BYTES: usize = 16 << 20;

/// The root of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What kind of thing the label is.
    pub kind: Kind,
    /// How to boot it, where that is known.
    pub boot: Option<Boot>,
    /// The content in order, then the payloads that lie outside of it.
    pub segments: Vec<SegmentRef>,
}

/// The kinds of manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A disk or partition image as blocks.
    Image(Image),
    /// A file system's content as files; see [`crate::tree`].
    Tree(Tree),
}

/// Facts of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    /// Lengths of all its regular files together, each hard link counted once, bytes.
    pub size_bytes: u64,
    /// How many nodes it has, its root included.
    pub nodes: u64,
}

/// Facts of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Length of the image, bytes.
    pub size_bytes: u64,
    /// Logical sector size its partition table is written for: 512 or 4096.
    pub sector_bytes: u32,
    /// The fields of its GPT that depend on the size of the disk.
    pub gpt: Option<Gpt>,
}

/// What the image's partition table says about the disk it was made for
/// (UEFI 2.10, section 5.3). With these, fitting a table to another disk can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gpt {
    /// Where the backup header is, sectors.
    pub alternate_lba: u64,
    /// Last sector a partition may use.
    pub last_usable_lba: u64,
    /// Size field of the protective MBR, sectors.
    pub protective_sectors: u32,
}

/// A segment as the root names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentRef {
    /// Digest of the segment's encoded bytes.
    pub digest: Digest,
    /// Length of the segment's encoded bytes.
    pub encoded_bytes: u32,
    /// Bytes of content the segment covers.
    pub span_bytes: u64,
    /// Part of the image, or a payload beside it.
    pub part: Part,
}

/// What a segment is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The image: the next `span_bytes` of it.
    Content,
    /// A payload (see [`Place::Segment`]).
    Payload,
}

impl Manifest {
    /// The root as bytes. Equal manifests have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 4]);
        match &self.kind {
            Kind::Image(image) => {
                out.push(1);
                image.encode(&mut out);
            }
            Kind::Tree(tree) => {
                out.push(2);
                put_varint(&mut out, tree.size_bytes);
                put_varint(&mut out, tree.nodes);
            }
        }
        put_option(&mut out, self.boot.as_ref(), Boot::encode);
        put_varint(&mut out, self.segments.len() as u64);
        self.segments.iter().for_each(|segment| segment.encode(&mut out));
        let length = out.len() as u32;
        out[8..PREFIX_BYTES].copy_from_slice(&length.to_le_bytes());
        out
    }

    /// Reads a root; `bytes` are exactly the root.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new("manifest", bytes);
        reader.magic(MAGIC)?;
        let length = u32::from_le_bytes(reader.array("root length")?);
        if length as usize != bytes.len() {
            let found = format!("{} bytes", bytes.len());
            return Err(reader.wrong("root length", &format!("{length} bytes"), &found));
        }
        let kind = match reader.take("kind", 1)?[0] {
            1 => Kind::Image(Image::decode(&mut reader)?),
            2 => Kind::Tree(Tree {
                size_bytes: reader.varint("tree size", i64::MAX as u64)?,
                nodes: reader.varint("nodes", i64::MAX as u64)?,
            }),
            other => {
                return Err(reader.wrong("kind", "1 (image) or 2 (tree)", &format!("{other}")));
            }
        };
        let boot = read_option(&mut reader, "boot", Boot::decode)?;
        let count = reader.count("segments", Digest::LEN + 3)?;
        let segments =
            (0..count).map(|_| SegmentRef::decode(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        reader.end()?;
        let manifest = Self { kind, boot, segments };
        manifest.check(&reader)?;
        Ok(manifest)
    }

    /// The root's length as its first [`PREFIX_BYTES`] say it.
    pub fn root_length(prefix: &[u8]) -> Result<usize, FormatError> {
        let mut reader = Reader::new("manifest", prefix);
        reader.magic(MAGIC)?;
        let length = u32::from_le_bytes(reader.array("root length")?) as usize;
        if (PREFIX_BYTES..=ROOT_MAX_BYTES).contains(&length) {
            return Ok(length);
        }
        let expected = format!("{PREFIX_BYTES} to {ROOT_MAX_BYTES} bytes");
        Err(reader.wrong("root length", &expected, &format!("{length}")))
    }

    /// Facts of the image, if it is one.
    pub fn image(&self) -> Option<&Image> {
        match &self.kind {
            Kind::Image(image) => Some(image),
            Kind::Tree(_) => None,
        }
    }

    /// Length of the image, or of all files of the tree together, bytes.
    pub fn size_bytes(&self) -> u64 {
        match &self.kind {
            Kind::Image(image) => image.size_bytes,
            Kind::Tree(tree) => tree.size_bytes,
        }
    }

    fn check(&self, reader: &Reader<'_>) -> Result<(), FormatError> {
        let size = self.size_bytes();
        let content = self.segments.iter().filter(|segment| segment.part == Part::Content);
        let spans = content.fold(0_u64, |sum, segment| sum.saturating_add(segment.span_bytes));
        if spans != size {
            return Err(reader.wrong("segments", &format!("{size} bytes"), &format!("{spans}")));
        }
        if !self.segments.is_sorted_by_key(|segment| segment.part == Part::Payload) {
            return Err(reader.wrong(
                "segments",
                "payloads after all content",
                "content after one",
            ));
        }
        let is_content = |segment: &&SegmentRef| segment.part == Part::Content;
        let mut content = self.segments.iter().filter(is_content);
        if let Some(long) = content.find(|segment| segment.span_bytes > SEGMENT_SPAN_BYTES) {
            let expected = format!("at most {SEGMENT_SPAN_BYTES} bytes of content each");
            return Err(reader.wrong("segments", &expected, &format!("{}", long.span_bytes)));
        }
        let Some(boot) = &self.boot else { return Ok(()) };
        self.check_payload(reader, "kernel", &boot.kernel)?;
        boot.initrd.as_ref().map_or(Ok(()), |initrd| self.check_payload(reader, "initrd", initrd))
    }

    fn check_payload(
        &self,
        reader: &Reader<'_>,
        field: &str,
        payload: &Payload,
    ) -> Result<(), FormatError> {
        let covered = match &payload.place {
            Place::Extents(extents) => {
                let Some(Image { size_bytes: size, .. }) = self.image() else {
                    return Err(reader.wrong(field, "a file of the tree", "extents"));
                };
                if let Some((offset, length)) = extents
                    .iter()
                    .find(|(offset, length)| offset.checked_add(*length).is_none_or(|e| e > *size))
                {
                    let found = format!("{length} bytes at {offset}");
                    return Err(reader.wrong(field, &format!("extents within {size}"), &found));
                }
                extents.iter().fold(0_u64, |sum, (_, length)| sum.saturating_add(*length))
            }
            // That the tree has it is for whoever reads the segments to find out.
            Place::Path(_) if self.image().is_none() => payload.size_bytes,
            Place::Path(_) => return Err(reader.wrong(field, "extents", "a path in an image")),
            Place::Segment(index) => match self.segments.get(*index) {
                Some(segment) if segment.part == Part::Payload => segment.span_bytes,
                _ => return Err(reader.wrong(field, "a payload segment", &format!("{index}"))),
            },
        };
        if covered == payload.size_bytes {
            return Ok(());
        }
        let expected = format!("{} bytes", payload.size_bytes);
        Err(reader.wrong(field, &expected, &format!("{covered} bytes")))
    }
}

impl Image {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.size_bytes);
        put_varint(out, u64::from(self.sector_bytes));
        put_option(out, self.gpt.as_ref(), |gpt, out| {
            put_varint(out, gpt.alternate_lba);
            put_varint(out, gpt.last_usable_lba);
            put_varint(out, u64::from(gpt.protective_sectors));
        });
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let size_bytes = reader.varint("image size", i64::MAX as u64)?;
        let sector_bytes = reader.varint("sector size", 4096)? as u32;
        if !matches!(sector_bytes, 512 | 4096) {
            return Err(reader.wrong("sector size", "512 or 4096", &format!("{sector_bytes}")));
        }
        let gpt = read_option(reader, "gpt", |reader| {
            Ok(Gpt {
                alternate_lba: reader.varint("alternate LBA", u64::MAX)?,
                last_usable_lba: reader.varint("last usable LBA", u64::MAX)?,
                protective_sectors: reader.varint("protective size", u64::from(u32::MAX))? as u32,
            })
        })?;
        Ok(Self { size_bytes, sector_bytes, gpt })
    }
}

impl SegmentRef {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.digest.as_bytes());
        put_varint(out, u64::from(self.encoded_bytes));
        put_varint(out, self.span_bytes);
        out.push(match self.part {
            Part::Content => 0,
            Part::Payload => 1,
        });
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            digest: reader.digest("segment digest")?,
            encoded_bytes: reader.varint("segment length", SEGMENT_MAX_BYTES as u64)? as u32,
            span_bytes: reader.varint("segment span", i64::MAX as u64)?,
            part: match reader.take("segment part", 1)?[0] {
                0 => Part::Content,
                1 => Part::Payload,
                other => return Err(reader.wrong("segment part", "0 or 1", &format!("{other}"))),
            },
        })
    }
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<&T>, put: impl Fn(&T, &mut Vec<u8>)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(value, out);
    }
}

fn read_option<'a, T>(
    reader: &mut Reader<'a>,
    field: &str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, FormatError>,
) -> Result<Option<T>, FormatError> {
    match reader.take(field, 1)?[0] {
        0 => Ok(None),
        1 => read(reader).map(Some),
        other => Err(reader.wrong(field, "0 (absent) or 1 (present)", &format!("{other}"))),
    }
}
