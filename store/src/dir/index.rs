//! Which objects the store has, and where: sorted runs in `index/`, made from the packs' own
//! indexes and made again whenever they are lost. Advice, never the truth: a pack that is
//! not there with the length that a run says, or does not begin and end like a pack, holds
//! nothing, and what fails its check is read from the packs again.
//!
//! ```text
//! index/HEX   blocks of 4096 bytes: up to 73 records, each
//!               digest, u32le pack, u64le offset, u32le packed, u32le raw, u32le at
//!             zeroes to byte 4088, then u64le: the block's check
//!             then the packs: digest, u64le file size, each; in order of digests
//!             then for each 32nd block, from the first: u64le, the first eight bytes of its
//!               first digest as a number (big-endian: ordered as digests are)
//!             then u64le records, u64le packs, "inaugix1"
//! ```
//!
//! HEX is the digest of what follows the blocks. Records are in order and none is there
//! twice. A block's check is the XXH3-64 of its first 4088 bytes, seeded with the first
//! eight bytes of the digest of the packs' table, as `u64le`, xor the block's number: neither
//! a rotten block nor one of another run or place is believed. It finds faults, not malice:
//! who can write here can write packs.

mod build;
mod keep;
mod layout;
mod merge;
mod plan;
mod run;
mod spills;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use build::{Sorter, add_pack};
pub(crate) use keep::{Kept, Source, keep, open_all, remove};
pub(crate) use merge::Sequence;
pub(crate) use run::{Run, RunError};
pub(crate) use spills::{Spills, unreadable};
pub(crate) use write::Written;

use crate::Digest;

/// The grain of a run's file, bytes: what one look-up reads, and what a page is.
const BLOCK_BYTES: usize = 4096;

/// What a record takes, bytes.
const RECORD_BYTES: usize = Digest::LEN + SPOT_BYTES;

/// Records in a block: all that fit beside its check.
const BLOCK_RECORDS: usize = (BLOCK_BYTES - 8) / RECORD_BYTES;

/// What a spot takes, bytes.
pub(crate) const SPOT_BYTES: usize = 24;

/// Where an object lies. The order is that in which one place is preferred to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Spot {
    /// The pack's number in a table that the context gives.
    pub(crate) pack: u32,
    /// Where the frame starts in the pack's file, bytes.
    pub(crate) offset_bytes: u64,
    /// What the frame takes there, bytes.
    pub(crate) packed_bytes: u32,
    /// What the frame holds, bytes.
    pub(crate) raw_bytes: u32,
    /// Where the object starts in the decompressed frame, bytes.
    pub(crate) at_bytes: u32,
}

/// An object and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    /// The object.
    pub(crate) digest: Digest,
    /// Its place.
    pub(crate) spot: Spot,
}

impl Spot {
    /// As bytes.
    pub(crate) fn encode(&self) -> [u8; SPOT_BYTES] {
        let mut bytes = [0; SPOT_BYTES];
        bytes[..4].copy_from_slice(&self.pack.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.offset_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.packed_bytes.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.raw_bytes.to_le_bytes());
        bytes[20..].copy_from_slice(&self.at_bytes.to_le_bytes());
        bytes
    }

    /// From bytes.
    pub(crate) fn decode(bytes: &[u8; SPOT_BYTES]) -> Self {
        let [p0, p1, p2, p3, o0, o1, o2, o3, o4, o5, o6, o7, rest @ ..] = *bytes;
        let [k0, k1, k2, k3, r0, r1, r2, r3, a0, a1, a2, a3] = rest;
        Self {
            pack: u32::from_le_bytes([p0, p1, p2, p3]),
            offset_bytes: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            packed_bytes: u32::from_le_bytes([k0, k1, k2, k3]),
            raw_bytes: u32::from_le_bytes([r0, r1, r2, r3]),
            at_bytes: u32::from_le_bytes([a0, a1, a2, a3]),
        }
    }
}

impl Record {
    fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..Digest::LEN].copy_from_slice(self.digest.as_bytes());
        bytes[Digest::LEN..].copy_from_slice(&self.spot.encode());
        bytes
    }

    fn decode(bytes: &[u8; RECORD_BYTES]) -> Self {
        let (mut digest, mut spot) = ([0; Digest::LEN], [0; SPOT_BYTES]);
        digest.copy_from_slice(&bytes[..Digest::LEN]);
        spot.copy_from_slice(&bytes[Digest::LEN..]);
        Self { digest: Digest::from_bytes(digest), spot: Spot::decode(&spot) }
    }
}

/// The first eight bytes of a digest as a number that is ordered as digests are.
fn prefix(digest: &Digest) -> u64 {
    digest.as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
