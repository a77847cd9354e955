//! The stages of one boot, in order; each takes what the one before made. Images and trees part
//! where the label is known, and meet again where the deployed kernel is started.

mod early;
mod failure;
mod files;
mod image;
mod leave;
mod ondisk;
mod progress;
mod stores;
mod target;
mod tree;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deploy::{Label, Meter, PassedOver, ReadBack};
use store::source::Source;

use crate::config::{Config, Mode, OnFail, Then};
use crate::machine::{Machine, random};
use crate::net;
use crate::onfail::{self, Next};
use crate::power::{self, leave};
use crate::report::{self, Facts, Report};
use early::Early;
use failure::At;
pub use failure::{Cause, Exchanged, Failure, ForTrees, Stage};

/// The boot: success never returns.
pub fn boot(machine: &Machine) -> Result<Infallible, Failure> {
    let config = config(machine)?;
    if config.settings.mode == Mode::Boot {
        return ondisk::boot(machine, &config.settings);
    }
    let meter = Arc::new(Meter::new());
    // What is on the disk is read and hashed while the network comes up.
    let early = Early::begin(machine, &config, &meter);
    network(machine, &config)?;
    let labels = labels(machine, &config, &meter)?;
    if labels[0].manifest.image().is_some() {
        drop(early);
        let settled = image::deploy(machine, &config, labels, &meter)?;
        return leave::go(machine, &config, &settled);
    }
    let settled = tree::deploy(machine, &config, labels, early, &meter)?;
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
    let (label, stores) = (config.label_text(), config.store.join(", "));
    let what = match config.settings.mode {
        Mode::Boot => "boot what is on the disk".to_owned(),
        Mode::Deploy | Mode::Plan => format!("label {label} from {stores}"),
    };
    machine.console.say("config", &format!("{what}, disk: {}", config.settings.disk));
    Ok(config)
}

/// Raises the network where a store needs one, or a file.
fn network(machine: &Machine, config: &Config) -> Result<Option<net::Network>, Failure> {
    let files = &config.settings.files;
    if !stores::needs_network(&config.store, files) {
        return Ok(None);
    }
    let console = &machine.console;
    let mut reach = |_: &net::Network| stores::reach(&config.store, &config.labels[0], files);
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

/// The labels, of which there is at least one.
fn labels(machine: &Machine, config: &Config, meter: &Arc<Meter>) -> Result<Vec<Label>, Failure> {
    let chain: Vec<Arc<dyn Source>> = stores::open_all(&config.store).at(Stage::Label)?;
    let mut labels = Vec::new();
    for name in &config.labels {
        let label = deploy::label::resolve(&chain, name, meter).at(Stage::Label)?;
        let (digest, size) =
            (label.record.manifest.short(), deploy::plan::human(label.size_bytes()));
        let kind = &label.record.kind;
        machine.console.say("label", &format!("{name} is {kind} {digest}, {size}"));
        labels.push(label);
    }
    Ok(labels)
}

/// Says what would be done. `mode=plan` ends here.
fn show_plan(machine: &Machine, config: &Config, plan: &str, took: Duration) {
    machine.console.say("plan", plan);
    machine.console.say("plan", &format!("made in {}", seconds(took)));
    if config.settings.mode == Mode::Deploy {
        return;
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

/// Says which stores did not give what others gave, but for those that were said already.
fn show_passed_over(machine: &Machine, meter: &Meter, already_shown: usize) {
    for PassedOver { store, why } in meter.passed_over().into_iter().skip(already_shown) {
        machine.console.say("write", &format!("not all from {store}: {why}"));
    }
}

fn read_back(config: &Config) -> ReadBack {
    if config.settings.verify { ReadBack::Yes } else { ReadBack::No }
}

/// Says how reading back went. A disk that had everything before
/// was read for the plan, and is not read a second time.
fn show_verified(machine: &Machine, config: &Config, is_read_back: bool, took: Duration) {
    let what = match (config.settings.verify, is_read_back) {
        (true, true) => "the disk reads back right",
        (true, false) => "the disk was right when it was read for the plan, and not written to",
        (false, _) => "not read back (verify=no)",
    };
    machine.console.say("verify", &format!("{what}, {}", seconds(took)));
}

fn seconds(duration: Duration) -> String {
    format!("{}.{:03} s", duration.as_secs(), duration.subsec_millis())
}
