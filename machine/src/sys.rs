//! The one unsafe call: what happens between fork and exec.
#![allow(unsafe_code)]

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use std::io;
use std::os::fd::OwnedFd;
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
