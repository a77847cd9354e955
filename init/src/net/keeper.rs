//! The network while it is in use: the lease is renewed, the link is watched, and where either is
//! lost another way to the store is looked for.
//!
//! In a thread of its own beside the stages. What is under way over the old address is found broken
//! by those who use it, whose retries go over the new one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFlags, eventfd};

use super::held::{End, Held};
use super::{NetConfig, NetError, Network, bring_up};
use crate::console::wait_for;

/// Keeps a network until it is dropped.
#[derive(Debug)]
pub struct Keeper {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

/// Says why the store is not reached by a network.
type Reach = dyn FnMut(&Network) -> Result<(), String> + Send;

/// What a keeper is told.
pub struct Keeping {
    /// How the network was brought up.
    pub config: NetConfig,
    /// Says why the store is not reached, as for [`bring_up`].
    pub reach: Box<Reach>,
    /// Says what changed.
    pub say: Box<dyn FnMut(&str) + Send>,
    /// Takes the network that is used from now on; none while there is none.
    pub now: Box<dyn FnMut(Option<Network>) + Send>,
}

impl Keeper {
    /// Begins to keep `network`.
    pub fn begin(network: Network, mut keeping: Keeping) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        keeping.config.interrupt = Some(Arc::clone(&stop));
        let keep = Keep { keeping, stop: Arc::clone(&stop) };
        let thread = thread::Builder::new().name("net".into()).spawn(move || keep.run(network))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Keeper {
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
}

impl Keep {
    fn run(mut self, mut network: Network) {
        loop {
            let held = Held::new(&mut network, &self.keeping.config);
            let why = match held.and_then(|held| held.keep(&self.stop, &mut self.keeping.say)) {
                Ok(End::Stopped) => return,
                Ok(End::Lost(why)) => why,
                // It is used on, as if there were no keeper.
                Err(error) => return (self.keeping.say)(&format!("no longer kept: {error}")),
            };
            (self.keeping.say)(&format!("{why}; looking for a way to the store"));
            (self.keeping.now)(None);
            match self.look() {
                Some(found) => network = found,
                None => return,
            }
            (self.keeping.now)(Some(network.clone()));
        }
    }

    /// Another way to the store, or the same again; none when it is not wanted any more.
    fn look(&mut self) -> Option<Network> {
        loop {
            let Keeping { config, reach, say, .. } = &mut self.keeping;
            let mut told = |line: &str| say(line.strip_prefix("network: ").unwrap_or(line));
            // It ends with the deadline at the latest: whoever needs the network gives up by then, or
            // needs it still.
            match bring_up(config, reach, &mut told) {
                Ok(network) => return Some(network),
                Err(NetError::Interrupted) => return None,
                Err(error) => say(&error.to_string()),
            }
            if wait_for(self.stop.as_fd(), PollFlags::IN, Duration::ZERO) {
                return None;
            }
        }
    }
}
