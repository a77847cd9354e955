//! `inaug boot`: a machine in QEMU that inaugurates itself, for CI.
//!
//! Given a label and its stores, starts a machine whose kernel carries the inaugurator, follows its
//! console to a login prompt, an expected line or the end of a command inside of it, and returns
//! what became of it as an exit status. Needs no privileges; whatever ends it, no QEMU and no
//! file stays, but those that were asked for.

mod disk;
mod document;
mod kernel;
mod label_files;
mod outcome;
mod output;
mod show;
mod stages;
mod stores;
mod test_command;
mod watch;

use crate::args::BootArgs;
use crate::exit::Usage;
use crate::output::Output;
use anyhow::{Context, anyhow};
use document::{Document, MachineDocument, TestDocument};
use kernel::Payload;
use machine::{Accel, Machine, Running};
use outcome::Outcome;
pub(crate) use outcome::{BootError, NotRun};
use output::TestOutput;
use show::Show;
use std::fs;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use stores::{Found, Stores};
use tempfile::TempDir;
use test_command::PORTS;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use watch::{EVENTS_WAITING, Event, Seen, Wanted, listen, watch};

/// Lines of the console that are shown when something went wrong: one screen.
const LAST_WORDS: usize = 24;

/// What the kernel takes on x86 (`COMMAND_LINE_SIZE`), its end included, bytes.
const COMMAND_LINE_MAX_BYTES: usize = 2048;

/// A system that is told to power off gets this long to stop its services, for the sake of a disk
/// that is kept; without KVM it needs most of it.
const POWER_OFF_WITHIN: Duration = Duration::from_mins(2);

/// Boots the label; returns the exit status.
pub(crate) fn run(args: &BootArgs, output: &Output) -> anyhow::Result<u8> {
    let booted = boot(args, output);
    if args.goal.test.is_none() {
        return booted;
    }
    // With a test every status below 125 is its own.
    booted.map_err(|error| {
        let has_code = error.is::<BootError>() || error.is::<Usage>();
        if has_code { error } else { NotRun(error).into() }
    })
}

fn boot(args: &BootArgs, output: &Output) -> anyhow::Result<u8> {
    if let Some(needed) = machine::missing(args.uefi) {
        return Err(anyhow!("{needed}"));
    }
    let runtime = Runtime::new()?;
    let (send, events) = sync_channel(EVENTS_WAITING);
    tell_signals(&runtime, &send)?;
    let stores = Stores::open(&args.store, &runtime)?;
    let labels = find(args, &stores)?;
    let work = TempDir::with_prefix("inaug-boot-").context("a directory for the machine")?;
    let payload = kernel::choose(&args.kernel, &labels, work.path())?;
    let (disk, disk_bytes) = disk::make(&args.disk, &labels, work.path())?;
    if let Some(directory) = &args.artifacts {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let machine = Machine {
        name: args.label_text(),
        memory_mib: args.memory,
        cpus: args.cpus,
        disks: vec![disk],
        directory: args.artifacts.clone(),
        ports: args.goal.test.iter().flat_map(|_| PORTS.map(String::from)).collect(),
        ..Machine::direct(&payload.kernel, &payload.initramfs, &command_line(args, &stores)?)
    };
    let machine = if args.uefi { machine.on_uefi() } else { machine };
    let mut show = Show::new();
    let accel = accel_word(Accel::of_this_host());
    let Payload { choice, .. } = &payload;
    show.landmark(&format!("kernel {}; {} MiB, {accel}", choice.what, args.memory));
    let mut test_output = match &args.goal.test {
        Some(_) => TestOutput::new(args.artifacts.as_deref(), output.is_json())?,
        None => TestOutput::none(),
    };
    let mut running = machine.start()?;
    let seen = follow(args, &mut running, (&send, &events), &mut show, &mut test_output);
    if seen.outcome.sentence().is_some() {
        show.last_words(&running.console().text(), LAST_WORDS);
    } else if args.disk.disk_file.is_some() {
        shut_down(&mut running, &events, &mut show);
    }
    drop(running);
    runtime.shutdown_background();
    let code = seen.outcome.code(args.goal.test.is_some());
    let document = document(args, &labels, payload, disk_bytes, &seen, &test_output);
    conclude(args, output, &document, &seen.outcome)?;
    Ok(code)
}

fn find(args: &BootArgs, stores: &Stores) -> anyhow::Result<Vec<Found>> {
    let found = args
        .label
        .0
        .iter()
        .map(|name| stores.find(name)?.with_context(|| format!("label {name} is in no store")));
    found.collect()
}

/// Follows the machine to its end.
fn follow(
    args: &BootArgs,
    running: &mut Running,
    (send, events): (&SyncSender<Event>, &Receiver<Event>),
    show: &mut Show,
    output: &mut TestOutput,
) -> Seen {
    let (expect, test) = (args.goal.expect.clone(), args.goal.test.as_deref());
    let wanted = Wanted { expect, test, timeout_s: args.timeout };
    listen(running, test, send);
    watch(&wanted, events, show, output)
}

/// Tells of SIGINT and SIGTERM instead of dying by them: a machine and its disk would stay.
fn tell_signals(runtime: &Runtime, send: &SyncSender<Event>) -> anyhow::Result<()> {
    let _context = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let (mut signals, send): (Signal, _) = (signal(kind)?, send.clone());
        let number = u8::try_from(kind.as_raw_value()).unwrap_or(u8::MAX);
        runtime.spawn(async move {
            while signals.recv().await.is_some() {
                // Where nobody listens any more all is being taken down already.
                let _ = send.try_send(Event::Signal(number));
            }
        });
    }
    Ok(())
}

