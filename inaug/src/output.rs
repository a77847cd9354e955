//! What is printed: one answer on stdout, progress on stderr where a person sits.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::cell::Cell;
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// Where answers, failures and progress go.
pub(crate) struct Output {
    json: bool,
    /// There is one document: a command that has answered and fails then, has said it all.
    answered: Cell<bool>,
}

/// Standard output could not be written: its reader is gone, or its disk is full.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(crate) struct StdoutError(#[from] pub(crate) io::Error);

impl Output {
    /// With `json`, answers are JSON documents.
    pub(crate) fn new(json: bool) -> Self {
        Self { json, answered: Cell::new(false) }
    }

    /// Whether answers are JSON documents.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the answer: the document, or the same as text.
    pub(crate) fn answer<T>(&self, document: &T) -> Result<(), StdoutError>
    where
        T: Serialize + fmt::Display,
    {
        self.answered.set(true);
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, document).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            write!(out, "{document}")?;
        }
        Ok(out.flush()?)
    }

    /// Prints why the command failed: the error and its causes, each once, and with `--json`
    /// the same as a document.
    pub(crate) fn failure(&self, error: &anyhow::Error, exit_code: u8) {
        let document = Failure::of(error, exit_code);
        // Whoever closed stdout or stderr does not want to know.
        if self.json && !self.answered.get() {
            let mut out = io::stdout().lock();
            let _ = serde_json::to_writer_pretty(&mut out, &document);
            let _ = writeln!(out);
        }
        let mut err = io::stderr().lock();
        for (number, sentence) in document.error.iter().enumerate() {
            let lead = if number == 0 { "inaug: " } else { "  because: " };
            let _ = writeln!(err, "{lead}{sentence}");
        }
    }

    /// Says something that does not stop the command.
    pub(crate) fn warning(text: &str) {
        let _ = writeln!(io::stderr().lock(), "inaug: warning: {text}");
    }

    /// Says what is being done where that takes time.
    pub(crate) fn note(text: &str) {
        let _ = writeln!(io::stderr().lock(), "inaug: {text}");
    }

    /// A bar of `total` bytes on stderr, if that is a terminal; else nothing is drawn.
    pub(crate) fn bar(verb: &str, total_bytes: u64) -> ProgressBar {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(total_bytes), target);
        // The template is a constant and parses; without it the bar is merely plainer.
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(verb.to_owned());
        bar
    }
}

/// No colours, so `NO_COLOR` has nothing to turn off.
const BAR: &str = "{prefix} [{wide_bar}] {binary_bytes} of {binary_total_bytes} \
                   {binary_bytes_per_sec} {eta} {msg}";

/// What `--json` prints when a command fails.
#[derive(Serialize)]
pub(crate) struct Failure {
    schema: &'static str,
    exit_code: u8,
    /// The error first, then its causes.
    error: Vec<String>,
}

impl Failure {
    pub(crate) fn of(error: &anyhow::Error, exit_code: u8) -> Self {
        let mut chain: Vec<String> = error.chain().map(ToString::to_string).collect();
        chain.dedup();
        Self { schema: "inaug/failure/1", exit_code, error: chain }
    }
}
