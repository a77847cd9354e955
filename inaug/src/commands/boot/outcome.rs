//! How a boot ended, and what the console says of it.

use super::stages::of_inaugurator;
use super::test_command::NO_PORT;
use crate::exit;
use serde_json::Value;

/// What a kernel says last.
const PANIC: &str = "Kernel panic - not syncing";

/// What the inaugurator says after its report, when nothing more is to be learnt from it.
const AFTER_REPORT: [&str; 2] = ["init: powering off in ", "init: rebooting in "];

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// What was waited for came, in this line.
    Reached(String),
    /// The command in the deployed system ended with this status.
    Tested(u8),
    /// The inaugurator failed and said why.
    Failed(Failure),
    /// A kernel panicked, in this line.
    Panicked(String),
    /// The machine went off before it had done what it should.
    Ended,
    /// Time was over; `testing`: the command was running.
    Deadline { seconds: u64, testing: bool },
    /// The deployed system has no way for the command to get in.
    NoPort,
    /// This command was told to stop by this signal.
    Interrupted(u8),
}

/// What the inaugurator said of its failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The stage that failed.
    stage: String,
    /// The error and its causes.
    causes: Vec<String>,
    /// The exit code of a command that fails like this.
    code: u8,
    /// The whole report.
    pub(super) report: Value,
}

/// A boot that did not end as it should.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct BootError {
    sentence: String,
    /// What to exit with.
    pub(crate) code: u8,
}

/// There was no machine in which the command could have been run.
#[derive(Debug, thiserror::Error)]
#[error("the test was not run")]
pub(crate) struct NotRun(#[source] pub(super) anyhow::Error);

impl Outcome {
    /// One word for programs.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Reached(_) => "reached",
            Self::Tested(_) => "tested",
            Self::Failed(_) => "failed",
            Self::Panicked(_) => "panicked",
            Self::Ended => "ended",
            Self::Deadline { .. } => "deadline",
            Self::NoPort => "no-port",
            Self::Interrupted(_) => "interrupted",
        }
    }

    /// What to exit with. With `is_test` there was a command to run, whose own status is told from
    /// this command's by nothing but 124, 125 and those of signals.
    pub(super) fn code(&self, is_test: bool) -> u8 {
        match self {
            Self::Reached(_) => 0,
            Self::Tested(status) => *status,
            Self::Interrupted(signal) => exit::SIGNALLED.saturating_add(*signal),
            Self::Deadline { testing, .. } if *testing || !is_test => exit::DEADLINE,
            _ if is_test => exit::NOT_RUN,
            Self::Failed(failure) => failure.code,
            _ => exit::FAILED,
        }
    }

    /// What went wrong, in a sentence; `None` if nothing did.
    pub(super) fn sentence(&self) -> Option<String> {
        Some(match self {
            Self::Reached(_) | Self::Tested(_) => return None,
            Self::Failed(Failure { stage, causes, .. }) => {
                format!("the machine failed in {stage}: {}", causes.join(": "))
            }
            Self::Panicked(line) => format!("a kernel of the machine panicked: {line}"),
            Self::Ended => "the machine went off before it had done what it should".into(),
            Self::Deadline { seconds, testing: true } => {
                format!("the test did not end within {seconds} s of power-on")
            }
            Self::Deadline { seconds, .. } => {
                format!("the machine did not get there within {seconds} s")
            }
            Self::NoPort => "the deployed system has no /dev/virtio-ports: its kernel needs \
                             virtio_console"
                .into(),
            Self::Interrupted(signal) => format!("stopped by signal {signal}"),
        })
    }

    /// The same as an error.
    pub(super) fn error(&self, is_test: bool) -> Option<BootError> {
        Some(BootError { sentence: self.sentence()?, code: self.code(is_test) })
    }
}

