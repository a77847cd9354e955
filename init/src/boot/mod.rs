//! The stages of one boot, in order; each takes what the one before made. Images and trees part
//! where the label is known, and meet again where the deployed kernel is started.

mod early;
mod failure;
mod files;
mod host;
mod image;
mod leave;
mod live;
mod medium;
mod names;
mod ondisk;
mod online;
mod progress;
mod reach;
mod stores;
mod target;
mod time;
mod tree;

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deploy::{Label, Meter, PassedOver, ReadBack};
use store::http::{Access, redacted};
use store::label::LabelName;

use crate::access;
use crate::config::{Config, Mode, OnFail, Settings, Then};
use crate::devices::Devices;
use crate::machine::{Machine, random};
use crate::net::{self, Keeper, Keeping, Network, Unreached};
use crate::onfail::{self, Next, PERSON_LEFT};
use crate::power::{self, leave};
use crate::recovery::{self, Left};
use crate::report::{self, Facts, Report};
use crate::stop::Stop;
use crate::wall_clock::Teller;
use crate::window::{Gate, Stopped, Unattended};
pub(crate) use early::Early;
pub(crate) use failure::At;
use reach::{Question, UNHURRIED};
use stores::Offline;
pub(crate) use stores::open_all;
pub(crate) use target::{is_all_ours, is_ours};
use time::TimeServers;

pub use failure::{Cause, Exchanged, Failure, ForTrees, Stage};

/// The boot: success never returns.
pub fn boot(machine: &Machine) -> Result<Infallible, Failure> {
    let config = config(machine)?;
    machine.window.open(&machine.console, config.settings.recovery_window);
    if config.settings.mode == Mode::Boot {
        return ondisk::boot(machine, &config.settings);
    }
    let meter = Arc::new(Meter::new());
    // What is on the disk is read and hashed while the network comes up.
    let early = match config.settings.mode {
        Mode::Live => Early::none(),
        _ => Early::begin(machine, &config, &meter),
    };
    network(machine, &config)?;
    let labels = labels(machine, &config, &meter, &machine.window.stop())?;
    deploy(machine, &config, (labels, early), &Unattended(machine), &meter)
}

/// Puts the labels on the disk, or runs them from memory, if `gate` lets the plan pass, and does
/// what follows.
pub(crate) fn deploy(
    machine: &Machine,
    config: &Config,
    (labels, early): (Vec<Label>, Early),
    gate: &dyn Gate,
    meter: &Arc<Meter>,
) -> Result<Infallible, Failure> {
    if config.settings.mode == Mode::Live {
        drop(early);
        return live::run(machine, config, labels, gate, meter);
    }
    if labels[0].manifest.image().is_some() {
        drop(early);
        let settled = image::deploy(machine, config, labels, gate, meter)?;
        return leave::go(machine, config, &settled);
    }
    let settled = tree::deploy(machine, config, labels, early, gate, meter)?;
    leave::go(machine, config, &settled)
}

/// How long a report waits for the drivers: loading all of them takes a second or two.
const DRIVERS: Duration = Duration::from_secs(10);

/// Reports a failure on every console and does what the operator wants then.
/// Returns when the boot is to be tried again, with the number of that attempt.
pub fn fail(machine: &Machine, failure: &Failure, attempt: u32) -> u32 {
    let is_pressed = machine.window.shut();
    if let Some(stopped) = failure.stopped() {
        // Who asked for the console is waited for; who pressed a key may have left.
        let patience = (stopped == Stopped::Key).then_some(PERSON_LEFT);
        return match recovery::run(machine, failure, patience) {
            Left::GoOn => 1,
            // Nothing has failed: what was stopped begins anew, and is no further attempt.
            Left::Nobody => {
                machine.console.say("init", "nobody typed a command for long: going on");
                attempt
            }
        };
    }
    if machine.network().is_none() {
        // What is still looked for would scroll the screen away.
        machine.leave_network();
    }
    let report = report(machine, failure, attempt);
    // The screen last: it is what stays to be read.
    machine.console.show(&format!("{}\n", report::json(&report)));
    machine.console.show(&report::screen(&report));
    let onfail = match (failure.stage, machine.onfail()) {
        // Never retried: the command line says the same the next time. A reset may bring another.
        (Stage::Config, OnFail::Retry) => OnFail::Reboot,
        (_, onfail) => onfail,
    };
    let mut next = if is_pressed {
        Next::Person(Some(PERSON_LEFT))
    } else {
        onfail::after(onfail, attempt, random(), &machine.console)
    };
    loop {
        next = match next {
            Next::Again => return attempt.saturating_add(1),
            Next::Leave(how) => leave(how, &machine.console),
            Next::Person(patience) => match recovery::run(machine, failure, patience) {
                Left::GoOn => return 1,
                Left::Nobody => onfail::after_nobody(onfail, attempt, &machine.console),
            },
        }
    }
}

