//! What a machine said: read by a thread of its own, kept in a file as it came
//! and in memory without terminal escapes, waited for without polling.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// What is kept in memory. A boot says 50 to 100 KiB; a machine that says more
/// than this is in a loop, and the end of it is what tells why.
const KEPT_BYTES: usize = 4 << 20;

/// What is kept in the file: more is a machine in a loop, which would fill the disk of its host.
const LOG_MAX_BYTES: usize = 64 << 20;

/// What the file says then.
const LOG_CUT: &[u8] = b"\n[what came after this is not kept]\n";

/// A machine's console. Clones look at the same one.
#[derive(Clone, Debug)]
pub struct Console(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    kept: Vec<u8>,
    /// Bytes that were said and are kept no more.
    dropped: usize,
    /// The machine is gone: nothing more will be said.
    closed: bool,
}

/// What [`Console::after`] met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// The machine said more.
    Said {
        /// The bytes, without terminal escapes.
        text: Vec<u8>,
        /// Where to go on, counted from power-on.
        end: usize,
    },
    /// The machine is gone, and said nothing more.
    Closed,
    /// The deadline passed.
    Deadline,
}

/// Why [`Console::wait`] found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The deadline passed.
    Deadline,
    /// The machine ended.
    Closed,
}

/// Where [`Console::wait`] found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Which of the patterns.
    pub(crate) which: usize,
    /// Its first byte, counted from power-on.
    pub(crate) start: usize,
    /// Past its last byte.
    pub(crate) end: usize,
}

impl Console {
    /// Reads `source` to its end, copying it to a new file at `log`, if there is to be one.
    pub(crate) fn of(mut source: impl Read + Send + 'static, log: Option<&Path>) -> Result<Self> {
        let file = log.map(|log| {
            File::create(log).with_context(|| format!("making the log {}", log.display()))
        });
        let mut log = file.transpose()?.map(|file| Log { file, left: LOG_MAX_BYTES });
        let console = Self(Arc::default());
        let shared = Arc::clone(&console.0);
        thread::spawn(move || {
            let mut stripper = Stripper::default();
            let mut block = [0; 16 << 10];
            while let Ok(length @ 1..) = source.read(&mut block) {
                if let Some(log) = &mut log {
                    log.say(&block[..length]);
                }
                shared.say(&stripper.strip(&block[..length]));
            }
            shared.close();
        });
        Ok(console)
    }

    /// Everything that was said, or the last 4 MiB of it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.said().kept).into_owned()
    }

    /// Waits for what is said after byte `from`, counted from power-on. Text that is kept no more
    /// is left out.
    pub fn after(&self, from: usize, deadline: Instant) -> After {
        let mut said = self.0.said();
        loop {
            let end = said.dropped + said.kept.len();
            if end > from {
                let skip = from.saturating_sub(said.dropped);
                return After::Said { text: said.kept[skip..].to_vec(), end };
            }
            if said.closed {
                return After::Closed;
            }
            match self.0.more(said, deadline) {
                Some(more) => said = more,
                None => return After::Deadline,
            }
        }
    }

    /// The line around byte `at`, as far as it has come.
    pub(crate) fn line_at(&self, at: usize) -> String {
        let said = self.0.said();
        let at = at.saturating_sub(said.dropped).min(said.kept.len());
        let start = said.kept[..at].iter().rposition(|b| *b == b'\n').map_or(0, |p| p + 1);
        let end =
            said.kept[at..].iter().position(|b| *b == b'\n').map_or(said.kept.len(), |p| at + p);
        String::from_utf8_lossy(&said.kept[start..end]).trim_end().to_owned()
    }

    /// Those bytes, as far as they are kept.
    pub(crate) fn text_of(&self, range: Range<usize>) -> String {
        let said = self.0.said();
        let index = |at: usize| at.saturating_sub(said.dropped).min(said.kept.len());
        String::from_utf8_lossy(&said.kept[index(range.start)..index(range.end)]).into_owned()
    }

    /// Waits for the earliest of `patterns` after byte `from`.
    pub(crate) fn wait(
        &self,
        from: usize,
        patterns: &[&str],
        deadline: Instant,
    ) -> Result<Found, Missing> {
        let longest = patterns.iter().map(|pattern| pattern.len()).max().unwrap_or(0);
        let mut searched = from;
        let mut said = self.0.said();
        loop {
            if let Some(found) = said.find(searched, patterns) {
                return Ok(found);
            }
            // A pattern may have begun before the end and go on after it.
            searched = searched.max((said.dropped + said.kept.len()).saturating_sub(longest));
            if said.closed {
                return Err(Missing::Closed);
            }
            said = self.0.more(said, deadline).ok_or(Missing::Deadline)?;
        }
    }

    /// Waits until the machine is gone.
    pub(crate) fn wait_closed(&self, deadline: Instant) -> Result<(), Missing> {
        match self.wait(usize::MAX, &[], deadline) {
            Err(Missing::Deadline) => Err(Missing::Deadline),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.said().closed
    }
}

