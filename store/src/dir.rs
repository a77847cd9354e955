//! A store in a directory: what a web server can serve as it is.
//!
//! ```text
//! inaug-store          "inaug-store 1\n": this is a store
//! labels/NAME          label records; '/' in names is "__"
//! labels.list          advice: the names with their digests
//! manifests/DIGEST     a root and its segments
//! maps/DIGEST          the map of the manifest DIGEST
//! packs/DIGEST         a pack; DIGEST is of the whole file
//! index/DIGEST         advice: where the objects of some packs are (see `index`)
//! tmp/                 unfinished files, each locked by its writer
//! lock                 the store's lock
//! gc.journal           what is being deleted (see `journal`)
//! gc.lock              held by the one `gc` at work
//! ```
//!
//! Files are made whole and durable in `tmp/` before they are renamed, in the order packs,
//! manifest and map, label; none is changed after that. So a label that is there leads to
//! all it needs at any moment, also after a cut of power.

mod error;
pub(crate) mod index;
pub(crate) mod journal;
mod labels;
pub(crate) mod lock;
pub(crate) mod packs;
mod read;
pub(crate) mod temp;
pub(crate) mod touch;
pub(crate) mod users;

pub use error::DirError;
pub use journal::Moment;
pub use labels::{LabelChange, RenameError};
pub(crate) use labels::{LabelRefusal, label_change, publish_label};

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const MARKER: &str = "inaug-store";
const GC_LOCK: &str = "gc.lock";
const MARKER_TEXT: &str = "inaug-store 1\n";
const DIRECTORIES: [&str; 6] = ["labels", "manifests", "maps", "diffs", "packs", "tmp"];

/// A store in a directory.
#[derive(Debug, Clone)]
pub struct DirStore {
    path: PathBuf,
    name: String,
}

impl DirStore {
    /// Opens the store in `path`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DirError> {
        let path = path.as_ref();
        let found = match fs::read(path.join(MARKER)) {
            Ok(text) if text == MARKER_TEXT.as_bytes() => return Ok(Self::at(path)),
            Ok(text) => format!("{:?}", String::from_utf8_lossy(&text[..text.len().min(80)])),
            Err(error) => error.to_string(),
        };
        let path = path.to_owned();
        Err(DirError::NotAStore { path, marker: MARKER, expected: MARKER_TEXT, found })
    }

    /// Opens the store in `path`, or makes one where nothing or an empty directory is.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, DirError> {
        let path = path.as_ref();
        if path.join(MARKER).exists() {
            return Self::open(path);
        }
        fs::create_dir_all(path).map_err(DirError::io("create", path))?;
        check_unoccupied(path)?;
        let store = Self::at(path);
        let _lock = lock::lock(&store.lock_path())?;
        // Another first push may have made it meanwhile.
        if path.join(MARKER).exists() {
            return Self::open(path);
        }
        for directory in DIRECTORIES.map(|name| path.join(name)) {
            fs::create_dir_all(&directory).map_err(DirError::io("create", &directory))?;
        }
        labels::write_list(&store, &labels::Labels::new())?;
        // There may be no room for it when it is needed.
        lock::open(&store.gc_lock_path())?;
        store.write_marker()?;
        Ok(store)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same, called `name`, where the path says nothing to people.
    #[must_use]
    pub fn called(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), name: path.display().to_string() }
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    pub(crate) fn gc_lock_path(&self) -> PathBuf {
        self.path.join(GC_LOCK)
    }

    /// Written last: a store that was not made whole is no store.
    fn write_marker(&self) -> Result<(), DirError> {
        let mut marker = temp::create_locked(self, "the store's marker")?;
        marker.write(MARKER_TEXT.as_bytes())?;
        marker.sync()?;
        marker.rename_to(&self.path.join(MARKER))?;
        temp::sync_directory(&self.path)?;
        // Not by its name: the path may lead through a descriptor, or be relative.
        temp::sync_directory(&self.path.join(".."))
    }
}

/// What a store that was not made whole may have left is no obstacle.
fn check_unoccupied(path: &Path) -> Result<(), DirError> {
    let ours = |name: &str| {
        DIRECTORIES.contains(&name)
            || [MARKER, "lock", "labels.list", "index", "lost+found", journal::NAME, GC_LOCK]
                .contains(&name)
    };
    let entries = fs::read_dir(path).map_err(DirError::io("read", path))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into()));
    let names = names.collect::<io::Result<Vec<String>>>().map_err(DirError::io("read", path))?;
    match names.into_iter().find(|name| !ours(name)) {
        None => Ok(()),
        Some(found) => Err(DirError::Occupied { path: path.to_owned(), found }),
    }
}