/// Says that a stage failed, and gathers what is to be told of it.
pub(crate) fn report(machine: &Machine, failure: &Failure, attempt: u32) -> Report {
    let console = &machine.console;
    let causes = failure.causes();
    let stage = failure.stage.to_string();
    // Before anything that may hang.
    console.say(&stage, &format!("FAILED: {}", causes.join(": ")));
    // A failure before the drivers are there must not say that there is no disk.
    if let Err(unfinished) = machine.devices.wait_walked(Instant::now() + DRIVERS) {
        console.say("devices", &unfinished.to_string());
    }
    let mut facts = Facts::gather(console, &machine.disks, machine.network());
    if let Some(cards) = failure.cards() {
        facts.cards = cards.to_vec();
    }
    let category = failure.category().into();
    Report { stage, category, causes, attempt, facts }
}

fn config(machine: &Machine) -> Result<Config, Failure> {
    let parsed = Config::parse(&machine.said());
    let (onfail, mode) = match &parsed {
        Ok(config) => (config.settings.onfail, config.settings.mode),
        Err(mistakes) => (mistakes.onfail, mistakes.mode),
    };
    machine.set_onfail(onfail);
    if mode == Mode::Recovery {
        return Err(Stopped::Asked).at(Stage::Config);
    }
    let config = parsed.at(Stage::Config)?;
    let (label, stores) = (config.label_text(), redacted(&config.store.join(", ")));
    let what = match config.settings.mode {
        Mode::Boot => "boot what is on the disk".to_owned(),
        Mode::Live => {
            let text = format!("label {label} from {stores}, run from memory");
            machine.console.say("config", &text);
            return Ok(config);
        }
        Mode::Deploy | Mode::Plan | Mode::Recovery => format!("label {label} from {stores}"),
    };
    machine.console.say("config", &format!("{what}, disk: {}", config.settings.disk));
    Ok(config)
}

/// Raises the network where a store needs one, or a file; none is needed where the medium has all.
fn network(machine: &Machine, config: &Config) -> Result<(), Failure> {
    let settings = &config.settings;
    let offline = Offline::of(&config.store, &settings.files);
    let has_all = || offline.has(machine, &config.labels);
    if !stores::needs_network(&config.store, &settings.files) {
        return machine.window.check().at(Stage::Network);
    }
    if matches!(offline, Offline::First(_)) && has_all() {
        machine.console.say("net", "not raised: the medium has all that is to be deployed");
        return machine.window.check().at(Stage::Network);
    }
    let raised = raise(machine, settings, config.labels.first(), machine.window.signal());
    if let Err(failure) = raised {
        if failure.stopped().is_some() || !has_all() {
            return Err(failure);
        }
        let why = failure.causes().join(": ");
        machine.console.say("net", &format!("the medium has to do: {why}"));
    }
    machine.window.check().at(Stage::Network)
}

/// Raises the network over which a store answers; `label` is asked for, where it is known.
/// `interrupt` ends it when it is readable.
pub(crate) fn raise(
    machine: &Machine,
    settings: &Settings,
    label: Option<&LabelName>,
    interrupt: Option<Arc<OwnedFd>>,
) -> Result<(), Failure> {
    let console = &machine.console;
    let access = access::of(settings).at(Stage::Config)?;
    if let Some(warning) = access::warning(&access, &settings.store) {
        console.say("net", &warning);
    }
    if let Some(proxy) = &access.proxy {
        console.say("net", &format!("stores are asked by way of the proxy {}", proxy.name()));
    }
    let mut time = None;
    let mut time_servers = TimeServers::of(settings);
    let mut reach = |network: &Network, left: Duration| {
        let until = Instant::now() + left;
        time_servers.ask(network, left, &machine.clock, console);
        let left = until.saturating_duration_since(Instant::now());
        time = question(settings, label, network, &access).ask(left)?;
        Ok(())
    };
    // Its lines name the stage already.
    let mut say = |line: &str| console.say("net", line.strip_prefix("network: ").unwrap_or(line));
    machine.leave_network();
    Devices::load(&settings.network.drivers(), console);
    let wanted = net::NetConfig { interrupt, ..host::network_of(settings) };
    let network = match net::bring_up(&wanted, &mut reach, &mut say) {
        Err(net::NetError::Interrupted) => Err(Stopped::Key).at(Stage::Network)?,
        other => other.at(Stage::Network)?,
    };
    if let Some(name) = settings.hostname.as_ref().or(network.hostname.as_ref()) {
        // A machine without a name deploys as well.
        let _ = rustix::system::sethostname(name.as_bytes());
    }
    if let Some(time) = time {
        machine.clock.hear(time, &Teller::Store, console);
    }
    machine.in_use().set(network.clone());
    machine.set_keeper(keep(machine, settings, label, (network, access)));
    Ok(())
}

