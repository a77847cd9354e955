//! `log`: what init said, and what the kernel did.

use std::collections::VecDeque;
use std::time::Duration;

use super::pages::Ended;
use super::screen::PAGE_ROWS;
use super::{Halt, Session};
use crate::clock::stamp;
use crate::kmsg;
use crate::report::{WIDTH, wrap};

/// Lines of the kernel's that are kept: some ten pages.
const KERNEL_LINES: usize = 250;

/// Pages of a log at most.
const PAGES_MAX: usize = 50;

impl Session<'_> {
    pub(super) fn log(&self, rest: &str) -> Result<(), Halt> {
        let (is_kernel, mut search) = match rest.split_once(' ').unwrap_or((rest, "")) {
            ("kernel", search) => (true, search.trim().to_string()),
            _ => (false, rest.to_string()),
        };
        let all = if is_kernel { kernel() } else { self.machine.console.log() };
        loop {
            let found: Vec<String> = all
                .iter()
                .filter(|line| line.to_lowercase().contains(&search.to_lowercase()))
                .flat_map(|line| wrap(line, WIDTH))
                .collect();
            if found.is_empty() {
                self.show(&format!("no line has {search:?} in it\n"));
                return Ok(());
            }
            let last = found.len().saturating_sub(PAGE_ROWS * PAGES_MAX);
            let title = if is_kernel { "the kernel's log" } else { "log" };
            match self.newest(title, &found[last..])? {
                Ended::Search(text) => search = text,
                Ended::Over | Ended::Choice(_) => return Ok(()),
            }
        }
    }
}

/// The kernel's last lines, without ours that it keeps.
fn kernel() -> Vec<String> {
    let mut lines = VecDeque::new();
    let read = kmsg::records(|record| {
        lines.extend(line(record));
        if lines.len() > KERNEL_LINES {
            lines.pop_front();
        }
    });
    if read.is_err() {
        return vec!["/dev/kmsg cannot be read".into()];
    }
    lines.into()
}

/// A record of the log as a line.
fn line(record: &str) -> Option<String> {
    let (fields, rest) = record.split_once(';')?;
    let micros = fields.split(',').nth(2)?.parse().ok()?;
    let text = rest.lines().next().unwrap_or_default();
    let is_ours = text.starts_with("inaugurator: ");
    (!is_ours).then(|| format!("{}{text}", stamp(Duration::from_micros(micros))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_lines() {
        let table = [
            (
                "6,339,5140900,-;NET: Registered PF_INET6\n SUBSYSTEM=x\n",
                Some("[    5.140] NET: Registered PF_INET6"),
            ),
            ("15,1,2000000,-;inaugurator: init: hello\n", None),
            ("6,1;x", None),
            ("", None),
        ];
        for (record, expected) in table {
            assert_eq!(line(record).as_deref(), expected, "{record}");
        }
    }
}
