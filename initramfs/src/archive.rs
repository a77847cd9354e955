//! The newc cpio archive, as the kernel reads it.
//!
//! Format: `Documentation/driver-api/early-userspace/buffer-format.rst` of the kernel. Owners,
//! times and device numbers of the file system are zero, inode numbers count from one, and
//! entries are sorted by name, so that the bytes depend on nothing but the entries.

use std::collections::BTreeMap;

use crate::Error;
use crate::newc::{
    BLOCK_BYTES, Header, MAX_FILE_BYTES, MAX_NAME_BYTES, TRAILER, align, kind, push,
};

/// What the archive will hold, by path without a leading slash.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    // Sorted by bytes, in which a directory comes before what is in it.
    nodes: BTreeMap<String, Node>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// A directory with these permissions.
    Directory(u32),
    /// A regular file.
    File { permissions: u32, bytes: Vec<u8> },
    /// A character device.
    Character { permissions: u32, major: u32, minor: u32 },
}

impl Archive {
    /// Adds an entry under an absolute path, and the directories above it.
    pub(crate) fn add(&mut self, path: &str, node: Node) -> Result<(), Error> {
        let refuse = |detail| Error::Path { path: path.to_owned(), detail };
        let name = checked(path).map_err(refuse)?;
        if matches!(&node, Node::File { bytes, .. } if bytes.len() as u64 > MAX_FILE_BYTES) {
            return Err(refuse("a file has at most 4 GiB"));
        }
        for (slash, _) in name.match_indices('/') {
            let parent = name[..slash].to_owned();
            match self.nodes.entry(parent).or_insert(Node::Directory(0o755)) {
                Node::Directory(_) => {}
                _ => return Err(refuse("a part of it is a file")),
            }
        }
        match self.nodes.insert(name.to_owned(), node) {
            None => Ok(()),
            Some(_) => Err(refuse("it is there twice")),
        }
    }

    /// The bytes of the file under an absolute path.
    #[cfg(test)]
    pub(crate) fn file(&self, path: &str) -> Option<&[u8]> {
        self.nodes.get(path.strip_prefix('/')?).map(Node::bytes)
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The archive's bytes.
    pub(crate) fn newc(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, (name, node)) in (1..).zip(&self.nodes) {
            let links = match node {
                Node::Directory(_) => 2 + self.subdirectories(name),
                _ => 1,
            };
            entry(&mut out, name, header(number, links, node), node.bytes());
        }
        let end = Header { links: 1, ..Header::default() };
        entry(&mut out, TRAILER, end, &[]);
        out.resize(out.len().next_multiple_of(BLOCK_BYTES), 0);
        out
    }

    fn subdirectories(&self, name: &str) -> u32 {
        let inside = format!("{name}/");
        self.nodes
            .range(inside.clone()..)
            .take_while(|(path, _)| path.starts_with(&inside))
            .filter(|(path, node)| {
                matches!(node, Node::Directory(_)) && !path[inside.len()..].contains('/')
            })
            .fold(0, |count, _| count + 1)
    }
}

impl Node {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::File { bytes, .. } => bytes,
            _ => &[],
        }
    }
}

fn header(number: u32, links: u32, node: &Node) -> Header {
    let (mode, major, minor) = match *node {
        Node::Directory(permissions) => (kind::DIRECTORY | permissions, 0, 0),
        Node::File { permissions, .. } => (kind::FILE | permissions, 0, 0),
        Node::Character { permissions, major, minor } => {
            (kind::CHARACTER | permissions, major, minor)
        }
    };
    Header { number, mode, links, major, minor, ..Header::default() }
}

fn entry(out: &mut Vec<u8>, name: &str, header: Header, bytes: &[u8]) {
    let size_bytes = bytes.len() as u32;
    push(out, name.as_bytes(), &Header { size_bytes, ..header });
    out.extend_from_slice(bytes);
    align(out);
}

/// The path as newc stores it: relative, no empty, `.` or `..` part.
fn checked(path: &str) -> Result<&str, &'static str> {
    let name = path.strip_prefix('/').ok_or("it must start with /")?;
    if name.len() >= MAX_NAME_BYTES {
        return Err("it is longer than 4095 bytes");
    }
    if name.contains('\0') {
        return Err("it contains a NUL");
    }
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("it has an empty part, `.` or `..`");
    }
    if name == TRAILER {
        return Err("the name ends an archive");
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