/// Keeps the network as long as it is used. One that cannot be kept is used as it is.
fn keep(
    machine: &Machine,
    settings: &Settings,
    label: Option<&LabelName>,
    (network, access): (Network, Access),
) -> Option<Keeper> {
    let (owned, label) = (settings.clone(), label.cloned());
    let console = Arc::clone(&machine.console);
    let keeping = Keeping {
        config: host::network_of(settings),
        reach: Box::new(move |network, left| {
            question(&owned, label.as_ref(), network, &access).ask(left).map(drop)
        }),
        say: Box::new(move |line| console.say("net", line)),
        in_use: machine.in_use().clone(),
    };
    match Keeper::begin(network, keeping) {
        Ok(keeper) => Some(keeper),
        Err(error) => {
            machine.console.say("net", &format!("the network is not kept: {error}"));
            None
        }
    }
}

/// Whether a store, or a file of the machine's own, is behind a network.
pub(crate) fn needs_network(settings: &Settings) -> bool {
    stores::needs_network(&settings.store, &settings.files)
}

/// Whether `network`, which is there, reaches a store.
pub(crate) fn reaches(settings: &Settings, network: &Network) -> bool {
    // What cannot be used is said where the network is raised.
    let Ok(access) = access::of(settings) else { return false };
    let answer = question(settings, settings.labels.first(), network, &access).ask(UNHURRIED);
    !matches!(answer, Err(Unreached::Silent(_)))
}

fn question<'a>(
    settings: &'a Settings,
    label: Option<&'a LabelName>,
    network: &'a Network,
    access: &'a Access,
) -> Question<'a> {
    let resolvers = &network.nameservers;
    Question { chain: &settings.store, label, files: &settings.files, resolvers, access }
}

/// The labels, of which there is at least one.
pub(crate) fn labels(
    machine: &Machine,
    config: &Config,
    meter: &Arc<Meter>,
    stop: &Stop,
) -> Result<Vec<Label>, Failure> {
    let chain = open_all(machine, &config.settings).at(Stage::Label)?;
    let chain: Vec<_> = chain.into_iter().map(|store| stop.in_front_of(store)).collect();
    let console = Arc::clone(&machine.console);
    let (names, meter) = (config.labels.clone(), Arc::clone(meter));
    let resolve = move || {
        let resolved = names.iter().map(|name| {
            let label = deploy::label::resolve(&chain, name, &meter)?;
            let (digest, size) =
                (label.record.manifest.short(), deploy::plan::human(label.size_bytes()));
            let kind = &label.record.kind;
            console.say("label", &format!("{name} is {kind} {digest}, {size}"));
            Ok(label)
        });
        resolved.collect::<Result<Vec<Label>, deploy::Error>>()
    };
    // A store that stalls is asked again and again, for minutes.
    let labels = stop.unless(&machine.console, resolve).ok_or(Stopped::Key).at(Stage::Label)?;
    unless_stopped(stop, labels, Stage::Label)
}

/// What came of a stage that a key may have ended: then that is why.
fn unless_stopped<T, E: Into<Cause>>(
    stop: &Stop,
    result: Result<T, E>,
    stage: Stage,
) -> Result<T, Failure> {
    match result {
        Err(_) | Ok(_) if stop.is_said() => Err(Stopped::Key).at(stage),
        result => result.at(stage),
    }
}

/// Says what would be done, and whether it is: `mode=plan` ends here, and `gate` may.
fn show_plan(
    machine: &Machine,
    config: &Config,
    gate: &dyn Gate,
    (plan, is_complete): (&str, bool),
    took: Duration,
) -> Result<(), Failure> {
    gate.planned(is_complete);
    machine.console.say("plan", plan);
    machine.console.say("plan", &format!("made in {}", seconds(took)));
    if config.settings.mode != Mode::Plan {
        return gate.pass().at(Stage::Plan);
    }
    let how = match config.settings.then {
        Then::Reboot => power::Leave::Reboot,
        Then::PowerOff => power::Leave::PowerOff,
        // There is nothing to start: a person reads the plan and decides.
        Then::Kexec => return Err(Stopped::Planned).at(Stage::Plan),
    };
    machine.console.say("plan", &Stopped::Planned.to_string());
    leave(how, &machine.console)
}

/// Says which stores did not give what others gave, but for those that were said already.
fn show_passed_over(machine: &Machine, meter: &Meter, already_shown: usize) {
    for PassedOver { store, why } in meter.passed_over().into_iter().skip(already_shown) {
        machine.console.say("write", &format!("not all from {store}: {why}"));
    }
}

/// Says what fetching and writing took: `had` stands before what was fetched, `did` after it.
fn show_written(machine: &Machine, meter: &Meter, had: &str, did: &str, took: Duration) {
    show_passed_over(machine, meter, 0);
    let came_right = meter.came_right();
    if came_right > 0 {
        let text = "came wrong once, right the second time: something on the way changes bytes";
        machine.console.say("write", &format!("{came_right} of the pieces {text}"));
    }
    let now = meter.snapshot();
    let fetched = deploy::plan::human(now.fetched_bytes);
    let requests = format!("{} requests ({} retried)", now.requests, now.retries);
    let text = format!("{had}{fetched} fetched in {requests}, {did} in {}", seconds(took));
    machine.console.say("write", &text);
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
