//! Long screens, a page at a time.

use std::ops::Range;

use super::commands;
use super::screen::{PAGE_ROWS, titled};
use super::{Halt, Session};

/// What may be answered below a page besides turning it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Below {
    Nothing,
    /// A text to search for.
    Search,
    /// The number of what is listed, or a path.
    Choice,
}

impl Below {
    fn prompt(self) -> &'static str {
        match self {
            Self::Nothing => "Enter: more, b: back, q: menu ",
            Self::Search => "Enter: more, b: back, /text: search, q: menu ",
            Self::Choice => "Enter: more, b: back, q: menu, or which: ",
        }
    }
}

/// What is shown page by page.
pub(super) struct Listing<'a> {
    pub(super) title: &'a str,
    pub(super) count: usize,
    pub(super) per_page: usize,
    pub(super) below: Below,
}

/// How the pages ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// They were seen, or the person has seen enough.
    Over,
    /// A text that is searched for.
    Search(String),
    /// What was chosen, as typed.
    Choice(String),
}

/// What is asked below a page.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Next,
    Back,
    End(Ended),
    /// A command, which is obeyed instead.
    Command,
    /// None of these.
    Unknown,
}

impl Turn {
    fn of(line: &str, below: Below) -> Self {
        let is_number = line.parse::<usize>().is_ok();
        match line {
            "" | "n" | "next" => return Self::Next,
            "b" | "back" => return Self::Back,
            "q" | "quit" => return Self::End(Ended::Over),
            _ => {}
        }
        match (below, line.strip_prefix('/')) {
            (Below::Search, Some(text)) => Self::End(Ended::Search(text.trim().into())),
            (Below::Choice, path) if is_number || path.is_some() => {
                Self::End(Ended::Choice(line.into()))
            }
            // A number of the menu would be taken for one of what is listed.
            _ if !is_number && commands::parse(line).is_ok() => Self::Command,
            _ => Self::Unknown,
        }
    }
}

/// The part of `count` things that page number `page` shows.
fn range(page: usize, count: usize, rows: usize) -> Range<usize> {
    let start = page.saturating_mul(rows).min(count);
    start..start.saturating_add(rows).min(count)
}

impl Session<'_> {
    /// Shows a list, each page made by `rows` when it is looked at, from the first one on.
    pub(super) fn pages(
        &self,
        listing: &Listing<'_>,
        rows: impl FnMut(Range<usize>) -> Result<Vec<String>, Halt>,
    ) -> Result<Ended, Halt> {
        self.pages_from(0, listing, rows)
    }

    fn pages_from(
        &self,
        start: usize,
        listing: &Listing<'_>,
        mut rows: impl FnMut(Range<usize>) -> Result<Vec<String>, Halt>,
    ) -> Result<Ended, Halt> {
        let Listing { title, count, per_page, below } = *listing;
        let last = count.saturating_sub(1) / per_page.max(1);
        let mut page = start.min(last);
        loop {
            let shown = range(page, count, per_page);
            let of = format!("{title}: {} to {} of {count}", shown.start + 1, shown.end);
            let title = if last == 0 { title } else { &of };
            self.show(&titled(title, rows(shown)?));
            if last == 0 {
                return Ok(Ended::Over);
            }
            page = match self.turn_page(below)? {
                Turn::Next if page == last => return Ok(Ended::Over),
                Turn::Back => page.saturating_sub(1),
                Turn::End(ended) => return Ok(ended),
                _ => page + 1,
            };
        }
    }

    /// Asks until the answer is one; a command ends the pages, and is obeyed.
    fn turn_page(&self, below: Below) -> Result<Turn, Halt> {
        loop {
            let line = self.ask(below.prompt())?;
            let turn = Turn::of(&line, below);
            match turn {
                Turn::Unknown => self.show(&format!("{line:?} is none of these, and no command\n")),
                Turn::Command => return Err(Halt::Instead(line)),
                turn => {
                    self.makes_sense();
                    return Ok(turn);
                }
            }
        }
    }

    /// Shows lines of which the last are the newest: from the last page on.
    pub(super) fn newest(&self, title: &str, rows: &[String]) -> Result<Ended, Halt> {
        let (count, below) = (rows.len(), Below::Search);
        let listing = Listing { title, count, per_page: PAGE_ROWS, below };
        self.pages_from(usize::MAX, &listing, |range| Ok(rows[range].to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_turned() {
        use Below::{Choice, Nothing, Search};
        let choice = |text: &str| Turn::End(Ended::Choice(text.into()));
        let table = [
            ("", Nothing, Turn::Next),
            ("b", Search, Turn::Back),
            ("q", Choice, Turn::End(Ended::Over)),
            ("status", Nothing, Turn::Command),
            ("labels debian", Choice, Turn::Command),
            ("stauts", Nothing, Turn::Unknown),
            ("/ eth0", Search, Turn::End(Ended::Search("eth0".into()))),
            ("/ eth0", Nothing, Turn::Unknown),
            ("/dev/vdb", Choice, choice("/dev/vdb")),
            ("3", Choice, choice("3")),
            ("3", Search, Turn::Unknown),
        ];
        for (line, below, expected) in table {
            assert_eq!(Turn::of(line, below), expected, "{line} {below:?}");
        }
        let ranges = [range(0, 45, 20), range(2, 45, 20), range(3, 45, 20), range(0, 0, 20)];
        assert_eq!(ranges, [0..20, 40..45, 45..45, 0..0]);
    }
}
