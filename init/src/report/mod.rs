//! The failure report: one screen of 80 by 24 for a person, and one line of JSON
//! with the same facts for a program. Pure functions of a [`Report`].

pub(crate) mod date;
mod facts;

use std::error::Error;

use deploy::disks::size_text;
use serde::Serialize;

use crate::net::TABLE_HEAD;

pub(crate) use facts::{ANSWER, answer, look, memory};
pub use facts::{Facts, memory_available, memory_now};

/// A failure, with all that is known around it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The stage that failed.
    pub stage: String,
    /// What kind of failure it is, in the words of the operator's command: `usage`, `network`,
    /// `verification`, `storage`, `refused` or `other`.
    pub category: String,
    /// The error and its causes, outermost first.
    pub causes: Vec<String>,
    /// Which attempt this was, from 1.
    pub attempt: u32,
    /// The machine.
    #[serde(flatten)]
    pub facts: Facts,
}

/// Columns used: one less than the screen's 80, since some consoles wrap when
/// the last one is written.
pub(crate) const WIDTH: usize = 79;
/// Rows used: one is left for what init says next.
const HEIGHT: usize = 23;
/// Rows for the error; what does not fit is in the JSON.
const CAUSE_ROWS: usize = 8;
/// The same where it is the table of all NICs.
const TABLE_ROWS: usize = 15;
/// Rows for NICs, and for disks.
const DEVICE_ROWS: usize = 3;
/// Rows for devices without a driver.
const DRIVERLESS_ROWS: usize = 2;

/// Errors deep in each other at most this far.
const MAX_CAUSES: usize = 16;

/// An error and its causes, outermost first; a cause that its error already
/// says is left out.
pub fn causes(error: &dyn Error) -> Vec<String> {
    let chain = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    let mut texts: Vec<String> = Vec::new();
    for text in chain.take(MAX_CAUSES).map(ToString::to_string) {
        if !texts.last().is_some_and(|outer| outer.contains(&text)) {
            texts.push(text);
        }
    }
    texts
}

/// The screen.
pub fn screen(report: &Report) -> String {
    let mut rows = head(report);
    let facts = &report.facts;
    if !has_table(report) {
        rows.extend(listed("NIC", &facts.nics, DEVICE_ROWS, "none: no driver, or no card"));
    }
    rows.extend(listed("disk", &facts.disks, DEVICE_ROWS, "none: no driver, or no disk"));
    rows.extend(listed("?", &facts.driverless, DRIVERLESS_ROWS, ""));
    rows.push(machine(facts));
    let left = HEIGHT.saturating_sub(rows.len() + 1);
    let last = facts.events.len().saturating_sub(left);
    rows.push(String::from("last events:"));
    rows.extend(facts.events[last..].iter().map(|event| format!("  {event}")));
    rows.iter().map(|row| fit(row) + "\n").collect()
}

/// One line of JSON.
pub fn json(report: &Report) -> String {
    // Fails only on maps with keys that are no text, and there are none.
    serde_json::to_string(report).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

/// Whether what failed is told by all NICs of the machine.
fn has_table(report: &Report) -> bool {
    report.causes.iter().any(|cause| cause.contains(TABLE_HEAD.trim_end()))
}

/// What failed and why.
fn head(report: &Report) -> Vec<String> {
    let Report { stage, attempt, facts, .. } = report;
    let title = format!("== FAILED: {stage} (attempt {attempt}) == Linux {} ", facts.kernel);
    let mut rows = vec![format!("{title:=<WIDTH$}")];
    let mut why = Vec::new();
    for (depth, cause) in report.causes.iter().enumerate() {
        let lead = if depth == 0 { "" } else { "because: " };
        for line in format!("{lead}{cause}").lines() {
            why.extend(wrap(line, WIDTH));
        }
    }
    let most = if has_table(report) { TABLE_ROWS } else { CAUSE_ROWS };
    if why.len() > most {
        let more = why.len() - most + 1;
        why.truncate(most - 1);
        why.push(format!("({more} more rows)"));
    }
    rows.extend(why);
    rows.push("-".repeat(WIDTH));
    rows
}

/// Devices of a kind, each with its word in front.
fn listed(word: &str, lines: &[String], most: usize, if_none: &str) -> Vec<String> {
    if lines.is_empty() && !if_none.is_empty() {
        return vec![format!("{word:5}{if_none}")];
    }
    let shown = if lines.len() > most { most - 1 } else { lines.len() };
    let mut rows: Vec<String> =
        lines[..shown].iter().map(|line| format!("{word:5}{line}")).collect();
    if shown < lines.len() {
        rows.push(format!("{word:5}and {} more", lines.len() - shown));
    }
    rows
}

fn machine(facts: &Facts) -> String {
    format!(
        "{:5}{} free of {}, clock {}, up {}.{:01} s",
        "RAM",
        size_text(facts.memory_free_bytes),
        size_text(facts.memory_bytes),
        date::utc(facts.clock_unix_s),
        facts.up_ms / 1000,
        facts.up_ms % 1000 / 100,
    )
}

/// A long line as several rows of `width` columns, broken at blanks where there are any; what
/// follows is indented by two.
pub(crate) fn wrap(line: &str, width: usize) -> Vec<String> {
    let indent = line.len() - line.trim_start().len();
    let mut rows = Vec::new();
    let mut row = String::new();
    for word in line.trim_start().split(' ') {
        let start = if rows.is_empty() { indent } else { indent + 2 };
        let used = row.chars().count();
        if row.is_empty() {
            row = " ".repeat(start) + word;
        } else if used + 1 + word.chars().count() <= width {
            row += " ";
            row += word;
        } else {
            rows.push(std::mem::take(&mut row));
            row = " ".repeat(indent + 2) + word;
        }
    }
    rows.push(row);
    rows
}

/// At most the width of a screen, with a mark where something is cut off, and
/// nothing that steers a terminal.
pub(crate) fn fit(row: &str) -> String {
    let clean: Vec<char> = row.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if clean.len() <= WIDTH {
        return clean.into_iter().collect();
    }
    clean[..WIDTH - 1].iter().chain(&['>']).collect()
}

#[cfg(test)]
mod tests;
