//! Diffs of a label against what the target holds: fewer bytes for the same objects.
//!
//! Nothing depends on them: what a diff does not bring, because the list, the diff or what it is
//! told by is not as it should be, is fetched as it is.

use crate::Label;
use crate::fetch::Want;
use crate::links::Link;
use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;
use store::Digest;
use store::diffs::{DIFFS_MAX_BYTES, Diff, Diffs, Part};
use store::map::{FrameRef, Map};
use store::source::{Item, read_all};

/// What has the objects that diffs are told by.
pub(crate) trait Holder: Sync {
    /// Whether it has the object.
    fn has(&self, part: &Part) -> bool;

    /// Appends the object's bytes to `into`; says whether they were there and right.
    fn read(&self, part: &Part, into: &mut Vec<u8>) -> bool;
}

/// The diffs of a label that a target can use.
pub(crate) struct UsableDiffs {
    diffs: Vec<Diff>,
    /// The packs that they are in.
    pub(crate) map: Arc<Map>,
    /// The number of the store in the label's chain that has them.
    link: usize,
    /// By an object: the number of the diff that brings it, and where in its content it starts.
    targets: HashMap<Part, (u32, u32)>,
    /// By a diff's frame: its number.
    frames: HashMap<(u32, u64), u32>,
}

impl UsableDiffs {
    /// Those of the diffs of `label` whose references `holder` has. The nearest store that has a
    /// list is asked, once.
    pub(crate) fn read(label: &Label, holder: &dyn Holder) -> Option<Self> {
        let item = Item::Diffs(label.record.manifest);
        let read = |link: &Link| {
            let bytes = read_all(&*link.source, &item, DIFFS_MAX_BYTES).ok()?;
            Diffs::decode(&bytes).ok()
        };
        let mut links = label.links.all().enumerate().filter(|(_, link)| !link.is_out());
        let (link, list) = links.find_map(|(number, link)| Some((number, read(link)?)))?;
        let is_usable = |diff: &Diff| diff.references.iter().all(|part| holder.has(part));
        let diffs = list.diffs.into_iter().filter(is_usable).collect();
        let map = Arc::new(Map { packs: list.packs, sections: Vec::new() });
        Some(Self::new(diffs, map, link))
    }

    /// Keeps those that are shorter than what they bring of `wanted`: objects with their lengths,
    /// and the frames that they would come in otherwise.
    pub(crate) fn choose(self, wanted: impl Iterator<Item = (Digest, u32, FrameRef)>) -> Self {
        let mut saved = vec![0; self.diffs.len()];
        for (digest, length, frame) in wanted {
            if let Some((number, _)) = self.targets.get(&Part::of(&digest, length)) {
                // Its share of the frame.
                let packed = u64::from(frame.packed_bytes) * u64::from(length);
                saved[*number as usize] += packed / u64::from(frame.raw_bytes.max(1));
            }
        }
        let is_worth = |(diff, saved): (Diff, u64)| {
            (u64::from(diff.frame.packed_bytes) < saved).then_some(diff)
        };
        let diffs = self.diffs.into_iter().zip(saved).filter_map(is_worth).collect();
        Self::new(diffs, self.map, self.link)
    }

    fn new(diffs: Vec<Diff>, map: Arc<Map>, link: usize) -> Self {
        let (mut targets, mut frames) = (HashMap::new(), HashMap::new());
        for (number, diff) in (0..).zip(&diffs) {
            frames.insert((diff.frame.pack, diff.frame.offset_bytes), number);
            let mut at = 0;
            for part in &diff.targets {
                targets.entry(*part).or_insert((number, at));
                at += part.length;
            }
        }
        Self { diffs, map, link, targets, frames }
    }

    /// The frame that brings an object by a diff, and where it starts in there, bytes.
    pub(crate) fn find(&self, digest: &Digest, length: u32) -> Option<(FrameRef, u32)> {
        let (number, at) = *self.targets.get(&Part::of(digest, length))?;
        Some((self.diffs.get(number as usize)?.frame, at))
    }

    /// `want` where a diff brings it.
    pub(crate) fn located(&self, want: &Want) -> Option<Want> {
        let (frame, inner_bytes) = self.find(&want.digest, want.length)?;
        Some(Want { frame, inner_bytes, ..want.clone() })
    }

    /// The store that has them.
    pub(crate) fn link<'a>(&self, label: &'a Label) -> Option<&'a Link> {
        label.links.all().nth(self.link)
    }

    /// Decompresses the diff in `frame` into `content`, which is as long as it is.
    pub(crate) fn unpack(
        &self,
        frame: &FrameRef,
        packed: &[u8],
        holder: &dyn Holder,
        content: &mut [u8],
    ) -> io::Result<()> {
        let number = self.frames.get(&(frame.pack, frame.offset_bytes));
        let diff = number.and_then(|number| self.diffs.get(*number as usize));
        let diff = diff.ok_or_else(|| io::Error::other("no such diff"))?;
        let mut prefix = Vec::new();
        for part in &diff.references {
            if !holder.read(part, &mut prefix) {
                return Err(io::Error::other("what it is told by is not there any more"));
            }
        }
        unpack(&prefix, packed, content)
    }
}

/// Decompresses `packed`, a zstd frame with this prefix, into `content`, which it fills.
fn unpack(prefix: &[u8], packed: &[u8], content: &mut [u8]) -> io::Result<()> {
    let mut decoder = zstd::stream::read::Decoder::with_ref_prefix(packed, prefix)?;
    // A window is no longer than the content: a frame that wants more memory lies.
    decoder
        .window_log_max(content.len().next_power_of_two().trailing_zeros().max(WINDOW_LOG_MIN))?;
    decoder.read_exact(content)?;
    if decoder.read(&mut [0])? == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("more than {} bytes", content.len())))
}

/// The smallest window that zstd takes for a limit (`ZSTD_WINDOWLOG_ABSOLUTEMIN`).
const WINDOW_LOG_MIN: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    fn pack(prefix: &[u8], content: &[u8]) -> Vec<u8> {
        let mut encoder =
            zstd::stream::write::Encoder::with_ref_prefix(Vec::new(), 9, prefix).unwrap();
        encoder.window_log(23).unwrap();
        encoder.set_pledged_src_size(Some(content.len() as u64)).unwrap();
        encoder.include_contentsize(true).unwrap();
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn content_comes_back_with_its_prefix_and_with_no_other() {
        let before = noise(3 << 20, 1);
        let mut after = before[1 << 20..2 << 20].to_vec();
        after[1000..1100].fill(7);
        let packed = pack(&before, &after);
        assert!(packed.len() < 2000, "{} bytes", packed.len());
        let mut found = vec![0; after.len()];
        unpack(&before, &packed, &mut found).unwrap();
        assert!(found == after);
        // Another prefix of the same length gives other bytes, which hashing finds.
        let other = noise(3 << 20, 2);
        assert!(unpack(&other, &packed, &mut found).is_err() || found != after);
        assert!(unpack(&before, &packed, &mut vec![0; after.len() - 1]).is_err());
        assert!(unpack(&before, &packed, &mut vec![0; after.len() + 1]).is_err());
        assert!(unpack(&before, &packed[..packed.len() - 1], &mut found).is_err());
    }

    #[test]
    fn a_frame_that_wants_much_memory_is_refused() {
        let content = noise(16 << 20, 3);
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(26).unwrap();
        encoder.write_all(&content).unwrap();
        let packed = encoder.finish().unwrap();
        assert!(unpack(&[], &packed, &mut vec![0; 1 << 20]).is_err());
    }
}
