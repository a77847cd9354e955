//! The list of labels: what a store without a directory listing can show.
//!
//! One line for each label, `NAME DIGEST`, in order of names. It is advice for people: what
//! a label means is only ever said by its record.

use crate::Digest;
use crate::codec::FormatError;
use crate::label::LabelName;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// No list is longer, bytes: 200,000 labels with the longest names.
pub const LABEL_LIST_MAX_BYTES: u64 = 64 << 20;

/// The list as text. `labels` are in order of names.
pub fn encode(labels: &[(LabelName, Digest)]) -> String {
    let mut text = String::new();
    for (name, digest) in labels {
        text.extend([name.as_str(), " ", &format!("{digest}"), "\n"]);
    }
    text
}

/// Reads a list.
pub fn decode(bytes: &[u8]) -> Result<Vec<(LabelName, Digest)>, FormatError> {
    let text = core::str::from_utf8(bytes)
        .map_err(|error| wrong(error.valid_up_to() as u64, "UTF-8", "other bytes"))?;
    let mut at = 0;
    let line = |line: &str| {
        let start = at;
        at += line.len() as u64 + 1;
        let pair = line.split_once(' ');
        let parsed =
            pair.and_then(|(name, digest)| Some((name.parse().ok()?, digest.parse().ok()?)));
        let shown: String = line.chars().take(80).collect();
        parsed.ok_or_else(|| wrong(start, "NAME DIGEST", &format!("{shown:?}")))
    };
    text.lines().map(line).collect()
}

/// Whether `name` matches `pattern`, in which `*` stands for any characters (`/` too) and
/// `?` for one.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((star_p, star_n)) = star else { return false };
                star = Some((star_p, star_n + 1));
                (p, n) = (star_p + 1, star_n + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn wrong(at: u64, expected: &str, found: &str) -> FormatError {
    FormatError {
        what: "list of labels".to_owned(),
        at,
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back() {
        let labels = ["a", "debian/12/demo"]
            .map(|name| (name.parse().unwrap(), Digest::of(name.as_bytes())));
        assert_eq!(decode(encode(&labels).as_bytes()), Ok(labels.to_vec()));
        assert_eq!(decode(b""), Ok(Vec::new()));
    }

    #[test]
    fn a_line_that_is_no_label_is_named() {
        let digest = Digest::of(b"");
        let error = decode(format!("a {digest}\nb nothing\n").as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "list of labels at byte 67: expected NAME DIGEST, found \"b nothing\""
        );
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*", "debian/12/demo", true),
            ("debian/*", "debian/12/demo", true),
            ("debian/1?/*", "debian/12/demo", true),
            ("*/demo", "debian/12/demo", true),
            ("*12*mo", "debian/12/demo", true),
            ("debian", "debian/12/demo", false),
            ("*x*", "debian/12/demo", false),
            ("", "a", false),
            ("a**", "a", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
