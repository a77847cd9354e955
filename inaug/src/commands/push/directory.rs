//! A directory as a tree that boot facts are looked for in.

use bootfacts::{Tree, TreeEntry};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The directory. Nothing is followed out of it: whoever looks gives paths without links.
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The tree below `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

impl Tree for Directory {
    fn look(&self, path: &str) -> io::Result<Option<TreeEntry>> {
        let path = self.at(path);
        let metadata = match path.symlink_metadata() {
            Err(error) if is_absent(&error) => return Ok(None),
            metadata => metadata?,
        };
        let kind = metadata.file_type();
        Ok(Some(if kind.is_dir() {
            TreeEntry::Directory
        } else if kind.is_file() {
            TreeEntry::File { size_bytes: metadata.len() }
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&path)?;
            // One that is no text is none that a configuration names.
            target
                .to_str()
                .map_or(TreeEntry::Other, |target| TreeEntry::Symlink { target: target.to_owned() })
        } else {
            TreeEntry::Other
        }))
    }

    fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let entries = self.at(path).read_dir()?;
        let name = |entry: io::Result<std::fs::DirEntry>| match entry {
            Ok(entry) => entry.file_name().into_string().ok().map(Ok),
            Err(error) => Some(Err(error)),
        };
        entries.filter_map(name).collect()
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(self.at(path))?))
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
