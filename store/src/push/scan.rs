//! Content into cuts: read in windows, cut where [`crate::cut`] says, holes not read.

use super::PushError;
use super::input::Input;
use super::run::Take;
use super::tally::Tally;
use crate::cut::{BLOCK_BYTES, OBJECT_CUT_MAX_BYTES, Piece, SEGMENT_SPAN_BYTES, pieces};
use crate::manifest::Part;
use crate::parallel::Closed;
use crate::tree::Node;
use std::ops::Range;

/// How much is read and handed on at once, bytes: large enough that handing on costs
/// nothing, small enough that a few per core do not count.
const WINDOW_BYTES: u64 = 1 << 20;

/// Some content in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What was read.
    pub(super) bytes: Vec<u8>,
    /// The content, cut.
    pub(super) cuts: Vec<Cut>,
    /// Set when a segment ends here.
    pub(super) ends: Option<Part>,
}

/// A stretch of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cut {
    /// Zeroes: how many.
    Zero(u64),
    /// An object: its place in [`Batch::bytes`].
    Data(Range<usize>),
    /// A node of a tree: what follows up to the next one is its content.
    Node(Box<Node>),
}

/// Why a scan ended early.
pub(super) enum Stop {
    /// The input failed.
    Failed(PushError),
    /// Whoever takes the batches is gone.
    Closed,
}

impl From<PushError> for Stop {
    fn from(error: PushError) -> Self {
        Self::Failed(error)
    }
}

impl From<Closed> for Stop {
    fn from(Closed: Closed) -> Self {
        Self::Closed
    }
}

/// Hands the whole of `input` to `take`, as segments of `span_bytes` of the given part.
/// What is not a whole number of spans ends with a shorter one.
pub(super) fn scan(
    input: &Input,
    part: Part,
    tally: &Tally<'_>,
    take: &mut Take<'_>,
) -> Result<(), Stop> {
    let span_bytes = match part {
        Part::Content => SEGMENT_SPAN_BYTES,
        Part::Payload => input.size_bytes().max(1),
    };
    let mut start = 0;
    while start < input.size_bytes() {
        let end = start.saturating_add(span_bytes).min(input.size_bytes());
        Scan { input, tally, at: start, end, data: None, carry: Vec::new() }.run(part, take)?;
        start = end;
    }
    input.check_unchanged()?;
    Ok(())
}

/// One segment being scanned.
struct Scan<'a> {
    input: &'a Input,
    tally: &'a Tally<'a>,
    /// Next byte to read.
    at: u64,
    /// Where the segment ends.
    end: u64,
    /// The stretch of data that holds or follows `at`, where known.
    data: Option<Range<u64>>,
    /// Read bytes of an object whose end is not known yet.
    carry: Vec<u8>,
}

impl Scan<'_> {
    fn run(mut self, part: Part, take: &mut Take<'_>) -> Result<(), Stop> {
        while self.at < self.end {
            let mut batch = self.tally.reading(|| self.next_batch())?;
            batch.ends = (self.at == self.end).then_some(part);
            take(batch)?;
        }
        Ok(())
    }

    /// The next window: a hole, or data read and cut. The last object of a window is carried
    /// into the next, as it may go on there.
    fn next_batch(&mut self) -> Result<Batch, PushError> {
        let data = self.data_ahead()?;
        if data.start > self.at {
            return Ok(self.skip(data.start));
        }
        let length = WINDOW_BYTES.min(data.end - self.at) as usize;
        let mut bytes = std::mem::take(&mut self.carry);
        let carried = bytes.len();
        bytes.reserve_exact(length);
        bytes.resize(carried + length, 0);
        self.input.read(&mut bytes[carried..], self.at)?;
        self.at += length as u64;
        self.tally.read(length as u64);
        let mut cuts = cut(&bytes);
        if self.at < self.end
            && let Some(Cut::Data(last)) = cuts.last().cloned()
        {
            cuts.pop();
            self.carry.reserve_exact(OBJECT_CUT_MAX_BYTES + WINDOW_BYTES as usize);
            self.carry.extend_from_slice(&bytes[last]);
        }
        Ok(Batch { bytes, cuts, ends: None })
    }

    /// A hole up to `to`: what was carried ends before it, as zeroes are in no object.
    fn skip(&mut self, to: u64) -> Batch {
        let bytes = std::mem::take(&mut self.carry);
        let carried = (!bytes.is_empty()).then_some(Cut::Data(0..bytes.len()));
        let hole = to - self.at;
        self.at = to;
        self.tally.read(hole);
        let cuts = carried.into_iter().chain([Cut::Zero(hole)]).collect();
        Batch { bytes, cuts, ends: None }
    }

    /// The data at or after `at`, in whole blocks, within the segment. Only a hole of whole blocks
    /// is one: cuts fall where they would if it were read.
    fn data_ahead(&mut self) -> Result<Range<u64>, PushError> {
        if let Some(data) = self.data.as_ref().filter(|data| data.end > self.at) {
            return Ok(data.clone());
        }
        let block = BLOCK_BYTES as u64;
        let (start, end) = self.input.next_data(self.at)?.unwrap_or((u64::MAX, u64::MAX));
        let start = (start / block * block).clamp(self.at, self.end);
        let end = end.div_ceil(block).saturating_mul(block).clamp(start, self.end);
        Ok(self.data.insert(start..end).clone())
    }
}

fn cut(bytes: &[u8]) -> Vec<Cut> {
    let mut at = 0;
    let place = |piece| match piece {
        Piece::Zero { length } => {
            at += length;
            Cut::Zero(length as u64)
        }
        Piece::Data { length } => {
            at += length;
            Cut::Data(at - length..at)
        }
    };
    pieces(bytes).map(place).collect()
}
