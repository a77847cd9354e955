//! The operator's words for a disk: `transport=nvme,size>=100G,serial=S3X*`.
//!
//! Predicates are joined by commas and all must match. Texts are globs (`*` any
//! run, `?` one character). Sizes are decimal as on the disk's box (`100G`) or
//! binary (`100Gi`).

use std::fmt;
use std::str::FromStr;

use super::{Disk, Transport, size_text};

/// All that the operator asks of a disk; empty for "the only one there is".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Predicates(Vec<Predicate>);

/// One thing asked of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// A text of the disk must match a glob.
    Text {
        /// Which text: one of the words of the table `TEXTS`.
        field: &'static str,
        /// The glob.
        pattern: String,
    },
    /// The size must compare so.
    Size(Comparison, u64),
    /// It must be attached so.
    Transport(Transport),
    /// It must spin, or not.
    Rotational(bool),
    /// Its medium can be taken out, or not. Asking for it also allows it.
    Removable(bool),
}

/// How a size is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `size>=`
    AtLeast,
    /// `size<=`
    AtMost,
    /// `size=`, to the byte.
    Exactly,
}

/// A word that is no predicate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?}: expected {expected}")]
pub struct PredicateError {
    /// The word as typed.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

type Text = fn(&Disk) -> Vec<&str>;

/// The texts of a disk that can be asked for. A disk has several labels: its
/// file systems' and its partitions' names.
const TEXTS: [(&str, Text); 7] = [
    ("path", |disk| vec![&disk.path]),
    ("serial", |disk| vec![&disk.serial]),
    ("wwn", |disk| vec![&disk.wwn]),
    ("model", |disk| vec![&disk.model]),
    ("vendor", |disk| vec![&disk.vendor]),
    ("bus-path", |disk| vec![&disk.bus_path]),
    ("label", |disk| disk.contents.labels().collect()),
];

const WORDS: &str =
    "path serial wwn model vendor bus-path label size transport rotational removable";

/// More predicates than this are a mistake, not a wish.
const MAX_PREDICATES: usize = 16;

impl Predicates {
    /// Parses predicates joined by commas. Every word that is wrong is named.
    pub fn parse(text: &str) -> Result<Self, Vec<PredicateError>> {
        let words = text.split(',').filter(|word| !word.is_empty());
        let (right, wrong): (Vec<_>, Vec<_>) =
            words.map(str::parse::<Predicate>).partition(Result::is_ok);
        let mut errors: Vec<PredicateError> = wrong.into_iter().filter_map(Result::err).collect();
        if right.len() > MAX_PREDICATES {
            let found = format!("{} predicates", right.len());
            errors.push(PredicateError { found, expected: format!("at most {MAX_PREDICATES}") });
        }
        if errors.is_empty() {
            Ok(Self(right.into_iter().flatten().collect()))
        } else {
            Err(errors)
        }
    }

    /// True if nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Why `disk` is not what is asked for: every predicate that fails, or
    /// nothing if all match.
    pub fn mismatches(&self, disk: &Disk) -> Vec<String> {
        self.0.iter().filter_map(|predicate| predicate.mismatch(disk)).collect()
    }

