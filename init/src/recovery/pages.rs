//! Long screens, a page at a time.

use std::ops::Range;

use super::screen::{PAGE_ROWS, titled};
use super::{Halt, Session};

/// What is asked below a page.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Next,
    Back,
    End,
    Search(String),
}

impl Turn {
    fn of(line: &str) -> Self {
        match line {
            "" | "n" | "next" => Self::Next,
            "b" | "back" => Self::Back,
            _ => line.strip_prefix('/').map_or(Self::End, |text| Self::Search(text.trim().into())),
        }
    }
}

/// The part of `count` things that page number `page` shows.
fn range(page: usize, count: usize, rows: usize) -> Range<usize> {
    let start = page.saturating_mul(rows).min(count);
    start..start.saturating_add(rows).min(count)
}

impl Session<'_> {
    /// Shows `count` things, `per_page` at a time, each page made by `rows` when it is looked at,
    /// from page `start` on or from the last one. Returns a text that the person wants to search for.
    pub(super) fn pages(
        &self,
        title: &str,
        (count, per_page, start): (usize, usize, usize),
        mut rows: impl FnMut(Range<usize>) -> Result<Vec<String>, Halt>,
    ) -> Result<Option<String>, Halt> {
        let last = count.saturating_sub(1) / per_page.max(1);
        let mut page = start.min(last);
        loop {
            let shown = range(page, count, per_page);
            let of = format!("{title}: {} to {} of {count}", shown.start + 1, shown.end);
            let title = if last == 0 { title } else { &of };
            self.show(&titled(title, rows(shown)?));
            if last == 0 {
                return Ok(None);
            }
            page = match Turn::of(&self.ask("Enter: more, b: back, /text: search, q: menu ")?) {
                Turn::Next if page == last => return Ok(None),
                Turn::Next => page + 1,
                Turn::Back => page.saturating_sub(1),
                Turn::Search(text) => return Ok(Some(text)),
                Turn::End => return Ok(None),
            };
        }
    }

    /// Shows lines of which the last are the newest: from the last page on.
    pub(super) fn newest(&self, title: &str, rows: &[String]) -> Result<Option<String>, Halt> {
        self.pages(title, (rows.len(), PAGE_ROWS, usize::MAX), |range| Ok(rows[range].to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_turned() {
        let table = [
            ("", Turn::Next),
            ("b", Turn::Back),
            ("q", Turn::End),
            ("status", Turn::End),
            ("/ eth0", Turn::Search("eth0".into())),
        ];
        for (line, expected) in table {
            assert_eq!(Turn::of(line), expected, "{line}");
        }
        let ranges = [range(0, 45, 20), range(2, 45, 20), range(3, 45, 20), range(0, 0, 20)];
        assert_eq!(ranges, [0..20, 40..45, 45..45, 0..0]);
    }
}
