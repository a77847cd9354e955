//! The ioctls of block devices: the one place of this crate where code is unsafe.
#![allow(unsafe_code)]

use rustix::ioctl::{Getter, NoArg, ioctl, opcode};
use std::os::fd::AsFd;

/// `BLKSSZGET` of `<linux/fs.h>`.
const BLKSSZGET: rustix::ioctl::Opcode = opcode::none(0x12, 104);

/// `BLKRRPART` of `<linux/fs.h>`.
const BLKRRPART: rustix::ioctl::Opcode = opcode::none(0x12, 95);

/// Logical sector size of a block device, bytes (ioctl(2), `BLKSSZGET`); none where it has none to say.
pub(crate) fn logical_sector_bytes(device: impl AsFd) -> Option<u32> {
    // SAFETY: BLKSSZGET writes one int through its argument, which `Getter` provides.
    let size = unsafe { ioctl(device, Getter::<BLKSSZGET, i32>::new()) };
    size.ok().and_then(|size| u32::try_from(size).ok())
}

/// Makes the kernel read a disk's partition table anew (ioctl(2), `BLKRRPART`).
pub(crate) fn reread_partitions(device: impl AsFd) -> rustix::io::Result<()> {
    // SAFETY: BLKRRPART takes no argument and touches no memory of ours.
    unsafe { ioctl(device, NoArg::<BLKRRPART>::new()) }
}
