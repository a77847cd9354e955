//! What a machine is known by: what its firmware says, and iPXE hands on.

use std::fmt;
use std::str::FromStr;

/// One thing that a machine is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    /// The address of a network card.
    Mac(Mac),
    /// SMBIOS 7.2.1: the system's UUID, as iPXE and `dmidecode` write it.
    Uuid(Uuid),
    /// The system's serial number, without blanks around it.
    Serial(String),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => write!(f, "mac {mac}"),
            Self::Uuid(uuid) => write!(f, "uuid {uuid}"),
            Self::Serial(serial) => write!(f, "serial {serial}"),
        }
    }
}

/// What boards say whose maker filled nothing in, in lower case: many machines say the same.
const PLACEHOLDERS: [&str; 14] = [
    "to be filled by o.e.m.",
    "to be filled by o.e.m",
    "default string",
    "system serial number",
    "not specified",
    "not applicable",
    "not available",
    "none",
    "n/a",
    "unknown",
    "invalid",
    "0",
    "0123456789",
    "123456789",
];

/// The same of UUIDs, in both orders of bytes.
const UUID_PLACEHOLDERS: [&str; 4] = [
    "03000200-0400-0500-0006-000700080009",
    "00020003-0004-0005-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
    "78563412-3412-7856-90ab-cddeefaabbcc",
];

impl Identity {
    /// A serial number as typed, which has to be of one machine.
    pub(crate) fn serial(text: &str) -> Result<Self, WordError> {
        let text = text.trim();
        if text.is_empty() || PLACEHOLDERS.contains(&&*text.to_ascii_lowercase()) {
            let expected = "the serial number of one machine, not what many have";
            return Err(WordError { word: text.to_owned(), expected });
        }
        Ok(Self::Serial(text.to_owned()))
    }
}

/// The address of an Ethernet card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mac([u8; 6]);

/// A word is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{word:?}: expected {expected}")]
pub(crate) struct WordError {
    word: String,
    expected: &'static str,
}

impl FromStr for Mac {
    type Err = WordError;

    /// Six hex pairs, joined all by `:` or all by `-` (iPXE's `hexhyp`).
    fn from_str(text: &str) -> Result<Self, WordError> {
        let wrong = || WordError {
            word: text.to_owned(),
            expected: "six hex pairs such as 52:54:00:12:34:56",
        };
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut pairs = text.split(separator);
        for byte in &mut bytes {
            *byte = pairs.next().and_then(pair).ok_or_else(wrong)?;
        }
        if pairs.next().is_some() { Err(wrong()) } else { Ok(Self(bytes)) }
    }
}

/// Two hex digits; `from_str_radix` alone would take a sign and fewer.
fn pair(text: &str) -> Option<u8> {
    let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits { u8::from_str_radix(text, 16).ok() } else { None }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|byte| format!("{byte:02x}")).join(":"))
    }
}

/// A UUID in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Uuid(String);

/// Hex digits between the hyphens of a UUID (RFC 9562, section 4).
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

impl FromStr for Uuid {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let lengths = text.split('-').map(str::len);
        let digits = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        // SMBIOS 7.2.1: all zeroes and all ones stand for a system without one.
        let is_none = |digit: u8| {
            text.bytes().all(|byte| matches!(byte, b'-') || byte.eq_ignore_ascii_case(&digit))
        };
        let wrong = |expected| Err(WordError { word: text.to_owned(), expected });
        if !digits || !lengths.eq(UUID_GROUPS) {
            return wrong("a UUID such as 4c4c4544-0042-3510-8054-b9c04f503733");
        }
        let lower = text.to_ascii_lowercase();
        if is_none(b'0') || is_none(b'f') || UUID_PLACEHOLDERS.contains(&&*lower) {
            return wrong("the UUID of one machine, not what many have");
        }
        Ok(Self(lower))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_strictly() {
        let mac = |text: &str| text.parse::<Mac>().ok().map(|mac| mac.to_string());
        let expected = Some("52:54:00:ab:34:56".to_owned());
        assert_eq!(mac("52:54:00:AB:34:56"), expected);
        assert_eq!(mac("52-54-00-ab-34-56"), expected);
        for wrong in [
            "",
            "52:54:00:ab:34",
            "52:54:00:ab:34:56:78",
            "01-52-54-00-ab-34-56",
            "52:54-00:ab:34:56",
            "52:54:00:ab:34:5",
            "52:54:00:ab:34:+5",
            "52:54:00:ab:34:5g",
            "525400ab3456",
        ] {
            assert_eq!(mac(wrong), None, "{wrong:?}");
        }
        let uuid = |text: &str| text.parse::<Uuid>().ok().map(|uuid| uuid.to_string());
        let lower = "4c4c4544-0042-3510-8054-b9c04f503733";
        assert_eq!(uuid(&lower.to_uppercase()).as_deref(), Some(lower));
        let zeroes = lower.replace(|c: char| c != '-', "0");
        for wrong in [
            "",
            "4c4c4544",
            &zeroes,
            &zeroes.replace('0', "F"),
            &lower[1..],
            &lower.replace('-', ""),
            &format!("{lower}-0"),
            "03000200-0400-0500-0006-000700080009",
        ] {
            assert_eq!(uuid(wrong), None, "{wrong:?}");
        }
        let serial = |text: &str| Identity::serial(text).ok().map(|one| one.to_string());
        assert_eq!(serial(" AB 1 ").as_deref(), Some("serial AB 1"));
        for wrong in ["", "  ", "To Be Filled By O.E.M.", "Default string", "0"] {
            assert_eq!(serial(wrong), None, "{wrong:?}");
        }
    }
}
