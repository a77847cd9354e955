//! The newc cpio archive, as the kernel reads it.
//!
//! Format: `Documentation/driver-api/early-userspace/buffer-format.rst` of the kernel. Owners,
//! times and device numbers of the file system are zero, inode numbers count from one, and
//! entries are sorted by name, so that the bytes depend on nothing but the entries.

use std::collections::BTreeMap;

use crate::Error;

/// Name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// Archives are padded to whole blocks, as cpio(1) does.
const BLOCK_BYTES: usize = 512;

/// The kernel's `PATH_MAX`, with its final NUL.
const MAX_NAME_BYTES: usize = 4096;

/// The file size field has eight hexadecimal digits.
const MAX_FILE_BYTES: usize = u32::MAX as usize;

const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFCHR: u32 = 0o020_000;

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
        if matches!(&node, Node::File { bytes, .. } if bytes.len() > MAX_FILE_BYTES) {
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
            entry(&mut out, name, &Header::of(number, links, node), node.bytes());
        }
        let end = Header { links: 1, ..Header::default() };
        entry(&mut out, TRAILER, &end, &[]);
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

/// The fields that are not zero in every entry.
#[derive(Debug, Default)]
struct Header {
    number: u32,
    mode: u32,
    links: u32,
    major: u32,
    minor: u32,
}

impl Header {
    fn of(number: u32, links: u32, node: &Node) -> Self {
        let (mode, major, minor) = match *node {
            Node::Directory(permissions) => (S_IFDIR | permissions, 0, 0),
            Node::File { permissions, .. } => (S_IFREG | permissions, 0, 0),
            Node::Character { permissions, major, minor } => (S_IFCHR | permissions, major, minor),
        };
        Self { number, mode, links, major, minor }
    }
}

fn entry(out: &mut Vec<u8>, name: &str, header: &Header, bytes: &[u8]) {
    out.extend_from_slice(b"070701");
    let fields = [
        header.number,
        header.mode,
        0, // user
        0, // group
        header.links,
        0, // time of change
        bytes.len() as u32,
        0, // device of the file system
        0,
        header.major,
        header.minor,
        name.len() as u32 + 1,
        0, // checksum, of another variant of the format
    ];
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    align(out);
    out.extend_from_slice(bytes);
    align(out);
}

fn align(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
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
