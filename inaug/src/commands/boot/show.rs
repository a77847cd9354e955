//! What a person sees of a boot while it goes on, on stderr. A thread of its own waits where stderr
//! is slow: the boot does not.

use super::stages::of_inaugurator;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Characters of a line that is replaced: one that wraps could not be.
const WIDTH: usize = 78;

/// What the inaugurator's lines of progress have.
const PROGRESS: &str = ", limit ";

/// Lines that wait to be shown, of which a boot has some hundred. Those that find no room are left
/// out: `console.log` has them.
const LINES_WAITING: usize = 1024;

/// How long the last of them may take.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);

/// Stderr.
pub(super) struct Show {
    is_terminal: bool,
    /// A line stands there that is to be replaced.
    is_open: bool,
    queue: SyncSender<String>,
    /// Closed when all is shown.
    shown: Receiver<()>,
}

impl Show {
    pub(super) fn new() -> Self {
        Self::on(io::stderr(), io::stderr().is_terminal())
    }

    pub(super) fn on(mut to: impl Write + Send + 'static, is_terminal: bool) -> Self {
        let (queue, lines) = sync_channel::<String>(LINES_WAITING);
        let (all, shown) = sync_channel::<()>(1);
        thread::spawn(move || {
            let _all = all;
            for line in lines {
                // Whoever closed stderr does not want to know.
                let _ = to.write_all(line.as_bytes()).and_then(|()| to.flush());
            }
        });
        Self { is_terminal, is_open: false, queue, shown }
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
        self.say(format!("   {}\n", line.trim_end()));
    }

    fn progress(&mut self, line: &str) {
        if self.is_terminal {
            let short: String = line.chars().take(WIDTH).collect();
            self.say(format!("\r\x1b[K   {short}"));
            self.is_open = true;
        }
    }

    /// Takes away a line that is to be replaced.
    pub(super) fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.say("\r\x1b[K".to_owned());
        }
    }

    /// The end of the console, where it tells why.
    pub(super) fn last_words(&mut self, console: &str, lines: usize) {
        self.close();
        let all: Vec<&str> = console.lines().collect();
        let last = &all[all.len().saturating_sub(lines)..];
        let last: Vec<&str> = last.iter().map(|line| line.trim_end()).collect();
        if !last.is_empty() {
            self.say(format!("{}\n", last.join("\n")));
        }
    }

    /// Waits until all is shown, where somebody reads it.
    pub(super) fn finish(mut self) {
        self.close();
        let Self { queue, shown, .. } = self;
        drop(queue);
        let _ = shown.recv_timeout(SHOWN_WITHIN);
    }

    fn say(&self, text: String) {
        let _ = self.queue.try_send(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_stderr_that_nobody_reads_holds_nobody_up() {
        let (_nobody, pipe) = io::pipe().unwrap();
        let mut show = Show::on(pipe, false);
        for _ in 0..4 * LINES_WAITING {
            show.landmark(&"x".repeat(1000));
        }
    }

    #[test]
    fn progress_is_replaced_on_a_terminal_and_landmarks_stay() {
        let (mut read, pipe) = io::pipe().unwrap();
        let mut show = Show::on(pipe, true);
        show.line("[    2.914] write: 50%, limit disk");
        show.line("[    2.915] write: done");
        show.line("something else");
        show.finish();
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        let expected = "\r\x1b[K   [    2.914] write: 50%, limit disk\r\x1b[K   [    2.915] write: \
                        done\n";
        assert_eq!(text, expected);
    }
}
