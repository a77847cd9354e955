//! The target: a block device or a regular file, read and written where it is.

mod aligned;
mod file;
mod medium;
mod open;

pub use aligned::AlignedBuffer;
pub use medium::Medium;
pub(crate) use open::alone;

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};
use store::cut::is_zero;

/// What direct I/O has to be aligned to at most: the largest logical sector.
pub const ALIGN_BYTES: usize = 4096;

/// Zeroes are read and written in steps of this where the target cannot zero by itself.
const ZERO_STEP_BYTES: usize = 1 << 20;

/// What is written where zeroes are expected next: no bit pattern that a disk reads by itself.
const DIRT: u8 = 0xa5;

/// What is known of [`Medium::zero`]: nothing yet, that zeroes are read after it, that they are
/// not (or that there is no such thing).
const ZEROING_UNKNOWN: u8 = 0;
const ZEROING_PROVEN: u8 = 1;
const ZEROING_REFUSED: u8 = 2;

/// An opened target. Nobody else has it: a device is held exclusively.
#[derive(Debug)]
pub struct Target {
    pub(crate) name: String,
    pub(crate) kind: TargetKind,
    pub(crate) size_bytes: u64,
    pub(crate) sector_bytes: Option<u32>,
    medium: Box<dyn Medium>,
    zeroing: AtomicU8,
}

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A disk or partition: its size is given.
    Device,
    /// A regular file: it takes the size it needs.
    File,
}

/// Where the first and the last block of `range` start.
fn ends(range: &Range<u64>) -> impl Iterator<Item = u64> {
    let last = range.end.saturating_sub(ALIGN_BYTES as u64).max(range.start);
    [range.start, last].into_iter()
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
    /// A target of `size_bytes` over any medium. `sector_bytes` is the logical sector size of a
    /// device, where it has one to say.
    pub fn over(
        name: &str,
        kind: TargetKind,
        size_bytes: u64,
        sector_bytes: Option<u32>,
        medium: Box<dyn Medium>,
    ) -> Self {
        let (name, zeroing) = (name.to_owned(), AtomicU8::new(ZEROING_UNKNOWN));
        Self { name, kind, size_bytes, sector_bytes, medium, zeroing }
    }

    /// The same over another medium, made of its own: where tests put disks that fail.
    #[must_use]
    pub fn over_medium(self, wrap: impl FnOnce(Box<dyn Medium>) -> Box<dyn Medium>) -> Self {
        Self { medium: wrap(self.medium), ..self }
    }

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
        let bytes = into.len() as u64;
        self.medium.read(offset, into).map_err(|error| self.failed("read", offset, bytes, error))
    }

    /// Writes all of `bytes`.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), TargetError> {
        let length = bytes.len() as u64;
        self.medium
            .write(offset, bytes)
            .map_err(|error| self.failed("write", offset, length, error))
    }

    /// Makes `range` read as zeroes: by the medium itself where it is proven that zeroes are read
    /// afterwards, else by writing them where they are not there yet.
    pub(crate) fn zero(&self, range: Range<u64>) -> Result<(), TargetError> {
        match self.zeroing.load(Ordering::Relaxed) {
            ZEROING_REFUSED => return self.write_zeroes(range),
            ZEROING_UNKNOWN => self.soil(&range)?,
            _ => {}
        }
        // An error may be that it cannot be done here, or a fault: writing says if the disk is
        // broken.
        let zeroed = self.medium.zero(range.clone()).is_ok();
        if zeroed && self.zeroing.load(Ordering::Relaxed) == ZEROING_PROVEN {
            return Ok(());
        }
        let known = if zeroed && self.is_clean(&range)? { ZEROING_PROVEN } else { ZEROING_REFUSED };
        self.zeroing.store(known, Ordering::Relaxed);
        if known == ZEROING_PROVEN { Ok(()) } else { self.write_zeroes(range) }
    }

    /// Zeroing is not relied upon any more.
    pub(crate) fn distrust_zeroing(&self) {
        self.zeroing.store(ZEROING_REFUSED, Ordering::Relaxed);
    }

    /// Puts something other than zeroes at both ends of `range`: that zeroes are read there
    /// afterwards then proves that zeroing works, to its edges.
    fn soil(&self, range: &Range<u64>) -> Result<(), TargetError> {
        let mut dirt = AlignedBuffer::new(ALIGN_BYTES.min((range.end - range.start) as usize));
        dirt.fill(DIRT);
        ends(range).try_for_each(|at| self.write(at, &dirt))
    }

    /// Whether zeroes are read at both ends of `range`.
    fn is_clean(&self, range: &Range<u64>) -> Result<bool, TargetError> {
        self.flush()?;
        self.medium.drop_cache();
        let mut block = AlignedBuffer::new(ALIGN_BYTES.min((range.end - range.start) as usize));
        for at in ends(range) {
            self.read(at, &mut block)?;
            if !is_zero(&block) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes zeroes where there are none: a disk is read faster than written, and often empty.
    fn write_zeroes(&self, range: Range<u64>) -> Result<(), TargetError> {
        let mut buffer =
            AlignedBuffer::new(ZERO_STEP_BYTES.min((range.end - range.start) as usize));
        let mut at = range.start;
        while at < range.end {
            let step = (range.end - at).min(ZERO_STEP_BYTES as u64);
            let bytes = &mut buffer[..step as usize];
            self.read(at, bytes)?;
            if !is_zero(bytes) {
                bytes.fill(0);
                self.write(at, bytes)?;
            }
            at += step;
        }
        Ok(())
    }

    /// Returns when all that was written is durable.
    pub(crate) fn flush(&self) -> Result<(), TargetError> {
        let target = || self.name.clone();
        self.medium.flush().map_err(|source| TargetError::Flush { target: target(), source })
    }

    /// Makes the next reads come from the device; after a flush.
    pub(crate) fn drop_cache(&self) {
        self.medium.drop_cache();
    }

    /// Where the first byte at or after `offset` that may differ from zero lies, if anywhere.
    pub(crate) fn next_data(&self, offset: u64) -> Option<u64> {
        self.medium.next_data(offset)
    }

    /// Makes the kernel read the partition table anew, where the target has one.
    pub(crate) fn reread_partitions(&self) {
        self.medium.reread_partitions();
    }

    /// Gives a regular file the size the content needs; it keeps what it has.
    pub(crate) fn set_size(&mut self, size_bytes: u64) -> Result<(), TargetError> {
        if self.kind == TargetKind::Device || self.size_bytes >= size_bytes {
            return Ok(());
        }
        self.medium
            .set_size(size_bytes)
            .map_err(|error| self.failed("extend to", 0, size_bytes, error))?;
        self.size_bytes = size_bytes;
        Ok(())
    }

    fn failed(
        &self,
        operation: &'static str,
        offset_bytes: u64,
        bytes: u64,
        source: io::Error,
    ) -> TargetError {
        TargetError::Io { operation, target: self.name.clone(), offset_bytes, bytes, source }
    }
}
