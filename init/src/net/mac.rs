//! Ethernet addresses as an operator types them.

use std::fmt;
use std::str::FromStr;

use super::args::ArgError;

/// A 48-bit Ethernet address. Prints as `52:54:00:12:34:56`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// The address in `bytes`, which netlink gives as a byte string; `None` unless it is six bytes
    /// (InfiniBand has twenty).
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl FromStr for MacAddr {
    type Err = ArgError;

    /// Six pairs of hex digits, all separated by `:` or all by `-`.
    fn from_str(text: &str) -> Result<Self, ArgError> {
        let separator = if text.contains('-') { '-' } else { ':' };
        let bytes: Option<Vec<u8>> = text.split(separator).map(hex_pair).collect();
        bytes.as_deref().and_then(Self::from_bytes).ok_or_else(|| {
            ArgError::new("MAC address", text, "six hex pairs such as 52:54:00:12:34:56")
        })
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.0.map(|byte| format!("{byte:02x}"));
        f.write_str(&pairs.join(":"))
    }
}

fn hex_pair(text: &str) -> Option<u8> {
    // from_str_radix alone would take "+f".
    let both_hex = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if both_hex { u8::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::MacAddr;

    #[test]
    fn six_hex_pairs_and_nothing_else() {
        let good = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0xab]);
        for (text, expected) in [
            ("52:54:00:12:34:ab", Some(good)),
            ("52-54-00-12-34-AB", Some(good)),
            ("52:54:00:12:34", None),
            ("52:54:00:12:34:ab:cd", None),
            ("52:54:00:12:34:+b", None),
            ("52:54-00:12:34:ab", None),
            ("525400123abc", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text:?}");
        }
        assert_eq!(good.to_string(), "52:54:00:12:34:ab");
    }
}
