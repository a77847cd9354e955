//! A line being typed: keys in, edits out. No terminal, no clock.

use std::collections::VecDeque;

use super::keys::Key;

/// Characters of one line: half of the longest kernel command line is more than one setting needs.
pub(super) const LINE_MAX: usize = 1024;

/// Lines remembered.
const HISTORY_MAX: usize = 50;

/// The lines entered before, oldest first; shared by all consoles.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Vec<char>>);

impl History {
    /// Remembers a line, unless it is blank or the same as the last.
    pub(super) fn remember(&mut self, line: &str) {
        let line: Vec<char> = line.trim().chars().take(LINE_MAX).collect();
        if line.is_empty() || self.0.back() == Some(&line) {
            return;
        }
        if self.0.len() == HISTORY_MAX {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    /// The line that was entered `age` lines ago, from 1.
    fn ago(&self, age: usize) -> Option<&Vec<char>> {
        self.0.iter().rev().nth(age.checked_sub(1)?)
    }
}

/// What a key came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The line goes on.
    Typing,
    /// The line is done.
    Entered(String),
    /// The line is given up.
    Cancelled,
    /// The screen is to be cleared.
    Clear,
}

/// The line and its cursor.
#[derive(Debug, Clone, Default)]
pub(super) struct Editor {
    text: Vec<char>,
    /// Index of the character under the cursor, up to the length.
    at: usize,
    /// How far back in the history it is; 0 is what is being typed.
    age: usize,
    /// What was being typed before the history was looked at.
    draft: Vec<char>,
}

impl Editor {
    /// The line.
    pub(super) fn text(&self) -> &[char] {
        &self.text
    }

    /// The cursor's place in it.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Does what `key` says.
    pub(super) fn press(&mut self, key: Key, history: &History) -> Outcome {
        match key {
            Key::Char(c) if self.text.len() < LINE_MAX => {
                self.text.insert(self.at, c);
                self.at += 1;
            }
            Key::Char(_) => {}
            Key::Backspace => self.remove(self.at.saturating_sub(1)..self.at),
            Key::Delete => self.remove(self.at..(self.at + 1).min(self.text.len())),
            Key::Left => self.at = self.at.saturating_sub(1),
            Key::Right => self.at = (self.at + 1).min(self.text.len()),
            Key::Home => self.at = 0,
            Key::End => self.at = self.text.len(),
            Key::KillBefore => self.remove(0..self.at),
            Key::KillAfter => self.text.truncate(self.at),
            Key::KillWord => self.remove(self.word_start()..self.at),
            Key::Up => self.recall(self.age + 1, history),
            Key::Down => self.recall(self.age.saturating_sub(1), history),
            Key::Clear => return Outcome::Clear,
            Key::Enter => return Outcome::Entered(std::mem::take(self).text.iter().collect()),
            Key::Cancel => {
                *self = Self::default();
                return Outcome::Cancelled;
            }
        }
        Outcome::Typing
    }

    fn remove(&mut self, range: std::ops::Range<usize>) {
        self.at = range.start;
        self.text.drain(range);
    }

    /// Where the word before the cursor begins.
    fn word_start(&self) -> usize {
        let before = &self.text[..self.at];
        let end = before.iter().rposition(|c| !c.is_whitespace()).map_or(0, |last| last + 1);
        before[..end].iter().rposition(|c| c.is_whitespace()).map_or(0, |blank| blank + 1)
    }

    fn recall(&mut self, age: usize, history: &History) {
        if age == self.age {
            return;
        }
        let line = if age == 0 { Some(self.draft.clone()) } else { history.ago(age).cloned() };
        let Some(line) = line else { return };
        if self.age == 0 {
            self.draft = std::mem::take(&mut self.text);
        }
        (self.text, self.age) = (line, age);
        self.at = self.text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Decoder;
    use super::*;

    /// What stands there after `bytes`, with `|` for the cursor.
    fn typed(bytes: &[u8], history: &History) -> String {
        let (mut decoder, mut editor) = (Decoder::default(), Editor::default());
        for byte in bytes {
            if let Some(key) = decoder.feed(*byte) {
                assert_eq!(editor.press(key, history), Outcome::Typing);
            }
        }
        let (before, after) = editor.text.split_at(editor.at);
        before.iter().chain(&['|']).chain(after).collect()
    }

    #[test]
    fn keys_edit() {
        let mut history = History::default();
        for line in ["status", "disks", "disks", " ", "set a=b"] {
            history.remember(line);
        }
        let table: [(&[u8], &str); 19] = [
            (b"abc", "abc|"),
            (b"abc\x1b[D\x1b[DX", "aX|bc"),
            (b"abc\x7f\x7f", "a|"),
            (b"\x7f\x1b[D\x1b[3~\x17\x15\x0b", "|"),
            (b"abc\x01X\x05Y", "XabcY|"),
            (b"abc\x1b[D\x1b[3~", "ab|"),
            (b"one two  \x17", "one |"),
            (b"one\x17", "|"),
            (b"one two\x1b[D\x15", "|o"),
            (b"one two\x1b[D\x0b", "one tw|"),
            (b"new\x1b[A", "set a=b|"),
            (b"new\x1b[A\x1b[A", "disks|"),
            (b"new\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A", "status|"),
            (b"new\x1b[A\x1b[A\x1b[B\x1b[B\x1b[B", "new|"),
            (b"\x1b[A!\x1b[B", "|"),
            (b"\x1b[B", "|"),
            ("é😀\u{1b}[D\u{7f}".as_bytes(), "|😀"),
            (b"\x1b[C\x1b[C", "|"),
            (b"a\x1b[24;80Rb", "ab|"),
        ];
        for (bytes, expected) in table {
            assert_eq!(typed(bytes, &history), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn lines_and_history_are_bounded() {
        let text = typed(&[b'a'; 2 * LINE_MAX], &History::default());
        assert_eq!(text.len(), LINE_MAX + 1);
        let mut history = History::default();
        for number in 0..=HISTORY_MAX {
            history.remember(&number.to_string());
        }
        assert_eq!(history.0.len(), HISTORY_MAX);
        assert_eq!(history.ago(HISTORY_MAX), Some(&vec!['1']));
        assert_eq!(history.ago(HISTORY_MAX + 1), None);
        assert_eq!(history.ago(0), None);
    }

    #[test]
    fn a_line_ends() {
        let (mut editor, history) = (Editor::default(), History::default());
        editor.press(Key::Char('x'), &history);
        assert_eq!(editor.press(Key::Clear, &history), Outcome::Clear);
        assert_eq!(editor.press(Key::Enter, &history), Outcome::Entered("x".into()));
        editor.press(Key::Char('y'), &history);
        assert_eq!(editor.press(Key::Cancel, &history), Outcome::Cancelled);
        assert_eq!(editor.press(Key::Enter, &history), Outcome::Entered(String::new()));
    }
}
