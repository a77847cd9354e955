//! Disks that must not boot, by whatever way: a deployment that was not finished. Firmware finds
//! their gates closed; whoever starts a kernel from a disk without the firmware asks here.

use crate::install::says_unfinished;
use crate::mark::Mark;
use store::label::LabelName;

/// Bytes of the first sector that mean something, whatever the size of sectors.
const FIRST_BYTES: usize = 512;

/// A disk whose deployment was not finished, or whose gate is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unfinished deployment{}: not bootable", .label.as_ref().map_or(String::new(), |label| format!(" of {label}")))]
pub struct Unproven {
    /// What was being deployed, if the disk says so.
    pub label: Option<LabelName>,
}

/// Whether the disk with this first MiB is unproven. `has_partitions`: whether partitions were found
/// on it, perhaps by a table at its end.
///
/// Any of three is enough: a mark that is unfinished; the code of a closed gate in the first
/// sector; a first sector that is empty before partitions, as every deployment leaves it until all
/// else is proven. No firmware boots the latter two, and the first only where a cut came between
/// the last gate and the mark, or somebody has put another system there since.
pub fn unproven(head: &[u8], has_partitions: bool) -> Option<Unproven> {
    let mark = Mark::read(head);
    let first = head.get(..FIRST_BYTES).unwrap_or(head);
    let is_closed = says_unfinished(first)
        || (first.iter().all(|byte| *byte == 0) && (has_partitions || mark.is_some()));
    let is_unfinished = mark.as_ref().is_some_and(|mark| !mark.is_finished());
    (is_closed || is_unfinished).then(|| Unproven { label: mark.map(|mark| mark.label) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held::HEAD_BYTES;
    use crate::install::unfinished_boot_code;
    use store::Digest;

    #[test]
    fn a_disk_boots_with_its_gate_open_and_its_mark_finished() {
        let label: LabelName = "debian/12/demo".parse().unwrap();
        let unfinished = Mark::unfinished(&label, Digest::of(b"m"), Vec::new());
        let finished = unfinished.clone().finished([7; 16]);
        let closed = unfinished_boot_code();
        // First bytes, mark, whether there are partitions; whether it may boot.
        let table: [(&[u8], Option<&Mark>, bool, bool); 10] = [
            (b"", None, false, true),
            (b"", None, true, false),
            (b"grub", None, true, true),
            (b"grub", Some(&finished), true, true),
            (b"", Some(&finished), true, false),
            (b"", Some(&finished), false, false),
            (b"grub", Some(&unfinished), true, false),
            (b"", Some(&unfinished), false, false),
            (&closed, Some(&finished), true, false),
            (&closed, None, true, false),
        ];
        for (first, mark, has_partitions, expected) in table {
            let mut head = vec![0; HEAD_BYTES];
            head[..first.len()].copy_from_slice(first);
            if let Some(mark) = mark {
                head[Mark::OFFSET..].copy_from_slice(&mark.encode());
            }
            let found = unproven(&head, has_partitions);
            assert_eq!(found.is_none(), expected, "{} {mark:?} {has_partitions}", first.len());
            if let Some(found) = found {
                assert_eq!(found.label.is_some(), mark.is_some());
                let of = mark.map_or("", |_| " of debian/12/demo");
                let text = format!("unfinished deployment{of}: not bootable");
                assert_eq!(found.to_string(), text);
            }
        }
    }

    #[test]
    fn tiny_disks_are_looked_at() {
        for length in [0, 1, 511, 513] {
            assert_eq!(unproven(&vec![1; length], length > 0), None);
        }
    }
}
