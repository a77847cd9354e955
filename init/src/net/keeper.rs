//! The network while it is in use: the lease is renewed, the link is watched, and where either is
//! lost another way to the store is looked for, once and as long as at the start.
//!
//! In a thread of its own beside the stages. What is under way over the old address is found broken
//! by those who use it; whoever asks a store anew waits until the search has ended ([`InUse`]).

use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use rustix::event::{EventfdFlags, eventfd};

use super::configure::forget;
use super::held::{End, GONE, Held};
use super::in_use::InUse;
use super::release::give_back;
use super::{NetConfig, NetError, Network, Unreached, bring_up};

/// Keeps a network until it is dropped.
#[derive(Debug)]
pub struct Keeper {
    stop: Arc<OwnedFd>,
    /// The machine is left for good, and what was leased is given back.
    release: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// [`super::Reach`] for another thread.
type TryIt = dyn FnMut(&Network, Duration) -> Result<(), Unreached> + Send;

/// What a keeper is told.
pub struct Keeping {
    /// How the network was brought up.
    pub config: NetConfig,
    /// Says why the store is not reached, as for [`bring_up`].
    pub reach: Box<TryIt>,
    /// Says what changed.
    pub say: Box<dyn FnMut(&str) + Send>,
    /// Where others learn what is used.
    pub in_use: InUse,
}

impl Keeper {
    /// Begins to keep `network`.
    pub fn begin(network: Network, mut keeping: Keeping) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        keeping.config.interrupt = Some(Arc::clone(&stop));
        keeping.in_use.set(network.clone());
        let release = Arc::new(AtomicBool::new(false));
        let keep = Keep { keeping, stop: Arc::clone(&stop), release: Arc::clone(&release) };
        let thread = thread::Builder::new().name("net".into()).spawn(move || keep.run(network))?;
        Ok(Self { stop, release, thread: Some(thread) })
    }

    /// Ends it, and gives a leased address back: nothing can be fetched any more.
    pub fn give_back(self) {
        self.release.store(true, Ordering::Release);
    }
}

impl Drop for Keeper {
    /// Waits for the question to a store that may be under way: two searches would take each other's
    /// addresses away.
    fn drop(&mut self) {
        // Fails only when its counter is full: it is readable then.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // A panic in it has ended the machine already.
            let _ = thread.join();
        }
    }
}

struct Keep {
    keeping: Keeping,
    stop: Arc<OwnedFd>,
    release: Arc<AtomicBool>,
}

impl Keep {
    fn run(self, mut network: Network) {
        let Self { keeping: Keeping { config, mut reach, mut say, in_use }, stop, release } = self;
        loop {
            let held = Held::new(&mut network, &in_use);
            let is_kept = held.is_ok();
            let end = held.and_then(|held| held.keep(&stop, &mut say));
            if matches!(end, Ok(End::Stopped))
                && release.load(Ordering::Acquire)
                && let Some(done) = give_back(&network)
            {
                say(&done);
            }
            let why = match end {
                Ok(End::Stopped) => return forget(&network),
                Ok(End::Lost(why)) => why,
                Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => {
                    format!("{}: {GONE}", network.nic.name)
                }
                // Another would fare no better; this one works.
                Err(error) if !is_kept => {
                    return say(&format!("{} is used, but not kept: {error}", network.nic.name));
                }
                Err(error) => format!("{} cannot be kept: {error}", network.nic.name),
            };
            forget(&network);
            in_use.lose();
            say(&format!("{why}; looking for a way to the store"));
            let mut told = |line: &str| say(line.strip_prefix("network: ").unwrap_or(line));
            match bring_up(&config, &mut *reach, &mut told) {
                Ok(found) => network = found,
                Err(error) => {
                    // Whoever needs a network finds that there is none, and says so.
                    in_use.leave();
                    return if !matches!(error, NetError::Interrupted) {
                        say(&gave_up(&error));
                    };
                }
            }
            in_use.set(network.clone());
        }
    }
}

fn gave_up(error: &NetError) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
