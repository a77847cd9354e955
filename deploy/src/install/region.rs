//! Parts of a disk that are decided to the byte: compared, written where they differ, and read
//! back.

use crate::Error;
use crate::meter::{Meter, add};
use crate::target::{ALIGN_BYTES, AlignedBuffer, Target};
use std::io::Read;
use store::Digest;

/// What is compared and written at once, bytes.
const STEP_BYTES: usize = 1 << 20;

/// A part of a disk as it is to be.
pub(crate) struct Region<'a> {
    /// Where it starts on the disk, bytes; a multiple of 4096.
    pub(crate) start_bytes: u64,
    /// Its length, bytes; a multiple of 4096.
    pub(crate) size_bytes: u64,
    /// What it is to have; zeroes after that.
    pub(crate) content: Box<dyn Read + 'a>,
}

/// What is done with a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It is written where it differs.
    Write,
    /// It is only compared.
    Compare,
}

/// A part of a disk that is not what it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Difference {
    offset_bytes: u64,
    length_bytes: u64,
    expected: Digest,
    found: Digest,
}

impl Difference {
    fn of(offset_bytes: u64, expected: &[u8], found: &[u8]) -> Self {
        let (length_bytes, expected) = (expected.len() as u64, Digest::of(expected));
        Self { offset_bytes, length_bytes, expected, found: Digest::of(found) }
    }

    /// The error that it is where it was read back.
    pub(crate) fn error(self, target: &Target) -> Error {
        Error::ReadBack {
            target: target.name().to_owned(),
            offset_bytes: self.offset_bytes,
            bytes: self.length_bytes,
            expected: self.expected.to_string(),
            found: self.found.to_string(),
        }
    }
}

impl Region<'_> {
    /// Compares the region, and writes what differs if that is the purpose. Returns the first part
    /// that differed, if any did.
    pub(crate) fn pass(
        mut self,
        target: &Target,
        purpose: Purpose,
        meter: &Meter,
    ) -> Result<Option<Difference>, Error> {
        let mut wanted = AlignedBuffer::new(STEP_BYTES);
        let mut found = AlignedBuffer::new(STEP_BYTES);
        let (mut at, mut first) = (0, None);
        while at < self.size_bytes {
            let length = (self.size_bytes - at).min(STEP_BYTES as u64) as usize;
            self.fill(&mut wanted[..length])?;
            let offset = self.start_bytes + at;
            // What cannot be read may still be written, and is read back after that.
            let read = target.read(offset, &mut found[..length]);
            if read.is_err() || wanted[..length] != found[..length] {
                let known = read.is_ok().then_some(&found[..length]);
                first.get_or_insert_with(|| {
                    Difference::of(offset, &wanted[..length], &found[..length])
                });
                if purpose == Purpose::Compare {
                    read?;
                    return Ok(first);
                }
                write_changed(target, offset, &wanted[..length], known, meter)?;
            }
            at += length as u64;
        }
        Ok(first)
    }

    /// The next bytes; zeroes after the last.
    fn fill(&mut self, into: &mut [u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < into.len() {
            match self.content.read(&mut into[done..]) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(not_handed_over(error)),
            }
        }
        into[done..].fill(0);
        Ok(())
    }
}

/// Why a file's bytes could not be had.
pub(crate) fn not_handed_over(error: std::io::Error) -> Error {
    let other = |source| Error::HandOver { file: "a boot file", source };
    error.downcast::<Error>().unwrap_or_else(other)
}

/// Writes the blocks that differ, neighbours together.
fn write_changed(
    target: &Target,
    offset: u64,
    wanted: &[u8],
    known: Option<&[u8]>,
    meter: &Meter,
) -> Result<(), Error> {
    let differs = |block: usize| {
        let range = block * ALIGN_BYTES..((block + 1) * ALIGN_BYTES).min(wanted.len());
        known.is_none_or(|known| known[range.clone()] != wanted[range])
    };
    let blocks = wanted.len().div_ceil(ALIGN_BYTES);
    let mut block = 0;
    while block < blocks {
        let first = block;
        while block < blocks && differs(block) {
            block += 1;
        }
        if first < block {
            let bytes = &wanted[first * ALIGN_BYTES..(block * ALIGN_BYTES).min(wanted.len())];
            target.write(offset + (first * ALIGN_BYTES) as u64, bytes)?;
            add(&meter.written_bytes, bytes.len() as u64);
        }
        block += 1;
    }
    Ok(())
}

/// Writes `bytes`, makes them durable, and reads them back.
pub(crate) fn put_proven(target: &Target, offset_bytes: u64, bytes: &[u8]) -> Result<(), Error> {
    let mut buffer = AlignedBuffer::new(bytes.len());
    buffer.copy_from_slice(bytes);
    target.write(offset_bytes, &buffer)?;
    target.flush()?;
    target.drop_cache();
    buffer.fill(0);
    target.read(offset_bytes, &mut buffer)?;
    if *buffer == *bytes {
        return Ok(());
    }
    Err(Difference::of(offset_bytes, bytes, &buffer).error(target))
}
