//! The target: a block device or a regular file, read and written where it is.
//!
//! Reads and writes go past the page cache where the target allows (`O_DIRECT`):
//! a write error is then met by the write that failed, and what is read back comes
//! from the device. Where it does not allow that, cached pages are written
//! and dropped before reading back.

mod aligned;
mod open;

pub use aligned::AlignedBuffer;

use rustix::fs::{Advice, FallocateFlags, SeekFrom};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::ops::Range;

/// What direct I/O has to be aligned to at most: the largest logical sector.
pub const ALIGN_BYTES: usize = 4096;

/// Zeroes are written in steps of this where the target cannot zero by itself.
const ZERO_STEP_BYTES: usize = 1 << 20;

/// An opened target. Nobody else has it: a device is held exclusively.
#[derive(Debug)]
pub struct Target {
    pub(crate) name: String,
    pub(crate) kind: TargetKind,
    pub(crate) size_bytes: u64,
    pub(crate) sector_bytes: Option<u32>,
    cached: File,
    direct: Option<File>,
}

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A disk or partition: its size is given.
    Device,
    /// A regular file: it takes the size it needs.
    File,
}

/// Why the target cannot be used, or failed.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It cannot be opened.
    #[error("cannot open {target} for writing")]
    Open {
        /// The target's path.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// Somebody else has it.
    #[error("{target} is in use: mounted, or held by RAID, LVM, swap or another program")]
    Busy {
        /// The target's path.
        target: String,
    },
    /// It is neither a block device nor a regular file.
    #[error("{target}: expected a block device or a regular file, found {found}")]
    Kind {
        /// The target's path.
        target: String,
        /// What it is.
        found: &'static str,
    },
    /// An operation failed.
    #[error("cannot {operation} {bytes} bytes at {offset_bytes} of {target}")]
    Io {
        /// "read", "write", ...
        operation: &'static str,
        /// The target's path.
        target: String,
        /// Where, bytes.
        offset_bytes: u64,
        /// How much, bytes.
        bytes: u64,
        /// Why.
        source: io::Error,
    },
    /// A flush failed: nothing since the last good one is known to be on the disk.
    #[error(
        "cannot flush {target}: what was written since the last flush is not known to be there"
    )]
    Flush {
        /// The target's path.
        target: String,
        /// Why.
        source: io::Error,
    },
}

impl Target {
    /// What people call it: its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its size, bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether it is a device or a file.
    pub fn kind(&self) -> TargetKind {
        self.kind
    }

    /// Reads exactly `into`, from the device where that is possible.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), TargetError> {
        let file = self.file_for(offset, into);
        let mut done = 0;
        while done < into.len() {
            let at = offset + done as u64;
            match rustix::io::pread(file, &mut into[done..], at) {
                Ok(0) => {
                    let end = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Err(self.failed("read", at, into.len() - done, end));
                }
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(error) => {
                    return Err(self.failed("read", at, into.len() - done, error.into()));
                }
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), TargetError> {
        let file = self.file_for(offset, bytes);
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            match rustix::io::pwrite(file, &bytes[done..], at) {
                Ok(0) => {
                    let none = io::Error::from(io::ErrorKind::WriteZero);
                    return Err(self.failed("write", at, bytes.len() - done, none));
                }
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(error) => {
                    return Err(self.failed("write", at, bytes.len() - done, error.into()));
                }
            }
        }
        Ok(())
    }

    /// Makes `range` read as zeroes: discarded where the device promises zeroes
    /// afterwards, else zeroed by the device, else written.
    pub(crate) fn zero(&self, range: Range<u64>) -> Result<(), TargetError> {
        let length = range.end - range.start;
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let zero_range = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
        for flags in [hole, zero_range] {
            match rustix::fs::fallocate(&self.cached, flags, range.start, length) {
                Ok(()) => return Ok(()),
                // Not for this device, or not for this alignment: the next way.
                Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::NODEV) => {}
                Err(error) => {
                    return Err(self.failed("zero", range.start, length as usize, error.into()));
                }
            }
        }
        let zeroes = AlignedBuffer::new(ZERO_STEP_BYTES.min(length as usize));
        let mut at = range.start;
        while at < range.end {
            let step = (range.end - at).min(ZERO_STEP_BYTES as u64);
            self.write(at, &zeroes[..step as usize])?;
            at += step;
        }
        Ok(())
    }

    /// Returns when all that was written is durable.
    pub(crate) fn flush(&self) -> Result<(), TargetError> {
        let failed =
            |error: Errno| TargetError::Flush { target: self.name.clone(), source: error.into() };
        rustix::fs::fsync(&self.cached).map_err(failed)
    }

    /// Makes the next reads come from the device; after a flush.
    pub(crate) fn drop_cache(&self) {
        // Advice: where it is not taken, reads are as good as the kernel's cache.
        let _ = rustix::fs::fadvise(&self.cached, 0, None, Advice::DontNeed);
    }

    /// Where the first byte at or after `offset` that may differ from zero lies, if anywhere.
    pub(crate) fn next_data(&self, offset: u64) -> Option<u64> {
        if self.kind == TargetKind::Device {
            return Some(offset);
        }
        match rustix::fs::seek(&self.cached, SeekFrom::Data(offset)) {
            Ok(data) => Some(data),
            Err(Errno::NXIO) => None,
            Err(_) => Some(offset),
        }
    }

    /// Makes the kernel read the partition table anew, where the target has one.
    pub(crate) fn reread_partitions(&self) {
        if self.kind == TargetKind::Device {
            // A partition, or a table somebody holds: then the old one stays, which is no fault
            // of what was written.
            let _ = crate::sys::reread_partitions(&self.cached);
        }
    }

    fn file_for(&self, offset: u64, bytes: &[u8]) -> &File {
        let aligned = |number: usize| number.is_multiple_of(ALIGN_BYTES);
        let fits = aligned(bytes.as_ptr().addr())
            && aligned(bytes.len())
            && offset.is_multiple_of(ALIGN_BYTES as u64);
        self.direct.as_ref().filter(|_| fits).unwrap_or(&self.cached)
    }

    fn failed(
        &self,
        operation: &'static str,
        offset_bytes: u64,
        bytes: usize,
        source: io::Error,
    ) -> TargetError {
        let (target, bytes) = (self.name.clone(), bytes as u64);
        TargetError::Io { operation, target, offset_bytes, bytes, source }
    }
}
