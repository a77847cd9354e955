//! How a machine is left: reset or off. PID 1 never returns.

use std::thread;
use std::time::Duration;

use rustix::system::{RebootCommand, reboot};

use crate::console::Console;

/// How to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Reset the machine.
    Reboot,
    /// Power it off.
    PowerOff,
}

/// Time for writing out what is still in memory. The deployed disk has been
/// flushed long before; only a disk that does not answer any more needs as long.
const WRITE_OUT: Duration = Duration::from_mins(1);

/// Writes everything out and leaves, written or not after a minute. If the kernel refuses, says so and waits
/// for somebody to pull the plug: PID 1 that ends is a kernel panic.
pub fn leave(how: Leave, console: &Console) -> ! {
    let (word, command) = match how {
        Leave::Reboot => ("rebooting", RebootCommand::Restart),
        Leave::PowerOff => ("powering off", RebootCommand::PowerOff),
    };
    console.say("init", word);
    write_out(command);
    if let Err(error) = reboot(command) {
        console.say("init", &format!("{word} failed: {error}; switch the machine off by hand"));
    }
    loop {
        thread::park();
    }
}

/// Writes everything out. A disk that does not answer blocks `sync(2)` for ever;
/// then `command` is carried out without it.
pub(crate) fn write_out(command: RebootCommand) {
    force_after(WRITE_OUT, command);
    rustix::fs::sync();
}

/// Carries out `command` after `patience`, whatever hangs until then.
pub(crate) fn force_after(patience: Duration, command: RebootCommand) {
    let force = move || {
        thread::sleep(patience);
        // With nobody left to tell if it fails.
        let _ = reboot(command);
    };
    // A machine that cannot start a thread leaves without a deadline.
    drop(thread::Builder::new().name("deadline".into()).spawn(force));
}
