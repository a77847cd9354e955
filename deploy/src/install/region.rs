//! Parts of a disk that are decided to the byte: compared, written where they differ, and read
//! back.

use crate::Error;
use crate::meter::{Meter, add};
use crate::target::{ALIGN_BYTES, AlignedBuffer, Target};
use std::io::Read;
use store::{Digest, Hasher};

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

impl Region<'_> {
    /// Compares the region, and writes what differs if that is the purpose. Says whether it was
    /// all there before, and what digest it is to have.
    pub(crate) fn pass(
        mut self,
        target: &Target,
        purpose: Purpose,
        meter: &Meter,
    ) -> Result<(bool, Digest), Error> {
        let mut wanted = AlignedBuffer::new(STEP_BYTES);
        let mut found = AlignedBuffer::new(STEP_BYTES);
        let (mut at, mut is_same, mut hasher) = (0, true, Hasher::new());
        while at < self.size_bytes {
            let length = (self.size_bytes - at).min(STEP_BYTES as u64) as usize;
            self.fill(&mut wanted[..length])?;
            hasher.update(&wanted[..length]);
            let offset = self.start_bytes + at;
            // What cannot be read may still be written, and is read back after that.
            let read = target.read(offset, &mut found[..length]);
            if read.is_err() || wanted[..length] != found[..length] {
                is_same = false;
                if purpose == Purpose::Compare {
                    read?;
                    return Ok((false, Digest::of(&found[..length])));
                }
                let known = read.is_ok().then_some(&found[..length]);
                write_changed(target, offset, &wanted[..length], known, meter)?;
            }
            at += length as u64;
        }
        Ok((is_same, hasher.finish()))
    }

    /// The next bytes; zeroes after the last.
    fn fill(&mut self, into: &mut [u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < into.len() {
            match self.content.read(&mut into[done..]) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::HandOver { file: "boot file", source }),
            }
        }
        into[done..].fill(0);
        Ok(())
    }
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
    Err(reads_back_wrong(target, offset_bytes, bytes.len() as u64, Digest::of(bytes), &buffer))
}

pub(crate) fn reads_back_wrong(
    target: &Target,
    offset_bytes: u64,
    bytes: u64,
    expected: Digest,
    found: &[u8],
) -> Error {
    Error::ReadBack {
        target: target.name().to_owned(),
        offset_bytes,
        bytes,
        expected: expected.to_string(),
        found: Digest::of(found).to_string(),
    }
}
