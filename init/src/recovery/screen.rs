//! What every screen of the console is made of: 79 columns, a title line, rows that do not wrap.

use crate::report::{WIDTH, fit, wrap};

/// Rows of a page below its title: 80 by 25, with the line typed before and the prompt.
pub(super) const PAGE_ROWS: usize = 20;

/// Columns of the words in front of facts.
const WORD: usize = 10;

/// A screen with a title.
pub(super) fn titled(title: &str, rows: impl IntoIterator<Item = String>) -> String {
    let title = format!("== {} ", fit(title));
    let title = format!("{title:=<WIDTH$}\n");
    rows.into_iter().fold(title, |text, row| text + fit(row.trim_end()).as_str() + "\n")
}

/// A fact after its word, on as many rows as it needs.
pub(super) fn fact(word: &str, text: &str) -> Vec<String> {
    let lead = " ".repeat(WORD);
    let mut rows: Vec<String> = Vec::new();
    for line in text.lines() {
        rows.extend(wrap(line, WIDTH - WORD).into_iter().map(|row| format!("{lead}{row}")));
    }
    if let Some(first) = rows.first_mut() {
        *first = format!("{word:WORD$}{}", &first[WORD..]);
    }
    rows
}

/// A text in a column of so many characters, with a mark where something is cut off.
pub(super) fn column(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return format!("{text:width$}");
    }
    let cut: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{cut}>")
}

/// Whether a screen is right at 80 by 25.
#[cfg(test)]
pub(super) fn fits(screen: &str) -> bool {
    screen.lines().all(|row| row.chars().count() <= WIDTH && !row.chars().any(char::is_control))
        && screen.lines().count() <= 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_beside_their_words() {
        let long = "word ".repeat(30);
        let rows = fact("network", &format!("first\n{long}"));
        assert_eq!(rows[0], "network   first");
        assert!(rows[1].starts_with("          word word"), "{rows:?}");
        assert!(rows.len() > 2 && rows.iter().all(|row| row.chars().count() <= WIDTH), "{rows:?}");
        assert_eq!(fact("a", ""), Vec::<String>::new());
    }

    #[test]
    fn columns_are_cut() {
        assert_eq!((column("ab", 4), column("abcde", 4)), ("ab  ".into(), "abc>".into()));
        assert_eq!(column("éé", 3), "éé ");
    }
}
