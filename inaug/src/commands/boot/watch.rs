//! Follows a machine until it has done what it should, or cannot any more.

use super::inbox::{Event, Inbox, Next, follow};
use super::outcome::{Outcome, Test};
use super::output::TestOutput;
use super::show::Show;
use super::signs::{Expected, Sign, Signs};
use super::stages::Stages;
use super::test_command::{Port, Said, script};
use machine::Running;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

/// The longest line that is looked at, bytes: a failure report has some 20 KiB.
const LINE_MAX_BYTES: usize = 1 << 20;

/// What the script in the machine has to say of itself is far shorter, bytes.
const STATUS_MAX_BYTES: usize = 16 << 10;

/// How long a kernel that panics may take to tell where it was: registers and a call trace, at
/// 115200 baud.
const PANIC_WITHIN: Duration = Duration::from_secs(5);

/// How long a machine's last status may take to be here when the machine is off: it is in a socket
/// already.
const STATUS_WITHIN: Duration = Duration::from_secs(5);

/// What there was to see.
pub(super) struct Seen {
    pub(super) outcome: Outcome,
    pub(super) test: Test,
    pub(super) stages: Stages,
    pub(super) plan: Vec<String>,
    /// What the deployed system called itself when the test began.
    pub(super) system: Option<String>,
    /// Something that the test started held its output when it ended.
    pub(super) left_running: bool,
    pub(super) took: Duration,
}

/// What to wait for.
pub(super) struct Wanted {
    pub(super) expect: Option<String>,
    pub(super) labels: Vec<Expected>,
    pub(super) is_test: bool,
    pub(super) deadline: Instant,
    /// What is said of the deadline.
    pub(super) timeout_s: u64,
}

/// Tells `send` and `output` what the machine says, from threads that end with it.
pub(super) fn listen(
    machine: &mut Running,
    test: Option<&OsStr>,
    output: &mut TestOutput,
    send: &SyncSender<Event>,
) {
    let (console, events) = (machine.console().clone(), send.clone());
    thread::spawn(move || follow(&console, &events));
    let Some(test) = test else { return };
    let script = script(test);
    if let Some(mut port) = machine.take_port(Port::Script as usize) {
        thread::spawn(move || {
            // The port stays open: the script ends itself. A machine that is off wants none.
            let _ = port.write_all(script.as_bytes());
            let _ = port.read(&mut [0]);
        });
    }
    for which in [Port::Stdout, Port::Stderr] {
        if let Some(port) = machine.take_port(which as usize) {
            output.take(which, port);
        }
    }
    if let Some(port) = machine.take_port(Port::Status as usize) {
        let events = send.clone();
        thread::spawn(move || relay_status(port, &events));
    }
}

fn relay_status(mut port: impl Read, events: &SyncSender<Event>) {
    let mut block = [0; 256];
    while let Ok(length @ 1..) = port.read(&mut block) {
        if events.send(Event::Status(block[..length].to_vec())).is_err() {
            return;
        }
    }
    // Where nobody listens nobody waits.
    let _ = events.send(Event::StatusEnd);
}

/// Watches until the end.
pub(super) fn watch(wanted: Wanted, inbox: &Inbox, show: &mut Show) -> Seen {
    let began = Instant::now();
    let Wanted { expect, labels, is_test, deadline, timeout_s } = wanted;
    let mut watch = Watch {
        test: if is_test { Test::Waiting } else { Test::None },
        signs: Signs::new(expect, labels),
        stages: Stages::default(),
        system: None,
        left_running: false,
        line: Vec::new(),
        status: Vec::new(),
        has_status: is_test,
        is_off: false,
        ends: None,
        deadline,
        began,
        show,
    };
    let outcome = loop {
        let outcome = match inbox.next(watch.ends.unwrap_or(deadline)) {
            Next::Event(event) => watch.see(event),
            Next::Signal(signal) => Some(Outcome::Interrupted(signal)),
            Next::Deadline if watch.ends.is_some() => Some(watch.signs.at_end()),
            Next::Deadline => Some(Outcome::Deadline { seconds: timeout_s }),
        };
        if let Some(outcome) = outcome {
            break outcome;
        }
    };
    watch.show.close();
    let Watch { signs, test, stages, system, left_running, .. } = watch;
    let (plan, took) = (signs.into_plan(), began.elapsed());
    Seen { outcome, test, stages, plan, system, left_running, took }
}

struct Watch<'a> {
    test: Test,
    signs: Signs,
    stages: Stages,
    system: Option<String>,
    left_running: bool,
    /// A line of the console, as far as it has come.
    line: Vec<u8>,
    /// The same of the script.
    status: Vec<u8>,
    /// The script may have more to say.
    has_status: bool,
    is_off: bool,
    /// When the machine's end, which is known of, is taken as it is.
    ends: Option<Instant>,
    deadline: Instant,
    began: Instant,
    show: &'a mut Show,
}

impl Watch<'_> {
    fn see(&mut self, event: Event) -> Option<Outcome> {
        match event {
            Event::Console(text) => return self.console(&text),
            Event::Status(bytes) => return self.status(&bytes),
            Event::StatusEnd => self.has_status = false,
            Event::Off => {
                self.is_off = true;
                self.ends_within(STATUS_WITHIN);
            }
            Event::Prepared(_) | Event::Woken => {}
        }
        (self.is_off && !self.has_status).then(|| self.signs.at_end())
    }

    fn ends_within(&mut self, within: Duration) {
        let ends = (Instant::now() + within).min(self.deadline);
        self.ends = Some(self.ends.map_or(ends, |known| known.min(ends)));
    }

    fn console(&mut self, text: &[u8]) -> Option<Outcome> {
        for piece in text.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_MAX_BYTES.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            let is_whole = piece.ends_with(b"\n");
            let line = String::from_utf8_lossy(&self.line);
            let line = line.strip_suffix('\n').unwrap_or(&line).to_owned();
            let sign = if is_whole {
                self.line.clear();
                self.stages.line(line.trim_end(), self.began.elapsed());
                self.show.line(line.trim_end());
                self.signs.line(&line)
            } else {
                self.signs.part(&line)
            };
            match sign {
                // A test is waited for, whatever else there is on the console.
                Some(Sign::Goal(_)) if self.test != Test::None => {}
                Some(Sign::Goal(line)) => {
                    self.stages.up(self.began.elapsed());
                    self.show.landmark(&line);
                    return Some(Outcome::Reached(line));
                }
                Some(Sign::Panic) => self.ends_within(PANIC_WITHIN),
                Some(Sign::End(outcome)) => return Some(outcome),
                None => {}
            }
        }
        None
    }

    fn status(&mut self, bytes: &[u8]) -> Option<Outcome> {
        self.status.extend_from_slice(bytes);
        // Lines of ours are short; anything else is cut off.
        self.status.truncate(STATUS_MAX_BYTES);
        while let Some(end) = self.status.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.status.drain(..=end).collect();
            match Said::parse(&String::from_utf8_lossy(&line)) {
                Some(Said::Up(state)) => {
                    self.stages.up(self.began.elapsed());
                    self.show.landmark(&format!("the system is {state}: running the test"));
                    self.system = Some(state);
                    self.test = Test::Begun;
                }
                Some(Said::Failed(why)) => return Some(Outcome::NotStarted(why)),
                Some(Said::Status { status, left_running }) => {
                    self.stages.tested(self.began.elapsed());
                    self.left_running = left_running;
                    return Some(Outcome::Tested(status));
                }
                None => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
