//! The kernel's command line as words, the way the kernel itself splits it
//! (`next_arg` in lib/cmdline.c): by blanks, except between double quotes.

/// One word, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// The whole word without outer quotes, for messages.
    pub(super) typed: String,
    /// What stands before the first `=`.
    pub(super) key: String,
    /// What stands after it; `None` without one.
    pub(super) value: Option<String>,
}

/// Splits `line`. Quotes around a word or around a value are taken off, others
/// stay; there is no escape. An open quote reaches to the end.
pub(super) fn split(line: &str) -> Vec<Word> {
    let mut in_quote = false;
    let is_gap = |c: char| {
        in_quote ^= c == '"';
        c.is_whitespace() && !in_quote
    };
    line.split(is_gap).filter(|word| !word.is_empty()).map(word).collect()
}

fn word(text: &str) -> Word {
    let typed = text.strip_prefix('"').map_or(text, |text| text.strip_suffix('"').unwrap_or(text));
    let (key, value) = match typed.split_once('=') {
        Some((key, value)) => (key, Some(unquoted(value).to_string())),
        None => (typed, None),
    };
    Word { typed: typed.into(), key: key.into(), value }
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').map_or(value, |value| value.strip_suffix('"').unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair<'a> = (&'a str, Option<&'a str>);

    #[test]
    fn words_are_split_as_the_kernel_does() {
        let table: [(&str, &[Pair]); 6] = [
            ("", &[]),
            (" quiet  a=b\n", &[("quiet", None), ("a", Some("b"))]),
            (r#"append="x=1 y z" b"#, &[("append", Some("x=1 y z")), ("b", None)]),
            (r#""append=x y" b="#, &[("append", Some("x y")), ("b", Some(""))]),
            (r#"a=b"c d"e"#, &[("a", Some(r#"b"c d"e"#))]),
            (r#"a="open end"#, &[("a", Some("open end"))]),
        ];
        for (line, expected) in table {
            let words = split(line);
            let found: Vec<_> =
                words.iter().map(|w| (w.key.as_str(), w.value.as_deref())).collect();
            assert_eq!(found, expected, "{line}");
        }
    }
}
