//! Devices: drivers loaded as hardware appears, and waiting until what is needed is there.
//!
//! A thread owns the kernel's device events from before sysfs is first looked at
//! until init ends. It loads modules for every device (loading one makes others
//! appear: PCI, then virtio, then the disk) and wakes whoever waits. Nothing
//! polls: waiting ends by an event, by quiet, or by its deadline.

mod driverless;
mod firmware;
mod modules;
mod uevent;

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use crate::console::{Console, wait_for};
pub use driverless::{Driverless, driverless};
pub(crate) use firmware::firmware_missing;
pub use modules::{Modules, ModulesError};
use uevent::{Heard, Listener};

/// No device event for this long means that the machine has shown what it has.
/// Disks of one controller follow each other within tens of milliseconds; a
/// spinning disk that needs seconds to start is waited for by the deadline of
/// whoever needs it.
pub const QUIET: Duration = Duration::from_millis(300);

/// Longest sleep of the thread between two looks at the socket; an event ends it.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What the thread has seen. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct Devices {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// False until everything that was there at the start has its driver.
    walked: bool,
    /// The module being loaded, and since when.
    loading: Option<(String, Instant)>,
    last_event: Instant,
}

impl State {
    /// True while devices may be missing only because init is not done with them.
    fn is_busy(&self) -> bool {
        !self.walked || self.loading.is_some()
    }
}

/// Drivers are still being loaded, so what devices there are is not known: the
/// only disk seen may be one of several.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}; until it is done, no disk is certain to be the only one that matches",
    busy_with(.loading.as_ref())
)]
pub struct Unfinished {
    /// The module being loaded, and for how long already.
    pub loading: Option<(String, Duration)>,
}

fn busy_with(loading: Option<&(String, Duration)>) -> String {
    match loading {
        Some((module, time)) => {
            format!("module {module} has been loading for {} s", time.as_secs())
        }
        None => "init is still looking through the devices".into(),
    }
}

