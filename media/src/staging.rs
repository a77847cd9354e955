//! The store of a medium, made in a directory first.

use crate::{Load, MediaError, TIME_S};
use deploy::disks::STORE_DIRECTORY;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};
use store::Digest;
use store::copy::{CopyOptions, CopyReport, copy_label};
use store::dir::DirStore;
use store::label::LabelName;
use tempfile::TempDir;

/// Told what is being done.
pub type Progress<'a> = &'a dyn Fn(Step<'_>);

/// What is being done.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// A label is copied.
    Copy {
        /// Its name.
        label: &'a LabelName,
        /// How many bytes of it were seen to.
        done_bytes: u64,
        /// How many there are.
        total_bytes: u64,
    },
    /// Something of which nobody knows how far it is.
    Phase(&'static str),
}

/// What was copied of a label.
pub type Copied = CopyReport;

/// A directory with the store in it.
pub(crate) struct Staged {
    directory: TempDir,
    pub(crate) labels: Vec<Copied>,
    /// What its files take on a file system, bytes.
    pub(crate) size_bytes: u64,
}

/// What a file or directory takes at most on a file system beside its content, bytes: its last
/// block, and its name in a directory.
const PER_FILE_BYTES: u64 = 4096;

impl Staged {
    /// Copies the labels into a new directory in `beside`, which is removed with what is returned.
    pub(crate) fn new(
        load: &Load<'_>,
        beside: &Path,
        progress: Progress<'_>,
    ) -> Result<Self, MediaError> {
        let directory = tempfile::Builder::new()
            .prefix(".inaug-media-")
            .tempdir_in(beside)
            .map_err(MediaError::io("make a directory in", beside))?;
        let path = directory.path().join(STORE_DIRECTORY);
        fs::create_dir(&path).map_err(MediaError::io("make", &path))?;
        let store = DirStore::create(&path)?;
        let labels = copy(load, &store, progress)?;
        let size_bytes = normalise(directory.path())?;
        Ok(Self { directory, labels, size_bytes })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Puts a file beside the store.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> Result<(), MediaError> {
        let path = self.path().join(name);
        let directory = path.parent().unwrap_or(&path);
        fs::create_dir_all(directory).map_err(MediaError::io("make", directory))?;
        fs::write(&path, bytes).map_err(MediaError::io("write", &path))
    }

    /// Gives what was put beside the store the same time and permissions.
    pub(crate) fn normalise(&self) -> Result<(), MediaError> {
        normalise(self.path()).map(drop)
    }

    /// What became of each label; the directory is removed.
    pub(crate) fn into_labels(self) -> Vec<Copied> {
        self.labels
    }

    /// What tells a medium with these labels and boot files from others.
    pub(crate) fn identity(&self, load: &Load<'_>) -> Digest {
        let mut lines: Vec<String> = self.labels.iter().map(line).collect();
        lines.sort();
        lines.push(load.boot.digest().to_string());
        Digest::of(lines.join("\n").as_bytes())
    }
}

fn line(copied: &Copied) -> String {
    format!("{} {}", copied.record.name, copied.record.manifest)
}

/// Copies the labels into `store`; one that names other content there is replaced.
pub(crate) fn copy(
    load: &Load<'_>,
    store: &DirStore,
    progress: Progress<'_>,
) -> Result<Vec<Copied>, MediaError> {
    let options = CopyOptions { force: true, ..CopyOptions::default() };
    let one = |name: &LabelName| {
        let tell = |done_bytes, total_bytes| {
            progress(Step::Copy { label: name, done_bytes, total_bytes });
        };
        Ok(copy_label(load.source, store, name, options, &tell)?)
    };
    load.labels.iter().map(one).collect()
}

/// What did not go as it should while labels were copied, and stopped nothing.
pub(crate) fn warnings(labels: &[Copied]) -> Vec<String> {
    let of = |copied: &Copied| {
        let name = &copied.record.name;
        let diffs = copied.diffs_failure.as_ref();
        let index = copied.index_failure.as_ref();
        [
            diffs.map(|why| format!("{name}: its diffs are not all on the medium: {why}")),
            index.map(|why| format!("{name}: the index of the medium's store is old: {why}")),
        ]
    };
    labels.iter().flat_map(of).flatten().collect()
}

/// Gives all below `path` one time, and permissions that do not depend on who makes it; returns
/// what it takes on a file system.
fn normalise(path: &Path) -> Result<u64, MediaError> {
    let failed = || MediaError::io("set the time of", path);
    let metadata = fs::symlink_metadata(path).map_err(failed())?;
    let (mode, mut size) = if metadata.is_dir() { (0o755, 0) } else { (0o644, metadata.len()) };
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(failed())? {
            size += normalise(&entry.map_err(failed())?.path())?;
        }
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed())?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(TIME_S);
    let times = FileTimes::new().set_accessed(time).set_modified(time);
    let file = File::open(path).map_err(failed())?;
    file.set_times(times).map_err(failed())?;
    Ok(size + PER_FILE_BYTES)
}
