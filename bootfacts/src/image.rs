//! A part of the image as something with a length and bytes at offsets.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use crate::BootFactsError;

/// A range of the image. Reads by position (pread(2)), so that windows share
/// one file without sharing a cursor.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    file: Rc<File>,
    /// Where the window starts in the image, in bytes.
    pub(crate) offset_bytes: u64,
    /// How long it is, in bytes.
    pub(crate) length_bytes: u64,
}

impl Window {
    /// The whole image.
    pub(crate) fn whole(image: &File) -> Result<Self, BootFactsError> {
        let file = image.try_clone().map_err(BootFactsError::Length)?;
        let length_bytes = length_of(&file).map_err(BootFactsError::Length)?;
        Ok(Self { file: Rc::new(file), offset_bytes: 0, length_bytes })
    }

    /// The window of `length_bytes` at `offset_bytes` inside this one.
    pub(crate) fn part(
        &self,
        offset_bytes: u64,
        length_bytes: u64,
    ) -> Result<Self, BootFactsError> {
        self.check(offset_bytes, length_bytes)?;
        let file = Rc::clone(&self.file);
        Ok(Self { file, offset_bytes: self.offset_bytes + offset_bytes, length_bytes })
    }

    /// Fills `buf` with the bytes at `at_bytes` of this window.
    pub(crate) fn read_exact_at(
        &self,
        at_bytes: u64,
        buf: &mut [u8],
    ) -> Result<(), BootFactsError> {
        let length_bytes = buf.len() as u64;
        self.check(at_bytes, length_bytes)?;
        let offset_bytes = self.offset_bytes + at_bytes;
        self.file.read_exact_at(buf, offset_bytes).map_err(|source| BootFactsError::Read {
            offset_bytes,
            length_bytes,
            source,
        })
    }

    /// `N` bytes at `at_bytes` of this window.
    pub(crate) fn array<const N: usize>(&self, at_bytes: u64) -> Result<[u8; N], BootFactsError> {
        let mut bytes = [0; N];
        self.read_exact_at(at_bytes, &mut bytes)?;
        Ok(bytes)
    }

    fn check(&self, offset_bytes: u64, length_bytes: u64) -> Result<(), BootFactsError> {
        let end_bytes = self.length_bytes;
        match offset_bytes.checked_add(length_bytes) {
            Some(end) if end <= end_bytes => Ok(()),
            _ => Err(BootFactsError::OutOfBounds {
                object: if self.offset_bytes == 0 { "image" } else { "partition" },
                offset_bytes,
                length_bytes,
                end_bytes,
            }),
        }
    }
}

/// A device's metadata has no length, so the end is sought; the cursor is
/// shared with the caller's handle and is put back.
fn length_of(mut file: &File) -> std::io::Result<u64> {
    let before = file.stream_position()?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(before))?;
    Ok(length)
}

/// The little-endian 16-bit number at `at`, zero past the end of `bytes`.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

/// The little-endian 32-bit number at `at`, zero past the end of `bytes`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// The little-endian 64-bit number at `at`, zero past the end of `bytes`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
