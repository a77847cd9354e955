//! The recovery console: a person at any of the machine's consoles looks, sets, and drives the same
//! stages as an automatic boot does.
//!
//! ```text
//! commands   what can be said           ->  Command; the menu
//! status network disks labels log       facts -> screens; pure, but for gathering the facts
//! settings   set, unset                 ->  Changes of the command line
//! ondisk     what is on the disks, started
//! deploy     questions, the plan, the stages
//! choice     what those are told          ->  Config
//! confirm    the last question            ->  the gate before the first write
//! pages      long screens, a page at a time
//! ```
//!
//! Never: a byte written before the person has typed which disk it is; an end of PID 1; a wait
//! without end on a machine that nobody sits at.

mod choice;
mod commands;
mod confirm;
mod deploy;
mod disks;
mod labels;
mod log;
mod network;
mod ondisk;
mod pages;
mod screen;
mod settings;
mod shell;
mod status;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::time::{Duration, Instant};

use store::label::LabelName;

use crate::boot::{self, Cause, Failure};
use crate::config::{Config, Mode, Settings};
use crate::console::{Answer, Keys};
use crate::machine::Machine;
use crate::net::{Card, NetError};
use crate::ondisk::Entry;
use crate::power::{self, leave};
use crate::report;
use commands::Command;

const PROMPT: &str = "recovery> ";

/// A person at the console.
struct Session<'a> {
    machine: &'a Machine,
    keys: Keys,
    /// So long after the last answer that made sense the person has left.
    patience: Option<Duration>,
    last_answer: Cell<Instant>,
    /// The labels that were listed last, by number.
    listed: Vec<LabelName>,
    /// What was listed last that can be started, by number.
    entries: Vec<Entry>,
    /// What the NICs brought when the network was raised in vain.
    heard: Vec<Card>,
    /// The last failure: its stage and causes.
    failure: Option<(String, Vec<String>)>,
}

/// Why a command ends early.
enum Halt {
    /// The stage says why.
    Failed(Failure),
    /// The person thought better of it.
    GivenUp,
    /// The person is gone.
    Nobody,
    /// The person wants another command instead.
    Instead(String),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What follows a command.
#[derive(PartialEq, Eq)]
enum Next {
    /// The next one.
    Stay,
    /// The end of the console.
    Leave(Left),
}

/// How the console was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// A person wants the boot to go on, as the settings say.
    GoOn,
    /// Nobody is there any more.
    Nobody,
}

/// Runs the console until the person says that the boot is to go on, or nobody said anything that
/// makes sense for `patience`. `failure` is what led here.
pub fn run(machine: &Machine, failure: &Failure, patience: Option<Duration>) -> Left {
    let mut session = Session::new(machine, patience);
    match failure.stopped() {
        Some(stopped) => machine.console.say("init", &format!("{stopped}: the recovery console")),
        None => session.remember(failure),
    }
    session.keys.forget_typed();
    machine.console.show(&commands::menu(env!("CARGO_PKG_VERSION")));
    loop {
        if let Next::Leave(left) = session.turn() {
            return left;
        }
    }
}

impl<'a> Session<'a> {
    fn new(machine: &'a Machine, patience: Option<Duration>) -> Self {
        Self {
            machine,
            keys: Keys::take(&machine.console),
            patience,
            last_answer: Cell::new(Instant::now()),
            listed: Vec::new(),
            entries: Vec::new(),
            heard: Vec::new(),
            failure: None,
        }
    }

    /// One command.
    fn turn(&mut self) -> Next {
        let mut line = match self.keys.ask(PROMPT, self.until()) {
            Answer::Line(line) => line,
            Answer::Cancelled => return Next::Stay,
            Answer::Nobody => return Next::Leave(Left::Nobody),
        };
        if line.is_empty() {
            return Next::Stay;
        }
        loop {
            let (command, rest) = match commands::parse(&line) {
                Ok(parsed) => parsed,
                Err(answer) => {
                    self.show(&answer);
                    return Next::Stay;
                }
            };
            self.makes_sense();
            match self.obey(command, rest) {
                Ok(next) => return next,
                Err(instead) => line = instead,
            }
        }
    }

