//! What of a table is not as wanted: it is kept only where there is nothing of it.

use super::{ALIGN_BYTES, BIOS_BYTES, ROOT_MIN_BYTES, Role, Table, Wanted, esp_needs};
use crate::disks::size_text;
use crate::target;

/// Partitions that are written as they are start and end on multiples of this, bytes.
const BLOCK_BYTES: u64 = target::ALIGN_BYTES as u64;

/// A sentence each.
pub(super) fn of(table: &Table, wanted: &Wanted) -> Vec<String> {
    let mut misfits = places(table);
    misfits.extend(gates(table));
    misfits.extend(sizes(table, wanted));
    misfits
}

/// Partitions that lie where they cannot stay.
fn places(table: &Table) -> Vec<String> {
    let misfit = |found: &super::Partition| {
        let number = found.number;
        if found.start_bytes < ALIGN_BYTES {
            // What the disk says of itself is written there.
            return Some(format!("partition {number} starts within the first MiB"));
        }
        let role = found.role?;
        let is_odd = |bytes: u64| !bytes.is_multiple_of(BLOCK_BYTES);
        let is_misplaced = is_odd(found.start_bytes) || is_odd(found.size_bytes);
        is_misplaced.then(|| {
            format!(
                "the {role} partition does not start and end on multiples of {BLOCK_BYTES} bytes"
            )
        })
    };
    table.partitions.iter().filter_map(misfit).collect()
}

/// Partitions that would boot while the disk is not finished: one gate is closed.
fn gates(table: &Table) -> Vec<String> {
    let count = |role| table.partitions.iter().filter(|found| found.role == Some(role)).count();
    let (esp, extended) = (count(Role::Esp), count(Role::ExtendedBoot));
    let mut misfits = Vec::new();
    if esp > 1 {
        misfits.push(format!("there are {esp} {} partitions, expected one", Role::Esp));
    }
    if extended > 0 {
        misfits.push(format!("there is an {} partition, expected none", Role::ExtendedBoot));
    }
    misfits
}

/// Partitions that are missing or too small.
fn sizes(table: &Table, wanted: &Wanted) -> Vec<String> {
    let esp = esp_needs(table.sector_bytes, wanted).max(wanted.esp_bytes.unwrap_or(0));
    let needs = [
        (Role::BiosBoot, Some(BIOS_BYTES)),
        (Role::Esp, Some(esp)),
        (Role::Root, Some(wanted.root_bytes.max(ROOT_MIN_BYTES))),
        (Role::Swap, wanted.swap_bytes),
        (Role::Data, wanted.data_bytes),
    ];
    let misfit = |(role, needs): (Role, Option<u64>)| {
        let needs_bytes = needs?;
        match table.partition(role) {
            None => Some(format!("there is no {role} partition")),
            Some(found) if found.size_bytes < needs_bytes => Some(format!(
                "the {role} partition has {}, needs {}",
                size_text(found.size_bytes),
                size_text(needs_bytes)
            )),
            Some(_) => None,
        }
    };
    needs.into_iter().filter_map(misfit).collect()
}
