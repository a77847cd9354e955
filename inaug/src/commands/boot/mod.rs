//! `inaug boot`: a machine in QEMU that inaugurates itself, for CI.
//!
//! Given a label and its stores, starts a machine whose kernel carries the inaugurator, follows its
//! console to a login prompt, an expected line or the end of a command inside of it, and returns
//! what became of it as an exit status. Needs no privileges. Whatever ends it, no QEMU stays, and
//! no file but those that were asked for: once QEMU has its files open they have no names any more.
//! (SIGKILL leaves them if it comes in the seconds before.)

mod artifacts;
mod conclude;
mod disk;
mod document;
mod inbox;
mod kernel;
mod label_files;
mod outcome;
mod output;
mod prepare;
mod show;
mod signs;
mod stages;
mod stores;
mod test_command;
mod watch;
mod work;

use crate::args::BootArgs;
use crate::output::Output;
use anyhow::anyhow;
use document::{Document, accel_word};
use inbox::{Event, Inbox, Next};
use machine::Running;
pub(crate) use outcome::{BootError, NotRun};
use output::TestOutput;
use prepare::Prepared;
use show::Show;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, Runtime};
use watch::{Seen, Wanted, listen, watch};
use work::Work;

/// Lines of the console that are shown when something went wrong: one screen.
const LAST_WORDS: usize = 24;

/// A system that is told to power off gets this long to stop its services, for the sake of a disk
/// that is kept; without KVM it needs most of it.
const POWER_OFF_WITHIN: Duration = Duration::from_mins(2);

/// Boots the label; returns the exit status.
pub(crate) fn run(args: BootArgs, output: &Output) -> anyhow::Result<u8> {
    let args = Arc::new(args);
    match boot(&args, output.is_json()) {
        Ok((seen, document)) => conclude::boot(&args, output, &seen, &document),
        Err(error) => Err(conclude::not_started(&args, error)),
    }
}

/// Boots it. An error is that there was no machine.
fn boot(args: &Arc<BootArgs>, is_json: bool) -> anyhow::Result<(Seen, Document)> {
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    artifacts::clear(args.artifacts.as_deref())?;
    if let Some(needed) = machine::missing(args.uefi) {
        return Err(anyhow!("{needed}"));
    }
    let background = Background::new()?;
    let work = Work::new()?;
    let (send, inbox) = Inbox::new();
    inbox.take_signals(background.handle(), &send, work.path())?;
    let all = (&send, &inbox);
    let prepared = prepare::prepare(args, background.handle(), work.path(), deadline, all)?;
    let mut test_output = TestOutput::new(kept_of_test(args), is_json)?;
    let mut show = Show::new();
    let (what, accel) = (&prepared.kernel.what, accel_word(prepared.accel));
    show.landmark(&format!("kernel {what}; {} MiB, {accel}", args.memory));
    let mut running = prepared.machine.start()?;
    // QEMU has everything open.
    drop(work);
    listen(&mut running, args.goal.test.as_deref(), &mut test_output, &send);
    let seen = watch(wanted(args, &prepared, deadline), &inbox, &mut show);
    if seen.outcome.sentence(seen.test).is_some() {
        show.last_words(&running.console().text(), LAST_WORDS);
    } else if args.disk.disk_file.is_some() {
        shut_down(&mut running, &inbox, &mut show);
    }
    inbox.close();
    drop(running);
    let sizes = test_output.finish();
    show.finish();
    let document = Document::of(args, prepared, &seen, sizes);
    Ok((seen, document))
}

/// Where output of the test is kept.
fn kept_of_test(args: &BootArgs) -> Option<&Path> {
    args.artifacts.as_deref().filter(|_| args.goal.test.is_some())
}

fn wanted(args: &BootArgs, prepared: &Prepared, deadline: Instant) -> Wanted {
    Wanted {
        expect: args.goal.expect.clone(),
        labels: prepare::expected(&prepared.labels),
        is_test: args.goal.test.is_some(),
        deadline,
        timeout_s: args.timeout,
    }
}

/// Presses the power button and waits, so that a disk that is kept is as a real one is left.
fn shut_down(running: &mut Running, inbox: &Inbox, show: &mut Show) {
    if running.press_power().is_err() {
        return;
    }
    show.landmark("pressing the power button");
    let deadline = Instant::now() + POWER_OFF_WITHIN;
    loop {
        match inbox.next(deadline) {
            Next::Event(Event::Off) => return,
            Next::Event(_) => {}
            Next::Signal(_) | Next::Deadline => break,
        }
    }
    Output::warning("the machine did not power off; its disk is as after a power cut");
}

/// What serves stores and waits for signals: nothing of it is waited for in the end.
struct Background(Option<Runtime>, Handle);

impl Background {
    fn new() -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    fn handle(&self) -> &Handle {
        &self.1
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
