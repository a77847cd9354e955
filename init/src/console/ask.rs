//! A question to whoever sits at one of the consoles.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use super::line::Typed;
use super::tty::Tty;
use super::{Console, Inner};

/// How often a console that hung up is opened again. It only matters while somebody is asked.
const OPEN_AGAIN: Duration = Duration::from_secs(5);

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A line, without blanks around it.
    Line(String),
    /// Ctrl-C.
    Cancelled,
    /// Nobody typed anything for as long as was waited.
    Nobody,
}

/// While this is there, the consoles hand over every key at once and do not show it; then they
/// have their former settings again.
#[derive(Debug)]
pub struct Keys(Arc<Console>);

impl Keys {
    /// Takes the keys of all consoles one by one.
    pub fn take(console: &Arc<Console>) -> Self {
        let mut inner = console.lock();
        inner.keys += 1;
        if inner.keys == 1 {
            inner.ttys.iter_mut().for_each(Tty::take_keys);
        }
        drop(inner);
        Self(Arc::clone(console))
    }

    /// Forgets what was typed so far: it was not meant as an answer.
    pub fn forget_typed(&self) {
        self.0.lock().ttys.iter_mut().for_each(Tty::forget_typed);
    }

    /// Asks for a line on every console; the first that is entered on any of them is the answer,
    /// and is shown on all. Without `until` there is no end: keys alone do not put it off, for a
    /// line's noise is no person.
    pub fn ask(&self, prompt: &str, until: Option<Instant>) -> Answer {
        self.0.lock().ask(prompt);
        loop {
            let found = self.0.lock().typed();
            if let Some((_, answer)) = found {
                return answer;
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                self.0.lock().give_up();
                return Answer::Nobody;
            }
            self.0.wait_typed(until, None);
        }
    }

    /// The console on which the last line was entered, by its device.
    pub fn last_used(&self) -> Option<PathBuf> {
        let inner = self.0.lock();
        Some(inner.ttys.get(inner.last_used)?.path()?.to_owned())
    }

    /// Gives the console at `path` its former settings while `work` uses it. It is opened again
    /// afterwards: a session that ends hangs up its terminal for everybody (`setsid(2)`).
    pub fn lend(&self, path: &std::path::Path, work: impl FnOnce()) {
        let each = |change: fn(&mut Tty)| {
            let mut inner = self.0.lock();
            inner.ttys.iter_mut().filter(|tty| tty.path() == Some(path)).for_each(change);
        };
        each(Tty::give_keys_back);
        work();
        each(|tty| tty.open_again(None));
        each(Tty::take_keys);
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.keys -= 1;
        if inner.keys == 0 {
            inner.ttys.iter_mut().for_each(Tty::give_keys_back);
        }
    }
}

impl Console {
    /// Waits until something was typed on any console, at most `until`. `other` ends the
    /// wait as well when it is readable.
    pub(super) fn wait_typed(&self, until: Option<Instant>, other: Option<BorrowedFd<'_>>) {
        // The lock is not held while waiting: others must be able to speak.
        let (fds, is_one_gone) = self.lock().clone_fds();
        let again = is_one_gone.then(|| Instant::now() + OPEN_AGAIN);
        let deadline = [until, again].into_iter().flatten().min();
        let mut polled: Vec<_> =
            fds.iter().map(|(_, fd)| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)).collect();
        polled.extend(other.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        // An error is a signal: the caller's deadline holds all the same.
        let _ = poll(&mut polled, timeout.as_ref());
        let gone: Vec<usize> = (polled.iter().zip(&fds))
            .filter(|(polled, _)| polled.revents().intersects(GONE))
            .map(|(_, (index, _))| *index)
            .collect();
        drop(polled);
        self.lock().hung_up(&gone, again.is_some_and(|again| again <= Instant::now()));
    }
}

/// What poll says of a console that nobody will type on any more.
const GONE: PollFlags = PollFlags::HUP.union(PollFlags::ERR).union(PollFlags::NVAL);

impl Inner {
    /// The consoles that may be typed on, with their numbers, and whether one hung up.
    fn clone_fds(&self) -> (Vec<(usize, OwnedFd)>, bool) {
        let here = self.ttys.iter().enumerate().filter(|(_, tty)| !tty.is_gone());
        let fds =
            here.filter_map(|(index, tty)| Some((index, tty.as_fd().try_clone_to_owned().ok()?)));
        (fds.collect(), self.ttys.iter().any(Tty::is_gone))
    }

