//! Everything that a machine takes, before there is one: in a thread of its own, so that a store
//! that does not answer keeps nobody from the deadline or a signal.

use super::inbox::{Event, Inbox, Next};
use super::kernel::{Choice, Payload, choose};
use super::outcome::{Outcome, Test};
use super::signs::Expected;
use super::stores::{Found, Stores};
use super::{disk, test_command};
use crate::args::BootArgs;
use crate::commands::access;
use crate::exit::Usage;
use anyhow::{Context, anyhow, ensure};
use machine::{Accel, Machine};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Instant;
use store::label::LabelRecord;
use tokio::runtime::Handle;

/// What the kernel takes on x86 (`COMMAND_LINE_SIZE`), its end included, bytes.
const COMMAND_LINE_MAX_BYTES: usize = 2048;

/// A machine that can be started.
pub(super) struct Prepared {
    pub(super) machine: Machine,
    pub(super) labels: Vec<LabelRecord>,
    pub(super) kernel: Choice,
    pub(super) disk_bytes: u64,
    pub(super) accel: Accel,
}

/// Prepares a machine whose own files are in `work`.
pub(super) fn prepare(
    args: &Arc<BootArgs>,
    runtime: &Handle,
    work: &Path,
    deadline: Instant,
    (send, inbox): (&SyncSender<Event>, &Inbox),
) -> anyhow::Result<Prepared> {
    let (its_args, runtime, work) = (Arc::clone(args), runtime.clone(), work.to_owned());
    let done = send.clone();
    thread::spawn(move || {
        let prepared = all(&its_args, &runtime, &work);
        // Nobody listens where this took too long.
        let _ = done.send(Event::Prepared(Box::new(prepared)));
    });
    let test = if args.goal.test.is_some() { Test::Waiting } else { Test::None };
    loop {
        let outcome = match inbox.next(deadline) {
            Next::Event(Event::Prepared(prepared)) => return *prepared,
            Next::Event(_) => continue,
            Next::Signal(signal) => Outcome::Interrupted(signal),
            Next::Deadline => Outcome::Deadline { seconds: args.timeout },
        };
        let error = outcome.error(test).map(anyhow::Error::from);
        return Err(error.unwrap_or_else(|| anyhow!("the machine is not there")));
    }
}

fn all(args: &BootArgs, runtime: &Handle, work: &Path) -> anyhow::Result<Prepared> {
    refuse(args)?;
    let stores = Stores::open(&args.store, &args.access, runtime)?;
    let found = find(args, &stores)?;
    let Payload { kernel, initramfs, choice } =
        choose(&args.kernel, access::carried_too(&args.access)?, &found, work)?;
    let (disk, disk_bytes) = disk::make(&args.disk, &found, work)?;
    let accel = args.accel.unwrap_or_else(Accel::of_this_host);
    let line = command_line(args, &stores.of_guest)?;
    let machine = Machine {
        name: args.label_text(),
        memory_mib: args.memory,
        cpus: args.cpus,
        disks: vec![disk],
        directory: args.artifacts.clone(),
        scratch: Some(work.to_owned()),
        accel: Some(accel),
        ports: args.goal.test.iter().flat_map(|_| test_command::PORTS.map(String::from)).collect(),
        ..Machine::direct(&kernel, &initramfs, &line)
    };
    let machine = if args.uefi { machine.on_uefi() } else { machine };
    fits(&machine)?;
    let labels = found.into_iter().map(|found| found.label.record).collect();
    Ok(Prepared { machine, labels, kernel: choice, disk_bytes, accel })
}

/// What can be told from the words alone.
fn refuse(args: &BootArgs) -> anyhow::Result<()> {
    if args.accel == Some(Accel::Kvm) {
        Accel::check_kvm()?;
    }
    if args.goal.test.is_some() && args.disk.disk_file.is_some() {
        let sentence = "--test with --disk-file: the disk that is kept would run the test at each \
                        boot; expected one of them";
        return Err(Usage(sentence.to_owned()).into());
    }
    Ok(())
}

fn find(args: &BootArgs, stores: &Stores) -> anyhow::Result<Vec<Found>> {
    let names = &args.label.0;
    let found = names
        .iter()
        .map(|name| stores.find(name)?.with_context(|| format!("label {name} is in no store")));
    let found: Vec<Found> = found.collect::<anyhow::Result<_>>()?;
    ensure!(!found.is_empty(), "no label was named");
    Ok(found)
}

/// What the machine is to take, as its inaugurator calls it.
pub(super) fn expected(labels: &[LabelRecord]) -> Vec<Expected> {
    let expected = |record: &LabelRecord| Expected {
        label: record.name.to_string(),
        digest: record.manifest.short(),
    };
    labels.iter().map(expected).collect()
}

/// The words for the inaugurator.
fn command_line(args: &BootArgs, stores: &str) -> Result<String, Usage> {
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
    Ok(format!(
        "quiet inaugurator.store={stores} inaugurator.label={} inaugurator.onfail=poweroff \
         inaugurator.append=\"{}\" {}",
        args.label_text(),
        append.join(" "),
        ours.join(" ")
    ))
}

/// A kernel cuts off what is too long.
fn fits(machine: &Machine) -> Result<(), Usage> {
    let line = machine.command_line().unwrap_or_default();
    let (found, most) = (line.len(), COMMAND_LINE_MAX_BYTES - 1);
    if found <= most {
        return Ok(());
    }
    Err(Usage(format!("the kernel takes a command line of {most} bytes, found {found}: {line}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_that_the_kernel_gets_is_measured() {
        let own = Machine::direct("k", "i", "").command_line().unwrap().len();
        assert!(own > 0, "the machine has words of its own");
        for (length, is_right) in [(2047 - own, true), (2048 - own, false)] {
            let machine = Machine::direct("k", "i", &"x".repeat(length));
            assert_eq!(fits(&machine).is_ok(), is_right, "{length}");
        }
    }
}
