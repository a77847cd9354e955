//! Follows a machine until it has done what it should, or cannot any more.

use super::outcome::{Outcome, Sign, Signs};
use super::output::TestOutput;
use super::show::Show;
use super::stages::Stages;
use super::test_command::{Port, Said, script};
use machine::{After, Console, Running};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

/// What happens to be said in one piece.
const BLOCK_BYTES: usize = 16 << 10;

/// The longest line that is looked at, bytes: a failure report has some 20 KiB.
const LINE_MAX_BYTES: usize = 1 << 20;

/// Events that wait to be seen to, each of at most a block or the console's memory: then whoever
/// has more waits, the machine last of all.
pub(super) const EVENTS_WAITING: usize = 64;

/// Something happened.
pub(super) enum Event {
    /// The console says more.
    Console(Vec<u8>),
    /// The machine is off.
    Off,
    /// Bytes came out of a port.
    Port(Port, Vec<u8>),
    /// This command was sent a signal.
    Signal(u8),
}

/// What there was to see.
pub(super) struct Seen {
    pub(super) outcome: Outcome,
    pub(super) stages: Stages,
    pub(super) plan: Vec<String>,
    /// What the deployed system called itself when the test began.
    pub(super) system: Option<String>,
    pub(super) took: Duration,
}

/// What to wait for.
pub(super) struct Wanted<'a> {
    pub(super) expect: Option<String>,
    pub(super) test: Option<&'a OsStr>,
    pub(super) timeout_s: u64,
}

/// Tells `send` what the machine says, from threads that end with it.
pub(super) fn listen(machine: &mut Running, test: Option<&OsStr>, send: &SyncSender<Event>) {
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
    for which in [Port::Stdout, Port::Stderr, Port::Status] {
        if let Some(port) = machine.take_port(which as usize) {
            let events = send.clone();
            thread::spawn(move || relay(port, which, &events));
        }
    }
}

fn follow(console: &Console, events: &SyncSender<Event>) {
    // Longer than any deadline; the machine's end ends it.
    const EVER: Duration = Duration::from_secs(1 << 20);
    let mut from = 0;
    loop {
        let event = match console.after(from, Instant::now() + EVER) {
            After::Said { text, end } => {
                from = end;
                Event::Console(text)
            }
            After::Closed | After::Deadline => Event::Off,
        };
        let is_off = matches!(event, Event::Off);
        if events.send(event).is_err() || is_off {
            return;
        }
    }
}

fn relay(mut port: UnixStream, which: Port, events: &SyncSender<Event>) {
    let mut block = vec![0; BLOCK_BYTES];
    while let Ok(length @ 1..) = port.read(&mut block) {
        if events.send(Event::Port(which, block[..length].to_vec())).is_err() {
            return;
        }
    }
}

/// Watches until the end. What the test says goes to `output` as it comes.
pub(super) fn watch(
    wanted: &Wanted<'_>,
    events: &Receiver<Event>,
    show: &mut Show,
    output: &mut TestOutput,
) -> Seen {
    let began = Instant::now();
    let mut watch = Watch {
        is_test: wanted.test.is_some(),
        signs: Signs::new(wanted.expect.clone()),
        stages: Stages::default(),
        system: None,
        line: Vec::new(),
        status: Vec::new(),
        began,
        show,
        output,
    };
    let deadline = began + Duration::from_secs(wanted.timeout_s);
    let outcome = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = match events.recv_timeout(left) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => {
                let (seconds, testing) = (wanted.timeout_s, watch.system.is_some());
                break Outcome::Deadline { seconds, testing };
            }
            Err(RecvTimeoutError::Disconnected) => Event::Off,
        };
        if let Some(outcome) = watch.see(event) {
            break outcome;
        }
    };
    watch.show.close();
    let Watch { signs, stages, system, .. } = watch;
    Seen { outcome, stages, plan: signs.into_plan(), system, took: began.elapsed() }
}

struct Watch<'a> {
    is_test: bool,
    signs: Signs,
    stages: Stages,
    system: Option<String>,
    /// A line of the console, as far as it has come.
    line: Vec<u8>,
    /// The same of the script.
    status: Vec<u8>,
    began: Instant,
    show: &'a mut Show,
    output: &'a mut TestOutput,
}

impl Watch<'_> {
    fn see(&mut self, event: Event) -> Option<Outcome> {
        match event {
            Event::Console(text) => self.console(&text),
            Event::Off => Some(self.signs.at_end()),
            Event::Port(Port::Status, bytes) => self.status(&bytes),
            Event::Port(which, bytes) => {
                self.show.close();
                self.output.take(which, &bytes);
                None
            }
            Event::Signal(signal) => Some(Outcome::Interrupted(signal)),
        }
    }

    fn console(&mut self, text: &[u8]) -> Option<Outcome> {
        for piece in text.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_MAX_BYTES.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            let is_whole = piece.ends_with(b"\n");
            let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
            let sign = if is_whole {
                self.line.clear();
                self.stages.line(&line, self.began.elapsed());
                self.show.line(&line);
                self.signs.line(&line)
            } else {
                self.signs.part(&line)
            };
            match sign {
                // A test is waited for, whatever else there is on the console.
                Some(Sign::Goal(_)) if self.is_test => {}
                Some(Sign::Goal(line)) => {
                    self.stages.up(self.began.elapsed());
                    self.show.landmark(&line);
                    return Some(Outcome::Reached(line));
                }
                Some(Sign::End(outcome)) => return Some(outcome),
                None => {}
            }
        }
        None
    }

    fn status(&mut self, bytes: &[u8]) -> Option<Outcome> {
        self.status.extend_from_slice(bytes);
        // Lines of ours are short; anything else is cut off.
        self.status.truncate(BLOCK_BYTES);
        while let Some(end) = self.status.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.status.drain(..=end).collect();
            match Said::parse(&String::from_utf8_lossy(&line)) {
                Some(Said::Up(state)) => {
                    self.stages.up(self.began.elapsed());
                    self.show.landmark(&format!("the system is {state}: running the test"));
                    self.system = Some(state);
                }
                Some(Said::Status(status)) => {
                    self.stages.tested(self.began.elapsed());
                    return Some(Outcome::Tested(status));
                }
                None => {}
            }
        }
        None
    }
}
