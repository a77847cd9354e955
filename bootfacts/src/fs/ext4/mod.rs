//! ext2, ext3 and ext4, read by the `ext4-view` crate, which replays the
//! journal in memory.
//!
//! That crate gives a file's bytes but not where they lie. Its reads of the
//! volume are recorded, and each block it returns is looked for where it was
//! just read from. Only a place whose bytes *are* the block's counts, so what
//! comes out is right by comparison and does not rest on how the crate works.

mod place;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Read;
use std::rc::Rc;

use ext4_view::{Ext4, Ext4Error};

use self::place::{Placer, Recorder};

use super::resolve::resolve;
use super::{Kind, MAX_NAMES, MAX_PATH_BYTES, check_size, missing};
use crate::extents::Extent;
use crate::image::{Window, u32_at};
use crate::{BootFactsError, Located};

/// Linux mounts blocks of at most 64 KiB.
const MAX_LOG_BLOCK_SIZE: u32 = 6;
/// The reader keeps all groups in memory: 1 << 20 groups of 128 MiB are 128 TiB.
const MAX_BLOCK_GROUPS: u64 = 1 << 20;

/// An opened ext4 file system.
pub(crate) struct Ext4Volume {
    window: Window,
    fs: Ext4,
    block_bytes: u64,
    recent: Rc<RefCell<VecDeque<Extent>>>,
    /// Whether files are read for where their bytes lie.
    wants_extents: bool,
}

impl Ext4Volume {
    pub(super) fn open(window: Window) -> Result<Self, BootFactsError> {
        let block_bytes = check_superblock(&window)?;
        let recorder = Recorder::new(window.clone());
        let recent = recorder.recent();
        let fs = Ext4::load(Box::new(recorder)).map_err(|error| failed("/", error))?;
        Ok(Self { window, fs, block_bytes, recent, wants_extents: true })
    }

    pub(super) fn forgo_extents(&mut self) {
        self.wants_extents = false;
    }

    pub(super) fn uuid(&self) -> String {
        self.fs.uuid().to_string()
    }

    pub(super) fn names(&self, path: &str) -> Result<Vec<String>, BootFactsError> {
        let path = self.resolve(path)?;
        let mut names = Vec::new();
        for entry in self.fs.read_dir(path.as_str()).map_err(|error| failed(&path, error))? {
            let entry = entry.map_err(|error| failed(&path, error))?;
            if names.len() == MAX_NAMES {
                return Err(BootFactsError::TooMany {
                    object: path,
                    things: "names",
                    limit: MAX_NAMES,
                });
            }
            // A name that is not text is none that is looked for.
            match entry.file_name().as_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    pub(super) fn reader(&self, path: &str) -> Result<Box<dyn Read>, BootFactsError> {
        let path = self.resolve(path)?;
        let file = self.fs.open(path.as_str()).map_err(|error| failed(&path, error))?;
        Ok(Box::new(file))
    }

    pub(super) fn locate(&self, path: &str, limit_bytes: u64) -> Result<Located, BootFactsError> {
        let path = self.resolve(path)?;
        let mut file = self.fs.open(path.as_str()).map_err(|error| failed(&path, error))?;
        let size_bytes = file.metadata().len();
        check_size(&path, size_bytes, limit_bytes)?;
        let extents = if self.wants_extents {
            self.extents(&mut file).map_err(|error| failed(&path, error))?
        } else {
            None
        };
        Ok(Located::file(&self.window, Kind::Ext4, path, size_bytes, extents))
    }

    /// Where each block of the file lies, or `None` if one lies nowhere as it
    /// is, such as a hole.
    fn extents(&self, file: &mut ext4_view::File) -> Result<Option<Vec<Extent>>, Ext4Error> {
        let mut block = vec![0; self.block_bytes as usize];
        let mut placer = Placer::new(&self.window, &self.recent, self.block_bytes);
        loop {
            let length = file.read_bytes(&mut block)?;
            if length == 0 {
                return Ok(placer.finish());
            }
            if placer.add(&block[..length]).is_none() {
                return Ok(None);
            }
        }
    }

    /// `path` without symbolic links.
    ///
    /// The reader would follow them itself, but takes a link's length on trust
    /// and makes room for it.
    fn resolve(&self, path: &str) -> Result<String, BootFactsError> {
        resolve(path, |here| {
            let metadata = self.fs.symlink_metadata(here).map_err(|error| failed(here, error))?;
            if !metadata.is_symlink() {
                return Ok(None);
            }
            check_size(here, metadata.len(), MAX_PATH_BYTES as u64)?;
            let target = self.fs.read_link(here).map_err(|error| failed(here, error))?;
            let target = target.to_str().map_err(|_| failed(here, Ext4Error::NotUtf8))?;
            Ok(Some(target.to_owned()))
        })
    }
}

fn failed(path: &str, source: Ext4Error) -> BootFactsError {
    match source {
        Ext4Error::NotFound
        | Ext4Error::NotADirectory
        | Ext4Error::IsADirectory
        | Ext4Error::IsASpecialFile => missing(path),
        source => BootFactsError::Ext4 { path: path.to_owned(), source },
    }
}

/// Refuses what would make the reader take memory without bound; returns the
/// block size in bytes. Field offsets as in the kernel's
/// Documentation/filesystems/ext4/super.rst.
fn check_superblock(window: &Window) -> Result<u64, BootFactsError> {
    let superblock = window.array::<1024>(1024)?;
    let log_block_size = u32_at(&superblock, 0x18);
    if log_block_size > MAX_LOG_BLOCK_SIZE {
        return Err(malformed("s_log_block_size", "0 to 6", log_block_size.into()));
    }
    let block_bytes = 1024 << log_block_size;
    let blocks = u64::from(u32_at(&superblock, 0x4)) | u64::from(u32_at(&superblock, 0x150)) << 32;
    if blocks.checked_mul(block_bytes).is_none_or(|bytes| bytes > window.length_bytes) {
        return Err(malformed("s_blocks_count", "at most the volume's", blocks));
    }
    let blocks_per_group = u64::from(u32_at(&superblock, 0x20));
    if blocks_per_group == 0 || blocks / blocks_per_group > MAX_BLOCK_GROUPS {
        return Err(malformed("s_blocks_per_group", "at most 1048576 groups", blocks_per_group));
    }
    Ok(block_bytes)
}

fn malformed(field: &'static str, expected: &'static str, found: u64) -> BootFactsError {
    let found = found.to_string();
    BootFactsError::Malformed { object: "ext4", field, expected, found }
}