    /// True if a medium that can be taken out was asked for by name.
    pub fn allows_removable(&self) -> bool {
        self.0.iter().any(|predicate| match predicate {
            Predicate::Removable(wanted) => *wanted,
            Predicate::Text { field, pattern } => *field == "path" && !pattern.contains(['*', '?']),
            _ => false,
        })
    }
}

impl Predicate {
    /// What the disk has instead, or `None` if it matches.
    fn mismatch(&self, disk: &Disk) -> Option<String> {
        let yes_no = |value: bool| if value { "yes" } else { "no" };
        let (matches, has) = match self {
            Self::Text { field, pattern } => {
                let texts =
                    TEXTS.iter().find(|(word, _)| word == field).map(|(_, text)| text(disk));
                let texts = texts.unwrap_or_default();
                let has = if texts.is_empty() { String::new() } else { texts.join("\", \"") };
                (texts.iter().any(|text| glob(pattern, text)), format!("{field} is \"{has}\""))
            }
            Self::Size(comparison, bytes) => {
                let is = match comparison {
                    Comparison::AtLeast => disk.size_bytes >= *bytes,
                    Comparison::AtMost => disk.size_bytes <= *bytes,
                    Comparison::Exactly => disk.size_bytes == *bytes,
                };
                (is, format!("size is {} ({} bytes)", size_text(disk.size_bytes), disk.size_bytes))
            }
            Self::Transport(wanted) => {
                (disk.transport == *wanted, format!("transport is {}", disk.transport))
            }
            Self::Rotational(wanted) => {
                (disk.rotational == *wanted, format!("rotational is {}", yes_no(disk.rotational)))
            }
            Self::Removable(wanted) => {
                (disk.removable == *wanted, format!("removable is {}", yes_no(disk.removable)))
            }
        };
        (!matches).then(|| format!("{has}, wanted {self}"))
    }
}

impl FromStr for Predicate {
    type Err = PredicateError;

    fn from_str(word: &str) -> Result<Self, PredicateError> {
        let wrong = |expected: String| PredicateError { found: word.into(), expected };
        if word.starts_with("/dev/") {
            return Ok(Self::Text { field: "path", pattern: word.into() });
        }
        let (key, comparison, value) = split(word).ok_or_else(|| {
            wrong(format!("predicate=value or a path under /dev; predicates are {WORDS}"))
        })?;
        if key != "size" && comparison != Comparison::Exactly {
            return Err(wrong(format!("{key}=..., only size can be compared by >= and <=")));
        }
        if let Some((field, _)) = TEXTS.iter().find(|(field, _)| *field == key) {
            return Ok(Self::Text { field, pattern: value.into() });
        }
        let yes_no = || yes_no(value).ok_or_else(|| wrong(format!("{key}=yes or {key}=no")));
        match key {
            "size" => {
                parse_size(value).map(|bytes| Self::Size(comparison, bytes)).ok_or_else(|| {
                    wrong("a size: digits and K M G T or Ki Mi Gi Ti, as in size>=100G".into())
                })
            }
            "transport" => transport(value).map(Self::Transport).ok_or_else(|| {
                wrong(format!("one of {}", Transport::ALL.map(|(_, word)| word).join(" ")))
            }),
            "rotational" => yes_no().map(Self::Rotational),
            "removable" => yes_no().map(Self::Removable),
            _ => Err(wrong(format!("one of {WORDS}"))),
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes_no = |value: &bool| if *value { "yes" } else { "no" };
        match self {
            Self::Text { field, pattern } => write!(f, "{field}={pattern}"),
            Self::Size(Comparison::AtLeast, bytes) => write!(f, "size>={bytes}"),
            Self::Size(Comparison::AtMost, bytes) => write!(f, "size<={bytes}"),
            Self::Size(Comparison::Exactly, bytes) => write!(f, "size={bytes}"),
            Self::Transport(transport) => write!(f, "transport={transport}"),
            Self::Rotational(value) => write!(f, "rotational={}", yes_no(value)),
            Self::Removable(value) => write!(f, "removable={}", yes_no(value)),
        }
    }
}

impl fmt::Display for Predicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(if words.is_empty() { "any disk" } else { "" })?;
        f.write_str(&words.join(","))
    }
}

/// `size>=100G` into its three parts.
fn split(word: &str) -> Option<(&str, Comparison, &str)> {
    let (key, value) = word.split_once('=')?;
    if let Some(key) = key.strip_suffix('>') {
        return Some((key, Comparison::AtLeast, value));
    }
    match key.strip_suffix('<') {
        Some(key) => Some((key, Comparison::AtMost, value)),
        None => Some((key, Comparison::Exactly, value)),
    }
}

/// A number of bytes as operators write it: `1000`, with K, M, G, T in thousands, or with Ki, Mi, Gi,
/// Ti in units of 1024.
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_bytes: u64 = match unit {
        "" => 1,
        "K" => 1000,
        "M" => 1000_u64.pow(2),
        "G" => 1000_u64.pow(3),
        "T" => 1000_u64.pow(4),
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_bytes)
}

