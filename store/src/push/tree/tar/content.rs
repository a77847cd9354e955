//! The content of a member: stretches of what was kept, holes between them.

use crate::Stamp;
use crate::tree::Content;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// What holds the content of all members.
pub(super) struct Kept {
    pub(super) file: File,
    /// As the archive was, if it is the archive.
    pub(super) stamp: Option<Stamp>,
}

/// The content of a member.
pub(super) struct MemberContent {
    pub(super) size_bytes: u64,
    /// Its data as (offset, length, where it is kept), bytes, in order.
    pub(super) data: Vec<(u64, u64, u64)>,
    pub(super) kept: Arc<Kept>,
}

impl MemberContent {
    /// The first stretch that ends after `offset`.
    fn stretch(&self, offset: u64) -> Option<(u64, u64, u64)> {
        let next = self.data.partition_point(|(start, length, _)| start + length <= offset);
        self.data.get(next).copied()
    }
}

impl Content for MemberContent {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = self.size_bytes;
        let (start, length, kept) = self.stretch(offset).unwrap_or((end, 0, 0));
        let limit = |bytes: u64| bytes.min(into.len() as u64) as usize;
        if offset < start {
            let hole = limit(start.min(end) - offset);
            into[..hole].fill(0);
            return Ok(hole);
        }
        let part = limit((start + length).saturating_sub(offset));
        self.kept.file.read_at(&mut into[..part], kept + (offset - start))
    }

    fn next_data(&self, offset: u64) -> io::Result<u64> {
        Ok(self.stretch(offset).map_or(self.size_bytes, |(start, ..)| start.max(offset)))
    }

    fn is_unchanged(&self) -> io::Result<bool> {
        let Some(stamp) = &self.kept.stamp else { return Ok(true) };
        Ok(Stamp::of(&self.kept.file)?.has_content_of(stamp))
    }
}

/// The content front to back.
pub(super) fn reader(content: MemberContent) -> impl Read {
    FrontToBack { content, at: 0 }
}

struct FrontToBack {
    content: MemberContent,
    at: u64,
}

impl Read for FrontToBack {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.content.size_bytes {
            return Ok(0);
        }
        let length = self.content.read_at(into, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}
