//! Hashed batches into segments and frames, in the order of the content.
//!
//! This is the one place that decides what is new, and it sees everything in order: two
//! pushes of the same content into the same store make the same bytes.

use super::PushError;
use super::fresh::Fresh;
use super::packs::PackedFrame;
use super::scan::{Batch, Cut, Stop};
use super::segments::OpenSegment;
use super::spool::Spool;
use super::tally::Tally;
use crate::Digest;
use crate::dir::index::Spot;
use crate::dir::{DirError, DirStore};
use crate::manifest::{Entry, Part, SegmentRef};
use crate::parallel::{Closed, Submit};
use crate::tree::Node;

/// New objects are compressed together up to this many bytes. Larger frames compress
/// better; a reader that wants one object of a frame decompresses all of it up to there.
pub(crate) const FRAME_RAW_BYTES: usize = 256 << 10;

/// A batch whose objects have their digests.
pub(super) struct Hashed {
    /// The content.
    pub(super) batch: Batch,
    /// For each [`Cut::Data`], in order, its digest and where the store has it.
    pub(super) objects: Vec<(Digest, Option<Spot>)>,
}

/// Objects to compress together.
pub(super) struct RawFrame {
    /// Their bytes, one after another.
    pub(super) bytes: Vec<u8>,
    /// Their digests and lengths.
    pub(super) objects: Vec<(Digest, u32)>,
}

/// How much there was.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) nodes: u64,
    pub(super) zero_bytes: u64,
    pub(super) objects: u64,
    pub(super) objects_new: u64,
    pub(super) reused_bytes: u64,
}

/// All segments, and what they add up to.
pub(super) struct Gathered<'a> {
    /// In order, as the root names them.
    pub(super) segments: Vec<SegmentRef>,
    /// For each segment, how many objects it has.
    pub(super) objects: Vec<u32>,
    /// The segments' bytes, one after another.
    pub(super) encoded: Spool<'a>,
    /// For each object of each segment, in order, its [`Spot`].
    pub(super) spots: Spool<'a>,
    /// What the store did not have.
    pub(super) fresh: Fresh<'a>,
    /// Over all segments.
    pub(super) counts: Counts,
}

type Compress = Submit<RawFrame, std::io::Result<PackedFrame>>;

/// Takes all batches and hands new frames to `compress`. `Closed` when that side failed.
pub(super) fn gather<'a>(
    store: &'a DirStore,
    batches: impl Iterator<Item = Result<Hashed, DirError>>,
    compress: Compress,
    tally: &Tally<'_>,
) -> Result<Gathered<'a>, Stop> {
    let mut gather = Gather {
        compress,
        tally,
        next_frame: 0,
        frame: RawFrame { bytes: Vec::new(), objects: Vec::new() },
        segment: OpenSegment::default(),
        segment_objects: 0,
        content: Gathered {
            segments: Vec::new(),
            objects: Vec::new(),
            encoded: Spool::new(store, "the manifest's segments"),
            spots: Spool::new(store, "the objects' places"),
            fresh: Fresh::new(store),
            counts: Counts::default(),
        },
    };
    for hashed in batches {
        gather.batch(hashed.map_err(PushError::Store)?)?;
    }
    Ok(gather.content)
}

struct Gather<'a, 't> {
    compress: Compress,
    tally: &'t Tally<'t>,
    next_frame: u32,
    frame: RawFrame,
    segment: OpenSegment,
    segment_objects: u32,
    content: Gathered<'a>,
}

impl Gather<'_, '_> {
    fn batch(&mut self, hashed: Hashed) -> Result<(), Stop> {
        let Hashed { batch, objects } = hashed;
        let mut objects = objects.into_iter();
        for cut in batch.cuts {
            match cut {
                Cut::Zero(length) => self.zero(length)?,
                Cut::Data(range) => {
                    let Some(object) = objects.next() else { return Err(Stop::Closed) };
                    self.object(object, &batch.bytes[range])?;
                }
                Cut::Node(node) => self.node(*node)?,
            }
        }
        match batch.ends {
            Some(part) => {
                let ended = self.segment.end();
                self.end_segment(ended, part)
            }
            None => Ok(()),
        }
    }

    fn node(&mut self, node: Node) -> Result<(), Stop> {
        self.content.counts.nodes += 1;
        if self.segment.node(node) { self.close_segment() } else { Ok(()) }
    }

    fn zero(&mut self, mut more: u64) -> Result<(), Stop> {
        self.content.counts.zero_bytes += more;
        while more > 0 {
            let length = self.segment.room_bytes(more);
            if length == 0 {
                self.close_segment()?;
                continue;
            }
            self.segment.piece(Entry::Zero { length });
            more -= length;
        }
        Ok(())
    }

    fn object(
        &mut self,
        (digest, found): (Digest, Option<Spot>),
        bytes: &[u8],
    ) -> Result<(), Stop> {
        let length = bytes.len() as u64;
        if self.segment.room_bytes(length) < length {
            self.close_segment()?;
        }
        let found = match found {
            Some(spot) => Some(spot),
            None => self.content.fresh.find(&digest).map_err(PushError::Store)?,
        };
        let spot = match found {
            Some(spot) => {
                self.content.counts.reused_bytes += bytes.len() as u64;
                spot
            }
            None => self.new_object(digest, bytes)?,
        };
        self.content.counts.objects += 1;
        self.segment_objects += 1;
        self.content.spots.write(&spot.encode()).map_err(PushError::Store)?;
        self.segment.piece(Entry::Data { digest, length: bytes.len() as u32 });
        Ok(())
    }

    fn new_object(&mut self, digest: Digest, bytes: &[u8]) -> Result<Spot, Stop> {
        if self.frame.bytes.len() + bytes.len() > FRAME_RAW_BYTES {
            self.end_frame()?;
        }
        let at = self.frame.bytes.len() as u32;
        self.frame.bytes.extend_from_slice(bytes);
        self.frame.objects.push((digest, bytes.len() as u32));
        self.content.counts.objects_new += 1;
        self.tally.new_object(bytes.len() as u64);
        let spot = self.content.fresh.insert(digest, self.next_frame, at);
        Ok(spot.map_err(PushError::Store)?)
    }

    fn end_frame(&mut self) -> Result<(), Closed> {
        if self.frame.objects.is_empty() {
            return Ok(());
        }
        let empty = RawFrame { bytes: Vec::with_capacity(FRAME_RAW_BYTES), objects: Vec::new() };
        self.next_frame += 1;
        self.compress.submit(std::mem::replace(&mut self.frame, empty))
    }

    /// Ends a segment of a tree that goes on.
    fn close_segment(&mut self) -> Result<(), Stop> {
        let closed = self.segment.close();
        self.end_segment(closed, Part::Content)
    }

    /// A frame does not reach over two segments: who fetches one segment needs no half of a
    /// frame.
    fn end_segment(
        &mut self,
        (encoded, span_bytes): (Vec<u8>, u64),
        part: Part,
    ) -> Result<(), Stop> {
        self.end_frame()?;
        self.content.segments.push(SegmentRef {
            digest: Digest::of(&encoded),
            encoded_bytes: encoded.len() as u32,
            span_bytes,
            part,
        });
        self.content.objects.push(std::mem::take(&mut self.segment_objects));
        Ok(self.content.encoded.write(&encoded).map_err(PushError::Store)?)
    }
}
