//! The unsafe calls: what happens between fork and exec, and KVM's first request.
#![allow(unsafe_code)]

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the child killed when the thread that starts it ends, and lets it
/// inherit `kept`. prctl(2) `PR_SET_PDEATHSIG`, fcntl(2) `F_SETFD`.
pub(crate) fn tie_to_this_thread(command: &mut Command, kept: Vec<OwnedFd>) {
    let parent = getpid();
    let between = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the line above.
        if getppid() != Some(parent) {
            return Err(io::Error::other("the starting process ended before QEMU started"));
        }
        for kept in &kept {
            fcntl_setfd(kept, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: the closure runs in the forked child of a process with threads, so
    // only async-signal-safe calls are allowed (signal-safety(7)): prctl, getppid
    // and fcntl are plain system calls; the error path's allocation is followed
    // by _exit. `kept` outlives the call inside the closure.
    unsafe { command.pre_exec(between) };
}

/// The letter of KVM's requests (`KVMIO` of linux/kvm.h).
const KVMIO: u8 = 0xae;

/// `KVM_CREATE_VM`: the argument is the machine's type, of which x86 has 0; the answer is a
/// descriptor.
struct CreateVm;

// SAFETY: the request takes a number, so the kernel reads and writes no memory of ours through the
// argument (KVM API, 4.2), and an answer that is no error is a new descriptor that nobody else has.
unsafe impl Ioctl for CreateVm {
    type Output = OwnedFd;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        opcode::none(KVMIO, 1)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<OwnedFd> {
        // SAFETY: see above.
        Ok(unsafe { OwnedFd::from_raw_fd(out) })
    }
}

/// Has KVM make a machine: `ioctl(kvm, KVM_CREATE_VM, 0)` (the kernel's Documentation/virt/kvm/
/// api.rst, 4.2).
pub(crate) fn make_machine(kvm: impl AsFd) -> io::Result<OwnedFd> {
    // SAFETY: `kvm` is open, and `CreateVm` says what the kernel takes and gives. Another device
    // answers ENOTTY.
    Ok(unsafe { ioctl(kvm, CreateVm) }?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_device_makes_no_machine() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let error = make_machine(&null).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NOTTY.raw_os_error()));
    }
}
