//! The volumes of an image that can be read: partitions, or the image itself.

use std::fs::File;
use std::rc::Rc;

use crate::fs::{self, FileSystem, Sniffed, Tree, TreeVolume};
use crate::image::Window;
use crate::partitions::{self, Partition};
use crate::warnings::Warnings;
use crate::{BootFactsError, Located};

/// An opened file system and what to call it.
pub(crate) struct Volume {
    /// `partition 3 (ext4)`, `whole image (vfat)`.
    pub(crate) name: String,
    /// The partition's number as Linux counts it.
    pub(crate) partition: Option<u32>,
    pub(crate) fs: FileSystem,
}

/// Opens every volume whose file system is known. The others are warnings.
pub(crate) fn open_all(
    image: &File,
    warnings: &mut Warnings,
) -> Result<Vec<Volume>, BootFactsError> {
    let image = Window::whole(image)?;
    let mut volumes = Vec::new();
    for partition in partitions::read(&image, warnings)? {
        match open(&image, &partition) {
            Ok(Opened::Volume(volume)) => volumes.push(volume),
            Ok(Opened::Foreign(what)) => {
                warnings.add(format!("{}: {what} is not searched", partition.name()));
            }
            Ok(Opened::Unknown) => {}
            Err(error) => warnings.failed(&partition.name(), &error),
        }
    }
    if volumes.is_empty() {
        warnings.add("image: no vfat or ext4 file system found".to_owned());
    }
    Ok(volumes)
}

/// Where the other file systems of a machine are mounted in its tree: files that a configuration
/// names may be meant to be on one of them.
const MOUNTED: [&str; 3] = ["/boot", "/boot/efi", "/efi"];

/// A tree as the volumes it may be spread over.
pub(crate) fn of_tree(tree: &Rc<dyn Tree>) -> Vec<Volume> {
    let whole = TreeVolume::whole(tree);
    let mounted = |path| Some((path, whole.directory(path)?));
    let mounted: Vec<_> = MOUNTED.into_iter().filter_map(mounted).collect();
    [("tree", whole)]
        .into_iter()
        .chain(mounted)
        .map(|(name, volume)| Volume {
            name: name.to_owned(),
            partition: None,
            fs: FileSystem::Tree(volume),
        })
        .collect()
}

enum Opened {
    Volume(Volume),
    Foreign(&'static str),
    Unknown,
}

fn open(image: &Window, partition: &Partition) -> Result<Opened, BootFactsError> {
    let window = image.part(partition.offset_bytes, partition.length_bytes)?;
    match fs::sniff(&window)? {
        Sniffed::Known(kind) => {
            let name = format!("{} ({})", partition.name(), kind.name());
            let fs = FileSystem::open(window, kind)?;
            Ok(Opened::Volume(Volume { name, partition: partition.number, fs }))
        }
        Sniffed::Foreign(what) => Ok(Opened::Foreign(what)),
        Sniffed::Unknown => {
            Ok(fs::sniff_overlaid(&window)?.map_or(Opened::Unknown, Opened::Foreign))
        }
    }
}

impl Volume {
    /// The file at `path`, if it is between 1 and `limit_bytes` bytes long.
    pub(crate) fn locate(&self, path: &str, limit_bytes: u64) -> Result<Located, BootFactsError> {
        let located = self.fs.locate(path, limit_bytes).map_err(|error| self.named(error))?;
        if located.size_bytes == 0 {
            return Err(BootFactsError::Size {
                path: path.to_owned(),
                found_bytes: 0,
                limit_bytes,
            });
        }
        Ok(located)
    }

    /// The text of the file at `path`; `None` if there is none, or if it
    /// cannot be read, which is a warning.
    pub(crate) fn text(&self, path: &str, warnings: &mut Warnings) -> Option<String> {
        match self.fs.read_text(path) {
            Ok(text) => Some(text),
            Err(BootFactsError::Missing { .. }) => None,
            Err(error) => {
                warnings.failed(&self.name, &error);
                None
            }
        }
    }

    /// The names in the directory `path`, sorted; empty if there is none.
    pub(crate) fn names(&self, path: &str, warnings: &mut Warnings) -> Vec<String> {
        match self.fs.names(path) {
            Ok(mut names) => {
                names.sort();
                names
            }
            Err(BootFactsError::Missing { .. }) => Vec::new(),
            Err(error) => {
                warnings.failed(&self.name, &error);
                Vec::new()
            }
        }
    }

    fn named(&self, error: BootFactsError) -> BootFactsError {
        match error {
            BootFactsError::Missing { path, .. } => {
                BootFactsError::Missing { volume: self.name.clone(), path }
            }
            other => other,
        }
    }
}
