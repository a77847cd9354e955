//! How to boot what a label holds: kernel, initrd and command line, and where their bytes are.

use super::{put_option, read_option};
use crate::Digest;
use crate::codec::{FormatError, Reader, put_bytes, put_varint};
use crate::tree::PATH_MAX_BYTES;
use alloc::string::String;
use alloc::vec::Vec;

/// The kernel's own limit on x86 is 2048 (`COMMAND_LINE_SIZE`); others allow 4096.
const CMDLINE_MAX_BYTES: usize = 4096;

/// A kernel or initrd in more pieces than this is not worth reading in pieces.
const EXTENTS_MAX: usize = 65_536;

/// What is found at push time in words, for people.
const SOURCE_MAX_BYTES: usize = 1024;

/// How to boot what the label holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The kernel to kexec.
    pub kernel: Payload,
    /// Its initial RAM file system; several are joined in order.
    pub initrd: Option<Payload>,
    /// Its command line.
    pub cmdline: String,
    /// Where this was found, in words.
    pub source: String,
}

/// A file the boot needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Its length, bytes.
    pub size_bytes: u64,
    /// Its digest, whole.
    pub digest: Digest,
    /// Where its bytes are.
    pub place: Place,
}

/// Where the bytes of a [`Payload`] are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the image itself, as (offset, length) in bytes, in order: nothing more to fetch.
    Extents(Vec<(u64, u64)>),
    /// In a segment of its own, by its index in [`super::Manifest::segments`].
    Segment(usize),
    /// A regular file of the tree, by its path.
    Path(Vec<u8>),
}

impl Boot {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.kernel.encode(out);
        put_option(out, self.initrd.as_ref(), Payload::encode);
        put_bytes(out, self.cmdline.as_bytes());
        put_bytes(out, self.source.as_bytes());
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            kernel: Payload::decode(reader)?,
            initrd: read_option(reader, "initrd", Payload::decode)?,
            cmdline: reader.string("cmdline", CMDLINE_MAX_BYTES)?,
            source: reader.string("boot source", SOURCE_MAX_BYTES)?,
        })
    }
}

impl Payload {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.size_bytes);
        out.extend_from_slice(self.digest.as_bytes());
        match &self.place {
            Place::Extents(extents) => {
                out.push(0);
                put_varint(out, extents.len() as u64);
                for (offset, length) in extents {
                    put_varint(out, *offset);
                    put_varint(out, *length);
                }
            }
            Place::Segment(index) => {
                out.push(1);
                put_varint(out, *index as u64);
            }
            Place::Path(path) => {
                out.push(2);
                put_bytes(out, path);
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let size_bytes = reader.varint("payload size", i64::MAX as u64)?;
        let digest = reader.digest("payload digest")?;
        let place = match reader.take("payload place", 1)?[0] {
            0 => {
                let count = reader.varint("extents", EXTENTS_MAX as u64)?;
                let extent = |reader: &mut Reader<'_>| {
                    let offset = reader.varint("extent offset", i64::MAX as u64)?;
                    Ok((offset, reader.varint("extent length", i64::MAX as u64)?))
                };
                Place::Extents((0..count).map(|_| extent(reader)).collect::<Result<_, _>>()?)
            }
            1 => Place::Segment(reader.varint("payload segment", u64::from(u32::MAX))? as usize),
            2 => Place::Path(reader.bytes("payload path", PATH_MAX_BYTES)?.to_vec()),
            other => {
                return Err(reader.wrong("payload place", "0, 1 or 2", &alloc::format!("{other}")));
            }
        };
        Ok(Self { size_bytes, digest, place })
    }
}
