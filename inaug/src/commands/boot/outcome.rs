//! How a boot ended, and what it is worth as an exit status.

use crate::exit;
use serde_json::Value;

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
    /// The machine went off before it had done what it should; where it said why, so.
    Ended(Option<String>),
    /// Time was over.
    Deadline { seconds: u64 },
    /// The deployed system has no way for the command to get in.
    NoPort,
    /// The command got in, and could not be started there for this reason.
    NotStarted(String),
    /// The machine took another manifest than was looked at before it was started.
    Changed { label: String, expected: Vec<String>, found: String },
    /// This command was told to stop by this signal.
    Interrupted(u8),
}

/// The command that is to be run in the deployed system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// There is none.
    None,
    /// It has not begun.
    Waiting,
    /// It has.
    Begun,
}

/// What the inaugurator said of its failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The stage that failed.
    pub(super) stage: String,
    /// The error and its causes.
    causes: Vec<String>,
    /// The exit code of a command that fails like this.
    pub(super) code: u8,
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
            Self::Ended(_) => "ended",
            Self::Deadline { .. } => "deadline",
            Self::NoPort => "no-port",
            Self::NotStarted(_) => "not-started",
            Self::Changed { .. } => "changed",
            Self::Interrupted(_) => "interrupted",
        }
    }

    /// What to exit with. Where there was a command to run, its own status is told from this
    /// command's by nothing but 123, 124, 125 and those of signals.
    pub(super) fn code(&self, test: Test) -> u8 {
        match (self, test) {
            (Self::Reached(_), _) => 0,
            (Self::Tested(status), _) => *status,
            (Self::Interrupted(signal), _) => exit::SIGNALLED.saturating_add(*signal),
            (_, Test::Waiting) => exit::NOT_RUN,
            (Self::Deadline { .. }, _) => exit::DEADLINE,
            (_, Test::Begun) => exit::UNFINISHED,
            (Self::Failed(failure), Test::None) => failure.code,
            (_, Test::None) => exit::FAILED,
        }
    }

    /// What went wrong, in a sentence; `None` if nothing did.
    pub(super) fn sentence(&self, test: Test) -> Option<String> {
        let what = match self {
            Self::Reached(_) | Self::Tested(_) => return None,
            Self::Failed(Failure { stage, causes, .. }) => {
                format!("the machine failed in {stage}: {}", causes.join(": "))
            }
            Self::Panicked(line) => format!("a kernel of the machine panicked: {line}"),
            Self::Ended(why) => {
                let ended = "the machine went off before it had done what it should";
                why.as_ref().map_or_else(|| ended.into(), |why| format!("{ended}: {why}"))
            }
            Self::Deadline { seconds } if test == Test::Begun => {
                return Some(format!("the test did not end within {seconds} s of the start"));
            }
            Self::Deadline { seconds } => {
                format!("the machine did not get there within {seconds} s")
            }
            Self::NoPort => "the deployed system has no /dev/virtio-ports: its kernel needs \
                             virtio_console"
                .into(),
            Self::NotStarted(why) => {
                format!("the deployed system cannot take the test: {why}")
            }
            Self::Changed { label, expected, found } => {
                let expected = expected.join(" or ");
                format!("label {label} changed meanwhile: expected {expected}, found {found}")
            }
            Self::Interrupted(signal) => format!("stopped by signal {signal}"),
        };
        let begun = if test == Test::Begun { "the test had begun and did not end: " } else { "" };
        Some(format!("{begun}{what}"))
    }

    /// The same as an error.
    pub(super) fn error(&self, test: Test) -> Option<BootError> {
        Some(BootError { sentence: self.sentence(test)?, code: self.code(test) })
    }
}

impl Failure {
    /// Reads the report that the inaugurator writes as one line of JSON.
    pub(super) fn parse(line: &str) -> Option<Self> {
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

#[cfg(test)]
mod tests {
    use super::Test::{Begun, None, Waiting};
    use super::*;

    const REPORT: &str = "{\"stage\":\"net\",\"category\":\"network\",\"causes\":[\"no card\",\"no \
                          answer\"],\"attempt\":1}";

    #[test]
    fn exit_codes_follow_the_outcome() {
        let failed = Outcome::Failed(Failure::parse(REPORT).unwrap());
        let sentence = "the machine failed in net: no card: no answer";
        assert_eq!(failed.sentence(None).unwrap(), sentence);
        let changed = Outcome::Changed {
            label: "a".into(),
            expected: vec!["1".into(), "2".into()],
            found: "3".into(),
        };
        let sentence = "label a changed meanwhile: expected 1 or 2, found 3";
        assert_eq!(changed.sentence(None).unwrap(), sentence);
        for (outcome, alone, waiting, begun) in [
            (Outcome::Reached("x login:".into()), 0, 0, 0),
            (Outcome::Tested(7), 7, 7, 7),
            (failed, 4, 125, 123),
            (changed, 1, 125, 123),
            (Outcome::Ended(Option::None), 1, 125, 123),
            (Outcome::Panicked("x".into()), 1, 125, 123),
            (Outcome::NoPort, 1, 125, 123),
            (Outcome::NotStarted("mktemp -d: full".into()), 1, 125, 123),
            (Outcome::Deadline { seconds: 9 }, 124, 125, 124),
            (Outcome::Interrupted(2), 130, 130, 130),
            (Outcome::Interrupted(15), 143, 143, 143),
        ] {
            let found = [None, Waiting, Begun].map(|test| outcome.code(test));
            assert_eq!(found, [alone, waiting, begun], "{outcome:?}");
        }
    }

    #[test]
    fn a_test_that_had_begun_is_said_to_have() {
        for (outcome, waiting, begun) in [
            (
                Outcome::Ended(Option::None),
                "the machine went off before it had done what it should",
                "the test had begun and did not end: the machine went off before it had done what \
                 it should",
            ),
            (
                Outcome::Deadline { seconds: 9 },
                "the machine did not get there within 9 s",
                "the test did not end within 9 s of the start",
            ),
        ] {
            assert_eq!(outcome.sentence(Waiting).unwrap(), waiting);
            assert_eq!(outcome.sentence(Begun).unwrap(), begun);
        }
    }

    #[test]
    fn the_report_is_serialised_as_it_came() {
        let Some(failure) = Failure::parse(REPORT) else { panic!("no report") };
        assert_eq!(failure.report["attempt"], 1);
        assert_eq!(Failure::parse("{\"other\":1}"), Option::None);
        assert_eq!(Failure::parse("{\"stage\":\"net\",\"causes\":[\"cut"), Option::None);
    }
}
