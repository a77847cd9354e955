//! Labels: names that people use, and the records that say what they name.
//!
//! A record is a few lines of text, so that `curl` shows it and a signature can be
//! made over it. Its last line is a check that finds rot; who may say what
//! a label means is settled by signatures, not by this check.

use crate::Digest;
use crate::codec::FormatError;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

/// A record longer than this is a lie, bytes.
pub const RECORD_MAX_BYTES: usize = 64 << 10;

/// A name in its `__` form is a file name: `NAME_MAX` of every Linux file system.
const NAME_MAX_BYTES: usize = 255;

const FIRST_LINE: &str = "inaug-label 1";

/// The name of a label: parts of letters, digits, `.`, `_` and `-` that start with a
/// letter or a digit, joined by `/` or `__`, which mean the same. Shown with `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelName(String);

impl LabelName {
    /// As people read it: `debian/12/demo`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a store files it: `debian__12__demo`.
    pub fn file_name(&self) -> String {
        self.0.replace('/', "__")
    }
}

impl fmt::Display for LabelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no label name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a label name: {found:?}: {reason}")]
pub struct LabelNameError {
    /// The text as given, cut to a length fit for a screen.
    pub found: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl FromStr for LabelName {
    type Err = LabelNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| LabelNameError { found: text.chars().take(80).collect(), reason };
        if text.is_empty() {
            return Err(wrong("it is empty"));
        }
        let shown = text.replace("__", "/");
        if shown.len() + shown.matches('/').count() > NAME_MAX_BYTES {
            return Err(wrong("longer than 255 bytes with its separators written as __"));
        }
        for part in shown.split('/') {
            if !part.starts_with(|first: char| first.is_ascii_alphanumeric()) {
                return Err(wrong("each part starts with a letter or a digit"));
            }
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if !part.chars().all(allowed) {
                return Err(wrong("only letters, digits, '.', '_' and '-' inside a part"));
            }
            if part.ends_with('_') {
                return Err(wrong("a part that ends in '_' runs into the separator __"));
            }
        }
        Ok(Self(shown))
    }
}

/// What a label is, as the store says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRecord {
    /// The label this is the record of: a record under another name is refused.
    pub name: LabelName,
    /// Digest of the manifest.
    pub manifest: Digest,
    /// Kind of manifest: `image` (later `tree`).
    pub kind: String,
    /// Size of the content, bytes.
    pub size_bytes: u64,
    /// When it was pushed, seconds since 1970 UTC.
    pub pushed_unix_s: u64,
    /// Free facts in key order, such as a git hash.
    pub facts: Vec<(String, String)>,
}

/// A record that cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It does not follow its format, or its check does not fit.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It is the record of another label.
    #[error("label record: expected the label {expected}, found {found}")]
    OtherName {
        /// The label asked for.
        expected: LabelName,
        /// The label in the record.
        found: LabelName,
    },
}

impl LabelRecord {
    /// The record as text.
    pub fn encode(&self) -> String {
        let mut text = format!(
            "{FIRST_LINE}\nname {}\nmanifest {}\nkind {}\nsize {}\npushed {}\n",
            self.name, self.manifest, self.kind, self.size_bytes, self.pushed_unix_s
        );
        for (key, value) in &self.facts {
            text.extend(["fact ", key, "=", value, "\n"]);
        }
        let check = Digest::of(text.as_bytes());
        text + &format!("check {check}\n")
    }

    /// Reads the record of `name`.
    pub fn decode(bytes: &[u8], name: &LabelName) -> Result<Self, RecordError> {
        let record = Self::decode_any(bytes)?;
        if record.name == *name {
            return Ok(record);
        }
        Err(RecordError::OtherName { expected: name.clone(), found: record.name })
    }

    /// Reads a record of whatever label it is of.
    pub fn decode_any(bytes: &[u8]) -> Result<Self, FormatError> {
        let text = checked_text(bytes)?;
        let mut lines = Lines { rest: text.lines(), number: 0 };
        lines.exactly(FIRST_LINE)?;
        let record = Self {
            name: lines.parse("name")?,
            manifest: lines.parse("manifest")?,
            kind: lines.parse("kind")?,
            size_bytes: lines.parse("size")?,
            pushed_unix_s: lines.parse("pushed")?,
            facts: lines.facts()?,
        };
        if record.encode().as_bytes() != bytes {
            return Err(wrong(0, "the one way to write this record", "another spelling of it"));
        }
        Ok(record)
    }
}

/// Whether `key=value` can be a fact: keys of letters, digits, `.`, `_`, `-`; values
/// on one line.
pub fn fact_is_valid(key: &str, value: &str) -> bool {
    let key_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !key.is_empty() && key.chars().all(key_char) && !value.chars().any(char::is_control)
}

/// The lines before the check, when the check is right.
fn checked_text(bytes: &[u8]) -> Result<&str, FormatError> {
    if bytes.len() > RECORD_MAX_BYTES {
        return Err(wrong(0, &format!("at most {RECORD_MAX_BYTES} bytes"), "more"));
    }
    let text = core::str::from_utf8(bytes)
        .map_err(|error| wrong(error.valid_up_to() as u64, "UTF-8", &error.to_string()))?;
    let Some((body, check)) = text.rsplit_once("check ") else {
        return Err(wrong(bytes.len() as u64, "a check line at the end", "none"));
    };
    let found = Digest::of(body.as_bytes()).to_string();
    if check.strip_suffix('\n') == Some(&found) {
        return Ok(body);
    }
    if check == found {
        return Err(wrong(bytes.len() as u64, "an end of the last line", "none"));
    }
    let shown: String = check.trim_end().chars().take(64).collect();
    Err(wrong(body.len() as u64, &format!("check {found}"), &format!("check {shown}")))
}

fn wrong(at: u64, expected: &str, found: &str) -> FormatError {
    FormatError {
        what: "label record".to_owned(),
        at,
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

struct Lines<'a> {
    rest: core::str::Lines<'a>,
    number: u64,
}

impl<'a> Lines<'a> {
    fn next(&mut self, expected: &str) -> Result<&'a str, FormatError> {
        self.number += 1;
        self.rest.next().ok_or_else(|| self.wrong(expected, "the end"))
    }

    fn wrong(&self, expected: &str, found: &str) -> FormatError {
        let found: String = found.chars().take(80).collect();
        FormatError {
            what: format!("label record: line {}", self.number),
            ..wrong(0, expected, &format!("{found:?}"))
        }
    }

    fn exactly(&mut self, expected: &str) -> Result<(), FormatError> {
        let line = self.next(expected)?;
        if line == expected { Ok(()) } else { Err(self.wrong(expected, line)) }
    }

    fn parse<T: FromStr>(&mut self, key: &str) -> Result<T, FormatError> {
        let expected = format!("{key} and its value");
        let line = self.next(&expected)?;
        let value = line.strip_prefix(key).and_then(|rest| rest.strip_prefix(' '));
        let parsed = value.and_then(|value| value.parse().ok());
        parsed.ok_or_else(|| self.wrong(&expected, line))
    }

    fn facts(&mut self) -> Result<Vec<(String, String)>, FormatError> {
        let mut facts = Vec::new();
        while let Some(line) = self.rest.next() {
            self.number += 1;
            let pair = line.strip_prefix("fact ").and_then(|fact| fact.split_once('='));
            match pair {
                Some((key, value)) if fact_is_valid(key, value) => {
                    facts.push((key.to_owned(), value.to_owned()));
                }
                _ => return Err(self.wrong("fact KEY=VALUE", line)),
            }
        }
        Ok(facts)
    }
}