impl Failure {
    /// Reads the report that the inaugurator writes as one line of JSON.
    fn parse(line: &str) -> Option<Self> {
        let report: Value =
            serde_json::from_str(line.strip_prefix("{\"stage\":").and(Some(line))?).ok()?;
        let text = |key: &str| report.get(key).and_then(Value::as_str);
        let causes = report.get("causes")?.as_array()?;
        let causes = causes.iter().filter_map(|cause| Some(cause.as_str()?.to_owned())).collect();
        let stage = text("stage")?.to_owned();
        let code = text("category").map_or_else(|| code_of_stage(&stage), code_of_category);
        Some(Self { stage, causes, code, report })
    }
}

fn code_of_category(category: &str) -> u8 {
    match category {
        "usage" => exit::USAGE,
        "verification" => exit::VERIFICATION,
        "network" => exit::NETWORK,
        "storage" => exit::STORAGE,
        "refused" => exit::REFUSED,
        _ => exit::FAILED,
    }
}

/// What is likely where an inaugurator does not say it.
fn code_of_stage(stage: &str) -> u8 {
    match stage {
        "config" => exit::USAGE,
        "net" | "label" => exit::NETWORK,
        "disk" => exit::REFUSED,
        "write" | "settle" => exit::STORAGE,
        "verify" => exit::VERIFICATION,
        _ => exit::FAILED,
    }
}

/// Something on the console that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sign {
    /// What is waited for.
    Goal(String),
    /// The end of the boot.
    End(Outcome),
}

/// Looks for signs, line by line.
#[derive(Debug)]
pub(super) struct Signs {
    /// The text that is waited for; `None` is a login prompt.
    expect: Option<String>,
    failure: Option<Failure>,
    /// The plan, without its clock.
    plan: Vec<String>,
}

/// Lines of a plan that are kept: it has one screen.
const PLAN_MAX_LINES: usize = 64;

impl Signs {
    pub(super) fn new(expect: Option<String>) -> Self {
        Self { expect, failure: None, plan: Vec::new() }
    }

    /// A line as far as it has come: a prompt has no end.
    pub(super) fn part(&self, line: &str) -> Option<Sign> {
        let is_goal = match &self.expect {
            Some(text) => line.contains(text.as_str()),
            None => is_login(line),
        };
        is_goal.then(|| Sign::Goal(line.trim().to_owned()))
    }

    /// A whole line.
    pub(super) fn line(&mut self, line: &str) -> Option<Sign> {
        if let Some(plan) = of_inaugurator(line).and_then(|said| said.strip_prefix("plan: ")) {
            let is_kept = self.plan.len() < PLAN_MAX_LINES && !plan.contains('%');
            self.plan.extend(is_kept.then(|| plan.trim_end().to_owned()));
        }
        if let Some(failure) = Failure::parse(line) {
            self.failure = Some(failure);
        }
        if line.contains(PANIC) {
            return Some(Sign::End(Outcome::Panicked(line.trim().to_owned())));
        }
        if line.starts_with(NO_PORT) {
            return Some(Sign::End(Outcome::NoPort));
        }
        let said = of_inaugurator(line).unwrap_or_default();
        if AFTER_REPORT.iter().any(|text| said.starts_with(text)) {
            return self.failure.clone().map(|failure| Sign::End(Outcome::Failed(failure)));
        }
        self.part(line)
    }

    /// What to make of a machine that is off.
    pub(super) fn at_end(&self) -> Outcome {
        self.failure.clone().map_or(Outcome::Ended, Outcome::Failed)
    }

    /// The plan's lines.
    pub(super) fn into_plan(self) -> Vec<String> {
        self.plan
    }
}

