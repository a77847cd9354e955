//! A block device or regular file as a medium.
//!
//! Reads and writes go past the page cache where the kernel allows (`O_DIRECT`): a write error
//! is then met by the write that failed, and what is read back comes from the device. Where it
//! does not allow that, cached pages are written and dropped before reading back.

use super::medium::Medium;
use super::{ALIGN_BYTES, TargetKind};
use rustix::fs::{Advice, FallocateFlags, SeekFrom};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::ops::Range;

/// An opened device or file.
#[derive(Debug)]
pub(super) struct FileMedium {
    pub(super) kind: TargetKind,
    pub(super) cached: File,
    pub(super) direct: Option<File>,
}

impl FileMedium {
    fn file_for(&self, offset: u64, bytes: &[u8]) -> &File {
        let aligned = |number: usize| number.is_multiple_of(ALIGN_BYTES);
        let fits = aligned(bytes.as_ptr().addr())
            && aligned(bytes.len())
            && offset.is_multiple_of(ALIGN_BYTES as u64);
        self.direct.as_ref().filter(|_| fits).unwrap_or(&self.cached)
    }
}

impl Medium for FileMedium {
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let file = self.file_for(offset, into);
        let mut done = 0;
        while done < into.len() {
            match rustix::io::pread(file, &mut into[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = match self.kind {
            TargetKind::Device => self.file_for(offset, bytes),
            TargetKind::File => &self.cached,
        };
        let mut done = 0;
        while done < bytes.len() {
            match rustix::io::pwrite(file, &bytes[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let zeroed = rustix::io::retry_on_intr(|| {
            rustix::fs::fallocate(&self.cached, hole, range.start, range.end - range.start)
        });
        match zeroed {
            Ok(()) => Ok(()),
            // Not for this device, or not for this alignment. A block device that cannot say
            // what it reads afterwards answers so (fallocate(2), blkdev_issue_zeroout without
            // fallback); asking for zeroes in another way would have the kernel write them.
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::NODEV) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.cached)?)
    }

    fn set_size(&self, size_bytes: u64) -> io::Result<()> {
        Ok(rustix::fs::ftruncate(&self.cached, size_bytes)?)
    }

    fn drop_cache(&self) {
        // Advice: where it is not taken, reads are as good as the kernel's cache.
        let _ = rustix::fs::fadvise(&self.cached, 0, None, Advice::DontNeed);
    }

    fn next_data(&self, offset: u64) -> Option<u64> {
        if self.kind == TargetKind::Device {
            return Some(offset);
        }
        match rustix::fs::seek(&self.cached, SeekFrom::Data(offset)) {
            Ok(data) => Some(data),
            Err(Errno::NXIO) => None,
            Err(_) => Some(offset),
        }
    }

    fn reread_partitions(&self) {
        if self.kind == TargetKind::Device {
            // A partition, or a table somebody holds: then the old one stays, which is no fault
            // of what was written.
            let _ = crate::sys::reread_partitions(&self.cached);
        }
    }
}
