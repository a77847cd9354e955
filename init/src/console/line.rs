//! One console's line: bytes in, edits and echo out. Keeps apart what is typed from what init says
//! meanwhile.

use super::editor::{Editor, History, Outcome};
use super::keys::Decoder;
use super::row::Row;

/// Home and erase below (ECMA-48): what Ctrl-L sends, the one sequence of ours.
const CLEAR: &str = "\x1b[H\x1b[J";

/// A line being typed after a prompt.
#[derive(Debug, Default)]
pub(super) struct Line {
    decoder: Decoder,
    editor: Editor,
    row: Row,
}

/// What a byte came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// The line goes on.
    Nothing,
    /// A line was entered; it stands on the terminal, and the cursor on the next row.
    Line(String),
    /// The line was given up, likewise.
    Cancel,
}

impl Line {
    /// A new prompt; what was typed and not entered is kept. Returns what to send.
    pub(super) fn open(&mut self, prompt: &str) -> String {
        self.row = Row::new(prompt);
        self.show()
    }

    /// Takes one byte. Returns what to send, and what it came to.
    pub(super) fn feed(&mut self, byte: u8, history: &History) -> (String, Typed) {
        let Some(key) = self.decoder.feed(byte) else { return (String::new(), Typed::Nothing) };
        let before = self.editor.text().to_vec();
        match self.editor.press(key, history) {
            Outcome::Typing => (self.show(), Typed::Nothing),
            Outcome::Entered(text) => {
                let echo = self.row.show(&before, before.len());
                (self.end(echo + "\n"), Typed::Line(text))
            }
            Outcome::Cancelled => {
                let echo = self.row.show(&before, before.len());
                (self.end(echo + "^C\n"), Typed::Cancel)
            }
            Outcome::Clear => {
                self.row.forget();
                (CLEAR.to_string() + &self.show(), Typed::Nothing)
            }
        }
    }

    /// Nothing came for long.
    pub(super) fn pause(&mut self) {
        self.decoder.pause();
    }

    /// What takes the line off the terminal, so that something else can be said.
    pub(super) fn hide(&mut self) -> String {
        self.row.erase()
    }

    /// What shows the line again.
    pub(super) fn show(&mut self) -> String {
        self.row.show(self.editor.text(), self.editor.at())
    }

    /// What shows a line that was entered elsewhere in place of this one.
    pub(super) fn answered(&mut self, text: &str) -> String {
        let text: Vec<char> = text.chars().collect();
        let echo = self.row.show(&text, text.len());
        self.end(echo + "\n")
    }

    fn end(&mut self, echo: String) -> String {
        self.row.forget();
        echo
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
