//! Packs: files of zstd frames, written once.
//!
//! A pack is a valid zstd stream (RFC 8878): a skippable frame that says what it
//! is, the frames, and a skippable frame with the index, so `zstd -dc` reads one.
//! The index makes a pack tell by itself which objects it holds, so that a lost
//! map can be made again. The file's name is the digest of all its bytes.

use crate::Digest;
use crate::codec::{FormatError, Reader, put_varint};
use crate::map::{FRAME_MAX_BYTES, FRAME_MAX_PACKED_BYTES};
use alloc::format;
use alloc::vec::Vec;

/// What every pack starts with: a skippable frame of eight bytes.
pub const HEADER: [u8; 16] = *b"\x50\x2a\x4d\x18\x08\x00\x00\x00inaugpk1";

/// Magic number of the skippable frame that holds the index (RFC 8878, section 3.1.2).
const INDEX_FRAME_MAGIC: u32 = 0x184d_2a51;

/// Magic number and length: what stands before the index itself.
const INDEX_FRAME_HEADER_BYTES: u64 = 8;

const TAIL_MAGIC: [u8; 8] = *b"inaugpkx";

/// The end of a pack: check, index length, magic. From it the index is found.
pub const TAIL_BYTES: usize = Digest::LEN + 8 + TAIL_MAGIC.len();

/// No index is longer, bytes: about five million objects in one pack.
pub const INDEX_MAX_BYTES: u64 = 192 << 20;

/// What a pack holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    /// Its frames, in file order.
    pub frames: Vec<Frame>,
}

/// A frame and the objects in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where it starts in the file, bytes.
    pub offset_bytes: u64,
    /// What it takes there, bytes.
    pub packed_bytes: u32,
    /// Its objects with their lengths, one after another.
    pub objects: Vec<(Digest, u32)>,
}

impl Frame {
    /// What the frame holds, decompressed, bytes.
    pub fn raw_bytes(&self) -> u32 {
        self.objects.iter().map(|(_, length)| length).sum()
    }
}

impl Index {
    /// The bytes that end a pack whose frames this is the index of.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_varint(&mut body, self.frames.len() as u64);
        for frame in &self.frames {
            put_varint(&mut body, u64::from(frame.packed_bytes));
            put_varint(&mut body, frame.objects.len() as u64);
            for (digest, length) in &frame.objects {
                body.extend_from_slice(digest.as_bytes());
                put_varint(&mut body, u64::from(*length));
            }
        }
        let mut out = Vec::with_capacity(8 + body.len() + TAIL_BYTES);
        out.extend_from_slice(&INDEX_FRAME_MAGIC.to_le_bytes());
        out.extend_from_slice(&((body.len() + TAIL_BYTES) as u32).to_le_bytes());
        out.extend_from_slice(&body);
        out.extend_from_slice(Digest::of(&body).as_bytes());
        out.extend_from_slice(&(body.len() as u64).to_le_bytes());
        out.extend_from_slice(&TAIL_MAGIC);
        out
    }

    /// Where the index of a pack of `file_bytes` lies, as (offset, length) in bytes, from the
    /// pack's last [`TAIL_BYTES`].
    pub fn locate(tail: &[u8], file_bytes: u64) -> Result<(u64, u64), FormatError> {
        let mut reader = Reader::new("pack", tail);
        reader.digest("index check")?;
        let length = u64::from_le_bytes(reader.array("index length")?);
        reader.magic(TAIL_MAGIC)?;
        let around = (HEADER.len() + 8 + TAIL_BYTES) as u64;
        let max = file_bytes.saturating_sub(around).min(INDEX_MAX_BYTES);
        if length > max {
            let found = format!("{length}");
            return Err(reader.wrong("index length", &format!("at most {max}"), &found));
        }
        Ok((file_bytes - TAIL_BYTES as u64 - length, length))
    }

    /// Reads an index from its body, which lies `at_bytes` into the pack, and the pack's tail.
    pub fn decode(body: &[u8], at_bytes: u64, tail: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new("pack index", body);
        let expected = Reader::new("pack", tail).digest("index check")?;
        let found = Digest::of(body);
        if expected != found {
            return Err(reader.wrong("check", &format!("{expected}"), &format!("{found}")));
        }
        let count = reader.count("frames", 2)?;
        let mut offset_bytes = HEADER.len() as u64;
        let mut frames = Vec::with_capacity(count);
        for _ in 0..count {
            let frame = read_frame(&mut reader, offset_bytes)?;
            offset_bytes += u64::from(frame.packed_bytes);
            frames.push(frame);
        }
        reader.end()?;
        let end = offset_bytes + INDEX_FRAME_HEADER_BYTES;
        if end != at_bytes {
            let (expected, found) = (format!("the index at {end}"), format!("at {at_bytes}"));
            return Err(reader.wrong("frames", &expected, &found));
        }
        Ok(Self { frames })
    }
}

fn read_frame(reader: &mut Reader<'_>, offset_bytes: u64) -> Result<Frame, FormatError> {
    let packed_bytes = reader.varint("frame length", u64::from(FRAME_MAX_PACKED_BYTES))? as u32;
    let count = reader.count("objects", Digest::LEN + 1)?;
    let mut left = u64::from(FRAME_MAX_BYTES);
    let mut objects = Vec::with_capacity(count);
    for _ in 0..count {
        let digest = reader.digest("object digest")?;
        let length = reader.varint("object length", left)?;
        left -= length;
        objects.push((digest, length as u32));
    }
    Ok(Frame { offset_bytes, packed_bytes, objects })
}
