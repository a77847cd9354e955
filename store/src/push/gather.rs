//! Hashed batches into segments and frames, in the image's order.
//!
//! This is the one place that decides what is new, and it sees everything in order: two
//! pushes of the same content into the same store make the same bytes.

use super::catalog::{Catalog, Spot};
use super::scan::{Batch, Cut};
use super::tally::Tally;
use crate::Digest;
use crate::manifest::{Entry, Part, Segment, SegmentRef};
use crate::parallel::{Closed, Submit};

/// New objects are compressed together up to this many bytes. Larger frames compress
/// better; a reader that wants one object of a frame decompresses all of it up to there.
pub(super) const FRAME_RAW_BYTES: usize = 256 << 10;

/// A batch whose objects have their digests.
pub(super) struct Hashed {
    /// The content.
    pub(super) batch: Batch,
    /// For each [`Cut::Data`], in order.
    pub(super) digests: Vec<Digest>,
}

/// Objects to compress together.
pub(super) struct RawFrame {
    /// Their bytes, one after another.
    pub(super) bytes: Vec<u8>,
    /// Their digests and lengths.
    pub(super) objects: Vec<(Digest, u32)>,
}

/// A segment of the manifest and where its objects are.
pub(super) struct Gathered {
    /// As the root names it.
    pub(super) segment: SegmentRef,
    /// Its bytes.
    pub(super) encoded: Vec<u8>,
    /// For each object, in order.
    pub(super) spots: Vec<Spot>,
}

/// How much there was.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) zero_bytes: u64,
    pub(super) objects: u64,
    pub(super) objects_new: u64,
    pub(super) reused_bytes: u64,
}

/// All segments, and what they add up to.
#[derive(Default)]
pub(super) struct Content {
    /// In order.
    pub(super) segments: Vec<Gathered>,
    /// Over all segments.
    pub(super) counts: Counts,
}

/// Takes all batches and hands new frames to `compress`. `Closed` when that side failed.
pub(super) fn gather(
    batches: impl Iterator<Item = Hashed>,
    catalog: &mut Catalog,
    compress: Submit<RawFrame, std::io::Result<super::packs::PackedFrame>>,
    tally: &Tally<'_>,
) -> Result<Content, Closed> {
    let next_frame = catalog.frames.len() as u32;
    let mut gather = Gather {
        catalog,
        compress,
        tally,
        next_frame,
        frame: RawFrame { bytes: Vec::new(), objects: Vec::new() },
        segment: Segment::default(),
        spots: Vec::new(),
        content: Content::default(),
    };
    for hashed in batches {
        gather.batch(&hashed)?;
        if let Some(part) = hashed.batch.ends {
            gather.end_segment(part)?;
        }
    }
    Ok(gather.content)
}

struct Gather<'a> {
    catalog: &'a mut Catalog,
    compress: Submit<RawFrame, std::io::Result<super::packs::PackedFrame>>,
    tally: &'a Tally<'a>,
    next_frame: u32,
    frame: RawFrame,
    segment: Segment,
    spots: Vec<Spot>,
    content: Content,
}

impl Gather<'_> {
    fn batch(&mut self, hashed: &Hashed) -> Result<(), Closed> {
        let mut digests = hashed.digests.iter();
        for cut in &hashed.batch.cuts {
            match cut {
                Cut::Zero(length) => self.zero(*length),
                Cut::Data(range) => {
                    let Some(digest) = digests.next() else { return Err(Closed) };
                    self.object(*digest, &hashed.batch.bytes[range.clone()])?;
                }
            }
        }
        Ok(())
    }

    fn zero(&mut self, more: u64) {
        self.content.counts.zero_bytes += more;
        match self.segment.entries.last_mut() {
            Some(Entry::Zero { length }) => *length += more,
            _ => self.segment.entries.push(Entry::Zero { length: more }),
        }
    }

    fn object(&mut self, digest: Digest, bytes: &[u8]) -> Result<(), Closed> {
        let spot = match self.catalog.spot(&digest) {
            Some(spot) => {
                self.content.counts.reused_bytes += bytes.len() as u64;
                spot
            }
            None => self.new_object(digest, bytes)?,
        };
        self.content.counts.objects += 1;
        self.spots.push(spot);
        self.segment.entries.push(Entry::Data { digest, length: bytes.len() as u32 });
        Ok(())
    }

    fn new_object(&mut self, digest: Digest, bytes: &[u8]) -> Result<Spot, Closed> {
        if self.frame.bytes.len() + bytes.len() > FRAME_RAW_BYTES {
            self.end_frame()?;
        }
        let spot = Spot { frame: self.next_frame, offset_bytes: self.frame.bytes.len() as u32 };
        self.frame.bytes.extend_from_slice(bytes);
        self.frame.objects.push((digest, bytes.len() as u32));
        self.catalog.insert(digest, spot);
        self.content.counts.objects_new += 1;
        self.tally.new_object(bytes.len() as u64);
        Ok(spot)
    }

    fn end_frame(&mut self) -> Result<(), Closed> {
        if self.frame.objects.is_empty() {
            return Ok(());
        }
        let empty = RawFrame { bytes: Vec::with_capacity(FRAME_RAW_BYTES), objects: Vec::new() };
        self.next_frame += 1;
        self.compress.submit(std::mem::replace(&mut self.frame, empty))
    }

    /// A frame does not reach over two segments: who fetches one segment needs no half of a
    /// frame.
    fn end_segment(&mut self, part: Part) -> Result<(), Closed> {
        self.end_frame()?;
        let segment = std::mem::take(&mut self.segment);
        let encoded = segment.encode();
        let segment = SegmentRef {
            digest: Digest::of(&encoded),
            encoded_bytes: encoded.len() as u32,
            span_bytes: segment.span_bytes(),
            part,
        };
        let spots = std::mem::take(&mut self.spots);
        self.content.segments.push(Gathered { segment, encoded, spots });
        Ok(())
    }
}
