//! An archive's bytes, front to back.

use super::error::TarError;
use super::header::{BLOCK_BYTES, Block, Wrong};
use crate::dir::DirStore;
use crate::dir::temp::{self, TempFile};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How much is copied at once, bytes.
const COPY_BYTES: usize = 256 << 10;

/// An archive being read.
pub(super) struct Archive<'a> {
    input: Input<'a>,
    name: PathBuf,
    at: u64,
}

/// Where an archive comes from.
enum Input<'a> {
    /// Content is copied as it passes.
    Stream { from: &'a mut dyn Read, kept: TempFile, kept_bytes: u64, buffer: Vec<u8> },
    /// Content stays where it is.
    File { file: &'a File, size_bytes: u64 },
}

impl<'a> Archive<'a> {
    /// One that comes as a stream; the content of its members is kept in the store's `tmp`.
    pub(super) fn stream(
        from: &'a mut dyn Read,
        name: &Path,
        store: &DirStore,
    ) -> Result<Self, TarError> {
        let kept = temp::create(store, "the content of an archive")?;
        let input = Input::Stream { from, kept, kept_bytes: 0, buffer: vec![0; COPY_BYTES] };
        Ok(Self { input, name: name.to_owned(), at: 0 })
    }

    /// One that is a file.
    pub(super) fn file(file: &'a File, size_bytes: u64, name: &Path) -> Self {
        Self { input: Input::File { file, size_bytes }, name: name.to_owned(), at: 0 }
    }

    /// What content was kept in; none of a file.
    pub(super) fn into_kept(self) -> Option<TempFile> {
        match self.input {
            Input::Stream { kept, .. } => Some(kept),
            Input::File { .. } => None,
        }
    }

    /// The next block; `None` at the end.
    pub(super) fn block(&mut self) -> Result<Option<Block>, TarError> {
        let mut block = [0; BLOCK_BYTES];
        match self.read(&mut block)? {
            BLOCK_BYTES => Ok(Some(block)),
            0 => Ok(None),
            found => Err(self.short("a header", BLOCK_BYTES as u64, found as u64)),
        }
    }

    /// The next `length` bytes, which are part of `what`, and what fills the last block.
    pub(super) fn bytes(&mut self, what: &str, length: usize) -> Result<Vec<u8>, TarError> {
        let mut bytes = vec![0; length];
        let found = self.read(&mut bytes)?;
        if found < length {
            return Err(self.short(what, length as u64, found as u64));
        }
        self.skip(what, padding(length as u64))?;
        Ok(bytes)
    }

    /// Passes the next `length` bytes, which are the content of `what`, and what fills the last
    /// block. Returns where they are kept.
    pub(super) fn keep(&mut self, what: &str, length: u64) -> Result<u64, TarError> {
        let start = match &self.input {
            Input::Stream { kept_bytes, .. } => *kept_bytes,
            Input::File { .. } => self.at,
        };
        self.pass(what, length, true)?;
        self.skip(what, padding(length))?;
        Ok(start)
    }

    /// Passes the next `length` bytes of `what` and what fills the last block.
    pub(super) fn drop(&mut self, what: &str, length: u64) -> Result<(), TarError> {
        self.skip(what, length.saturating_add(padding(length)))
    }

    fn skip(&mut self, what: &str, length: u64) -> Result<(), TarError> {
        self.pass(what, length, false)
    }

    /// Reads on to the end: what sends the archive is to end well, and what checks it, to have
    /// checked it.
    pub(super) fn drain(&mut self) -> Result<(), TarError> {
        let mut buffer = vec![0; COPY_BYTES];
        while matches!(self.input, Input::Stream { .. }) && self.read(&mut buffer)? > 0 {}
        Ok(())
    }

    fn pass(&mut self, what: &str, length: u64, is_kept: bool) -> Result<(), TarError> {
        match &mut self.input {
            Input::File { size_bytes, .. } => {
                let left = size_bytes.saturating_sub(self.at);
                if left < length {
                    return Err(self.short(what, length, left));
                }
                self.at += length;
            }
            Input::Stream { buffer, .. } => {
                let mut buffer = std::mem::take(buffer);
                let passed = self.copy(what, length, is_kept, &mut buffer);
                if let Input::Stream { buffer: place, .. } = &mut self.input {
                    *place = buffer;
                }
                passed?;
            }
        }
        Ok(())
    }

    fn copy(
        &mut self,
        what: &str,
        length: u64,
        is_kept: bool,
        buffer: &mut [u8],
    ) -> Result<(), TarError> {
        let mut left = length;
        while left > 0 {
            let part = left.min(COPY_BYTES as u64) as usize;
            let found = self.read(&mut buffer[..part])?;
            if found < part {
                return Err(self.short(what, length, length - left + found as u64));
            }
            if let Input::Stream { kept, kept_bytes, .. } = &mut self.input
                && is_kept
            {
                kept.write(&buffer[..part])?;
                *kept_bytes += part as u64;
            }
            left -= part as u64;
        }
        Ok(())
    }

    /// Fills `into` as far as there is something.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, TarError> {
        let mut filled = 0;
        while filled < into.len() {
            let read = match &mut self.input {
                Input::Stream { from, .. } => from.read(&mut into[filled..]),
                Input::File { file, .. } => file.read_at(&mut into[filled..], self.at),
            };
            match read {
                Ok(0) => break,
                Ok(length) => {
                    filled += length;
                    self.at += length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let (archive, at) = (self.name.clone(), self.at);
                    return Err(TarError::Read { archive, at, source });
                }
            }
        }
        Ok(filled)
    }

    pub(super) fn short(&self, member: &str, expected: u64, found: u64) -> TarError {
        TarError::Short {
            archive: self.name.clone(),
            member: member.to_owned(),
            expected: format!("{expected} bytes"),
            found: format!("{found}"),
        }
    }

    /// The archive has ended where `expected` was to come.
    pub(super) fn ended(&self, expected: &str) -> TarError {
        TarError::Short {
            archive: self.name.clone(),
            member: "the archive".to_owned(),
            expected: expected.to_owned(),
            found: format!("{} bytes", self.at),
        }
    }

    pub(super) fn header(&self, (expected, found): Wrong) -> TarError {
        let at = self.at - BLOCK_BYTES as u64;
        TarError::Header { archive: self.name.clone(), at, expected, found }
    }

    pub(super) fn member(&self, member: &str, (expected, found): Wrong) -> TarError {
        let (archive, member) = (self.name.clone(), member.to_owned());
        TarError::Member { archive, member, expected, found }
    }

    pub(super) fn outside(&self, member: &str, path: &[u8]) -> TarError {
        let (archive, member) = (self.name.clone(), member.to_owned());
        TarError::Outside { archive, member, path: path.escape_ascii().to_string() }
    }
}

/// What fills the last block of `length` bytes.
fn padding(length: u64) -> u64 {
    (BLOCK_BYTES as u64 - length % BLOCK_BYTES as u64) % BLOCK_BYTES as u64
}
