//! Which ranges of which packs to ask for. Pure.

use std::ops::Range;
use store::Digest;
use store::map::{FrameRef, Map};

/// Most that one request asks for, bytes: many of them share one image evenly among
/// the workers, and 256 MB of packs are still only some sixty requests.
const REQUEST_MAX_BYTES: u64 = 4 << 20;

/// Up to this much that nobody wants is read and dropped, bytes, because asking
/// anew costs a round trip: 64 KiB take half a millisecond at 1 Gbit/s.
const GAP_MAX_BYTES: u64 = 64 << 10;

/// An object that is wanted, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    /// The segment of the manifest that has it, by number: with the next one, what finds it in
    /// another store's map.
    pub(crate) segment: u32,
    /// Which of that segment's objects it is.
    pub(crate) object: u32,
    /// The frame that holds it.
    pub(crate) frame: FrameRef,
    /// Where it starts in the decompressed frame, bytes.
    pub(crate) inner_bytes: u32,
    /// Its length, bytes.
    pub(crate) length: u32,
    /// Its digest.
    pub(crate) digest: Digest,
    /// Where it goes in the content, bytes.
    pub(crate) offset_bytes: u64,
}

/// One range of one pack.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Index of the pack in the map.
    pub(crate) pack: u32,
    /// The frames in it that are wanted, in order.
    pub(crate) frames: Vec<FrameWants>,
}

/// A frame and what is wanted of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FrameWants {
    /// The frame.
    pub(crate) frame: FrameRef,
    /// Which of the wants.
    pub(crate) wants: Range<usize>,
}

impl Want {
    /// The same object where `map`, another map of the manifest, says that it is.
    pub(crate) fn located(&self, map: &Map) -> Option<Self> {
        let section = map.sections.get(self.segment as usize)?;
        let place = section.places.get(self.object as usize)?;
        let frame = *section.frames.get(place.frame as usize)?;
        Some(Self { frame, inner_bytes: place.offset_bytes, ..self.clone() })
    }
}

impl FrameWants {
    /// Where the frame ends in the pack, bytes.
    pub(crate) fn end_bytes(&self) -> u64 {
        self.frame.offset_bytes + u64::from(self.frame.packed_bytes)
    }
}

impl Request {
    fn takes(&self, frame: &FrameRef) -> bool {
        let (Some(first), Some(last)) = (self.frames.first(), self.frames.last()) else {
            return true;
        };
        let gap = frame.offset_bytes.checked_sub(last.end_bytes());
        let end = frame.offset_bytes + u64::from(frame.packed_bytes);
        self.pack == frame.pack
            && gap.is_some_and(|gap| gap <= GAP_MAX_BYTES)
            && end - first.frame.offset_bytes <= REQUEST_MAX_BYTES
    }
}

/// Sorts wants the way [`requests`] needs them: by where they are, then by where they go.
pub(crate) fn sort(wants: &mut [Want]) {
    wants.sort_unstable_by_key(|want| (want.frame, want.inner_bytes, want.offset_bytes));
}

/// The requests that bring `wants`, which are sorted.
pub(crate) fn requests(wants: &[Want]) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    let mut start = 0;
    for of_frame in wants.chunk_by(|one, next| one.frame == next.frame) {
        let frame = of_frame[0].frame;
        let wants = start..start + of_frame.len();
        start = wants.end;
        if requests.last().is_none_or(|last| !last.takes(&frame)) {
            requests.push(Request { pack: frame.pack, frames: Vec::new() });
        }
        if let Some(last) = requests.last_mut() {
            last.frames.push(FrameWants { frame, wants });
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn want(pack: u32, offset: u64, packed: u32, inner: u32) -> Want {
        let frame =
            FrameRef { pack, offset_bytes: offset, packed_bytes: packed, raw_bytes: 1 << 20 };
        let digest = Digest::of(&inner.to_le_bytes());
        let (inner_bytes, offset_bytes) = (inner, u64::from(inner));
        let (segment, object, length) = (0, 0, 4096);
        Want { segment, object, frame, inner_bytes, length, digest, offset_bytes }
    }

    fn shape(wants: &[Want]) -> Vec<(u32, Vec<(u64, usize)>)> {
        let frame = |of: &FrameWants| (of.frame.offset_bytes, of.wants.len());
        let request = |r: &Request| (r.pack, r.frames.iter().map(frame).collect());
        requests(wants).iter().map(request).collect()
    }

    #[test]
    fn neighbours_share_a_request_and_others_do_not() {
        const K: u64 = 1024;
        let far = 200 * K + 100 * K + GAP_MAX_BYTES + 1;
        let mut wants = [
            want(0, far, 10, 0),
            want(1, 0, 9, 0),
            want(0, 100 * K, 200 << 10, 4096),
            want(0, 0, 100 << 10, 0),
            want(0, 100 * K, 200 << 10, 0),
        ];
        sort(&mut wants);
        let expected = [(0, vec![(0, 1), (100 * K, 2)]), (0, vec![(far, 1)]), (1, vec![(0, 1)])];
        assert_eq!(shape(&wants), expected);
    }

    #[test]
    fn a_request_is_bounded() {
        let frames = (0..64).map(|index| want(0, index << 20, 1 << 20, 0));
        let wants: Vec<_> = frames.collect();
        assert!(shape(&wants).iter().all(|(_, frames)| frames.len() <= 4));
    }

    proptest! {
        #[test]
        fn every_want_is_asked_for_once(places in prop::collection::vec((0_u32..3, 0_u64..99), 0..80)) {
            let mut wants: Vec<_> =
                places.iter().map(|(pack, slot)| want(*pack, slot * 5000, 4000, 0)).collect();
            sort(&mut wants);
            let mut next = 0;
            for request in requests(&wants) {
                for of_frame in request.frames {
                    prop_assert_eq!(of_frame.wants.start, next);
                    next = of_frame.wants.end;
                }
            }
            prop_assert_eq!(next, wants.len());
        }
    }
}
