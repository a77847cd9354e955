//! `inaugurator.mode=boot`: what is on the disk, started from here.

use std::convert::Infallible;
use std::time::Instant;

use super::failure::{At, Cause, Failure, Stage};
use super::target::DEADLINE;
use crate::config::Settings;
use crate::machine::Machine;
use crate::ondisk::{self, ChooseError, Entry};
use crate::report::ANSWER;

/// Starts the default entry of the disk that is meant, or of the only one that boots.
pub(super) fn boot(machine: &Machine, settings: &Settings) -> Result<Infallible, Failure> {
    let entry = choose(machine, settings).at(Stage::Disk)?;
    machine.console.say("disk", &format!("{}: {}", entry.disk, entry.disk.contents));
    machine.window.close(&machine.console).at(Stage::Disk)?;
    ondisk::start(machine, &entry, &settings.append).at(Stage::Leave)
}

/// The entry that is meant, when the devices have gone quiet.
fn choose(machine: &Machine, settings: &Settings) -> Result<Entry, Cause> {
    let deadline = (machine.started + DEADLINE).max(Instant::now());
    let look = || match look(machine, settings) {
        Ok(entry) => Ok(Ok(entry)),
        // More disks cure neither.
        Err(Cause::Choose(
            error @ (ChooseError::Ambiguous { .. } | ChooseError::Nothing { is_final: true, .. }),
        )) => Ok(Err(error.into())),
        Err(cause) => Err(cause),
    };
    machine.devices.wait_quiet(deadline, look)?
}

fn look(machine: &Machine, settings: &Settings) -> Result<Entry, Cause> {
    let disks = machine.disks.bootable(machine.disks.find(ANSWER)?);
    Ok(ondisk::choose(&disks, &settings.disk)?.clone())
}
