//! The machine as PID 1 finds it, made ready for the stages.

use std::fs;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{Changes, OnFail};
use crate::console::Console;
use crate::devices::{Devices, Modules};
use crate::disks::Disks;
use crate::net::{InUse, Keeper, Network};
use crate::wall_clock::WallClock;
use crate::window::Window;
use crate::{crash, mounts, report, signals};

/// What every stage has at hand.
#[derive(Debug)]
pub struct Machine {
    /// Every console.
    pub console: Arc<Console>,
    /// Drivers and device events.
    pub devices: Devices,
    /// The disks.
    pub disks: Disks,
    /// The kernel's command line.
    pub command_line: String,
    /// When devices began to be looked for.
    pub started: Instant,
    /// What time it is.
    pub clock: WallClock,
    /// In which a key stops an automatic boot.
    pub window: Window,
    onfail: Arc<Mutex<OnFail>>,
    changes: Mutex<Changes>,
    network: InUse,
    keeper: Mutex<Option<Keeper>>,
}

impl Machine {
    /// Mounts, opens consoles, answers signals and panics, starts loading drivers.
    /// Nothing of it is fatal: what failed is said, and a later stage that needs
    /// it fails with its own reason.
    pub fn start() -> Self {
        let mount_errors = mounts::mount_all();
        mounts::open_standard_fds();
        let command_line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
        mounts::apply_settings(&command_line);
        let console = Arc::new(Console::open());
        let onfail = Arc::new(Mutex::new(OnFail::Retry));
        // Before any thread: the signals must be blocked in all of them.
        let signals = signals::answer(Arc::clone(&console));
        let disks = Disks::new(Arc::clone(&console));
        crash::take_over(Arc::clone(&console), disks.clone(), Arc::clone(&onfail));
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        let version = env!("CARGO_PKG_VERSION");
        console.say("init", &format!("inaugurator {version}, Linux {kernel}"));
        for error in &mount_errors {
            tell(&console, error);
        }
        if let Err(error) = signals {
            tell(&console, &error);
        }
        let devices = devices(&console);
        let machine = Self::with(console, devices, disks, command_line, onfail);
        WallClock::begin(&machine.console);
        machine
    }

    /// One that looks at nothing but `disks`, for tests.
    #[cfg(test)]
    pub(crate) fn of(console: Arc<Console>, disks: Disks) -> Self {
        let onfail = Arc::new(Mutex::new(OnFail::Retry));
        Self::with(console, Devices::unwatched(), disks, String::new(), onfail)
    }

    fn with(
        console: Arc<Console>,
        devices: Devices,
        disks: Disks,
        command_line: String,
        onfail: Arc<Mutex<OnFail>>,
    ) -> Self {
        let (clock, window, changes, network, keeper) = Default::default();
        let started = Instant::now();
        Self {
            console,
            devices,
            disks,
            command_line,
            started,
            clock,
            window,
            onfail,
            changes,
            network,
            keeper,
        }
    }

    /// Remembers what follows a failure, for a panic too.
    pub fn set_onfail(&self, onfail: OnFail) {
        *self.onfail.lock().unwrap_or_else(PoisonError::into_inner) = onfail;
    }

    /// The command line with what a person changed of it.
    pub fn said(&self) -> String {
        self.changes().apply(&self.command_line)
    }

    /// What a person changed of the command line.
    pub fn changes(&self) -> Changes {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From here on this is what a person changed.
    pub fn set_changes(&self, changes: Changes) {
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner) = changes;
    }

    /// The network, where it was raised.
    pub fn network(&self) -> Option<Network> {
        self.network.network()
    }

    /// What is used as network, also later.
    pub fn in_use(&self) -> &InUse {
        &self.network
    }

    /// Gives up the network, where there is one.
    pub fn leave_network(&self) {
        // Ended before the network is forgotten: it may be about to find another.
        drop(self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.network.leave();
    }

    /// The same for good: what was leased is given back to its server.
    pub fn give_back_network(&self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            keeper.give_back();
        }
        self.network.leave();
    }

    /// From here on `keeper` keeps the network; without one nobody does.
    pub fn set_keeper(&self, keeper: Option<Keeper>) {
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = keeper;
    }

    /// What follows a failure.
    pub fn onfail(&self) -> OnFail {
        *self.onfail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drivers by table, if there is one, and events about devices.
fn devices(console: &Arc<Console>) -> Devices {
    let modules = Modules::read().unwrap_or_else(|error| {
        tell(console, &error);
        Modules::none()
    });
    Devices::watch(modules, Arc::clone(console)).unwrap_or_else(|error| {
        tell(console, &error);
        Devices::unwatched()
    })
}

fn tell(console: &Console, error: &dyn std::error::Error) {
    console.say("init", &report::causes(error).join(": "));
}

/// A number that differs between machines and boots, for jitter only. Falls back
/// to the clock where the kernel's pool is not there.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    let read = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    match read {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => nanos(crate::clock::since_boot()),
    }
}

/// What the identities of new partitions and file systems are made of.
pub fn random_seed() -> [u8; 32] {
    let mut bytes = [0; 32];
    // Where there is none, there is at least the clock.
    let filled = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    if filled.is_err() {
        let now = nanos(crate::clock::since_boot());
        bytes[..8].copy_from_slice(&now.to_le_bytes());
    }
    bytes
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
