//! Packs: files of zstd frames, written once.
//!
//! A pack is a valid zstd stream (RFC 8878): a skippable frame that says what it
//! is, the frames, and a skippable frame with the index, so `zstd -dc` reads one.
//! The index makes a pack tell by itself which objects it holds, so that a lost
//! map can be made again. The file's name is the digest of all its bytes.

use crate::codec::{FormatError, Reader, put_varint};
use crate::map::{FRAME_MAX_BYTES, FRAME_MAX_PACKED_BYTES};
use crate::{Digest, Hasher};
use alloc::format;
use alloc::vec::Vec;

/// What every pack starts with: a skippable frame of eight bytes.
pub const HEADER: [u8; 16] = *b"\x50\x2a\x4d\x18\x08\x00\x00\x00inaugpk1";

/// Magic number of the skippable frame that holds the index (RFC 8878, section 3.1.2).
const INDEX_FRAME_MAGIC: u32 = 0x184d_2a51;

/// Magic number and length: what stands before the index itself.
pub const INDEX_HEAD_BYTES: usize = 8;

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

/// An index being made, frame by frame, in the bytes it is going to have.
#[derive(Debug, Default)]
pub struct IndexWriter {
    count: u64,
    frames: Vec<u8>,
}

impl IndexWriter {
    /// Adds the next frame: what it takes in the file, and its objects with their lengths.
    pub fn add(&mut self, packed_bytes: u32, objects: &[(Digest, u32)]) {
        self.count += 1;
        put_varint(&mut self.frames, u64::from(packed_bytes));
        put_varint(&mut self.frames, objects.len() as u64);
        for (digest, length) in objects {
            self.frames.extend_from_slice(digest.as_bytes());
            put_varint(&mut self.frames, u64::from(*length));
        }
    }

    /// Bytes so far.
    pub fn size_bytes(&self) -> u64 {
        self.frames.len() as u64
    }

    /// The bytes that end the pack, in three parts.
    pub fn finish(self) -> [Vec<u8>; 3] {
        let mut count = Vec::new();
        put_varint(&mut count, self.count);
        let length = count.len() + self.frames.len();
        let mut check = Hasher::new();
        check.update(&count);
        check.update(&self.frames);
        let head = [&index_head(length as u64)[..], &count].concat();
        let length = (length as u64).to_le_bytes();
        let tail = [&check.finish().as_bytes()[..], &length, &TAIL_MAGIC].concat();
        [head, self.frames, tail]
    }
}

/// The start of the skippable frame that holds an index of `length` bytes and the tail.
pub fn index_head(length: u64) -> [u8; INDEX_HEAD_BYTES] {
    let mut head = [0; INDEX_HEAD_BYTES];
    let (magic, rest) = head.split_at_mut(4);
    magic.copy_from_slice(&INDEX_FRAME_MAGIC.to_le_bytes());
    rest.copy_from_slice(&(length as u32 + TAIL_BYTES as u32).to_le_bytes());
    head
}

impl Index {
    /// The bytes that end a pack whose frames this is the index of.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = IndexWriter::default();
        for frame in &self.frames {
            writer.add(frame.packed_bytes, &frame.objects);
        }
        writer.finish().concat()
    }

    /// Where the index of a pack of `file_bytes` lies, as (offset, length) in bytes, from the
    /// pack's last [`TAIL_BYTES`].
    pub fn locate(tail: &[u8], file_bytes: u64) -> Result<(u64, u64), FormatError> {
        let mut reader = Reader::new("pack", tail);
        reader.digest("index check")?;
        let length = u64::from_le_bytes(reader.array("index length")?);
        reader.magic(TAIL_MAGIC)?;
        let around = (HEADER.len() + INDEX_HEAD_BYTES + TAIL_BYTES) as u64;
        let max = file_bytes.saturating_sub(around).min(INDEX_MAX_BYTES);
        if length > max {
            let found = format!("{length}");
            return Err(reader.wrong("index length", &format!("at most {max}"), &found));
        }
        Ok((file_bytes - TAIL_BYTES as u64 - length, length))
    }

    /// Reads an index from its body, which lies `at_bytes` into the pack, and the pack's tail.
    pub fn decode(body: &[u8], at_bytes: u64, tail: &[u8]) -> Result<Self, FormatError> {
        let mut frames = Vec::new();
        Self::visit(body, at_bytes, tail, &mut |frame| frames.push(frame))?;
        Ok(Self { frames })
    }

    /// Like [`Index::decode`], but hands each frame to `take`: an index of millions of objects
    /// is not held twice. After an error, nothing that was handed on is to be believed.
    pub fn visit(
        body: &[u8],
        at_bytes: u64,
        tail: &[u8],
        take: &mut dyn FnMut(Frame),
    ) -> Result<(), FormatError> {
        let mut reader = Reader::new("pack index", body);
        let expected = Reader::new("pack", tail).digest("index check")?;
        let found = Digest::of(body);
        if expected != found {
            return Err(reader.wrong("check", &format!("{expected}"), &format!("{found}")));
        }
        let mut offset_bytes = HEADER.len() as u64;
        for _ in 0..reader.count("frames", 2)? {
            let frame = read_frame(&mut reader, offset_bytes)?;
            offset_bytes += u64::from(frame.packed_bytes);
            take(frame);
        }
        reader.end()?;
        let end = offset_bytes + INDEX_HEAD_BYTES as u64;
        if end != at_bytes {
            let (expected, found) = (format!("the index at {end}"), format!("at {at_bytes}"));
            return Err(reader.wrong("frames", &expected, &found));
        }
        Ok(())
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
        if length == 0 {
            // An index of nothing but such would name more objects than any pack can hold.
            return Err(reader.wrong("object length", "at least 1", "0"));
        }
        left -= length;
        objects.push((digest, length as u32));
    }
    Ok(Frame { offset_bytes, packed_bytes, objects })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_without_bytes_is_refused() {
        let (digest, offset_bytes) = (Digest::of(b""), HEADER.len() as u64);
        let frame = Frame { offset_bytes, packed_bytes: 9, objects: alloc::vec![(digest, 0)] };
        let bytes = Index { frames: alloc::vec![frame] }.encode();
        let (body, tail) = bytes[INDEX_HEAD_BYTES..].split_at(bytes.len() - 8 - TAIL_BYTES);
        let error = Index::decode(body, offset_bytes + 9 + 8, tail).unwrap_err();
        assert_eq!(
            error.to_string(),
            "pack index: object length at byte 36: expected at least 1, found 0"
        );
    }
}
