//! An image onto the disk: plan, write, read back.

use std::sync::Arc;
use std::time::Instant;

use deploy::plan::human;
use deploy::{Label, Meter, Plan, Settled, Target, Verified, Written};

use super::failure::{At, Failure, ForTrees, Stage};
use super::progress::Progress;
use super::{read_back, show_plan, show_verified, show_written, target, unless_stopped};
use crate::config::Config;
use crate::machine::Machine;
use crate::window::Gate;

/// Deploys the image that is the only one of `labels`.
pub(super) fn deploy(
    machine: &Machine,
    config: &Config,
    labels: Vec<Label>,
    gate: &dyn Gate,
    meter: &Arc<Meter>,
) -> Result<Settled, Failure> {
    let label = only(labels).at(Stage::Label)?;
    let keys = config.settings.for_trees();
    if !keys.is_empty() {
        return Err(ForTrees { label: label.record.name.to_string(), keys }).at(Stage::Config);
    }
    let target = target::open(machine, &config.settings)?;
    let plan = plan(machine, config, (label, target), gate, meter)?;
    let written = write(machine, plan, meter)?;
    let verified = verify(machine, config, written, meter)?;
    let settled = deploy::settle::settle(verified);
    machine.console.say("settle", "the disk boots by itself");
    Ok(settled)
}

/// An image is joined with nothing.
fn only(labels: Vec<Label>) -> Result<Label, deploy::Error> {
    match <[Label; 1]>::try_from(labels) {
        Ok([label]) => Ok(label),
        Err(labels) => Err(deploy::Error::Kind {
            label: labels[0].record.name.to_string(),
            expected: "tree, to be joined with another",
            found: "image",
        }),
    }
}

fn plan(
    machine: &Machine,
    config: &Config,
    (label, target): (Label, Target),
    gate: &dyn Gate,
    meter: &Arc<Meter>,
) -> Result<Plan, Failure> {
    let started = Instant::now();
    let progress = Progress::show(&machine.console, "plan", meter);
    let plan = deploy::plan::plan(label, target, Arc::clone(meter));
    drop(progress);
    let plan = unless_stopped(&gate.stop(), plan, Stage::Plan)?;
    show_plan(machine, config, gate, (&plan.to_string(), plan.nothing_to_do()), started.elapsed())?;
    Ok(plan)
}

fn write(machine: &Machine, plan: Plan, meter: &Arc<Meter>) -> Result<Written, Failure> {
    let started = Instant::now();
    let before = meter.snapshot();
    let progress = Progress::show(&machine.console, "write", meter);
    let written = deploy::write::write(plan).at(Stage::Write)?;
    drop(progress);
    let now = meter.snapshot();
    let (moved, written_bytes) = (now.copied_bytes, now.written_bytes - before.written_bytes);
    let zeroed = human(now.zeroed_bytes - before.zeroed_bytes);
    let did = format!("{} written, {zeroed} zeroed", human(written_bytes));
    show_written(machine, meter, &format!("{} moved, ", human(moved)), &did, started.elapsed());
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
    let verified = deploy::verify::verify(written, read_back(config)).at(Stage::Verify)?;
    drop(progress);
    show_verified(machine, config, true, started.elapsed());
    Ok(verified)
}
