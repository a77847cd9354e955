//! The file or device that is pushed: read in place, holes told apart, and shown at the end
//! to be what it was at the start.

use super::PushError;
use super::free::{Free, FreeMap};
use crate::stamp::Stamp;
use rustix::fs::{Advice, SeekFrom, fadvise, seek};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

/// An image or payload opened for reading.
#[derive(Debug)]
pub(super) struct Input {
    file: File,
    path: PathBuf,
    size_bytes: u64,
    stamp: Stamp,
    is_device: bool,
    free: FreeMap,
}

impl Input {
    /// Opens the regular file or block device `path`.
    pub(super) fn open(path: &Path) -> Result<Self, PushError> {
        let failed = PushError::reading(path);
        let metadata = std::fs::metadata(path).map_err(&failed)?;
        let kind = metadata.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            let found = if kind.is_dir() { "a directory" } else { "neither" };
            return Err(PushError::NotReadable { path: path.to_owned(), found });
        }
        let file = File::open(path).map_err(&failed)?;
        let stamp = Stamp::of(&file).map_err(&failed)?;
        let size_bytes = if kind.is_file() {
            stamp.size_bytes
        } else {
            seek(&file, SeekFrom::End(0)).map_err(|error| failed(error.into()))?
        };
        // Only advice: a file system that does not take it is read as well.
        fadvise(&file, 0, None, Advice::Sequential).ok();
        let (path, is_device, free) = (path.to_owned(), !kind.is_file(), FreeMap::default());
        Ok(Self { file, path, size_bytes, stamp, is_device, free })
    }

    /// The same, with zeroes where it is `free`. An error if it was written to since that was
    /// found out.
    pub(super) fn without(mut self, free: Option<&Free>) -> Result<Self, PushError> {
        let Some(free) = free else { return Ok(self) };
        if self.stamp != free.as_of {
            return Err(PushError::Changed { path: self.path });
        }
        self.free = FreeMap::new(&free.ranges, self.size_bytes);
        Ok(self)
    }

    /// How much of it is taken for zeroes, bytes.
    pub(super) fn trimmed_bytes(&self) -> u64 {
        self.free.bytes()
    }

    /// Length, bytes.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Reads the bytes at `offset`, all of `into`.
    pub(super) fn read(&self, into: &mut [u8], offset: u64) -> Result<(), PushError> {
        self.file.read_exact_at(into, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => PushError::Changed { path: self.path.clone() },
            _ => PushError::reading(&self.path)(error),
        })?;
        self.free.clear(into, offset);
        Ok(())
    }

    /// The next data at or after `offset` as (start, end) in bytes; `None` when only a hole is
    /// left. Where holes cannot be told (lseek(2), `SEEK_DATA`), all is data.
    pub(super) fn next_data(&self, mut offset: u64) -> Result<Option<(u64, u64)>, PushError> {
        loop {
            let Some((start, end)) = self.next_stored(offset)? else { return Ok(None) };
            match self.free.long_ahead(start) {
                Some(free) if free.start <= start => offset = free.end,
                Some(free) => return Ok(Some((start, end.min(free.start)))),
                None => return Ok(Some((start, end))),
            }
            if offset >= self.size_bytes {
                return Ok(None);
            }
        }
    }

    /// The same of what the file has, free or not.
    fn next_stored(&self, offset: u64) -> Result<Option<(u64, u64)>, PushError> {
        let whole = Ok(Some((offset, self.size_bytes)));
        let start = match seek(&self.file, SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return whole,
            Err(error) => return Err(PushError::reading(&self.path)(error.into())),
        };
        let end = seek(&self.file, SeekFrom::Hole(start))
            .map_err(|error| PushError::reading(&self.path)(error.into()))?;
        // An answer that does not go forward would be asked for ever.
        if start < offset || end <= start { whole } else { Ok(Some((start, end))) }
    }

    /// An error if the file is not what it was when it was opened.
    pub(super) fn check_unchanged(&self) -> Result<(), PushError> {
        let now = Stamp::of(&self.file).map_err(PushError::reading(&self.path))?;
        // Of a device, this is its name's stamp: others may set its mode meanwhile.
        if now == self.stamp || self.is_device && now.has_content_of(&self.stamp) {
            return Ok(());
        }
        Err(PushError::Changed { path: self.path.clone() })
    }
}
