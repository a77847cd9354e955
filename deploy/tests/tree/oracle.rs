//! What is on disk, read in the plainest way, and what a tree says should be.

use crate::model::{Item, Tree};
use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// What is at each path, in words; the content of files by its digest.
pub(crate) type Seen = BTreeMap<Vec<u8>, String>;

/// Reads all below `dir`.
pub(crate) fn see(dir: &Path) -> Seen {
    let mut seen = Seen::new();
    let mut first = HashMap::new();
    look(dir, &[], &mut seen, &mut Some(&mut first));
    seen
}

/// The same, each name for itself: which of them are names of one file is not told.
pub(crate) fn see_each(dir: &Path) -> Seen {
    let mut seen = Seen::new();
    look(dir, &[], &mut seen, &mut None);
    seen
}

type First<'a> = Option<&'a mut HashMap<(u64, u64), Vec<u8>>>;

fn look(at: &Path, path: &[u8], seen: &mut Seen, first: &mut First<'_>) {
    let meta = at.symlink_metadata().unwrap();
    let mut text = words(at, &meta);
    if let Some(first) = first
        && !meta.is_dir()
        && meta.nlink() > 1
    {
        let first = first.entry((meta.dev(), meta.ino())).or_insert_with(|| path.to_vec());
        if first != path {
            text = format!("link to {}", first.escape_ascii());
        }
    }
    seen.insert(path.to_vec(), text);
    if !meta.is_dir() {
        return;
    }
    // In the order of trees, so that the first name of a file is the same in both.
    let mut names: Vec<_> =
        std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let below = if path.is_empty() {
            name.as_bytes().to_vec()
        } else {
            [path, b"/", name.as_bytes()].concat()
        };
        look(&at.join(name), &below, seen, first);
    }
}

fn words(at: &Path, meta: &Metadata) -> String {
    let kind = meta.file_type();
    let what = if kind.is_dir() {
        "directory".to_owned()
    } else if kind.is_symlink() {
        format!("symlink {}", std::fs::read_link(at).unwrap().as_os_str().as_bytes().escape_ascii())
    } else if kind.is_fifo() {
        "fifo".to_owned()
    } else if kind.is_char_device() {
        format!("device {}", meta.rdev())
    } else {
        let content = std::fs::read(at).unwrap();
        format!("file {} {}", content.len(), store::Digest::of(&content).short())
    };
    let mode = if kind.is_symlink() { 0o777 } else { meta.mode() & 0o7777 };
    let xattrs = if kind.is_symlink() { String::new() } else { xattrs(at) };
    let (mtime, ns) = (meta.mtime(), meta.mtime_nsec());
    format!("{what} {mode:o} {}:{} {mtime}.{ns:09} {xattrs}", meta.uid(), meta.gid())
}

fn xattrs(at: &Path) -> String {
    let mut names = [0_u8; 4096];
    let length = rustix::fs::listxattr(at, &mut names[..]).unwrap();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| name.starts_with(b"user."));
    let mut all: Vec<_> = names
        .map(|name| {
            let mut value = [0_u8; 4096];
            let length = rustix::fs::getxattr(at, name, &mut value[..]).unwrap();
            format!("{}={}", name.escape_ascii(), value[..length].escape_ascii())
        })
        .collect();
    all.sort();
    all.join(",")
}

/// What should be seen of `tree`.
pub(crate) fn expected(tree: &Tree) -> Seen {
    let mut seen = Seen::new();
    for (names, (item, meta)) in &tree.0 {
        let what = match item {
            Item::Directory => "directory".to_owned(),
            Item::File(content) => {
                format!("file {} {}", content.len(), store::Digest::of(content).short())
            }
            Item::Symlink(to) => format!("symlink {}", to.escape_ascii()),
            Item::Fifo => "fifo".to_owned(),
            Item::Device(major, minor) => {
                format!("device {}", rustix::fs::makedev(*major, *minor))
            }
            Item::Link(to) => {
                seen.insert(names.join(&b'/'), format!("link to {}", to.escape_ascii()));
                continue;
            }
        };
        let xattrs: Vec<_> = meta
            .xattrs
            .iter()
            .map(|one| format!("{}={}", one.name.escape_ascii(), one.value.escape_ascii()))
            .collect();
        let text = format!(
            "{what} {:o} {}:{} {}.{:09} {}",
            meta.mode,
            meta.uid,
            meta.gid,
            meta.mtime_s,
            meta.mtime_ns,
            xattrs.join(",")
        );
        seen.insert(names.join(&b'/'), text);
    }
    seen
}

/// Fails with the first differences.
#[track_caller]
pub(crate) fn assert_is(dir: &Path, tree: &Tree, context: &str) {
    let (found, expected) = (see(dir), expected(tree));
    if found == expected {
        return;
    }
    let mut lines = Vec::new();
    for path in found.keys().chain(expected.keys().filter(|path| !found.contains_key(*path))) {
        let (there, wanted) = (found.get(path), expected.get(path));
        if there != wanted {
            lines.push(format!("{}: is {there:?}, should be {wanted:?}", path.escape_ascii()));
        }
    }
    lines.truncate(8);
    panic!("{context}: {}", lines.join("\n  "));
}
