//! `inaugurator.mode=live`: the label run from memory. No disk is looked at.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use deploy::live::{self, Memory, Options, Plan, Verified};
use deploy::plan::human;
use deploy::{Label, Meter};

use super::failure::{At, Cause, Failure, Stage};
use super::progress::Progress;
use super::tree::fetch_own;
use super::{read_back, seconds, show_plan, show_written, unless_stopped};
use crate::config::Config;
use crate::kexec::{self, COPIES, MARGIN_BYTES, ProvenImage, SealedImage};
use crate::machine::Machine;
use crate::report;
use crate::window::Gate;

/// What messages call the root.
const ROOT: &str = "initramfs";

/// Starts `labels` joined from memory. Where that cannot be, nothing has changed, and there is
/// nothing that a reset would start: it is a failure like any other.
pub(super) fn run(
    machine: &Machine,
    config: &Config,
    labels: Vec<Label>,
    gate: &dyn Gate,
    meter: &Arc<Meter>,
) -> Result<Infallible, Failure> {
    let plan = plan(machine, config, labels, gate, meter)?;
    let (sealed, written) = write(machine, plan, meter)?;
    let (root, verified) = verify(machine, config, (sealed, written), meter)?;
    let kernel = verified.kernel();
    let kernel = ProvenImage::make("kernel", kernel.digest, kernel.size_bytes, |file| {
        verified.copy_kernel(root.file(), file).map_err(Cause::from)
    });
    let kernel = kernel.at(Stage::Leave)?;
    let line = verified.command_line();
    machine.clock.settle(&machine.console);
    kexec::go(&machine.console, "the label's", kernel.sealed(), Some(&root), line).at(Stage::Leave)
}

fn plan(
    machine: &Machine,
    config: &Config,
    labels: Vec<Label>,
    gate: &dyn Gate,
    meter: &Arc<Meter>,
) -> Result<Plan, Failure> {
    let (started, settings) = (Instant::now(), &config.settings);
    let progress = Progress::show(&machine.console, "plan", meter);
    let stop = gate.stop();
    let draft = live::look(labels, memory(), Arc::clone(meter));
    let draft = unless_stopped(&stop, draft, Stage::Plan)?;
    let mut own = settings.own.clone();
    own.files = fetch_own(machine, settings, &stop)?;
    let (append, running) = (settings.append.clone(), machine.command_line.clone());
    let plan = draft.plan(&Options { own, append, running });
    let plan = unless_stopped(&stop, plan, Stage::Plan)?;
    drop(progress);
    show_plan(machine, config, gate, (&plan.to_string(), false), started.elapsed())?;
    Ok(plan)
}

/// The memory of this machine; where it is not known, the label is tried.
fn memory() -> Option<Memory> {
    let (total_bytes, available_bytes) = report::memory_now()?;
    Some(Memory { total_bytes, available_bytes, copies: COPIES, margin_bytes: MARGIN_BYTES })
}

fn write(
    machine: &Machine,
    plan: Plan,
    meter: &Arc<Meter>,
) -> Result<(SealedImage, live::Written), Failure> {
    let started = Instant::now();
    let progress = Progress::show(&machine.console, "write", meter);
    let made = SealedImage::make(ROOT, |file| live::write(plan, file).map_err(Cause::from));
    let (sealed, written) = made.at(Stage::Write)?;
    drop(progress);
    let did = format!("{} put into memory", human(sealed.size_bytes()));
    show_written(machine, meter, "", &did, started.elapsed());
    Ok((sealed, written))
}

/// What is handed to the kernel is read where the kernel will read it, after nobody can write to it
/// any more.
fn verify(
    machine: &Machine,
    config: &Config,
    (sealed, written): (SealedImage, live::Written),
    meter: &Arc<Meter>,
) -> Result<(SealedImage, Verified), Failure> {
    let started = Instant::now();
    let progress = Progress::show(&machine.console, "verify", meter);
    let verified = live::verify(written, sealed.file(), read_back(config)).at(Stage::Verify)?;
    drop(progress);
    let what = if config.settings.verify {
        "the root in memory reads back right"
    } else {
        "not read back (verify=no)"
    };
    machine.console.say("verify", &format!("{what}, {}", seconds(started.elapsed())));
    Ok((sealed, verified))
}
