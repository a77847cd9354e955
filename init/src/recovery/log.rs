//! `log`: what init said, and what the kernel did.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use super::pages::Ended;
use super::screen::PAGE_ROWS;
use super::{Halt, Session};
use crate::clock::stamp;
use crate::report::{WIDTH, wrap};

/// Lines of the kernel's that are kept: some ten pages.
const KERNEL_LINES: usize = 250;

/// Records read at most: the kernel's buffer has room for fewer, but goes on being written to.
const RECORDS_MAX: usize = 100_000;

/// Pages of a log at most.
const PAGES_MAX: usize = 50;

/// A record with its fields, as `/dev/kmsg` gives it at most.
const RECORD_MAX_BYTES: usize = 8192;

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
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let opened = OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg");
    let Ok(mut file) = opened else { return vec!["/dev/kmsg cannot be read".into()] };
    let mut lines = VecDeque::new();
    let mut record = vec![0; RECORD_MAX_BYTES];
    for _ in 0..RECORDS_MAX {
        match file.read(&mut record) {
            Ok(count) => lines.extend(line(&String::from_utf8_lossy(&record[..count]))),
            // Overwritten before it was read: the next one is there.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(_) => break,
        }
        if lines.len() > KERNEL_LINES {
            lines.pop_front();
        }
    }
    lines.into()
}

/// A record (`LEVEL,NUMBER,MICROSECONDS,...;TEXT`, Documentation/ABI/testing/dev-kmsg) as a line.
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
