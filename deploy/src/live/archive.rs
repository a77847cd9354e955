//! Where in the archive everything is: known before any content.
//!
//! Format: newc, as `init/initramfs.c` of Linux takes it. Directories come before what is in them,
//! which is the order of trees. A file of several names has its content at the first of them;
//! symbolic links of several names become as many links. Extended attributes have no place in it,
//! and times end at the second.

use super::refusal::LiveRefusal;
use crate::tree::{Cursor, Wanted, What, shown};
use initramfs::newc::{
    ALIGN_BYTES, BLOCK_BYTES, Header, MAX_FILE_BYTES, MAX_NAME_BYTES, TRAILER, align, kind, push,
};
use std::collections::HashMap;
use store::tree::Meta;

/// How many names each node has that has several.
pub(super) type Names = HashMap<u32, u32>;

/// One entry.
pub(super) struct Record {
    /// Where it starts, bytes.
    pub(super) at_bytes: u64,
    /// Header and name, and what a symbolic link leads to.
    pub(super) head: Vec<u8>,
    /// The node and the number of the file whose content follows.
    pub(super) file: Option<(u32, u32)>,
    content_bytes: u64,
}

impl Record {
    /// Where its content starts, bytes.
    pub(super) fn content_at_bytes(&self) -> u64 {
        self.at_bytes + self.head.len() as u64
    }

    fn end_bytes(&self) -> u64 {
        (self.content_at_bytes() + self.content_bytes).next_multiple_of(ALIGN_BYTES as u64)
    }
}

/// All entries, the one that ends the archive last.
pub(super) struct Records<'a> {
    wanted: &'a Wanted,
    names: &'a Names,
    cursor: Cursor<'a>,
    next_bytes: u64,
    is_over: bool,
}

/// Counts the names of nodes that have several.
pub(super) fn names(wanted: &Wanted) -> Names {
    let mut names = Names::new();
    for index in 0..wanted.nodes.len() {
        if let What::Link(to) = wanted.nodes.what(index) {
            *names.entry(to).or_insert(1) += 1;
        }
    }
    names
}

/// The entries of an archive of `wanted`.
pub(super) fn records<'a>(wanted: &'a Wanted, names: &'a Names) -> Records<'a> {
    let cursor = wanted.nodes.cursor();
    Records { wanted, names, cursor, next_bytes: 0, is_over: false }
}

/// The length of an archive of `records`, bytes, with what the kernel cannot take from it refused.
pub(super) fn measure(label: &str, records: Records<'_>) -> Result<u64, LiveRefusal> {
    let wanted = records.wanted;
    let mut cursor = wanted.nodes.cursor();
    while let Some((index, path)) = cursor.here() {
        check(label, path, wanted, index)?;
        cursor.next();
    }
    let end = records.last().map_or(0, |last| last.end_bytes());
    Ok(end.next_multiple_of(BLOCK_BYTES as u64))
}

fn check(label: &str, path: &[u8], wanted: &Wanted, index: u32) -> Result<(), LiveRefusal> {
    let refuse = |expected, found| {
        let (label, path) = (label.to_owned(), shown(path));
        Err(LiveRefusal::Entry { label, path, expected, found })
    };
    if path.len() >= MAX_NAME_BYTES {
        return refuse("a path of at most 4095 bytes", format!("{} bytes", path.len()));
    }
    if path == TRAILER.as_bytes() {
        return refuse("another name", "the one that ends an archive".to_owned());
    }
    match wanted.nodes.what(index) {
        What::File(file) => match wanted.files[file as usize].size_bytes {
            size if size > MAX_FILE_BYTES => {
                refuse("a file of less than 4 GiB", format!("one of {size} bytes"))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.is_over {
            return None;
        }
        let mut record =
            Record { at_bytes: self.next_bytes, head: Vec::new(), file: None, content_bytes: 0 };
        if let Some((index, path)) = self.cursor.here() {
            entry(&mut record, self.wanted, self.names, index, path);
            self.cursor.next();
        } else {
            let end = Header { links: 1, ..Header::default() };
            push(&mut record.head, TRAILER.as_bytes(), &end);
            self.is_over = true;
        }
        self.next_bytes = record.end_bytes();
        Some(record)
    }
}

fn entry(record: &mut Record, wanted: &Wanted, names: &Names, index: u32, path: &[u8]) {
    let nodes = &wanted.nodes;
    let first = nodes.first(index);
    let mut links = names.get(&first).copied().unwrap_or(1);
    let (mut number, mut target, mut device) = (first, &[][..], (0, 0));
    let kind = match nodes.what(first) {
        What::Directory => {
            links = 2;
            kind::DIRECTORY
        }
        What::File(file) => {
            if first == index {
                record.file = Some((index, file));
                record.content_bytes = wanted.files[file as usize].size_bytes;
            }
            kind::FILE
        }
        What::Symlink(text) => {
            // The kernel does not look for other names of symbolic links.
            (number, links, target) = (index, 1, nodes.text(text));
            kind::SYMLINK
        }
        What::CharDevice(major, minor) => {
            device = (major, minor);
            kind::CHARACTER
        }
        What::BlockDevice(major, minor) => {
            device = (major, minor);
            kind::BLOCK
        }
        // The others are only on targets.
        What::Fifo | What::Link(_) | What::Socket | What::Mount | What::Unknown => kind::FIFO,
    };
    let Meta { mode, uid, gid, mtime_s, .. } = nodes.meta(first);
    let header = Header {
        number: number + 1,
        mode: kind | if kind == kind::SYMLINK { 0o777 } else { u32::from(mode) },
        uid,
        gid,
        links,
        mtime_s: u32::try_from(mtime_s.max(0)).unwrap_or(u32::MAX),
        // Longer files were refused.
        size_bytes: record.content_bytes as u32 + target.len() as u32,
        major: device.0,
        minor: device.1,
    };
    push(&mut record.head, if path.is_empty() { b"." } else { path }, &header);
    record.head.extend_from_slice(target);
    align(&mut record.head);
}
