//! FAT12, FAT16 and FAT32 with long names, read-only (Microsoft's FAT
//! specification, version 1.03; section numbers below are its own).
//!
//! A file is a chain of clusters, so its extents are the chain itself.

mod directory;
mod layout;

use std::io::Read;

use self::directory::Entry;
pub(crate) use self::layout::{Layout, Width};
use super::{Kind, MAX_NAMES, check_size, components, missing};
use crate::extents::{self, Extent, ExtentReader};
use crate::image::{Window, u16_at, u32_at};
use crate::{BootFactsError, Located};

/// A directory may have 65536 entries of 32 bytes (section 6).
const MAX_DIRECTORY_BYTES: u64 = 65_536 * 32;

/// An opened FAT file system.
pub(crate) struct Vfat {
    window: Window,
    layout: Layout,
}

impl Vfat {
    pub(super) fn open(window: Window) -> Result<Self, BootFactsError> {
        let layout = Layout::parse(&window.array(0)?, window.length_bytes)?;
        Ok(Self { window, layout })
    }

    pub(super) fn uuid(&self) -> String {
        let id = self.layout.volume_id;
        format!("{:04x}-{:04x}", id >> 16, id & 0xffff)
    }

    pub(super) fn names(&self, path: &str) -> Result<Vec<String>, BootFactsError> {
        let entries = match self.find(path)? {
            None => self.root()?,
            Some(entry) if entry.is_directory => self.directory(&entry)?,
            Some(_) => return Err(missing(path)),
        };
        if entries.len() > MAX_NAMES {
            let object = path.to_owned();
            return Err(BootFactsError::TooMany { object, things: "names", limit: MAX_NAMES });
        }
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    pub(super) fn locate(&self, path: &str, limit_bytes: u64) -> Result<Located, BootFactsError> {
        let (path, entry) = self.file(path)?;
        let size_bytes = u64::from(entry.size_bytes);
        check_size(&path, size_bytes, limit_bytes)?;
        let extents = self.in_image(self.chain(entry.first_cluster, size_bytes)?);
        Ok(Located::file(&self.window, Kind::Vfat, path, size_bytes, Some(extents)))
    }

    pub(super) fn reader(&self, path: &str) -> Result<Box<dyn Read>, BootFactsError> {
        let (_, entry) = self.file(path)?;
        let chain = self.chain(entry.first_cluster, u64::from(entry.size_bytes))?;
        Ok(Box::new(ExtentReader::new(self.window.clone(), chain)))
    }

    fn file(&self, path: &str) -> Result<(String, Entry), BootFactsError> {
        match self.find(path)? {
            Some(entry) if !entry.is_directory => {
                Ok((format!("/{}", components(path)?.join("/")), entry))
            }
            _ => Err(missing(path)),
        }
    }

    /// The entry at `path`, `None` for the root.
    fn find(&self, path: &str) -> Result<Option<Entry>, BootFactsError> {
        let mut found: Option<Entry> = None;
        for name in components(path)? {
            let entries = match &found {
                None => self.root()?,
                Some(entry) if entry.is_directory => self.directory(entry)?,
                Some(_) => return Err(missing(path)),
            };
            let entry = entries.into_iter().find(|entry| entry.is_called(name));
            found = Some(entry.ok_or_else(|| missing(path))?);
        }
        Ok(found)
    }

    fn root(&self) -> Result<Vec<Entry>, BootFactsError> {
        match self.layout.root {
            layout::Root::Fixed(extent) => self.entries(&[extent]),
            layout::Root::Cluster(first) => self.entries(&self.whole_chain(first)?),
        }
    }

    fn directory(&self, entry: &Entry) -> Result<Vec<Entry>, BootFactsError> {
        self.entries(&self.whole_chain(entry.first_cluster)?)
    }

    fn entries(&self, extents: &[Extent]) -> Result<Vec<Entry>, BootFactsError> {
        let mut bytes = Vec::new();
        for extent in extents {
            let start = bytes.len();
            bytes.resize(start + extent.length_bytes as usize, 0);
            self.window.read_exact_at(extent.offset_bytes, &mut bytes[start..])?;
        }
        let mut entries = directory::parse(&bytes);
        for entry in &mut entries {
            entry.first_cluster &= self.layout.cluster_mask();
        }
        Ok(entries)
    }

    /// A directory's clusters, up to the end mark.
    fn whole_chain(&self, first: u32) -> Result<Vec<Extent>, BootFactsError> {
        let mut extents = Vec::new();
        let mut cluster = first;
        for _ in 0..=MAX_DIRECTORY_BYTES / self.layout.cluster_bytes {
            extents::push(&mut extents, self.layout.cluster(cluster)?);
            match self.next(cluster)? {
                Some(next) => cluster = next,
                None => return Ok(extents),
            }
        }
        let object = "vfat directory".to_owned();
        let limit = MAX_DIRECTORY_BYTES as usize;
        Err(BootFactsError::TooMany { object, things: "bytes", limit })
    }

    /// The first `size_bytes` of a file's clusters, in the window.
    fn chain(&self, first: u32, size_bytes: u64) -> Result<Vec<Extent>, BootFactsError> {
        let mut extents = Vec::new();
        let mut cluster = first;
        let mut left_bytes = size_bytes;
        while left_bytes > 0 {
            let mut extent = self.layout.cluster(cluster)?;
            extent.length_bytes = extent.length_bytes.min(left_bytes);
            left_bytes -= extent.length_bytes;
            extents::push(&mut extents, extent);
            if left_bytes > 0 {
                cluster = self.next(cluster)?.ok_or_else(|| {
                    let found = format!("its end {left_bytes} bytes early");
                    malformed("cluster chain", "as long as the file", found)
                })?;
            }
        }
        Ok(extents)
    }

    /// The cluster after this one, `None` after the last (section 4).
    fn next(&self, cluster: u32) -> Result<Option<u32>, BootFactsError> {
        let (at_bytes, width) = self.layout.table_entry(cluster);
        let value = match width {
            Width::Bits12 => {
                let pair = u16_at(&self.window.array::<2>(at_bytes)?, 0);
                u32::from(if cluster.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 })
            }
            Width::Bits16 => u32::from(u16_at(&self.window.array::<2>(at_bytes)?, 0)),
            Width::Bits32 => u32_at(&self.window.array::<4>(at_bytes)?, 0) & 0x0fff_ffff,
        };
        Ok((value < width.end_mark()).then_some(value))
    }

    fn in_image(&self, mut extents: Vec<Extent>) -> Vec<Extent> {
        for extent in &mut extents {
            extent.offset_bytes += self.window.offset_bytes;
        }
        extents
    }
}

fn malformed(field: &'static str, expected: &'static str, found: String) -> BootFactsError {
    BootFactsError::Malformed { object: "vfat", field, expected, found }
}
