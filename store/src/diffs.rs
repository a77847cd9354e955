//! Diffs: objects of one label told by objects of another, its *base*.
//!
//! A diff is a zstd frame in a pack. Its prefix is some objects of the base, one after another (the
//! *references*); its content is some objects of the label (the *targets*). Who holds the
//! references, hashed, fetches the frame instead of the targets, and need not know which label they
//! are of: one list has the diffs against all bases. It is not trusted, and always dispensable:
//! targets are hashed, and are whole in packs too.

#[cfg(feature = "std")]
mod carry;
pub mod choose;
#[cfg(feature = "std")]
mod list;
#[cfg(feature = "std")]
mod make;

#[cfg(feature = "std")]
pub(crate) use carry::carry;
#[cfg(feature = "std")]
pub(crate) use list::prune;

#[cfg(feature = "std")]
pub use make::{Made, MakeError, make_diffs};

use crate::Digest;
use crate::codec::{FormatError, Reader, put_varint};
use crate::map::{FRAME_MAX_BYTES, FrameRef, PackRef, put_packs, read_frame, read_packs};
use alloc::format;
use alloc::vec::Vec;

const MAGIC: [u8; 8] = *b"inaugdf1";

/// The longest list of diffs, bytes: some thirty times what two Debians need; what it takes in a
/// reader's memory is some ten times as much.
pub const DIFFS_MAX_BYTES: u64 = 4 << 20;

/// The references of one diff together, bytes: what a reader holds for each diff under way.
pub const REFERENCES_MAX_BYTES: u64 = 4 << 20;

/// How an object is named here: the first bytes of its digest. The digest itself is in the
/// manifest; who is led to another object finds that out by hashing.
pub const KEY_BYTES: usize = 8;

/// The diffs of a label against its bases.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diffs {
    /// The packs that the frames are in.
    pub packs: Vec<PackRef>,
    /// The diffs, those against one base in the order of the label's content.
    pub diffs: Vec<Diff>,
}

/// A diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// Where it is; decompressed it is as long as its targets together.
    pub frame: FrameRef,
    /// Objects of the base, as they are joined to be the prefix: at most [`REFERENCES_MAX_BYTES`].
    pub references: Vec<Part>,
    /// Objects of the label, as they are joined to be the content.
    pub targets: Vec<Part>,
}

/// An object of a diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// The start of its digest.
    pub key: [u8; KEY_BYTES],
    /// Its length, bytes.
    pub length: u32,
}

impl Part {
    /// The object with this digest and length.
    pub fn of(digest: &Digest, length: u32) -> Self {
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(&digest.as_bytes()[..KEY_BYTES]);
        Self { key, length }
    }
}

impl Diffs {
    /// The list as bytes. Equal lists have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put_packs(&mut out, &self.packs);
        put_varint(&mut out, self.diffs.len() as u64);
        for Diff { frame, references, targets } in &self.diffs {
            frame.encode(&mut out);
            put_parts(&mut out, references);
            put_parts(&mut out, targets);
        }
        let check = Digest::of(&out);
        out.extend_from_slice(check.as_bytes());
        out
    }

    /// Reads a list; `bytes` are exactly the list.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let body = crate::map::checked_body("diffs", MAGIC, bytes)?;
        let mut reader = Reader::new("diffs", body);
        reader.magic(MAGIC)?;
        let packs = read_packs(&mut reader)?;
        let count = reader.count("diffs", 6)?;
        let diffs = (0..count).map(|_| read_diff(&mut reader, &packs)).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { packs, diffs })
    }
}

fn put_parts(out: &mut Vec<u8>, parts: &[Part]) {
    put_varint(out, parts.len() as u64);
    for part in parts {
        out.extend_from_slice(&part.key);
        put_varint(out, u64::from(part.length));
    }
}

fn read_diff(reader: &mut Reader<'_>, packs: &[PackRef]) -> Result<Diff, FormatError> {
    let frame = read_frame(reader, packs)?;
    let references = read_parts(reader, "references", REFERENCES_MAX_BYTES)?;
    let targets = read_parts(reader, "targets", u64::from(FRAME_MAX_BYTES))?;
    if targets.is_empty() {
        return Err(reader.wrong("targets", "at least one object", "none"));
    }
    let length: u64 = targets.iter().map(|part| u64::from(part.length)).sum();
    if length != u64::from(frame.raw_bytes) {
        let expected = format!("{} bytes", frame.raw_bytes);
        return Err(reader.wrong("targets", &expected, &format!("{length}")));
    }
    Ok(Diff { frame, references, targets })
}

/// Objects of at most `max_bytes` together.
fn read_parts(reader: &mut Reader<'_>, field: &str, max: u64) -> Result<Vec<Part>, FormatError> {
    let count = reader.count(field, KEY_BYTES + 1)?;
    let mut left = max;
    let mut parts = Vec::with_capacity(count);
    for _ in 0..count {
        let key = reader.array(field)?;
        let length = reader.varint(field, left)? as u32;
        if length == 0 {
            return Err(reader.wrong(field, "at least 1 byte", "0"));
        }
        left -= u64::from(length);
        parts.push(Part { key, length });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn part() -> impl Strategy<Value = Part> {
        (any::<[u8; KEY_BYTES]>(), 1_u32..5000).prop_map(|(key, length)| Part { key, length })
    }

    fn diff() -> impl Strategy<Value = Diff> {
        (vec(part(), 0..5), vec(part(), 1..5), 0_u64..1000).prop_map(
            |(references, targets, offset_bytes)| {
                let raw_bytes = targets.iter().map(|part| part.length).sum();
                let frame = FrameRef { pack: 0, offset_bytes, packed_bytes: 7, raw_bytes };
                Diff { frame, references, targets }
            },
        )
    }

    fn list(diffs: Vec<Diff>) -> Diffs {
        Diffs {
            packs: alloc::vec![PackRef { digest: Digest::of(b"pack"), size_bytes: 2000 }],
            diffs,
        }
    }

    proptest! {
        #[test]
        fn lists_come_back_and_damaged_ones_are_refused(
            diffs in vec(diff(), 0..6),
            at: prop::sample::Index,
            bit in 0_u8..8,
        ) {
            let mut bytes = list(diffs.clone()).encode();
            prop_assert_eq!(Diffs::decode(&bytes), Ok(list(diffs)));
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Diffs::decode(&bytes).is_err());
            prop_assert!(Diffs::decode(&bytes[..at]).is_err());
        }
    }

    #[test]
    fn targets_are_as_long_as_their_frame_and_references_bounded() {
        let part = |length| Part { key: [7; KEY_BYTES], length };
        let frame = FrameRef { pack: 0, offset_bytes: 16, packed_bytes: 9, raw_bytes: 10 };
        let decode = |references: Vec<Part>, targets: Vec<Part>| {
            let encoded = list(alloc::vec![Diff { frame, references, targets }]).encode();
            Diffs::decode(&encoded).map(|_| ()).map_err(|error| alloc::format!("{error}"))
        };
        assert_eq!(decode(Vec::new(), alloc::vec![part(4), part(6)]), Ok(()));
        let wrong = decode(Vec::new(), alloc::vec![part(4)]).unwrap_err();
        assert!(wrong.ends_with("expected 10 bytes, found 4"), "{wrong}");
        let most = REFERENCES_MAX_BYTES as u32;
        assert_eq!(decode(alloc::vec![part(most)], alloc::vec![part(10)]), Ok(()));
        let wrong = decode(alloc::vec![part(most), part(1)], alloc::vec![part(10)]).unwrap_err();
        assert!(wrong.ends_with("expected at most 0, found 1"), "{wrong}");
    }
}
