//! A tree onto the disk: plan, write, read back, and what makes the disk boot by itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use deploy::disks::{Disk, Places, is_same_disk, may_overwrite, wipe_token};
use deploy::install::{self, Boots, Look, Options, Own, OwnFile, Plan, Settled, Verified, Written};
use deploy::plan::human;
use deploy::tree::Keep;
use deploy::volumes::Access;
use deploy::{Label, Meter};
use store::near::Kept;

use super::early::Early;
use super::failure::{At, Exchanged, Failure, Stage};
use super::files;
use super::progress::Progress;
use super::target::{choose, is_ours};
use super::{read_back, show_passed_over, show_plan, show_verified, show_written, unless_stopped};
use crate::access;
use crate::config::{Config, Mode, Settings};
use crate::machine::{Machine, random_seed};
use crate::stop::Stop;
use crate::window::{Gate, Stopped};

/// Deploys `labels` joined. `early` is what was begun before they were known.
pub(super) fn deploy(
    machine: &Machine,
    config: &Config,
    labels: Vec<Label>,
    early: Early,
    gate: &dyn Gate,
    meter: &Arc<Meter>,
) -> Result<Settled, Failure> {
    let settings = &config.settings;
    let disk = choose(machine, settings).at(Stage::Disk)?;
    machine.console.say("disk", &format!("{disk}: {}", disk.contents));
    may_overwrite(&disk, is_ours(&disk), settings.wipe.as_deref()).at(Stage::Disk)?;
    let keep = Keep::new(&settings.keep).map_err(deploy::Error::TreeRefused).at(Stage::Config)?;
    let (opened, look) = open(&disk, early, &keep, settings.access(), meter)?;
    let own_files = fetch_own(machine, settings, &gate.stop())?;
    let options = options(machine, settings, &disk, (keep, own_files));
    let plan = plan(machine, config, (opened, look), (labels, options), gate, meter)?;
    let written = write(machine, plan, meter)?;
    let verified = verify(machine, config, written, meter)?;
    settle(machine, verified, meter)
}

/// The machine's own files. A server that stalls is left when a person does not want to wait.
pub(super) fn fetch_own(
    machine: &Machine,
    settings: &Settings,
    stop: &Stop,
) -> Result<Vec<OwnFile>, Failure> {
    let (owned, console) = (settings.clone(), Arc::clone(&machine.console));
    let access = access::of(settings).at(Stage::Config)?;
    let fetched = stop.unless(&machine.console, move || files::fetch(&owned, &access, &console));
    unless_stopped(stop, fetched.ok_or(Stopped::Key).at(Stage::Label)?, Stage::Label)
}

/// The disk with a look at its root: the one that was begun early, or a new one.
fn open(
    disk: &Disk,
    early: Early,
    keep: &Keep,
    access: Access,
    meter: &Arc<Meter>,
) -> Result<(install::Disk, Result<Look, String>), Failure> {
    let (opened, look) = if let Some((opened, look)) = early.at(disk) {
        (opened, Ok(look))
    } else {
        let opened = install::Disk::open(Path::new(&disk.path)).at(Stage::Disk)?;
        let look = opened.look(keep, access, meter).at(Stage::Disk)?;
        (opened, look)
    };
    // The open descriptor pins the disk; only now is it certain which one it is.
    if is_same_disk(&Places::default(), disk) {
        return Ok((opened, look));
    }
    Err(Exchanged { path: disk.path.clone(), diskseq: disk.diskseq }).at(Stage::Disk)
}

fn options(
    machine: &Machine,
    settings: &Settings,
    disk: &Disk,
    (keep, files): (Keep, Vec<OwnFile>),
) -> Options {
    let token = wipe_token(disk);
    let own = Own { files, ..settings.own.clone() };
    Options {
        keep,
        sizes: settings.sizes,
        root_kind: settings.root_kind,
        own,
        append: settings.append.clone(),
        running: machine.command_line.clone(),
        anew: disk.contents.is_blank() || settings.wipe.as_deref() == Some(&token),
        how_anew: format!("say inaugurator.wipe={token}"),
        local_store_bytes: settings.local_store_bytes,
        only_planned: settings.mode == Mode::Plan,
    }
}