/// `HOST login:`, as getty(8) asks.
fn is_login(line: &str) -> bool {
    let Some((host, rest)) = line.split_once(" login:") else { return false };
    !host.is_empty() && !host.contains(' ') && (rest.is_empty() || rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "{\"stage\":\"net\",\"category\":\"network\",\"causes\":[\"no card\",\"no \
                          answer\"],\"attempt\":1}";

    fn outcome(expect: Option<&str>, lines: &[&str]) -> Option<Sign> {
        let mut signs = Signs::new(expect.map(str::to_owned));
        lines.iter().find_map(|line| signs.line(line))
    }

    #[test]
    fn consoles_tell_the_outcome() {
        let failed = |lines: &[&str]| match outcome(None, lines) {
            Some(Sign::End(Outcome::Failed(failure))) => Some((failure.stage, failure.code)),
            _ => None,
        };
        let off = "[   13.001] init: powering off in 10 s; press Enter to stop here";
        assert_eq!(failed(&[REPORT, "== FAILED: net", off]), Some(("net".into(), exit::NETWORK)));
        assert_eq!(failed(&[off]), None);
        for (stage, category, code) in [
            ("disk", "refused", exit::REFUSED),
            ("plan", "storage", exit::STORAGE),
            ("config", "usage", exit::USAGE),
            ("verify", "verification", exit::VERIFICATION),
            ("kexec", "other", exit::FAILED),
        ] {
            let report =
                format!("{{\"stage\":\"{stage}\",\"category\":\"{category}\",\"causes\":[]}}");
            assert_eq!(failed(&[&report, off]), Some((stage.into(), code)));
        }
        let old = "{\"stage\":\"verify\",\"causes\":[\"x\"],\"attempt\":1}";
        assert_eq!(failed(&[old, off]), Some(("verify".into(), exit::VERIFICATION)));

        let goal = |line: &str| Some(Sign::Goal(line.to_owned()));
        assert_eq!(outcome(None, &["Debian", "debian login: "]), goal("debian login:"));
        assert_eq!(outcome(None, &["a b login: ", "login: ", "x login:y"]), None);
        assert_eq!(outcome(Some("hello"), &["x login:", "say hello now"]), goal("say hello now"));
        let panic = "[    1.2] Kernel panic - not syncing: VFS";
        let expected = Sign::End(Outcome::Panicked(panic.into()));
        assert_eq!(outcome(None, &[panic]), Some(expected));
        let no_port = Sign::End(Outcome::NoPort);
        assert_eq!(outcome(None, &[NO_PORT]), Some(no_port));
    }

    #[test]
    fn exit_codes_follow_the_outcome() {
        let mut signs = Signs::new(None);
        signs.line(REPORT);
        let failed = signs.at_end();
        assert_eq!(failed.sentence().unwrap(), "the machine failed in net: no card: no answer");
        let deadline = |testing| Outcome::Deadline { seconds: 9, testing };
        for (outcome, alone, with_test) in [
            (Outcome::Reached("x login:".into()), 0, 0),
            (Outcome::Tested(7), 7, 7),
            (failed, 4, 125),
            (Outcome::Ended, 1, 125),
            (Outcome::Panicked("x".into()), 1, 125),
            (Outcome::NoPort, 1, 125),
            (deadline(false), 124, 125),
            (deadline(true), 124, 124),
            (Outcome::Interrupted(2), 130, 130),
            (Outcome::Interrupted(15), 143, 143),
        ] {
            assert_eq!(
                (outcome.code(false), outcome.code(true)),
                (alone, with_test),
                "{outcome:?}"
            );
        }
    }

    #[test]
    fn the_plan_is_kept_without_its_clock() {
        let mut signs = Signs::new(None);
        for line in [
            "[    3.285] plan: disk    /dev/vda: new",
            "[    3.1] plan: no",
            "[    3.286] plan: 50% read",
        ] {
            signs.line(line);
        }
        assert_eq!(signs.into_plan(), ["disk    /dev/vda: new"]);
    }

    #[test]
    fn the_report_is_serialised_as_it_came() {
        let Some(failure) = Failure::parse(REPORT) else { panic!("no report") };
        assert_eq!(failure.report["attempt"], 1);
        assert_eq!(Failure::parse("{\"other\":1}"), None);
        assert_eq!(Failure::parse("{\"stage\":\"net\",\"causes\":[\"cut"), None);
    }
}
