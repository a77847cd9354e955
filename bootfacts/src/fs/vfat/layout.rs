//! Where things are on a FAT file system: the boot sector (sections 3.1-3.5).

use super::malformed;
use crate::BootFactsError;
use crate::extents::Extent;
use crate::image::{u16_at, u32_at};

/// A disk with fewer clusters is FAT12, with fewer than the second FAT16; this
/// and nothing else tells them apart (section 3.5).
const FAT16_MIN_CLUSTERS: u64 = 4085;
const FAT32_MIN_CLUSTERS: u64 = 65_525;
const FAT32_MAX_CLUSTERS: u64 = 0x0fff_fff5;

/// How wide an entry of the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Bits12,
    Bits16,
    Bits32,
}

impl Width {
    /// Values from here on end a chain; the one below marks a bad cluster,
    /// which no chain leads to.
    pub(super) fn end_mark(self) -> u32 {
        match self {
            Self::Bits12 => 0xff8,
            Self::Bits16 => 0xfff8,
            Self::Bits32 => 0x0fff_fff8,
        }
    }
}

/// Where the root directory is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Root {
    /// FAT12 and FAT16: in a place of its own.
    Fixed(Extent),
    /// FAT32: a chain like any other.
    Cluster(u32),
}

/// The geometry, checked: everything it leads to is inside the volume.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(super) cluster_bytes: u64,
    pub(super) root: Root,
    pub(super) volume_id: u32,
    /// How many tables there are, one after another, each of `table_bytes`.
    pub(crate) copies: u64,
    pub(crate) table_bytes: u64,
    width: Width,
    table_at_bytes: u64,
    data_at_bytes: u64,
    clusters: u64,
}

impl Layout {
    /// The first two entries of the table are not clusters (section 4).
    pub(crate) const FIRST_CLUSTER: u32 = 2;

    /// How many clusters there are.
    pub(crate) fn clusters(&self) -> u64 {
        self.clusters
    }

    pub(crate) fn parse(sector: &[u8; 512], volume_bytes: u64) -> Result<Self, BootFactsError> {
        let sector_bytes = u64::from(u16_at(sector, 11));
        let cluster_bytes = u64::from(sector[13]) * sector_bytes;
        if cluster_bytes == 0 {
            return Err(malformed("BPB_SecPerClus", "a positive number", "0".to_owned()));
        }
        let either = |short: u16, long: u32| if short == 0 { long } else { u32::from(short) };
        let sectors = u64::from(either(u16_at(sector, 19), u32_at(sector, 32)));
        let table_sectors = u64::from(either(u16_at(sector, 22), u32_at(sector, 36)));
        let root_bytes = (u64::from(u16_at(sector, 17)) * 32).next_multiple_of(sector_bytes);

        let table_at_bytes = u64::from(u16_at(sector, 14)) * sector_bytes;
        let table_bytes = table_sectors * sector_bytes;
        let root_at_bytes = table_at_bytes + u64::from(sector[16]) * table_bytes;
        let data_at_bytes = root_at_bytes + root_bytes;
        let end_bytes = sectors * sector_bytes;
        if end_bytes > volume_bytes || data_at_bytes > end_bytes {
            let found = format!("{sectors} sectors, data from byte {data_at_bytes}");
            return Err(malformed("BPB_TotSec", "at most the volume's", found));
        }
        let clusters = (end_bytes - data_at_bytes) / cluster_bytes;
        let width = width(clusters)?;
        let is_wide = width == Width::Bits32;
        let layout = Self {
            cluster_bytes,
            root: if is_wide {
                Root::Cluster(u32_at(sector, 44))
            } else {
                Root::Fixed(Extent { offset_bytes: root_at_bytes, length_bytes: root_bytes })
            },
            volume_id: u32_at(sector, if is_wide { 67 } else { 39 }),
            copies: u64::from(sector[16]),
            table_bytes,
            width,
            table_at_bytes,
            data_at_bytes,
            clusters,
        };
        layout.check_table(table_bytes)?;
        Ok(layout)
    }

    /// Where cluster number `cluster` lies in the volume.
    pub(crate) fn cluster(&self, cluster: u32) -> Result<Extent, BootFactsError> {
        match cluster.checked_sub(Self::FIRST_CLUSTER).map(u64::from) {
            Some(index) if index < self.clusters => Ok(Extent {
                offset_bytes: self.data_at_bytes + index * self.cluster_bytes,
                length_bytes: self.cluster_bytes,
            }),
            _ => Err(malformed("cluster", "one of the data region", cluster.to_string())),
        }
    }

    /// The bits of a directory entry's cluster number that count.
    pub(super) fn cluster_mask(&self) -> u32 {
        if self.width == Width::Bits32 { u32::MAX } else { 0xffff }
    }

    /// Where the table says what follows `cluster`, and how wide that is.
    pub(crate) fn table_entry(&self, cluster: u32) -> (u64, Width) {
        let cluster = u64::from(cluster);
        let offset_bytes = match self.width {
            Width::Bits12 => cluster + cluster / 2,
            Width::Bits16 => cluster * 2,
            Width::Bits32 => cluster * 4,
        };
        (self.table_at_bytes + offset_bytes, self.width)
    }

    fn check_table(&self, table_bytes: u64) -> Result<(), BootFactsError> {
        let last = self.clusters as u32 + Self::FIRST_CLUSTER;
        let (end_bytes, _) = self.table_entry(last);
        if end_bytes - self.table_at_bytes > table_bytes {
            let found = format!("{table_bytes} bytes for {} clusters", self.clusters);
            return Err(malformed("BPB_FATSz", "room for every cluster", found));
        }
        Ok(())
    }
}

fn width(clusters: u64) -> Result<Width, BootFactsError> {
    match clusters {
        0..FAT16_MIN_CLUSTERS => Ok(Width::Bits12),
        FAT16_MIN_CLUSTERS..FAT32_MIN_CLUSTERS => Ok(Width::Bits16),
        FAT32_MIN_CLUSTERS..FAT32_MAX_CLUSTERS => Ok(Width::Bits32),
        _ => Err(malformed("clusters", "fewer than 268435445", clusters.to_string())),
    }
}