    fn hung_up(&mut self, gone: &[usize], open_again: bool) {
        let prompt = self.prompt.clone();
        for (index, tty) in self.ttys.iter_mut().enumerate() {
            if gone.contains(&index) {
                tty.hang_up();
            } else if open_again && tty.is_gone() {
                tty.open_again(prompt.as_deref());
            }
        }
    }

    /// What was typed on each console, by its number.
    pub(super) fn bytes(&mut self) -> Vec<(usize, Vec<u8>)> {
        let typed = self.ttys.iter_mut().enumerate().map(|(index, tty)| (index, tty.bytes()));
        typed.filter(|(_, bytes)| !bytes.is_empty()).collect()
    }

    fn ask(&mut self, prompt: &str) {
        self.prompt = Some(prompt.to_string());
        self.ttys.iter_mut().for_each(|tty| tty.ask(prompt));
    }

    /// The first line that was entered or given up.
    fn typed(&mut self) -> Option<(usize, Answer)> {
        let mut found = None;
        for (index, tty) in self.ttys.iter_mut().enumerate() {
            match tty.typed(&self.history) {
                Typed::Nothing => continue,
                Typed::Line(text) => found = Some((index, Answer::Line(text.trim().to_string()))),
                Typed::Cancel => found = Some((index, Answer::Cancelled)),
            }
            break;
        }
        if let Some((index, answer)) = &found {
            if let Answer::Line(text) = answer {
                self.history.remember(text);
            }
            let text = if let Answer::Line(text) = answer { text } else { "^C" };
            (self.last_used, self.prompt) = (*index, None);
            self.ttys.iter_mut().for_each(|tty| tty.answered(text));
        }
        found
    }

    /// Nobody answered, and nothing is asked any more.
    fn give_up(&mut self) {
        self.prompt = None;
        self.ttys.iter_mut().for_each(Tty::give_up);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A console of two terminals, with their other ends.
    pub(crate) fn console() -> (Arc<Console>, [UnixStream; 2]) {
        let pair = || {
            let (ours, theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            theirs.set_nonblocking(true).unwrap();
            (Tty::new(File::from(OwnedFd::from(ours)), Duration::from_secs(1)), theirs)
        };
        let ((one, first), (two, second)) = (pair(), pair());
        (Arc::new(Console::new(vec![one, two], None)), [first, second])
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    fn shown(stream: &mut UnixStream) -> String {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[test]
    fn any_console_answers_and_all_show_it() {
        let (console, [mut first, mut second]) = console();
        let keys = Keys::take(&console);
        first.write_all(b"ha").unwrap();
        second.write_all(b"status\r\nnext\r").unwrap();
        assert_eq!(keys.ask("? ", None), Answer::Line("status".into()));
        assert_eq!(shown(&mut second), "? status\n");
        assert_eq!(shown(&mut first), "? ha\x08\x08status\n");
        // What was typed ahead, and what was typed elsewhere and not entered, is kept.
        assert_eq!(keys.ask("? ", None), Answer::Line("next".into()));
        first.write_all(b"lf\r").unwrap();
        assert_eq!(keys.ask("? ", None), Answer::Line("half".into()));
        first.write_all(b"x\x03").unwrap();
        assert_eq!(keys.ask("? ", None), Answer::Cancelled);
    }

    #[test]
    fn nobody_is_not_waited_for_and_what_is_said_does_not_mix() {
        let (console, [mut first, _second]) = console();
        let keys = Keys::take(&console);
        let started = Instant::now();
        assert_eq!(keys.ask("? ", Some(soon())), Answer::Nobody);
        assert!(started.elapsed() >= Duration::from_millis(20));
        assert_eq!(shown(&mut first), "? \r  \r");
        console.show("a screen\n");
        assert_eq!(shown(&mut first), "a screen\n");
    }

    #[test]
    fn a_console_that_hung_up_is_not_asked_and_spins_nobody() {
        let (console, [first, mut second]) = console();
        drop(first);
        let keys = Keys::take(&console);
        second.write_all(b"here\r").unwrap();
        assert_eq!(keys.ask("? ", None), Answer::Line("here".into()));
        drop(second);
        assert_eq!(keys.ask("? ", Some(soon())), Answer::Nobody);
        assert!(console.lock().ttys.iter().all(Tty::is_gone));
    }
}