    /// Does a command; the error is another one that is wanted instead.
    fn obey(&mut self, command: Command, rest: &str) -> Result<Next, String> {
        let mut done = Ok(());
        match command {
            Command::Status => self.status(),
            Command::Network => done = self.network(rest),
            Command::Disks => done = self.disks(),
            Command::Labels => done = self.labels(rest),
            Command::Plan => done = self.deploy(rest, Mode::Plan),
            Command::Deploy => done = self.deploy(rest, Mode::Deploy),
            Command::Live => done = self.live(rest),
            Command::Boot => done = self.boot(rest),
            Command::Set => self.set(rest),
            Command::Unset => self.unset(rest),
            Command::Log => done = self.log(rest),
            Command::GoOn if self.is_asked_for() => done = self.deploy("", Mode::Deploy),
            Command::GoOn => return Ok(self.go_on()),
            Command::Reboot => leave(power::Leave::Reboot, &self.machine.console),
            Command::PowerOff => leave(power::Leave::PowerOff, &self.machine.console),
            Command::Shell => self.shell(),
            Command::Help => self.show(&commands::menu(env!("CARGO_PKG_VERSION"))),
        }
        match done {
            Ok(()) => {}
            Err(Halt::GivenUp) => {
                self.show("given up\n");
                return Ok(Next::Stay);
            }
            Err(Halt::Nobody) => return Ok(Next::Leave(Left::Nobody)),
            Err(Halt::Instead(line)) => return Err(line),
            Err(Halt::Failed(failure)) => self.failed(&failure),
        }
        // What took long was no absence.
        self.makes_sense();
        Ok(Next::Stay)
    }

    /// Shows why a stage ended here, as an automatic boot would, and comes back to the menu.
    fn failed(&mut self, failure: &Failure) {
        if let Some(stopped) = failure.stopped() {
            self.say(&stopped.to_string());
            return;
        }
        self.show(&report::screen(&boot::report(self.machine, failure, 1)));
        self.remember(failure);
    }

    fn remember(&mut self, failure: &Failure) {
        if let Cause::Network(NetError::NoNetwork(heard)) = &*failure.cause {
            self.heard.clone_from(&heard.cards);
        }
        self.failure = Some((failure.stage.to_string(), failure.causes()));
    }

    /// Whether the settings lead to this console and to nothing else: then a person decides what
    /// is written.
    fn is_asked_for(&self) -> bool {
        let mode = match Settings::parse(&self.machine.said()) {
            Ok(settings) => settings.mode,
            Err(mistakes) => mistakes.mode,
        };
        mode == Mode::Recovery
    }

    /// Whether the boot can go on by the settings; says what they lack.
    fn go_on(&mut self) -> Next {
        match Config::parse(&self.machine.said()) {
            Ok(_) => Next::Leave(Left::GoOn),
            Err(mistakes) => {
                self.show(&format!("{mistakes}\n"));
                Next::Stay
            }
        }
    }

    /// Asks something else than a command. Whether the answer makes sense is for the caller to say.
    fn ask(&self, prompt: &str) -> Result<String, Halt> {
        match self.keys.ask(prompt, self.until()) {
            Answer::Line(line) => Ok(line),
            Answer::Cancelled => Err(Halt::GivenUp),
            Answer::Nobody => Err(Halt::Nobody),
        }
    }

    /// The last answer is a person's: what a line's noise says makes no sense for long.
    fn makes_sense(&self) {
        self.last_answer.set(Instant::now());
    }

    fn until(&self) -> Option<Instant> {
        self.patience.map(|patience| self.last_answer.get() + patience)
    }

    fn show(&self, screen: &str) {
        self.machine.console.show(screen);
    }

    /// Shows text of any length, no more of it than a screen has rows for.
    fn show_rows(&self, text: &str) {
        let mut rows: Vec<String> =
            text.lines().flat_map(|line| report::wrap(line, report::WIDTH)).collect();
        if rows.len() > screen::PAGE_ROWS {
            rows.truncate(screen::PAGE_ROWS - 1);
            rows.push("...".into());
        }
        self.show(&format!("{}\n", rows.join("\n")));
    }

    fn say(&self, text: &str) {
        self.machine.console.say("init", text);
    }
}
