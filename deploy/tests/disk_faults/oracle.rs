//! Whether a disk that looks bootable is one. Looks at raw bytes only, and knows nothing of
//! the engine but where the mark is and what says that it is finished.

use super::picture::{MARK, MIB, Picture, Table};
use std::ops::Range;

const SECTOR: usize = 512;

/// What a mark starts with, whatever its version, and where and how it says that it is finished.
const MARK_NAME: &[u8] = b"inaugdm";
const STATE_AT: usize = 8;
const FINISHED: u8 = 1;

/// What a header of a GPT begins with (UEFI 2.10, 5.3.2).
const GPT: &[u8] = b"EFI PART";

/// The disks that may boot.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    wholes: Vec<Whole>,
}

/// A disk that may boot.
#[derive(Debug, Clone)]
struct Whole {
    name: &'static str,
    bytes: Vec<u8>,
    /// What of it may be anything.
    free: Vec<Range<usize>>,
}

/// What a disk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing finds anything to boot on it.
    Dead,
    /// It looks bootable and is this disk.
    Boots(&'static str),
    /// It looks bootable and is none that may.
    Wrong(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Looks {
    Dead,
    /// Something that firmware might follow without the first sector: content and table have to
    /// be right, but of what is held back sectors may still be zero.
    Partly,
    /// Boot code, or a mark that says finished: every byte has to be right.
    Bootable,
}

impl Judge {
    /// For a disk that held `before` and is to hold `picture`.
    pub(crate) fn new(before: &[u8], picture: &Picture, is_device: bool) -> Self {
        let (bytes, between) = picture.on_disk(before.len());
        let marked = is_device && picture.table != Table::None;
        let mark = if marked { MARK } else { 0..0 };
        let new = Whole { name: "the label", bytes, free: vec![between, mark] };
        // Before anything else is written the mark is.
        let old = Whole { name: "what was there", bytes: before.to_vec(), free: vec![MARK] };
        Self { wholes: vec![new, old] }
    }

    /// The disk itself damaged `ranges` while it would have booted: nobody could prevent that.
    pub(crate) fn forgive(&mut self, ranges: &[Range<u64>]) {
        for whole in &mut self.wholes {
            let ranges = ranges.iter().map(|range| range.start as usize..range.end as usize);
            whole.free.extend(ranges);
        }
    }

    pub(crate) fn look(&self, disk: &[u8]) -> Verdict {
        let looks = looks(disk);
        if looks == Looks::Dead {
            return Verdict::Dead;
        }
        let mut differences = Vec::new();
        for whole in &self.wholes {
            match whole.differs(disk, looks) {
                None => return Verdict::Boots(whole.name),
                Some(at) => differences.push(format!("differs from {} at {at}", whole.name)),
            }
        }
        let what = if looks == Looks::Partly { "a table" } else { "boot code" };
        Verdict::Wrong(format!("has {what}, and {}", differences.join(", ")))
    }

    /// Whether `disk` is the label, to the byte.
    pub(crate) fn is_whole(&self, disk: &[u8]) -> Result<(), String> {
        match self.wholes[0].differs(disk, Looks::Bootable) {
            None if disk.len() == self.wholes[0].bytes.len() => Ok(()),
            None => Err(format!("has {} bytes", disk.len())),
            Some(at) => Err(format!("differs at {at}")),
        }
    }
}

/// Whether a disk says that it holds a label, finished.
pub(crate) fn says_finished(disk: &[u8]) -> bool {
    disk.get(MARK).is_some_and(|mark| mark.starts_with(MARK_NAME) && mark[STATE_AT] == FINISHED)
}

fn looks(disk: &[u8]) -> Looks {
    // One byte over and over is what disks are cleared with, and no code or table.
    let blank = |range: Range<usize>| {
        disk.get(range).is_none_or(|bytes| bytes.windows(2).all(|pair| pair[0] == pair[1]))
    };
    if !blank(0..SECTOR) || says_finished(disk) {
        return Looks::Bootable;
    }
    let backup = disk.len().saturating_sub(SECTOR);
    if !blank(SECTOR..4096) || disk[backup..].starts_with(GPT) {
        return Looks::Partly;
    }
    Looks::Dead
}

impl Whole {
    /// The first byte that is not as it should be.
    fn differs(&self, disk: &[u8], looks: Looks) -> Option<usize> {
        let held = |at: usize| at < MIB || at + MIB >= disk.len();
        let sectors = self.bytes.chunks(SECTOR).zip(disk.chunks(SECTOR));
        for (index, (right, found)) in sectors.enumerate() {
            let at = index * SECTOR;
            if right == found {
                continue;
            }
            // Until the first sector is there, the mark still says that it is not.
            let forgiven = looks == Looks::Partly
                && held(at)
                && (MARK.contains(&at) || found.iter().all(|byte| *byte == 0));
            let length = right.len().min(found.len());
            let wrong = (0..length).map(|byte| (at + byte, right[byte] != found[byte]));
            let is_free = |at: usize| self.free.iter().any(|free| free.contains(&at));
            let mut wrong = wrong.filter(|(at, differs)| *differs && !is_free(*at));
            if let (Some((at, _)), false) = (wrong.next(), forgiven) {
                return Some(at);
            }
        }
        None
    }
}
