//! The disk of a machine that was inaugurated before, read and hashed while nobody knows its label
//! yet. A hint: who uses it chooses the disk again, and does all of it where this came to nothing.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use deploy::Meter;
use deploy::disks::{Disk, may_overwrite};
use deploy::install::{self, Look};
use deploy::tree::Keep;

use super::target::{choose_among, is_ours};
use crate::config::{Config, Settings};
use crate::console::Console;
use crate::machine::Machine;

/// A look that is under way; given up when it is dropped.
pub(crate) struct Early {
    thread: Option<JoinHandle<Option<Begun>>>,
    step: Arc<Mutex<Step>>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Step {
    /// The disk is waited for, which may not answer; nothing was opened.
    #[default]
    Choosing,
    /// The disk is opened, or was.
    Looking,
    /// It is not wanted any more, and nothing is to be opened.
    GivenUp,
}

/// The disk that was found, opened, and the look at its root.
pub(super) struct Begun {
    chosen: Disk,
    opened: install::Disk,
    look: Look,
}

impl Early {
    /// Begins as soon as the disk is there. Whatever keeps it from that is said by the stage that
    /// needs the disk.
    pub(super) fn begin(machine: &Machine, config: &Config, meter: &Arc<Meter>) -> Self {
        let (devices, disks) = (machine.devices.clone(), machine.disks.clone());
        let started = machine.started;
        let (settings, meter) = (config.settings.clone(), Arc::clone(meter));
        let console = Arc::clone(&machine.console);
        let step = Arc::new(Mutex::new(Step::Choosing));
        let asked = Arc::clone(&step);
        let work = move || {
            let disk = choose_among(&devices, &disks, started, &settings).ok()?;
            is_still_wanted(&asked).then(|| begin(disk, &settings, &meter, &console))?
        };
        Self { thread: thread::Builder::new().name("early".into()).spawn(work).ok(), step }
    }

    /// Nothing was begun.
    pub(crate) fn none() -> Self {
        Self { thread: None, step: Arc::default() }
    }

    /// What was begun, if it is at `disk`.
    pub(super) fn at(mut self, disk: &Disk) -> Option<(install::Disk, Look)> {
        let Begun { chosen, opened, look } = self.thread.take()?.join().ok()??;
        let is_same = (&chosen.path, chosen.diskseq) == (&disk.path, disk.diskseq);
        is_same.then_some((opened, look))
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        if *step == Step::Choosing {
            // A disk that is waited for keeps nobody: it will not be opened.
            *step = Step::GivenUp;
            return;
        }
        drop(step);
        // Dropping what was begun ends it, and lets go of the disk.
        drop(thread.join());
    }
}

fn is_still_wanted(step: &Mutex<Step>) -> bool {
    let mut step = step.lock().unwrap_or_else(PoisonError::into_inner);
    if *step == Step::Choosing {
        *step = Step::Looking;
    }
    *step == Step::Looking
}

fn begin(
    chosen: Disk,
    settings: &Settings,
    meter: &Arc<Meter>,
    console: &Console,
) -> Option<Begun> {
    let is_ours = is_ours(&chosen);
    may_overwrite(&chosen, is_ours, settings.wipe.as_deref()).ok().filter(|()| is_ours)?;
    let keep = Keep::new(&settings.keep).ok()?;
    let opened = install::Disk::open(Path::new(&chosen.path)).ok()?;
    let look = opened.look(&keep, settings.access(), meter).ok()?.ok()?;
    console.say("disk", &format!("{}: its root is read while the network comes up", chosen.path));
    Some(Begun { chosen, opened, look })
}
