//! What a machine wrote to a disk and when it flushed, as QEMU's `blklogwrites` records it.
//!
//! The format is that of the kernel's `dm-log-writes`
//! (`Documentation/admin-guide/device-mapper/log-writes.rst`): a super block of one sector,
//! then for each request an entry of one sector and, but for discards, its data. Everything
//! is little endian, counted in the log's sectors. QEMU writes an entry when the request is
//! done and before the machine hears of it, "write zeroes" as data, and no data length.

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::Path;

/// `WRITE_LOG_MAGIC` and `WRITE_LOG_VERSION` of `drivers/md/dm-log-writes.c`.
const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;

/// Flags of an entry.
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;

/// The log is held in memory: a disk of tests here writes well below this.
const LOG_BYTES: u64 = 1 << 30;

/// One request of a machine to its disk, done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// These bytes were written here.
    Write {
        /// Where, bytes from the start of the disk.
        at: usize,
        /// What.
        bytes: Vec<u8>,
        /// It was durable when it was done (force unit access).
        durable: bool,
    },
    /// So many bytes here were given up; they read as zeroes.
    Discard {
        /// Where, bytes from the start of the disk.
        at: usize,
        /// How many bytes.
        length: usize,
    },
    /// All that was done before is durable.
    Flush,
}

/// The requests of one run, in the order in which they were done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteLog {
    /// The requests.
    pub entries: Vec<Entry>,
}

impl WriteLog {
    /// Reads the log in `file` of a disk of `disk_bytes`.
    pub fn read(file: impl AsRef<Path>, disk_bytes: usize) -> Result<Self> {
        let file = file.as_ref();
        let named = || format!("the write log {}", file.display());
        let length = fs::metadata(file).with_context(named)?.len();
        ensure!(length <= LOG_BYTES, "{} has {length} bytes, over {LOG_BYTES}", named());
        Self::parse(&fs::read(file).with_context(named)?, disk_bytes).with_context(named)
    }

    /// Reads a log of a disk of `disk_bytes`.
    pub fn parse(log: &[u8], disk_bytes: usize) -> Result<Self> {
        let (count, sector_bytes) = super_block(log)?;
        // An entry takes a sector at least.
        let possible = log.len() / sector_bytes;
        ensure!(count <= possible, "{count} entries, but room for {possible}");
        let mut reader = Reader { log, sector_bytes, disk_bytes, at: sector_bytes };
        let mut entries = Vec::with_capacity(count);
        for index in 0..count {
            reader.entry(&mut entries).with_context(|| format!("entry {index} of {count}"))?;
        }
        Ok(Self { entries })
    }

    /// How many flushes there are.
    pub fn flushes(&self) -> usize {
        self.entries.iter().filter(|entry| **entry == Entry::Flush).count()
    }

    /// How many writes and discards there are.
    pub fn writes(&self) -> usize {
        self.entries.len() - self.flushes()
    }

    /// Where requests stop, bytes: a disk has at least as many.
    pub fn end(&self) -> usize {
        self.entries.iter().map(|entry| entry.range().end).max().unwrap_or(0)
    }
}

impl Entry {
    /// The bytes of the disk that this changes.
    pub fn range(&self) -> std::ops::Range<usize> {
        match self {
            Self::Write { at, bytes, .. } => *at..at + bytes.len(),
            Self::Discard { at, length } => *at..at + length,
            Self::Flush => 0..0,
        }
    }

    /// Whether this changes any byte of `range`.
    pub fn touches(&self, range: std::ops::Range<usize>) -> bool {
        let own = self.range();
        own.start < range.end && range.start < own.end
    }

    /// Carries it out on `disk`.
    pub fn put(&self, disk: &mut [u8]) {
        self.apply(self.range(), disk);
    }

    /// Puts the bytes of `part`, which lie within this entry's range, onto `disk`.
    pub(super) fn apply(&self, part: std::ops::Range<usize>, disk: &mut [u8]) {
        match self {
            Self::Write { at, bytes, .. } => {
                disk[part.clone()].copy_from_slice(&bytes[part.start - at..part.end - at]);
            }
            Self::Discard { .. } => disk[part].fill(0),
            Self::Flush => {}
        }
    }
}

/// Number of entries and bytes of a sector.
fn super_block(log: &[u8]) -> Result<(usize, usize)> {
    let (magic, version) = (number(log, 0)?, number(log, 8)?);
    ensure!(magic == MAGIC, "the super block: magic {magic:#x}, expected {MAGIC:#x}");
    ensure!(version == VERSION, "the super block: version {version}, expected {VERSION}");
    let sector_bytes = number(log, 24)? as u32 as usize;
    ensure!(
        sector_bytes.is_power_of_two() && (512..=4096).contains(&sector_bytes),
        "the super block: sectors of {sector_bytes} bytes, expected 512 to 4096"
    );
    Ok((usize::try_from(number(log, 16)?)?, sector_bytes))
}

struct Reader<'a> {
    log: &'a [u8],
    sector_bytes: usize,
    disk_bytes: usize,
    /// Where the next entry is.
    at: usize,
}

impl Reader<'_> {
    fn entry(&mut self, entries: &mut Vec<Entry>) -> Result<()> {
        let field = |index: usize| number(self.log, self.at + 8 * index);
        let (sector, sectors, flags) = (field(0)?, field(1)?, field(2)?);
        self.at += self.sector_bytes;
        // Two requests at once can garble QEMU's log where one of them is "write zeroes".
        ensure!(flags & !(FLUSH | FUA | DISCARD | MARK) == 0, "unknown flags {flags:#x}");
        if flags & MARK != 0 {
            bail!("a mark, which QEMU never writes");
        }
        let (at, length) = self.place(sector, sectors)?;
        if flags & FLUSH != 0 {
            entries.push(Entry::Flush);
        }
        if flags & DISCARD != 0 {
            entries.push(Entry::Discard { at, length });
        } else if length > 0 {
            let bytes = self.log.get(self.at..self.at + length);
            let bytes = bytes.with_context(|| format!("{length} bytes of data are cut off"))?;
            entries.push(Entry::Write { at, bytes: bytes.to_vec(), durable: flags & FUA != 0 });
            self.at += length;
        }
        Ok(())
    }

    /// Offset and length in bytes, which are within the disk.
    fn place(&self, sector: u64, sectors: u64) -> Result<(usize, usize)> {
        let disk_sectors = (self.disk_bytes / self.sector_bytes) as u64;
        let end = sector.checked_add(sectors).filter(|end| *end <= disk_sectors);
        ensure!(
            end.is_some(),
            "{sectors} sectors from {sector} on, beyond a disk of {disk_sectors}"
        );
        Ok((sector as usize * self.sector_bytes, sectors as usize * self.sector_bytes))
    }
}

fn number(log: &[u8], at: usize) -> Result<u64> {
    let bytes = log.get(at..).and_then(|rest| rest.first_chunk::<8>());
    let bytes = bytes.with_context(|| format!("cut off at byte {at}"))?;
    Ok(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests;
