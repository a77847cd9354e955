//! The ioctls of block devices, and what is done between fork and exec: the one place of this crate where code is unsafe.
#![allow(unsafe_code)]

use rustix::io::Errno;
use rustix::ioctl::{Getter, NoArg, Setter, ioctl, opcode};
use rustix::process::{
    Resource, Rlimit, Signal, chdir, chroot, fchdir, getpid, getppid,
    set_parent_process_death_signal, setrlimit, setsid,
};
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `BLKSSZGET` of `<linux/fs.h>`.
const BLKSSZGET: rustix::ioctl::Opcode = opcode::none(0x12, 104);

/// `BLKRRPART` of `<linux/fs.h>`.
const BLKRRPART: rustix::ioctl::Opcode = opcode::none(0x12, 95);

/// `BLKPG` of `<linux/blkpg.h>`.
const BLKPG: rustix::ioctl::Opcode = opcode::none(0x12, 105);

/// `BLKFLSBUF` of `<linux/fs.h>`.
const BLKFLSBUF: rustix::ioctl::Opcode = opcode::none(0x12, 97);

/// Operations of `BLKPG`.
const BLKPG_ADD_PARTITION: c_int = 1;
const BLKPG_DEL_PARTITION: c_int = 2;

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

/// `struct blkpg_partition` of `<linux/blkpg.h>`; the names in it are not used by the kernel.
#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    number: c_int,
    names: [u8; 128],
}

/// `struct blkpg_ioctl_arg` of `<linux/blkpg.h>`.
#[repr(C)]
struct BlkpgArgument {
    operation: c_int,
    flags: c_int,
    length: c_int,
    data: *mut BlkpgPartition,
}

/// Makes the kernel know a partition (ioctl(2), `BLKPG_ADD_PARTITION`); start and length in bytes.
pub(crate) fn add_partition(
    disk: impl AsFd,
    number: u32,
    start_bytes: u64,
    size_bytes: u64,
) -> rustix::io::Result<()> {
    blkpg(disk, BLKPG_ADD_PARTITION, number, start_bytes, size_bytes)
}

/// Makes the kernel forget a partition (ioctl(2), `BLKPG_DEL_PARTITION`).
pub(crate) fn remove_partition(disk: impl AsFd, number: u32) -> rustix::io::Result<()> {
    blkpg(disk, BLKPG_DEL_PARTITION, number, 0, 0)
}

fn blkpg(
    disk: impl AsFd,
    operation: c_int,
    number: u32,
    start_bytes: u64,
    size_bytes: u64,
) -> rustix::io::Result<()> {
    let fits = |number: u64| i64::try_from(number).or(Err(Errno::OVERFLOW));
    let number = c_int::try_from(number).or(Err(Errno::OVERFLOW))?;
    let (start, size) = (fits(start_bytes)?, fits(size_bytes)?);
    let mut data = BlkpgPartition { start, length: size, number, names: [0; 128] };
    let length = c_int::try_from(size_of::<BlkpgPartition>()).or(Err(Errno::OVERFLOW))?;
    let argument = BlkpgArgument { operation, flags: 0, length, data: &raw mut data };
    // SAFETY: BLKPG reads a `blkpg_ioctl_arg` and, through it, the `blkpg_partition` that lives
    // until this returns; it writes neither.
    unsafe { ioctl(disk, Setter::<BLKPG, BlkpgArgument>::new(argument)) }
}

/// Drops what the kernel keeps of a block device's content (ioctl(2), `BLKFLSBUF`).
pub(crate) fn drop_buffers(device: impl AsFd) -> rustix::io::Result<()> {
    // SAFETY: BLKFLSBUF takes no argument and touches no memory of ours.
    unsafe { ioctl(device, NoArg::<BLKFLSBUF>::new()) }
}

/// Makes `command` run in a session of its own (setsid(2)): a process group that can be ended as
/// one, without a terminal that it could ask at. It does not outlive the thread that starts it
/// (prctl(2), `PR_SET_PDEATHSIG`), so that nothing writes to a disk of which nobody knows any more.
pub(crate) fn start_alone(command: &mut Command) {
    let parent = getpid();
    let enter = move || {
        setsid()?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have ended before that was said.
        if getppid() == Some(parent) { Ok(()) } else { Err(Errno::SRCH.into()) }
    };
    // SAFETY: between fork and exec only system calls are made, no memory is taken and no lock
    // (fork(2), signal-safety(7)).
    unsafe { command.pre_exec(enter) };
}

/// Makes `command` run with `root` as its root directory (chroot(2)), and write no more than
/// `limit_bytes` to any file (setrlimit(2), `RLIMIT_FSIZE`).
pub(crate) fn start_inside(command: &mut Command, root: BorrowedFd<'_>, limit_bytes: u64) {
    let root = root.as_raw_fd();
    let enter = move || {
        // SAFETY: whoever runs the command borrows the descriptor until it has ended.
        let root = unsafe { BorrowedFd::borrow_raw(root) };
        fchdir(root)?;
        chroot(".")?;
        let limit = Some(limit_bytes);
        setrlimit(Resource::Fsize, Rlimit { current: limit, maximum: limit })?;
        Ok(chdir("/")?)
    };
    // SAFETY: between fork and exec only system calls are made, no memory is taken and no lock
    // (fork(2), signal-safety(7)).
    unsafe { command.pre_exec(enter) };
}