fn plan(
    machine: &Machine,
    config: &Config,
    (disk, look): (install::Disk, Result<Look, String>),
    (labels, options): (Vec<Label>, Options),
    gate: &dyn Gate,
    meter: &Arc<Meter>,
) -> Result<Plan, Failure> {
    let started = Instant::now();
    let progress = Progress::show(&machine.console, "plan", meter);
    let (seed, stop) = (random_seed(), gate.stop());
    // It waits until all of the root was read.
    let stopper = look.as_ref().ok().map(Look::stopper);
    let plan = stop
        .stopping(stopper, || install::plan(disk, look, labels, options, Arc::clone(meter), &seed));
    drop(progress);
    let plan = unless_stopped(&stop, plan, Stage::Plan)?;
    show_plan(machine, config, gate, (&plan.to_string(), plan.nothing_to_do()), started.elapsed())?;
    Ok(plan)
}

fn write(machine: &Machine, plan: Plan, meter: &Arc<Meter>) -> Result<Written, Failure> {
    let started = Instant::now();
    let (before, removed) = (meter.snapshot(), plan.totals().nodes.removed);
    let progress = Progress::show(&machine.console, "write", meter);
    let written = install::write(plan).at(Stage::Write)?;
    drop(progress);
    let now = meter.snapshot();
    let (copied, written_bytes) = (now.copied_bytes, now.written_bytes - before.written_bytes);
    let did = format!("{} written, {removed} removed", human(written_bytes));
    show_written(machine, meter, &format!("{} copied, ", human(copied)), &did, started.elapsed());
    Ok(written)
}

fn verify(
    machine: &Machine,
    config: &Config,
    written: Written,
    meter: &Arc<Meter>,
) -> Result<Verified, Failure> {
    let started = Instant::now();
    let progress = Progress::show(&machine.console, "verify", meter);
    let verified = install::verify(written, read_back(config)).at(Stage::Verify)?;
    drop(progress);
    show_verified(machine, config, verified.is_read_back(), started.elapsed());
    Ok(verified)
}

fn settle(machine: &Machine, verified: Verified, meter: &Meter) -> Result<Settled, Failure> {
    let already_shown = meter.passed_over().len();
    let settled = install::settle(verified).at(Stage::Settle)?;
    let is_uefi = Path::new("/sys/firmware/efi").exists();
    machine.console.say("settle", boots_text(settled.boots(), is_uefi));
    if let Some(why) = settled.lacks() {
        machine.console.say("settle", why);
    }
    if let Some(Kept { kept_bytes, removed_packs, size_bytes }) = settled.kept() {
        let (kept, size) = (human(kept_bytes), human(size_bytes));
        let line =
            format!("local store: {kept} kept, {removed_packs} packs removed, {size} in all");
        machine.console.say("settle", &line);
    }
    show_passed_over(machine, meter, already_shown);
    Ok(settled)
}

/// Whether the disk boots, and if not, why.
fn boots_text(boots: Boots, is_uefi: bool) -> &'static str {
    match (boots, is_uefi) {
        (Boots { uefi: true, .. }, true) | (Boots { bios: true, .. }, false) => {
            "the disk boots by itself"
        }
        (Boots { bios: true, .. }, true) => {
            "the label has a boot loader for a BIOS only: on this machine, which has UEFI, the disk \
             does not boot by itself"
        }
        (Boots { uefi: true, .. }, false) => {
            "the label has a boot loader for UEFI only: on this machine, which has a BIOS, the disk \
             does not boot by itself"
        }
        (Boots { uefi: false, bios: false }, _) => {
            "the label has no boot loader, or no kernel: the disk does not boot by itself"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_whether_this_machine_boots_the_disk() {
        let both = Boots { uefi: true, bios: true };
        let table = [
            (both, true, true),
            (both, false, true),
            (Boots { uefi: true, bios: false }, false, false),
            (Boots { uefi: false, bios: true }, true, false),
            (Boots::default(), true, false),
        ];
        for (boots, is_uefi, expected) in table {
            let text = boots_text(boots, is_uefi);
            assert_eq!(text == "the disk boots by itself", expected, "{text}");
        }
    }
}
