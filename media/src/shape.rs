//! How a stick is divided.

use crate::place::SECTOR_BYTES;
use crate::{MediaError, ext4};
use deploy::layout::{ALIGN_BYTES, Guid, Partition, Role, Table};
use store::Digest;

/// GRUB's core, as on every disk, bytes.
const BIOS_BYTES: u64 = 1 << 20;

/// The least for the EFI system partition, bytes: FAT32 has no less than 36 MiB, and a later kernel
/// is to fit.
const ESP_MIN_BYTES: u64 = 64 << 20;

/// Room in the store for what a later label has more, bytes, beside an eighth of the store.
const ROOM_BYTES: u64 = 32 << 20;

/// What is to be on a stick, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The boot files.
    pub(crate) boot_bytes: u64,
    /// The store.
    pub(crate) store_bytes: u64,
}

/// The table of a stick of `size_bytes`, or of the smallest that has some room.
pub(crate) fn table(
    needs: Needs,
    size_bytes: Option<u64>,
    identity: &Digest,
) -> Result<Table, MediaError> {
    let up = |bytes: u64| bytes.next_multiple_of(ALIGN_BYTES);
    // Half as much again: for the file system, and for a later kernel.
    let esp = up((needs.boot_bytes + needs.boot_bytes / 2).max(ESP_MIN_BYTES));
    let store_least = up(needs.store_bytes + ext4::overhead_bytes(needs.store_bytes));
    // A MiB at each end: for the table, and for its backup.
    let around = 2 * ALIGN_BYTES + BIOS_BYTES + esp;
    let room = up(needs.store_bytes / 8 + ROOM_BYTES);
    let disk_bytes = size_bytes.unwrap_or(around + store_least + room);
    let needs_bytes = around + store_least;
    if disk_bytes < needs_bytes {
        return Err(MediaError::Small { what: "the medium", needs_bytes, has_bytes: disk_bytes });
    }
    let store = (disk_bytes - around) / ALIGN_BYTES * ALIGN_BYTES;
    let sizes = [(Role::BiosBoot, BIOS_BYTES), (Role::Esp, esp), (Role::Store, store)];
    let mut start_bytes = ALIGN_BYTES;
    let mut partitions = Vec::new();
    for (number, (role, size_bytes)) in (1..).zip(sizes) {
        let guid = guid(identity, role.name());
        partitions.push(Partition { number, role: Some(role), guid, start_bytes, size_bytes });
        start_bytes += size_bytes;
    }
    let disk_guid = guid(identity, "disk");
    Ok(Table { disk_guid, sector_bytes: SECTOR_BYTES, disk_bytes, partitions })
}

/// An identity of `what` on the medium of this identity.
pub(crate) fn guid(identity: &Digest, what: &str) -> Guid {
    let digest = Digest::of(format!("{identity} {what}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    Guid::random(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs { boot_bytes: 20 << 20, store_bytes: 10 << 20 };

    #[test]
    fn a_stick_has_what_it_needs_and_some_room_or_all_that_there_is() {
        let id = Digest::of(b"1");
        let made = table(NEEDS, None, &id).unwrap();
        let sizes: Vec<u64> = made.partitions.iter().map(|part| part.size_bytes >> 20).collect();
        assert_eq!((sizes, made.disk_bytes >> 20), (vec![1, 64, 53], 120));
        let large = table(NEEDS, Some(1 << 30), &id).unwrap();
        assert_eq!(large.partitions[2].size_bytes >> 20, 1024 - 67);
        let text = table(NEEDS, Some(80 << 20), &id).unwrap_err().to_string();
        assert_eq!(text, "the medium: needs 90177536 bytes, has 83886080");
    }

    #[test]
    fn the_same_content_has_the_same_identities_and_no_other() {
        let made = |text: &[u8]| table(NEEDS, None, &Digest::of(text)).unwrap();
        assert_eq!(made(b"1"), made(b"1"));
        assert_ne!(made(b"1").disk_guid, made(b"2").disk_guid);
        let made = made(b"1");
        assert_ne!(made.partitions[0].guid, made.partitions[1].guid);
    }
}
