//! `shell`: a shell on the terminal where that was typed, until it ends.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::Session;
use super::commands::SHELL;
use crate::console::wait_for;
use crate::sys;

/// How often it is looked at whether the person is still there.
const LOOK: Duration = Duration::from_mins(1);

impl Session<'_> {
    pub(super) fn shell(&self) {
        let Some(path) = self.keys.last_used() else { return };
        self.say(&format!("{SHELL} on {}; exit comes back", path.display()));
        let mut result = Ok(());
        self.keys.lend(&path, || result = self.run(&path));
        match result {
            Ok(()) => self.say("the shell has ended"),
            Err(error) => self.say(&format!("{SHELL} cannot be run: {error}")),
        }
    }

    fn run(&self, path: &Path) -> io::Result<()> {
        // It becomes the terminal of the shell, not of PID 1.
        let flags = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap_or(0);
        let tty = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        let (output, errors) = (tty.try_clone()?, tty.try_clone()?);
        let mut command = Command::new(SHELL);
        command.arg("-i").current_dir("/").stdin(tty).stdout(output).stderr(errors);
        // Its end is heard by its descriptor: the status is the one of whoever reaps orphans.
        let child = sys::lead_a_session(&mut command).spawn()?;
        let pid = Pid::from_child(&child);
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(ended) => self.wait(&ended, pid, path),
            // It has ended already.
            Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Waits for the end of the shell. Where the machine is not to wait for ever, a shell at which
    /// nobody types is ended, as a terminal that hangs up ends it.
    fn wait(&self, ended: &OwnedFd, pid: Pid, path: &Path) {
        let started = Instant::now();
        while !wait_for(ended.as_fd(), PollFlags::IN, LOOK) {
            let idle = idle(path).unwrap_or_default().min(started.elapsed());
            if self.patience.is_some_and(|patience| idle > patience) {
                self.say("nobody types in the shell: it is ended");
                let _ = kill_process_group(pid, Signal::HUP);
                let _ = kill_process_group(pid, Signal::KILL);
                return;
            }
        }
    }
}

/// For how long nobody typed on a terminal: the kernel keeps it as the time of the last access, to
/// some seconds (`tty_update_time` of `drivers/tty/tty_io.c`).
fn idle(path: &Path) -> Option<Duration> {
    fs::metadata(path).ok()?.accessed().ok()?.elapsed().ok()
}
