//! The disk of a machine that was inaugurated before, read and hashed while nobody knows its label
//! yet. A hint: who uses it chooses the disk again, and does all of it where this came to nothing.

use std::path::Path;
use std::sync::Arc;
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
        let work = move || {
            let disk = choose_among(&devices, &disks, started, &settings).ok()?;
            begin(disk, &settings, &meter, &console)
        };
        Self { thread: thread::Builder::new().name("early".into()).spawn(work).ok() }
    }

    /// Nothing was begun.
    pub(crate) fn none() -> Self {
        Self { thread: None }
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
        if let Some(thread) = self.thread.take() {
            // Dropping what was begun ends it, and lets go of the disk.
            drop(thread.join());
        }
    }
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
