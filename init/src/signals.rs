//! What PID 1 owes the kernel: orphans are reaped, Ctrl-Alt-Del is answered.
//!
//! Every process whose parent ends becomes init's child: this thread reaps whatever
//! ends, except what the engine started and waits for itself. Signals without a handler do not reach PID 1 (`signal(7)`,
//! `pid_namespaces(7)`), so the rest need nothing.

use std::io;
use std::sync::Arc;
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use rustix::system::{RebootCommand, reboot};

use crate::console::Console;
use crate::power::{Leave, leave};

/// Why signals are not answered.
#[derive(Debug, thiserror::Error)]
#[error("cannot receive signals")]
pub struct SignalsError(#[source] io::Error);

/// Starts the thread that answers signals. To be called before any other thread
/// is started: the signals must be blocked in all of them.
pub fn answer(console: Arc<Console>) -> Result<(), SignalsError> {
    let fail = |error: nix::errno::Errno| SignalsError(error.into());
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    set.add(Signal::SIGINT);
    set.thread_block().map_err(fail)?;
    let signals = SignalFd::new(&set).map_err(fail)?;
    // Instead of resetting at once, the kernel sends SIGINT, and what was written is kept.
    let _ = reboot(RebootCommand::CadOff);
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || run(&signals, &console))
        .map(drop)
        .map_err(SignalsError)
}

fn run(signals: &SignalFd, console: &Console) {
    loop {
        match signals.read_signal() {
            Ok(Some(info)) if info.ssi_signo == Signal::SIGINT as u32 => {
                console.say("init", "Ctrl-Alt-Del");
                leave(Leave::Reboot, console);
            }
            Ok(_) => reap(),
            Err(nix::errno::Errno::EINTR) => {}
            // Nothing more will ever be heard; a machine without reaping still deploys.
            Err(error) => return console.say("init", &format!("signals are lost: {error}")),
        }
    }
}

/// Takes the exit status of every child that has ended (`waitid(2)`): one signal may stand for
/// several. Ends at one that the engine waits for; those behind it are taken with the next
/// signal, at the latest with its own.
fn reap() {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let children = deploy::tools::children();
    while let Ok(Some(ended)) = waitid(Id::All, look).map(|status| status.pid()) {
        let is_ours = u32::try_from(ended.as_raw()).is_ok_and(|pid| children.contains(&pid));
        let take = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        if is_ours || waitid(Id::Pid(ended), take).is_err() {
            break;
        }
    }
}
