//! A directory that is being walked.

use super::open::{self, Opened};
use crate::stamp::Stamp;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, RawDir, StatxFlags, statx};
use rustix::io::Errno;

/// How much of a directory is read at once, bytes: what libc takes.
const ENTRIES_BYTES: usize = 32 << 10;

/// A directory, and which of its names are still to be looked at.
#[derive(Debug)]
pub(super) struct Level {
    directory: Option<Opened>,
    /// Which directory it is, and as of when it was read.
    stamp: Stamp,
    /// The names in order, the last one first.
    names: Vec<(Vec<u8>, FileType)>,
    path_bytes: usize,
}

impl Level {
    /// Reads the names in `opened`, whose path in the tree has `path_bytes`.
    pub(super) fn read(opened: Opened, path_bytes: usize) -> Result<Self, Errno> {
        if let Some(refused) = opened.refused {
            return Err(refused);
        }
        let stamp = Stamp::from_stat(&opened.stat);
        let mut names = names(opened.as_fd())?;
        names.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        Ok(Self { directory: Some(opened), stamp, names, path_bytes })
    }

    pub(super) fn next_name(&mut self) -> Option<(Vec<u8>, FileType)> {
        self.names.pop()
    }

    /// Forgets the names that are still to be looked at.
    pub(super) fn clear(&mut self) {
        self.names.clear();
    }

    pub(super) fn path_bytes(&self) -> usize {
        self.path_bytes
    }

    pub(super) fn device(&self) -> (u32, u32) {
        self.stamp.device
    }

    pub(super) fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.directory.as_ref().map(Opened::as_fd)
    }

    /// Gives up the descriptor.
    pub(super) fn close(&mut self) {
        self.directory = None;
    }

    /// Whether it is as it was when it was read: nothing came, went or was given another name,
    /// nor became of its own metadata. `false` if that cannot be told.
    pub(super) fn is_as_read(&self) -> Result<bool, Errno> {
        let Some(directory) = &self.directory else { return Ok(false) };
        let stat = statx(directory, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
        let now = Stamp::from_stat(&stat);
        Ok((now.modified, now.changed) == (self.stamp.modified, self.stamp.changed))
    }

    /// Opens the directory again, as what holds `child`, if it is closed. `false` if that is
    /// another one.
    pub(super) fn reopen_from(&mut self, child: &Self) -> Result<bool, Errno> {
        if self.directory.is_some() {
            return Ok(true);
        }
        let Some(child) = child.directory() else { return Ok(false) };
        let parent = open::directory(child, b"..")?;
        let found = Stamp::from_stat(&parent.stat);
        let is_same = (found.device, found.inode) == (self.stamp.device, self.stamp.inode);
        self.directory = is_same.then_some(parent);
        Ok(is_same)
    }
}

fn names(directory: BorrowedFd<'_>) -> Result<Vec<(Vec<u8>, FileType)>, Errno> {
    let mut names = Vec::new();
    let mut buffer = Vec::with_capacity(ENTRIES_BYTES);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push((name.to_vec(), entry.file_type()));
        }
    }
    Ok(names)
}
