//! The last lines that init said, for the failure report.

use std::collections::VecDeque;

/// Lines kept: a boot says some forty, one that is tried again and again some hundreds.
const MAX_LINES: usize = 512;
/// Lines of a report: more than fit on a screen of 24, for the JSON of the same facts.
const REPORTED: usize = 64;
/// Bytes kept of each: two rows of 80.
const MAX_LINE_BYTES: usize = 160;

/// A bounded memory of lines; the oldest goes first.
#[derive(Debug, Default)]
pub(super) struct Events(VecDeque<String>);

impl Events {
    /// Remembers `line`, cut to a bounded length.
    pub(super) fn remember(&mut self, line: &str) {
        if self.0.len() == MAX_LINES {
            self.0.pop_front();
        }
        self.0.push_back(cut(line, MAX_LINE_BYTES).to_string());
    }

    /// The last lines, oldest first, as many as a report takes.
    pub(super) fn last(&self) -> Vec<String> {
        self.0.iter().skip(self.0.len().saturating_sub(REPORTED)).cloned().collect()
    }

    /// The lines, oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

/// At most `max` bytes of `text`, ending between characters.
fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_line_goes_and_long_ones_are_cut() {
        let mut events = Events::default();
        for number in 0..=MAX_LINES {
            events.remember(&format!("{number}{}", "é".repeat(100)));
        }
        let lines = events.lines();
        assert_eq!(lines.len(), MAX_LINES);
        assert!(lines[0].starts_with("1é") && lines[0].len() <= MAX_LINE_BYTES);
        assert_eq!((events.last().len(), events.last().last()), (REPORTED, lines.last()));
        assert_eq!(cut("é", 1), "");
    }
}
