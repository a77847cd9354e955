//! The one place of this crate where a system call has no safe wrapper.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `KEXEC_FILE_NO_INITRAMFS` of `linux/kexec.h`.
const KEXEC_FILE_NO_INITRAMFS: libc::c_ulong = 4;

/// `kexec_file_load(2)`: gives the kernel the next kernel, its initrd and its
/// command line. The descriptors are read before it returns.
pub(crate) fn kexec_file_load(
    kernel: BorrowedFd<'_>,
    initrd: Option<BorrowedFd<'_>>,
    command_line: &CStr,
) -> io::Result<()> {
    let bytes = command_line.to_bytes_with_nul();
    let initrd_fd = initrd.map_or(-1, |fd| fd.as_raw_fd());
    let flags = if initrd.is_some() { 0 } else { KEXEC_FILE_NO_INITRAMFS };
    // SAFETY: the descriptors are open for the call by their borrow; the pointer
    // and length are those of `bytes`, which lives through it and is only read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel.as_raw_fd(),
            initrd_fd,
            bytes.len() as libc::c_ulong,
            bytes.as_ptr(),
            flags,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `struct rtc_time` of `linux/rtc.h`.
#[repr(C)]
struct RtcTime {
    second: libc::c_int,
    minute: libc::c_int,
    hour: libc::c_int,
    day: libc::c_int,
    /// From 0.
    month: libc::c_int,
    /// Since 1900.
    year: libc::c_int,
    unused: [libc::c_int; 3],
}

/// `RTC_SET_TIME` of `rtc(4)`: sets the clock `path` to `unix_s`, seconds since 1970, in UTC.
pub(crate) fn set_rtc(path: &str, unix_s: u64) -> io::Result<()> {
    const RTC_SET_TIME: libc::Ioctl = 0x4024_700a;
    let rtc = std::fs::File::open(path)?;
    let (date, time) = crate::report::date::civil(unix_s);
    let whole = |number: u64| libc::c_int::try_from(number).map_err(io::Error::other);
    let new = RtcTime {
        second: whole(time[2])?,
        minute: whole(time[1])?,
        hour: whole(time[0])?,
        day: whole(date[2])?,
        month: whole(date[1])? - 1,
        year: whole(date[0])? - 1900,
        unused: [0; 3],
    };
    // SAFETY: the descriptor is open for the call; the pointer is to a whole `struct rtc_time`, which
    // the kernel only reads.
    let result = unsafe { libc::ioctl(rtc.as_raw_fd(), RTC_SET_TIME, &raw const new) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has `command` lead a session of its own, with its standard input as the controlling terminal
/// (`setsid(2)`, `TIOCSCTTY` of `ioctl_tty(2)`) and no signal blocked.
pub(crate) fn lead_a_session(command: &mut Command) -> &mut Command {
    let begin = || {
        nix::sys::signal::SigSet::empty().thread_set_mask()?;
        rustix::process::setsid()?;
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made, each async-signal-safe: no memory is
    // taken, no lock is held (`signal-safety(7)`).
    unsafe { command.pre_exec(begin) }
}

/// `PACKET_ADD_MEMBERSHIP` of `packet(7)`: has the link number `index` pass on what is sent to `group`,
/// as long as the packet socket is open.
pub(crate) fn join_group(socket: BorrowedFd<'_>, index: u32, group: [u8; 6]) -> io::Result<()> {
    let mut mr_address = [0; 8];
    mr_address[..group.len()].copy_from_slice(&group);
    let request = libc::packet_mreq {
        mr_ifindex: index.try_into().map_err(io::Error::other)?,
        mr_type: libc::PACKET_MR_MULTICAST as libc::c_ushort,
        mr_alen: group.len() as libc::c_ushort,
        mr_address,
    };
    // SAFETY: the descriptor is open for the call by its borrow; pointer and length are those of a whole
    // `struct packet_mreq`, which the kernel only reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const request).cast(),
            size_of::<libc::packet_mreq>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