/// The command line of the inaugurator.
fn command_line(args: &BootArgs, stores: &Stores) -> Result<String, Usage> {
    let is_ours = |word: &&str| word.starts_with("inaugurator.");
    let (ours, theirs): (Vec<&str>, Vec<&str>) = args.append.split_whitespace().partition(is_ours);
    if args.append.contains('"') {
        let sentence = "--append: a kernel's command line has no double quotes inside of a value";
        return Err(Usage(sentence.to_owned()));
    }
    // A label that names other consoles only would be followed in vain.
    let mut append = vec!["console=ttyS0".to_owned()];
    append.extend(theirs.into_iter().map(String::from));
    append.extend(args.goal.test.as_ref().map(|_| test_command::kernel_words()));
    let line = format!(
        "quiet inaugurator.store={} inaugurator.label={} inaugurator.onfail=poweroff \
         inaugurator.append=\"{}\" {}",
        stores.of_guest,
        args.label_text(),
        append.join(" "),
        ours.join(" ")
    );
    if line.len() < COMMAND_LINE_MAX_BYTES {
        return Ok(line);
    }
    let found = line.len();
    let most = COMMAND_LINE_MAX_BYTES - 1;
    Err(Usage(format!("the kernel takes a command line of {most} bytes, found {found}: {line}")))
}

/// Presses the power button and waits, so that a disk that is kept is as a real one is left.
fn shut_down(running: &mut Running, events: &Receiver<Event>, show: &mut Show) {
    if running.press_power().is_err() {
        return;
    }
    show.landmark("pressing the power button");
    let deadline = Instant::now() + POWER_OFF_WITHIN;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match events.recv_timeout(left) {
            Ok(Event::Off) => return,
            Ok(Event::Signal(_)) | Err(_) => break,
            Ok(_) => {}
        }
    }
    Output::warning("the machine did not power off; its disk is as after a power cut");
}

fn document(
    args: &BootArgs,
    labels: &[Found],
    payload: Payload,
    disk_bytes: u64,
    seen: &Seen,
    output: &TestOutput,
) -> Document {
    let outcome = &seen.outcome;
    let (stdout_bytes, stderr_bytes) = output.sizes();
    let test = args.goal.test.as_ref().map(|command| TestDocument {
        command: command.to_string_lossy().into_owned(),
        system: seen.system.clone(),
        status: if let Outcome::Tested(status) = outcome { Some(*status) } else { None },
        stdout_bytes,
        stderr_bytes,
        is_cut: output.is_cut(),
    });
    let line = if let Outcome::Reached(line) = outcome { Some(line.clone()) } else { None };
    let failure =
        if let Outcome::Failed(failure) = outcome { Some(failure.report.clone()) } else { None };
    Document {
        schema: "inaug/boot/1",
        label: args.label_text(),
        manifests: labels.iter().map(|found| found.label.record.manifest.to_string()).collect(),
        kernel: payload.choice,
        machine: MachineDocument {
            accel: accel_word(Accel::of_this_host()),
            memory_mib: args.memory,
            cpus: args.cpus,
            disk_bytes,
            firmware: if args.uefi { "uefi" } else { "bios" },
        },
        outcome: outcome.word(),
        exit_status: outcome.code(test.is_some()),
        error: outcome.sentence(),
        line,
        stages: crate::commands::Stages(seen.stages.seconds()),
        seconds: (seen.took.as_secs_f64() * 1000.0).round() / 1000.0,
        plan: seen.plan.clone(),
        failure,
        test,
    }
}

/// Writes the report, and prints it: what a test says is all that is on stdout then.
fn conclude(
    args: &BootArgs,
    output: &Output,
    document: &Document,
    outcome: &Outcome,
) -> anyhow::Result<()> {
    if let Some(directory) = &args.artifacts {
        let path = directory.join("report.json");
        let mut text = serde_json::to_vec_pretty(document)?;
        text.push(b'\n');
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if output.is_json() || (args.goal.test.is_none() && outcome.sentence().is_none()) {
        output.answer(document)?;
    }
    outcome.error(args.goal.test.is_some()).map_or(Ok(()), |error| Err(error.into()))
}

fn accel_word(accel: Accel) -> &'static str {
    match accel {
        Accel::Kvm => "kvm",
        Accel::Tcg => "tcg",
    }
}
