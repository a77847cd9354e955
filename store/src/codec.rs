//! The few primitives all binary formats here are made of.
//!
//! Numbers are LEB128 varints (seven bits a byte, least significant first, as in
//! DWARF and protobuf), in their shortest form only, so that equal values have
//! equal bytes; fixed-width numbers are little-endian.

use crate::Digest;
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes that do not follow their format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}: expected {expected}, found {found}")]
pub struct FormatError {
    /// The thing being read ("manifest", "map", ...) and its field.
    pub what: String,
    /// Offset from the start of that thing, bytes.
    pub at: u64,
    /// What would have been right.
    pub expected: String,
    /// What stood there.
    pub found: String,
}

/// A u64 takes at most ten groups of seven bits.
const VARINT_MAX_BYTES: usize = 10;

/// Appends `value` as a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a length-prefixed byte string.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads a format front to back; every error says where.
pub(crate) struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, bytes, at: 0 }
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn wrong(&self, field: &str, expected: &str, found: &str) -> FormatError {
        FormatError {
            what: alloc::format!("{}: {field}", self.what),
            at: self.at as u64,
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(crate) fn take(&mut self, field: &str, length: usize) -> Result<&'a [u8], FormatError> {
        if length > self.left() {
            let (expected, found) =
                (alloc::format!("{length} bytes"), alloc::format!("{} left", self.left()));
            return Err(self.wrong(field, &expected, &found));
        }
        let taken = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(field, N)?);
        Ok(array)
    }

    pub(crate) fn digest(&mut self, field: &str) -> Result<Digest, FormatError> {
        Ok(Digest::from_bytes(self.array(field)?))
    }

    pub(crate) fn magic(&mut self, magic: [u8; 8]) -> Result<(), FormatError> {
        let found = self.array::<8>("magic")?;
        if found == magic {
            return Ok(());
        }
        self.at -= 8;
        let expected = alloc::format!("\"{}\"", magic.escape_ascii());
        let found = alloc::format!("\"{}\"", found.escape_ascii());
        Err(self.wrong("magic", &expected, &found))
    }

    /// A varint of at most `max`.
    pub(crate) fn varint(&mut self, field: &str, max: u64) -> Result<u64, FormatError> {
        let start = self.at;
        let mut value: u64 = 0;
        for index in 0..VARINT_MAX_BYTES {
            let byte = self.take(field, 1)?[0];
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * index as u32;
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let shortest = index == 0 || byte != 0;
                if !shortest {
                    break;
                }
                if value > max {
                    self.at = start;
                    let expected = alloc::format!("at most {max}");
                    return Err(self.wrong(field, &expected, &alloc::format!("{value}")));
                }
                return Ok(value);
            }
        }
        self.at = start;
        Err(self.wrong(field, "a varint in its shortest form", "a longer or larger one"))
    }

    /// A count of things that take at least `each` bytes: bounded by what is left,
    /// so that a lying count cannot make anyone reserve memory.
    pub(crate) fn count(&mut self, field: &str, each: usize) -> Result<usize, FormatError> {
        let max = (self.bytes.len() - self.at) / each.max(1);
        Ok(self.varint(field, max as u64)? as usize)
    }

    /// A length-prefixed UTF-8 string of at most `max` bytes.
    pub(crate) fn string(&mut self, field: &str, max: usize) -> Result<String, FormatError> {
        let bytes = self.bytes(field, max)?;
        match core::str::from_utf8(bytes) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(self.wrong(field, "UTF-8", &alloc::format!("{error}"))),
        }
    }

    /// A length-prefixed byte string of at most `max` bytes.
    pub(crate) fn bytes(&mut self, field: &str, max: usize) -> Result<&'a [u8], FormatError> {
        let length = self.varint(field, max as u64)? as usize;
        self.take(field, length)
    }

    pub(crate) fn end(&self) -> Result<(), FormatError> {
        if self.left() == 0 {
            return Ok(());
        }
        Err(self.wrong("end", "no more bytes", &alloc::format!("{} more", self.left())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn varints_are_read_in_their_shortest_form_only() {
        let read = |bytes: &[u8]| Reader::new("test", bytes).varint("n", u64::MAX).ok();
        assert_eq!(read(&[0x00]), Some(0));
        assert_eq!(read(&[0x80, 0x01]), Some(128));
        assert_eq!(read(&[0x80, 0x00]), None, "a padded zero");
        assert_eq!(read(&[0xff; 10]), None, "more than 64 bits");
        assert_eq!(read(&[0x80]), None, "cut short");
    }

    #[test]
    fn an_error_says_what_where_expected_and_found() {
        let error = Reader::new("map", &[5]).varint("pack", 3).unwrap_err();
        assert_eq!(error.to_string(), "map: pack at byte 0: expected at most 3, found 5");
    }

    proptest! {
        #[test]
        fn varints_come_back(value: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut reader = Reader::new("test", &bytes);
            prop_assert_eq!(reader.varint("n", u64::MAX), Ok(value));
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }
}
