//! How a machine is left: reset or off. PID 1 never returns.

use std::thread;

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

/// Writes everything out and leaves. If the kernel refuses, says so and waits
/// for somebody to pull the plug: PID 1 that ends is a kernel panic.
pub fn leave(how: Leave, console: &Console) -> ! {
    let (word, command) = match how {
        Leave::Reboot => ("rebooting", RebootCommand::Restart),
        Leave::PowerOff => ("powering off", RebootCommand::PowerOff),
    };
    console.say("init", word);
    rustix::fs::sync();
    if let Err(error) = reboot(command) {
        console.say("init", &format!("{word} failed: {error}; switch the machine off by hand"));
    }
    loop {
        thread::park();
    }
}