fn transport(word: &str) -> Option<Transport> {
    Transport::ALL.iter().find(|(_, name)| *name == word).map(|(transport, _)| *transport)
}

fn yes_no(word: &str) -> Option<bool> {
    match word {
        "yes" | "1" => Some(true),
        "no" | "0" => Some(false),
        _ => None,
    }
}

/// Whether `text` matches `pattern`, where `*` is any run and `?` one character.
///
/// Remembers only the last `*`: time is at most the product of the two lengths,
/// whatever the pattern.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut here) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while here < text.len() {
        match pattern.get(at) {
            Some('*') => {
                last_star = Some((at, here));
                at += 1;
            }
            Some(&c) if c == '?' || c == text[here] => {
                at += 1;
                here += 1;
            }
            _ => {
                let Some((star, from)) = last_star else { return false };
                last_star = Some((star, from + 1));
                at = star + 1;
                here = from + 1;
            }
        }
    }
    pattern[at..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::super::tests::disk;
    use super::*;

    #[test]
    fn every_predicate_is_read_and_says_itself() {
        let table = [
            ("", "any disk"),
            ("/dev/vda", "path=/dev/vda"),
            (
                "transport=nvme,size>=100G,serial=ABC*",
                "transport=nvme,size>=100000000000,serial=ABC*",
            ),
            (
                "size<=2Ti,rotational=no,removable=yes",
                "size<=2199023255552,rotational=no,removable=yes",
            ),
            (
                "size=512,wwn=naa.5*,model=Samsung SSD ???",
                "size=512,wwn=naa.5*,model=Samsung SSD ???",
            ),
            (
                "vendor=ATA,bus-path=*0000:00:04.0*,label=root",
                "vendor=ATA,bus-path=*0000:00:04.0*,label=root",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(Predicates::parse(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let errors =
            Predicates::parse("sda,size>=big,transport=sat,rotational=maybe,serial>=3,sise=1");
        let lines: Vec<String> = errors.unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                format!("\"sda\": expected predicate=value or a path under /dev; predicates are {WORDS}"),
                "\"size>=big\": expected a size: digits and K M G T or Ki Mi Gi Ti, as in size>=100G".into(),
                "\"transport=sat\": expected one of nvme sata sas usb virtio mmc xen scsi other".into(),
                "\"rotational=maybe\": expected rotational=yes or rotational=no".into(),
                "\"serial>=3\": expected serial=..., only size can be compared by >= and <=".into(),
                format!("\"sise=1\": expected one of {WORDS}"),
            ]
        );
        assert!(Predicates::parse(&"size>=1,".repeat(17)).is_err());
        assert!(Predicates::parse("size>=99999999999T").is_err());
    }

    #[test]
    fn a_mismatch_says_what_the_disk_has() {
        let disk = Disk { serial: "XYZ".into(), ..disk("vda") };
        let table: [(&str, &[&str]); 6] = [
            ("/dev/vda,size>=8G,transport=virtio,rotational=no", &[]),
            ("size>=9G", &["size is 8.5 GB (8589934592 bytes), wanted size>=9000000000"]),
            ("size<=8G", &["size is 8.5 GB (8589934592 bytes), wanted size<=8000000000"]),
            ("size=8Gi", &[]),
            (
                "serial=ABC*,transport=nvme",
                &[
                    "serial is \"XYZ\", wanted serial=ABC*",
                    "transport is virtio, wanted transport=nvme",
                ],
            ),
            ("label=root", &["label is \"\", wanted label=root"]),
        ];
        for (text, expected) in table {
            assert_eq!(Predicates::parse(text).unwrap().mismatches(&disk), expected, "{text}");
        }
    }

    #[test]
    fn globs_match_the_whole_text() {
        let table = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("*b*b", "abab", true),
            ("a?c", "ac", false),
            ("**a**", "bab", true),
            ("é?", "éa", true),
            ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
