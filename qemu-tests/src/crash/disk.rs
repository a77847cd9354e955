//! Whether a disk that looks bootable is one.
//!
//! Written from SPECIFICATION.md, not from the engine, whose judge it is.

use std::fmt;
use std::ops::Range;

/// What is held back of a disk until the rest is proven: its first and its last MiB.
const HELD_BYTES: usize = 1 << 20;

/// Where the mark is: the last block before 1 MiB.
const MARK: Range<usize> = HELD_BYTES - 4096..HELD_BYTES;

/// What a mark starts with, whatever its version; the state is in the byte after the version.
const MARK_MAGIC: &[u8] = b"inaugdm";
const MARK_STATE: usize = MARK.start + 8;
const MARK_FINISHED: u8 = 1;

/// Where BIOS and UEFI begin: a first sector without it has neither boot code nor table.
const BOOT_SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// What a header of a GPT begins with (UEFI 2.10, 5.3.2).
const GPT_SIGNATURE: &[u8] = b"EFI PART";

/// The disks that a run may leave bootable, each byte for byte but for the mark.
pub struct Judge {
    disks: Vec<(String, Vec<u8>)>,
}

/// What a state of the disk is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing finds anything to boot on it.
    Dead,
    /// It looks bootable, and is this disk.
    Boots(String),
    /// It looks bootable, and is none of the disks that may be.
    Wrong(String),
}

/// Why a disk looks bootable.
#[derive(Clone, Copy, Debug)]
enum Looks {
    Signature,
    FinishedMark,
    /// A table without a first sector that leads to it, which some firmware may take.
    LoneTable(usize),
}

impl Judge {
    /// Of a run that may leave these disks bootable, whole; all have the same size.
    pub fn of(disks: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let unmarked = |(name, mut disk): (String, Vec<u8>)| {
            disk[MARK].fill(0);
            (name, disk)
        };
        Self { disks: disks.into_iter().map(unmarked).collect() }
    }

    /// Looks at a whole disk. With a boot signature in the first sector, or with a mark that
    /// says that the disk is finished, it has to be one of the disks that may boot. With no
    /// more than a GPT header, it has to be one of them but for sectors of zeroes in its
    /// first and last MiB: what firmware could boot by that table is proven.
    pub fn of_state(&self, disk: &[u8]) -> Verdict {
        let Some(looks) = looks_bootable(disk) else { return Verdict::Dead };
        let differences =
            self.disks.iter().map(|(name, whole)| (name, difference(looks, whole, disk)));
        let mut found = Vec::new();
        for (name, difference) in differences {
            match difference {
                None => return Verdict::Boots(name.clone()),
                Some(at) => found.push(format!("differs from {name} at byte {at}")),
            }
        }
        Verdict::Wrong(format!("{looks}, and the disk {}", found.join(" and ")))
    }
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature => f.write_str("the first sector has a boot signature"),
            Self::FinishedMark => f.write_str("the mark says finished"),
            Self::LoneTable(at) => write!(f, "byte {at} has the header of a GPT"),
        }
    }
}

fn looks_bootable(disk: &[u8]) -> Option<Looks> {
    if disk[510..512] == BOOT_SIGNATURE {
        return Some(Looks::Signature);
    }
    if disk[MARK].starts_with(MARK_MAGIC) && disk[MARK_STATE] == MARK_FINISHED {
        return Some(Looks::FinishedMark);
    }
    let headers = [512, 4096, disk.len() - 512, disk.len() - 4096];
    headers.into_iter().find(|at| disk[*at..].starts_with(GPT_SIGNATURE)).map(Looks::LoneTable)
}

/// The first byte that is not as it should be.
fn difference(looks: Looks, whole: &[u8], disk: &[u8]) -> Option<usize> {
    let tail = disk.len() - HELD_BYTES;
    let zeroes_count = matches!(looks, Looks::LoneTable(_));
    let parts = [0..MARK.start, MARK.end..tail, tail..disk.len()];
    parts.into_iter().find_map(|part| {
        if disk[part.clone()] == whole[part.clone()] {
            return None;
        }
        let held = part.start != MARK.end;
        part.step_by(512).find_map(|at| {
            let (ours, theirs) = (&disk[at..at + 512], &whole[at..at + 512]);
            let blank = held && zeroes_count && ours.iter().all(|byte| *byte == 0);
            let same = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
            (same < 512 && !blank).then_some(at + same)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Noise;

    const DISK_BYTES: usize = 4 << 20;
    const HEAD: (usize, usize) = (0, HELD_BYTES);
    const TAIL: (usize, usize) = (DISK_BYTES - HELD_BYTES, DISK_BYTES);
    const MIDDLE: usize = 2 << 20;

    /// What is zeroed of a whole disk, the byte that is flipped, and what that is.
    type Case = (&'static [(usize, usize)], Option<usize>, &'static str);

    /// A disk with boot code, table and content everywhere.
    fn whole() -> Vec<u8> {
        let mut disk = Noise::of(1).bytes(DISK_BYTES);
        disk[510..512].copy_from_slice(&BOOT_SIGNATURE);
        for at in [512, DISK_BYTES - 512] {
            disk[at..at + 8].copy_from_slice(GPT_SIGNATURE);
        }
        disk[MARK].fill(0);
        disk
    }

    #[test]
    fn what_looks_bootable_has_to_be_whole() {
        let cases: [Case; 11] = [
            (&[], None, "boots"),
            (&[HEAD, TAIL], None, "dead"),
            (&[HEAD, TAIL], Some(MIDDLE), "dead"),
            (&[], Some(MIDDLE), "boot signature, and the disk differs from v1 at byte 2097152"),
            (&[], Some(DISK_BYTES - 1), "at byte 4194303"),
            (&[TAIL], None, "at byte 3145728"),
            (&[(512, 1024)], None, "boot signature, and the disk differs from v1 at byte 512"),
            (&[(0, 512)], None, "boots"),
            (&[HEAD], None, "boots"),
            (&[HEAD], Some(MIDDLE), "byte 4193792 has the header of a GPT"),
            (&[(0, 512), (1024, 4096)], Some(5000), "byte 512 has the header of a GPT"),
        ];
        let judge = Judge::of([("v1".to_owned(), whole())]);
        for (zeroed, flipped, expected) in cases {
            let mut disk = whole();
            for (start, end) in zeroed {
                disk[*start..*end].fill(0);
            }
            if let Some(at) = flipped {
                disk[at] ^= 1;
            }
            let found = match judge.of_state(&disk) {
                Verdict::Dead => "dead".to_owned(),
                Verdict::Boots(_) => "boots".to_owned(),
                Verdict::Wrong(why) => why,
            };
            assert!(found.contains(expected), "{found}: {expected}");
        }
    }

    #[test]
    fn a_finished_mark_on_a_dead_disk_is_wrong_and_an_unfinished_one_is_not() {
        let judge = Judge::of([("v1".to_owned(), whole())]);
        let mut disk = vec![0; DISK_BYTES];
        disk[MARK.start..MARK.start + 8].copy_from_slice(b"inaugdm2");
        assert_eq!(judge.of_state(&disk), Verdict::Dead);
        disk[MARK_STATE] = MARK_FINISHED;
        assert!(matches!(judge.of_state(&disk), Verdict::Wrong(_)));
    }
}