/// The file, as far as there is room for it.
struct Log<F> {
    file: F,
    left: usize,
}

impl<F: Write> Log<F> {
    fn say(&mut self, bytes: &[u8]) {
        if self.left == 0 {
            return;
        }
        let length = bytes.len().min(self.left);
        self.left -= length;
        // The file is for people; the machine goes on without it.
        let _ = self.file.write_all(&bytes[..length]);
        if self.left == 0 {
            let _ = self.file.write_all(LOG_CUT);
        }
    }
}

impl Shared {
    /// A thread that panicked while it held the lock leaves readable text.
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, text: &[u8]) {
        self.said().append(text);
        self.more.notify_all();
    }

    fn close(&self) {
        self.said().closed = true;
        self.more.notify_all();
    }

    /// Waits for a change; `None` at the deadline.
    fn more<'a>(
        &self,
        said: MutexGuard<'a, Said>,
        deadline: Instant,
    ) -> Option<MutexGuard<'a, Said>> {
        let left = deadline.checked_duration_since(Instant::now())?;
        Some(self.more.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Said {
    fn append(&mut self, text: &[u8]) {
        self.kept.extend_from_slice(text);
        if self.kept.len() > KEPT_BYTES {
            // Half at once, so that a flood is not moved byte by byte.
            let surplus = self.kept.len() - KEPT_BYTES / 2;
            self.kept.drain(..surplus);
            self.dropped += surplus;
        }
    }

    fn find(&self, from: usize, patterns: &[&str]) -> Option<Found> {
        let skip = from.saturating_sub(self.dropped).min(self.kept.len());
        let text = &self.kept[skip..];
        patterns
            .iter()
            .enumerate()
            .filter_map(|(which, pattern)| {
                let at =
                    text.windows(pattern.len().max(1)).position(|w| w == pattern.as_bytes())?;
                let start = self.dropped + skip + at;
                Some(Found { which, start, end: start + pattern.len() })
            })
            .min_by_key(|found| found.start)
    }
}

/// Takes terminal escapes and carriage returns out of a stream (ECMA-48:
/// CSI and OSC sequences, two-byte escapes).
#[derive(Debug, Default)]
struct Stripper {
    state: Escape,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    Text,
    /// After ESC.
    Started,
    /// After ESC [: up to a byte from 0x40 to 0x7e.
    Control,
    /// After ESC ]: up to BEL or ESC.
    Command,
    /// After ESC and one of `( ) #`: one more byte.
    OneMore,
}

impl Stripper {
    fn strip(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().copied().filter(|byte| self.is_text(*byte)).collect()
    }

    fn is_text(&mut self, byte: u8) -> bool {
        let (next, text) = match (self.state, byte) {
            (Escape::Text | Escape::Command, 0x1b) => (Escape::Started, false),
            (Escape::Text, b'\r' | 0x07 | 0) | (Escape::Command, 0x07) => (Escape::Text, false),
            (Escape::Text, _) => (Escape::Text, true),
            (Escape::Started, b'[') => (Escape::Control, false),
            (Escape::Started, b']') => (Escape::Command, false),
            (Escape::Started, b'(' | b')' | b'#') => (Escape::OneMore, false),
            (Escape::Started | Escape::OneMore, _) | (Escape::Control, 0x40..=0x7e) => {
                (Escape::Text, false)
            }
            (state @ (Escape::Control | Escape::Command), _) => (state, false),
        };
        self.state = next;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn console(text: &'static str) -> Console {
        Console::of(Cursor::new(text), None).unwrap()
    }

    #[test]
    fn escapes_are_taken_out_wherever_they_are_cut() {
        let raw = b"a\x1b[0;32mOK\x1b[0m\r\n\x1b]0;title\x07b\x1b(Bc\x1b]2;t\x1b\\d\x1bM.";
        for cut in 0..raw.len() {
            let mut stripper = Stripper::default();
            let mut text = stripper.strip(&raw[..cut]);
            text.extend(stripper.strip(&raw[cut..]));
            assert_eq!(text, b"aOK\nbcd.", "cut at {cut}");
        }
    }

    #[test]
    fn the_earliest_of_several_is_found_and_the_search_goes_on_behind_it() {
        let console = console("one\ntwo three\none\n");
        let first = console.wait(0, &["three", "two"], soon()).unwrap();
        assert_eq!(first, Found { which: 1, start: 4, end: 7 });
        assert_eq!(console.line_at(first.start), "two three");
        let second = console.wait(first.end, &["one"], soon()).unwrap();
        assert_eq!(second.start, 14);
        assert_eq!(console.wait(second.end, &["one"], soon()), Err(Missing::Closed));
        assert_eq!(console.wait_closed(soon()), Ok(()));
    }

    #[test]
    fn a_text_that_comes_in_pieces_is_found() {
        let (source, mut sink) = std::io::pipe().unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let console = Console::of(source, Some(log.path())).unwrap();
        let writer = thread::spawn(move || {
            for piece in ["log", "in", ": "] {
                sink.write_all(piece.as_bytes()).unwrap();
            }
            sink
        });
        assert_eq!(console.wait(0, &["login:"], soon()).unwrap().end, 6);
        assert!(std::fs::read(log.path()).unwrap().starts_with(b"login:"));
        let _still_open = writer.join().unwrap();
        assert_eq!(console.wait(6, &["never"], Instant::now()), Err(Missing::Deadline));
        assert!(!console.is_closed());
    }

    #[test]
    fn what_is_said_is_followed_to_the_end() {
        let console = console("one\ntwo");
        assert_eq!(console.wait_closed(soon()), Ok(()));
        let all = After::Said { text: b"one\ntwo".to_vec(), end: 7 };
        assert_eq!(console.after(0, soon()), all);
        let rest = After::Said { text: b"two".to_vec(), end: 7 };
        assert_eq!(console.after(4, soon()), rest);
        assert_eq!(console.after(7, soon()), After::Closed);
    }

    #[test]
    fn a_log_that_is_full_says_so_once() {
        let mut log = Log { file: Vec::new(), left: 5 };
        for piece in ["abc", "def", "ghi"] {
            log.say(piece.as_bytes());
        }
        assert_eq!(log.file, [b"abcde", LOG_CUT].concat());
    }

    #[test]
    fn a_flood_keeps_its_end_and_its_count() {
        let mut said = Said::default();
        for _ in 0..5 {
            said.append(&vec![b'x'; 1 << 20]);
        }
        said.append(b"the end");
        let found = said.find(0, &["the end"]).unwrap();
        assert_eq!(found.end, (5 << 20) + 7);
        assert!(said.kept.len() <= KEPT_BYTES);
    }
}
