//! What a person sees of a boot while it goes on, on stderr.

use super::stages::of_inaugurator;
use std::io::{self, IsTerminal, Write};

/// Characters of a line that is replaced: one that wraps could not be.
const WIDTH: usize = 78;

/// What the inaugurator's lines of progress have.
const PROGRESS: &str = ", limit ";

/// Stderr.
pub(super) struct Show {
    is_terminal: bool,
    /// A line stands there that is to be replaced.
    is_open: bool,
}

impl Show {
    pub(super) fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal(), is_open: false }
    }

    /// A whole line of the console: landmarks stay, progress is replaced by what comes next and
    /// only on a terminal, and the rest is in the log.
    pub(super) fn line(&mut self, line: &str) {
        match of_inaugurator(line) {
            Some(said) if said.contains(PROGRESS) => self.progress(line),
            Some(_) => self.landmark(line),
            None if line.starts_with("[    0.000000] Linux version ") => {
                self.landmark(line.split(" (").next().unwrap_or(line));
            }
            None if line.starts_with("Welcome to ") => self.landmark(line),
            None => {}
        }
    }

    /// A line that stays.
    pub(super) fn landmark(&mut self, line: &str) {
        self.close();
        // Whoever closed stderr does not want to know.
        let _ = writeln!(io::stderr().lock(), "   {}", line.trim_end());
    }

    fn progress(&mut self, line: &str) {
        if self.is_terminal {
            let short: String = line.chars().take(WIDTH).collect();
            let mut err = io::stderr().lock();
            let _ = write!(err, "\r\x1b[K   {short}").and_then(|()| err.flush());
            self.is_open = true;
        }
    }

    /// Takes away a line that is to be replaced.
    pub(super) fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }

    /// The end of the console, where it tells why.
    pub(super) fn last_words(&mut self, console: &str, lines: usize) {
        self.close();
        let all: Vec<&str> = console.lines().collect();
        let mut err = io::stderr().lock();
        for line in &all[all.len().saturating_sub(lines)..] {
            let _ = writeln!(err, "{}", line.trim_end());
        }
    }
}
