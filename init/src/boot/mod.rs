//! The stages of one boot, in order; each takes what the one before made.

mod failure;
mod leave;
mod progress;
mod stores;
mod target;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deploy::{Label, Meter, PassedOver, Plan, ReadBack, Settled, Target, Verified, Written};
use store::source::Source;

use crate::config::{Config, Mode, OnFail, Then};
use crate::machine::{Machine, random};
use crate::net;
use crate::onfail::{self, Next};
use crate::power::{self, leave};
use crate::report::{self, Facts, Report};
use failure::At;
pub use failure::{Cause, Exchanged, Failure, Stage};
use progress::Progress;

/// The boot: success never returns.
pub fn boot(machine: &Machine) -> Result<Infallible, Failure> {
    let config = config(machine)?;
    network(machine, &config)?;
    let meter = Arc::new(Meter::new());
    let label = label(machine, &config, &meter)?;
    let target = target::open(machine, &config.settings)?;
    let plan = plan(machine, &config, label, target, &meter)?;
    let written = write(machine, plan, &meter)?;
    let verified = verify(machine, &config, written, &meter)?;
    let settled = settle(machine, verified);
    leave::go(machine, &config, &settled)
}

/// How long a report waits for the drivers: loading all of them takes a second or two.
const DRIVERS: Duration = Duration::from_secs(10);

/// Reports a failure on every console and does what the operator wants then.
/// Returns when the boot is to be tried again.
pub fn fail(machine: &Machine, failure: &Failure, attempt: u32) {
    let console = &machine.console;
    let causes = failure.causes();
    let stage = failure.stage.to_string();
    // Before anything that may hang.
    console.say(&stage, &format!("FAILED: {}", causes.join(": ")));
    // A failure before the drivers are there must not say that there is no disk.
    if let Err(unfinished) = machine.devices.wait_walked(Instant::now() + DRIVERS) {
        console.say("devices", &unfinished.to_string());
    }
    let facts = Facts::gather(console);
    let report = Report { stage, causes, attempt, facts };
    console.show(&format!("{}\n", report::json(&report)));
    console.show(&report::screen(&report));
    let onfail = match (failure.stage, machine.onfail()) {
        // Never retried: the command line says the same the next time. A reset may bring another.
        (Stage::Config, OnFail::Retry) => OnFail::Reboot,
        (_, onfail) => onfail,
    };
    match onfail::after(onfail, attempt, random(), console) {
        Next::Again => {}
        Next::Leave(how) => leave(how, console),
    }
}

fn config(machine: &Machine) -> Result<Config, Failure> {
    let parsed = Config::parse(&machine.command_line);
    machine.set_onfail(match &parsed {
        Ok(config) => config.settings.onfail,
        Err(mistakes) => mistakes.onfail,
    });
    let config = parsed.at(Stage::Config)?;
    let (label, stores) = (&config.label, config.store.join(", "));
    machine
        .console
        .say("config", &format!("label {label} from {stores}, disk: {}", config.settings.disk));
    Ok(config)
}

/// Raises the network where a store needs one.
fn network(machine: &Machine, config: &Config) -> Result<Option<net::Network>, Failure> {
    if !stores::needs_network(&config.store) {
        return Ok(None);
    }
    let console = &machine.console;
    let mut reach = |_: &net::Network| stores::reach(&config.store, &config.label);
    // Its lines name the stage already.
    let mut say = |line: &str| console.say("net", line.strip_prefix("network: ").unwrap_or(line));
    let network =
        net::bring_up(&config.settings.network, &mut reach, &mut say).at(Stage::Network)?;
    if let Some(name) = config.settings.hostname.as_ref().or(network.hostname.as_ref()) {
        // A machine without a name deploys as well.
        let _ = rustix::system::sethostname(name.as_bytes());
    }
    Ok(Some(network))
}

fn label(machine: &Machine, config: &Config, meter: &Arc<Meter>) -> Result<Label, Failure> {
    let chain: Vec<Arc<dyn Source>> = stores::open_all(&config.store).at(Stage::Label)?;
    let label = deploy::label::resolve(&chain, &config.label, meter).at(Stage::Label)?;
    let (digest, size) = (label.record.manifest.short(), deploy::plan::human(label.size_bytes()));
    machine
        .console
        .say("label", &format!("{} is {} {digest}, {size}", config.label, label.record.kind));
    Ok(label)
}

/// Plans and prints. `mode=plan` ends here.
fn plan(
    machine: &Machine,
    config: &Config,
    label: Label,
    target: Target,
    meter: &Arc<Meter>,
) -> Result<Plan, Failure> {
    let started = Instant::now();
    let progress = Progress::show(&machine.console, "plan", meter);
    let plan = deploy::plan::plan(label, target, Arc::clone(meter)).at(Stage::Plan)?;
    drop(progress);
    machine.console.say("plan", &plan.to_string());
    machine.console.say("plan", &format!("made in {}", seconds(started.elapsed())));
    if config.settings.mode == Mode::Deploy {
        return Ok(plan);
    }
    machine.console.say("plan", "inaugurator.mode=plan: nothing was written");
    match config.settings.then {
        Then::Reboot => leave(power::Leave::Reboot, &machine.console),
        Then::PowerOff => leave(power::Leave::PowerOff, &machine.console),
        // There is nothing to start: a person reads the plan and decides.
        Then::Kexec => match onfail::after(OnFail::Console, 1, 0, &machine.console) {
            // Nothing may follow the plan here but another start.
            Next::Again => leave(power::Leave::Reboot, &machine.console),
            Next::Leave(how) => leave(how, &machine.console),
        },
    }
}

fn write(machine: &Machine, plan: Plan, meter: &Arc<Meter>) -> Result<Written, Failure> {
    let started = Instant::now();
    let before = meter.snapshot();
    let progress = Progress::show(&machine.console, "write", meter);
    let written = deploy::write::write(plan).at(Stage::Write)?;
    drop(progress);
    let now = meter.snapshot();
    let human = deploy::plan::human;
    for PassedOver { store, why } in meter.passed_over() {
        machine.console.say("write", &format!("not all from {store}: {why}"));
    }
    machine.console.say(
        "write",
        &format!(
            "{} moved, {} fetched in {} requests ({} retried), {} written, {} zeroed in {}",
            human(now.copied_bytes),
            human(now.fetched_bytes),
            now.requests,
            now.retries,
            human(now.written_bytes - before.written_bytes),
            human(now.zeroed_bytes - before.zeroed_bytes),
            seconds(started.elapsed()),
        ),
    );
    Ok(written)
}

fn verify(
    machine: &Machine,
    config: &Config,
    written: Written,
    meter: &Arc<Meter>,
) -> Result<Verified, Failure> {
    let started = Instant::now();
    let read_back = if config.settings.verify { ReadBack::Yes } else { ReadBack::No };
    let progress = Progress::show(&machine.console, "verify", meter);
    let verified = deploy::verify::verify(written, read_back).at(Stage::Verify)?;
    drop(progress);
    let what = if config.settings.verify {
        "the disk reads back right"
    } else {
        "not read back (verify=no)"
    };
    machine.console.say("verify", &format!("{what}, {}", seconds(started.elapsed())));
    Ok(verified)
}

fn settle(machine: &Machine, verified: Verified) -> Settled {
    let settled = deploy::settle::settle(verified);
    machine.console.say("settle", "the disk boots by itself");
    settled
}

fn seconds(duration: Duration) -> String {
    format!("{}.{:03} s", duration.as_secs(), duration.subsec_millis())
}
