//! Directory entries, short and long (sections 6 and 7).

use crate::image::{u16_at, u32_at};

const ENTRY_BYTES: usize = 32;
const END: u8 = 0;
const DELETED: u8 = 0xe5;
/// Stands for 0xe5 as a name's first byte, since that means deleted.
const ESCAPED_E5: u8 = 0x05;
const ATTR_VOLUME_ID: u8 = 0x08;
const ATTR_DIRECTORY: u8 = 0x10;
const ATTR_LONG_NAME: u8 = 0x0f;
const ATTR_LONG_NAME_MASK: u8 = 0x3f;
/// Marks the last part of a long name, which is stored first.
const LAST_LONG_ENTRY: u8 = 0x40;
/// Where the 13 UTF-16 units of a long entry are.
const LONG_UNITS_AT: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// A file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The long name if there is one, else the short one.
    pub(super) name: String,
    pub(super) is_directory: bool,
    pub(super) first_cluster: u32,
    pub(super) size_bytes: u32,
    short_name: String,
}

impl Entry {
    /// Whether the entry has this name, long or short; case does not matter.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let same = |own: &str| own.to_lowercase() == name.to_lowercase();
        same(&self.name) || same(&self.short_name)
    }
}

/// The entries of a directory's bytes, without `.`, `..` and the volume label.
pub(super) fn parse(bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut long = LongName::default();
    for raw in bytes.chunks_exact(ENTRY_BYTES) {
        let attributes = raw[11];
        match raw[0] {
            END => break,
            DELETED => long = LongName::default(),
            _ if attributes & ATTR_LONG_NAME_MASK == ATTR_LONG_NAME => long.add(raw),
            _ => {
                let long_name = std::mem::take(&mut long).finish(checksum(raw));
                if attributes & ATTR_VOLUME_ID == 0 && raw[0] != b'.' {
                    entries.push(entry(raw, long_name));
                }
            }
        }
    }
    entries
}

fn entry(raw: &[u8], long_name: Option<String>) -> Entry {
    let short_name = short_name(raw);
    Entry {
        name: long_name.unwrap_or_else(|| short_name.clone()),
        is_directory: raw[11] & ATTR_DIRECTORY != 0,
        first_cluster: u32::from(u16_at(raw, 20)) << 16 | u32::from(u16_at(raw, 26)),
        size_bytes: u32_at(raw, 28),
        short_name,
    }
}

/// `NAME.EXT`; bits 3 and 4 of byte 12 say, by Windows' convention that
/// everyone follows, that a part is in lower case.
fn short_name(raw: &[u8]) -> String {
    let part = |bytes: &[u8], is_lower: bool| {
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        let text = text.trim_end_matches(' ');
        if is_lower { text.to_lowercase() } else { text.to_owned() }
    };
    let mut base = [0; 8];
    base.copy_from_slice(&raw[..8]);
    if base[0] == ESCAPED_E5 {
        base[0] = DELETED;
    }
    let base = part(&base, raw[12] & 0x08 != 0);
    let extension = part(&raw[8..11], raw[12] & 0x10 != 0);
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

/// Ties a long name to the short entry that follows it (section 7.2).
fn checksum(raw: &[u8]) -> u8 {
    raw[..11].iter().fold(0_u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte))
}

/// A long name being put together: its entries come last part first.
#[derive(Default)]
struct LongName {
    units: Vec<u16>,
    /// The number of the part that must come next.
    expected: u8,
    checksum: u8,
}

impl LongName {
    fn add(&mut self, raw: &[u8]) {
        let number = raw[0] & !LAST_LONG_ENTRY;
        if raw[0] & LAST_LONG_ENTRY != 0 {
            *self = Self { units: Vec::new(), expected: number, checksum: raw[13] };
        }
        if number == 0 || number != self.expected || raw[13] != self.checksum {
            *self = Self::default();
            return;
        }
        self.expected = number - 1;
        let part = LONG_UNITS_AT.map(|at| u16_at(raw, at));
        self.units.splice(0..0, part);
    }

    /// The name, if all parts were there and belong to the entry with `sum`.
    fn finish(self, sum: u8) -> Option<String> {
        if self.units.is_empty() || self.expected != 0 || self.checksum != sum {
            return None;
        }
        let end = self.units.iter().position(|&unit| unit == 0).unwrap_or(self.units.len());
        Some(String::from_utf16_lossy(&self.units[..end]))
    }
}
