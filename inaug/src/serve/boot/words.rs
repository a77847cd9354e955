//! Words that may stand on a line of an iPXE script.
//!
//! iPXE has no quoting: a line is split at blanks; `${...}` is replaced wherever it stands; the
//! words `&&`, `||` and `;` end a command, a word that begins with `#` the line, and a backslash at
//! the end of the line joins the next. So such words are not let in, and nothing is escaped.

use std::path::Path;

/// Characters of somebody else's text that are shown in a script or a log.
const SHOWN_MAX: usize = 64;

/// Characters of a path that are shown: some lines of a screen.
const PATH_MAX: usize = 400;

/// What is wrong with a word that is to stand on a line of an iPXE script; `None` if nothing is.
pub(crate) fn fault(word: &str) -> Option<&'static str> {
    if !word.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("has characters that are not printable ASCII")
    } else if word.contains("${") {
        Some("has ${, which iPXE replaces")
    } else if matches!(word, "&&" | "||" | ";") {
        Some("ends a command of iPXE")
    } else if word.starts_with('#') {
        Some("begins with #, a comment to iPXE")
    } else if word.ends_with('\\') {
        Some("ends with a backslash, which joins lines of iPXE")
    } else {
        None
    }
}

/// Text of a machine, or of whoever pretends to be one, as it may be shown: short, and without
/// anything that means something to iPXE, JSON or a terminal.
pub(crate) fn shown(text: &str) -> String {
    shown_within(text, SHOWN_MAX)
}

/// The same of a file's path, which is of use only as a whole.
pub(crate) fn shown_path(path: &Path) -> String {
    shown_within(&path.display().to_string(), PATH_MAX)
}

fn shown_within(text: &str, max: usize) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || " ._-:,()/+@".contains(c);
    text.chars().take(max).map(|c| if harmless(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_mean_something_to_ipxe_are_refused() {
        for word in ["console=ttyS0,115200", "a&&b", "a;b", "a#b", "$", "{x}", "quiet", "--", "|"] {
            assert_eq!(fault(word), None, "{word:?}");
        }
        for word in
            ["a\nb", "a\rb", "a b", "\u{e4}", "${ip}", "a${ip}", "&&", "||", ";", "#", "#a", "a\\"]
        {
            assert!(fault(word).is_some(), "{word:?}");
        }
    }

    #[test]
    fn somebody_elses_text_is_harmless() {
        assert_eq!(shown("To be filled by O.E.M."), "To be filled by O.E.M.");
        assert_eq!(shown("a\n${ip} \"#;|&\\\u{1b}[2J\u{e4}"), "a???ip? ????????2J?");
        assert_eq!(shown(&"x".repeat(1000)).len(), SHOWN_MAX);
        let path = format!("/{}/machines.json", "x".repeat(100));
        assert_eq!(shown_path(Path::new(&path)), path);
    }
}
