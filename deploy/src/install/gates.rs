//! The gates: the few sectors without which nothing on the disk boots. They are closed, durably
//! and read back, before anything else is written, and opened when everything else is proven.
//!
//! A BIOS runs the first sector of the disk; UEFI reads the first sector of the EFI system
//! partition. The partition table stays: what is kept is kept by it.

use super::notice::Notice;
use super::region::put_proven;
use crate::Error;
use crate::boot::BOOT_CODE_BYTES;
use crate::fit::table_identity;
use crate::held::{HEAD_BYTES, TAIL_BYTES};
use crate::layout::{Role, Table};
use crate::mark::Mark;
use crate::target::{ALIGN_BYTES, AlignedBuffer, Target};

/// What is cleared and set at once, bytes: direct I/O takes no less on every disk. All of it that
/// matters lies in its first sector, which a disk writes whole or not at all.
pub(crate) const GATE_BYTES: usize = ALIGN_BYTES;

/// What of the first sector means something, whatever the size of sectors.
const FIRST_BYTES: usize = 512;

/// Marks the disk as ours and unfinished. Before anything else, so that a cut at any moment leaves
/// a disk that may be written again.
pub(crate) fn mark_unfinished(target: &Target, mark: &Mark) -> Result<(), Error> {
    put_proven(target, Mark::OFFSET as u64, &mark.encode())
}

/// Closes both gates of a disk whose table stays.
pub(crate) fn close(target: &Target, table: &Table) -> Result<(), Error> {
    put_first(target, table, &Notice::Unfinished.boot_code())?;
    match table.partition(Role::Esp) {
        Some(esp) => put_proven(target, esp.start_bytes, &[0; GATE_BYTES]),
        None => Ok(()),
    }
}

/// Takes everything off the disk by which firmware or anybody finds something on it, and lays
/// down `table`: its end before its start, and the start with the first sector last.
pub(crate) fn lay_out(target: &Target, table: &Table) -> Result<(), Error> {
    let mut first = block(target, 0).unwrap_or_else(|_| AlignedBuffer::new(GATE_BYTES));
    first[..table.sector_bytes as usize].fill(0);
    put_proven(target, 0, &first)?;
    put_proven(target, 0, &vec![0; Mark::OFFSET])?;
    let end = target.size_bytes() / ALIGN_BYTES as u64 * ALIGN_BYTES as u64;
    put_proven(target, end - TAIL_BYTES, &vec![0; TAIL_BYTES as usize])?;
    for partition in &table.partitions {
        // What was there before is no file system of this disk any more.
        let length = partition.size_bytes.min(HEAD_BYTES as u64) as usize;
        put_proven(target, partition.start_bytes, &vec![0; length])?;
    }
    let (offset, tail) = table.tail();
    put_proven(target, offset, &tail)?;
    let head = table.head();
    let mut start = vec![0; head.len().next_multiple_of(ALIGN_BYTES)];
    start[..head.len()].copy_from_slice(&head);
    start[..BOOT_CODE_BYTES].copy_from_slice(&Notice::Unfinished.boot_code());
    let without_first = {
        let mut bytes = start.clone();
        bytes[..table.sector_bytes as usize].fill(0);
        bytes
    };
    put_proven(target, 0, &without_first)?;
    put_proven(target, 0, &start)
}

/// Opens the gates: `esp` is the first block of the EFI system partition, `boot_code` what a BIOS
/// runs. Then the disk is marked as finished.
pub(crate) fn open(
    target: &Target,
    table: &Table,
    esp: &[u8],
    boot_code: &[u8; BOOT_CODE_BYTES],
    mark: Mark,
) -> Result<(), Error> {
    if let Some(partition) = table.partition(Role::Esp) {
        put_proven(target, partition.start_bytes, esp)?;
    }
    put_first(target, table, boot_code)?;
    let head = table.head();
    let identity = table_identity(&head, table.sector_bytes as usize);
    put_proven(target, Mark::OFFSET as u64, &mark.finished(identity).encode())
}

/// Whether both gates are open just so.
pub(crate) fn are_open(
    target: &Target,
    table: &Table,
    esp: &[u8],
    boot_code: &[u8; BOOT_CODE_BYTES],
) -> Result<bool, Error> {
    if block(target, 0)?[..FIRST_BYTES] != first_sector(table, boot_code) {
        return Ok(false);
    }
    match table.partition(Role::Esp) {
        Some(partition) => Ok(*block(target, partition.start_bytes)? == *esp),
        None => Ok(true),
    }
}

/// Puts the first sector there, if it is another.
fn put_first(
    target: &Target,
    table: &Table,
    boot_code: &[u8; BOOT_CODE_BYTES],
) -> Result<(), Error> {
    let (mut first, wanted) = (block(target, 0)?, first_sector(table, boot_code));
    if first[..FIRST_BYTES] == wanted {
        return Ok(());
    }
    first[..FIRST_BYTES].copy_from_slice(&wanted);
    put_proven(target, 0, &first)
}

/// All of the first sector: firmware and kernels look at a table only behind a protective MBR, so a
/// cut that left none must not be taken for a disk that boots.
fn first_sector(table: &Table, boot_code: &[u8; BOOT_CODE_BYTES]) -> [u8; FIRST_BYTES] {
    let mut first = [0; FIRST_BYTES];
    first.copy_from_slice(&table.protective()[..FIRST_BYTES]);
    first[..BOOT_CODE_BYTES].copy_from_slice(boot_code);
    first
}

fn block(target: &Target, offset_bytes: u64) -> Result<AlignedBuffer, Error> {
    let mut block = AlignedBuffer::new(GATE_BYTES);
    target.read(offset_bytes, &mut block)?;
    Ok(block)
}