/// Why devices are not watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen to device events")]
pub struct DevicesError(#[source] io::Error);

impl Devices {
    /// Starts the thread.
    pub fn watch(modules: Modules, console: Arc<Console>) -> Result<Self, DevicesError> {
        let listener = Listener::open().map_err(DevicesError)?;
        let devices = Self::new();
        let watcher = Watcher {
            devices: devices.clone(),
            modules,
            listener,
            console,
            asked: BTreeSet::new(),
        };
        thread::Builder::new()
            .name("devices".into())
            .spawn(move || watcher.run())
            .map_err(DevicesError)?;
        Ok(devices)
    }

    /// A machine whose device events cannot be heard: what is there now is all
    /// there is until a deadline.
    pub fn unwatched() -> Self {
        let devices = Self::new();
        devices.update(|state| state.walked = true);
        devices
    }

    fn new() -> Self {
        let state = State { walked: false, loading: None, last_event: Instant::now() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// Loads `modules`, which no device asks for. Where the image has none of that name, the kernel
    /// has it built in, or what needs it fails and says so.
    pub fn load(modules: &[&str], console: &Console) {
        // One that cannot be read was told of when drivers were first loaded.
        let Ok(mut table) = Modules::read() else { return };
        for error in table.load_named(modules, &mut |_| ()).1 {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            console.say("modules", &format!("{error}: {cause}"));
        }
    }

    /// Waits until every device that was there at the start has its driver, at
    /// most until `deadline`.
    pub fn wait_walked(&self, deadline: Instant) -> Result<(), Unfinished> {
        let left = deadline.saturating_duration_since(Instant::now());
        let state = self.lock();
        let waited = self.shared.changed.wait_timeout_while(state, left, |state| state.is_busy());
        finished(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Waits until `find` finds something and no event came for [`QUIET`], at
    /// most until `deadline`; then asks `find` once more and returns what it said.
    ///
    /// `find` is asked when devices have gone quiet, never more often, and never
    /// while drivers are being loaded: half of the devices answer wrongly.
    pub fn wait_quiet<T, E: From<Unfinished>>(
        &self,
        deadline: Instant,
        mut find: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        loop {
            self.wait_walked(deadline)?;
            let quiet_since = self.wait_until_quiet(deadline)?;
            let found = find();
            if found.is_ok() || Instant::now() >= deadline {
                return found;
            }
            self.wait_for_event_after(quiet_since, deadline);
        }
    }

    /// Waits until the last event is [`QUIET`] ago; returns when that event was.
    fn wait_until_quiet(&self, deadline: Instant) -> Result<Instant, Unfinished> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            // The end of loading is told as a change, and is looked at then.
            let quiet_at = if state.is_busy() { deadline } else { state.last_event + QUIET };
            let quiet_at = quiet_at.min(deadline);
            if now >= quiet_at {
                return finished(&state).map(|()| state.last_event);
            }
            let waited = self.shared.changed.wait_timeout(state, quiet_at - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn wait_for_event_after(&self, seen: Instant, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let state = self.lock();
        drop(self.shared.changed.wait_timeout_while(state, left, |state| state.last_event <= seen));
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.shared.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn finished(state: &State) -> Result<(), Unfinished> {
    if !state.is_busy() {
        return Ok(());
    }
    let loading = state.loading.as_ref().map(|(module, since)| (module.clone(), since.elapsed()));
    Err(Unfinished { loading })
}

/// The thread's own.
struct Watcher {
    devices: Devices,
    modules: Modules,
    listener: Listener,
    console: Arc<Console>,
    /// Modaliases already served.
    asked: BTreeSet<String>,
}

impl Watcher {
    fn run(mut self) {
        self.load("always", |modules, tell| modules.load_always(tell));
        self.walk();
        self.drain();
        self.load("last", |modules, tell| modules.load_last(tell));
        self.devices.update(|state| state.walked = true);
        while self.hears(QUIET) {
            self.drain();
        }
        self.name_driverless();
        loop {
            self.hears(LONGEST_WAIT);
            self.drain();
        }
    }

    /// Waits for an event; false if none came.
    fn hears(&self, patience: Duration) -> bool {
        wait_for(std::os::fd::AsFd::as_fd(&self.listener), PollFlags::IN, patience)
    }

    /// Said on every boot: a machine that deploys may still lack a NIC or a disk.
    fn name_driverless(&self) {
        for device in driverless(Path::new("/sys")) {
            self.console.say("devices", &device.to_string());
        }
    }

    /// Serves every device that sysfs shows now: network cards before the rest, with what
    /// appears behind them, so that DHCP does not wait for disk controllers.
    fn walk(&mut self) {
        if self.modules.is_empty() {
            return;
        }
        let found = modules::modaliases(Path::new("/sys/devices"));
        for (_, modalias) in found.iter().filter(|(_, modalias)| modules::is_network(modalias)) {
            self.serve(modalias);
            self.drain();
        }
        for (_, modalias) in found {
            self.serve(&modalias);
        }
    }

    /// Serves every event that is waiting.
    fn drain(&mut self) {
        while let Some(heard) = self.listener.next() {
            match heard {
                Heard::Event(event) => {
                    if event.action == "add" && !event.modalias.is_empty() {
                        self.serve(&event.modalias);
                    }
                    if matches!(event.action.as_str(), "add" | "remove" | "change") {
                        self.devices.update(|state| state.last_event = Instant::now());
                    }
                }
                Heard::Lost => {
                    self.walk();
                    self.devices.update(|state| state.last_event = Instant::now());
                }
                Heard::Nothing => {}
            }
        }
    }

    fn serve(&mut self, modalias: &str) {
        if self.modules.is_empty() || !self.asked.insert(modalias.to_string()) {
            return;
        }
        self.load(modalias, |modules, tell| modules.load_for(modalias, tell));
    }

    /// Loads modules, each of them named in the state while the kernel has it.
    fn load(
        &mut self,
        what: &str,
        load: impl FnOnce(&mut Modules, &mut dyn FnMut(&str)) -> (Vec<String>, Vec<ModulesError>),
    ) {
        let devices = self.devices.clone();
        let mut tell = |module: &str| {
            devices.update(|state| state.loading = Some((module.into(), Instant::now())));
        };
        let result = load(&mut self.modules, &mut tell);
        devices.update(|state| state.loading = None);
        self.tell(what, &result);
    }

    fn tell(&self, what: &str, (loaded, failed): &(Vec<String>, Vec<ModulesError>)) {
        if !loaded.is_empty() {
            self.console.say("modules", &loaded.join(" "));
        }
        for error in failed {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            self.console.say("modules", &format!("{error} for {what}: {cause}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    enum Why {
        NoDisk,
        Unfinished(Unfinished),
    }

    impl From<Unfinished> for Why {
        fn from(unfinished: Unfinished) -> Self {
            Self::Unfinished(unfinished)
        }
    }

    #[test]
    fn waiting_ends_by_quiet() {
        let devices = Devices::unwatched();
        let started = Instant::now();
        let found: Result<u32, Why> = devices.wait_quiet(started + 20 * QUIET, || Ok(7));
        assert_eq!(found, Ok(7));
    }

    #[test]
    fn waiting_ends_by_an_event_that_brings_what_is_wanted() {
        let devices = Devices::unwatched();
        let other = devices.clone();
        let thread = thread::spawn(move || {
            thread::sleep(2 * QUIET);
            other.update(|state| state.last_event = Instant::now());
        });
        let mut asked = 0;
        let started = Instant::now();
        let found = devices.wait_quiet(started + 20 * QUIET, || {
            asked += 1;
            if asked < 2 { Err(Why::NoDisk) } else { Ok(()) }
        });
        assert_eq!((found, asked), (Ok(()), 2));
        assert!(started.elapsed() >= 3 * QUIET);
        thread.join().unwrap();
    }

    #[test]
    fn waiting_ends_by_its_deadline_with_the_last_reason() {
        let devices = Devices::unwatched();
        let started = Instant::now();
        let found: Result<(), Why> = devices.wait_quiet(started + QUIET, || Err(Why::NoDisk));
        assert_eq!(found, Err(Why::NoDisk));
        assert!(started.elapsed() >= QUIET);
    }

    #[test]
    fn nothing_is_found_while_a_driver_is_being_loaded() {
        let since = Instant::now().checked_sub(Duration::from_secs(27)).unwrap();
        let table = [
            (
                false,
                Some(("mlx5_core".to_string(), since)),
                "module mlx5_core has been loading for 27 s; until it is done, no disk is certain to \
                 be the only one that matches",
            ),
            (
                // Walked: a device came later, and its driver hangs.
                true,
                Some(("nvme".to_string(), since)),
                "module nvme has been loading for 27 s; until it is done, no disk is certain to be \
                 the only one that matches",
            ),
            (
                false,
                None,
                "init is still looking through the devices; until it is done, no disk is certain to \
                 be the only one that matches",
            ),
        ];
        for (walked, loading, expected) in table {
            let devices = Devices::new();
            devices.update(|state| (state.walked, state.loading) = (walked, loading));
            let deadline = Instant::now() + QUIET / 3;
            let found: Result<(), Why> = devices.wait_quiet(deadline, || Ok(()));
            let Err(Why::Unfinished(unfinished)) = found else { panic!("{found:?}") };
            assert_eq!(unfinished.to_string(), expected);
        }
    }

    #[test]
    fn waiting_goes_on_when_a_driver_is_done() {
        let devices = Devices::unwatched();
        devices.update(|state| state.loading = Some(("nvme".into(), Instant::now())));
        let other = devices.clone();
        let thread = thread::spawn(move || {
            thread::sleep(2 * QUIET);
            other.update(|state| state.loading = None);
        });
        let started = Instant::now();
        let found: Result<(), Why> = devices.wait_quiet(started + 20 * QUIET, || Ok(()));
        assert_eq!(found, Ok(()));
        assert!(started.elapsed() >= 2 * QUIET);
        thread.join().unwrap();
    }
}
