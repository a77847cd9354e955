//! Directories: entries of 32 bytes (6), and long names before them (7).

use super::{File, VfatError};
use std::collections::BTreeMap;

const ENTRY_BYTES: usize = 32;

/// What a long name holds in one entry, characters.
const PART_CHARACTERS: usize = 13;

/// The longest long name, characters (7.1).
const NAME_MAX: usize = 255;

const READ_ONLY: u8 = 0x01;
const HIDDEN: u8 = 0x02;
const SYSTEM: u8 = 0x04;
const VOLUME: u8 = 0x08;
const IS_DIRECTORY: u8 = 0x10;
const ARCHIVE: u8 = 0x20;

/// The first day that can be said: 1 January 1980 (6.1).
const DATE: [u8; 2] = 0x0021_u16.to_le_bytes();

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// The directory of this index; 0 is the root.
    Directory(usize),
    /// The file of this index.
    File(usize),
}

/// A directory and what is in it, by name without regard to case.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// The directory that it is in; none for the root.
    parent: Option<usize>,
    own: usize,
    label: Option<&'static str>,
    /// By name in capitals: the name, what it leads to, and its length, bytes.
    entries: BTreeMap<String, (String, Entry, u64)>,
}

/// All directories of a volume, the root first.
pub(super) fn tree(label: &'static str, files: &[File]) -> Result<Vec<Directory>, VfatError> {
    let mut all = vec![Directory { label: Some(label), ..Directory::default() }];
    for (index, file) in files.iter().enumerate() {
        let twice = || VfatError::Twice { path: file.path.clone() };
        let (above, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        let mut at = 0;
        for part in above.split('/').filter(|part| !part.is_empty()) {
            let key = key(file, part)?;
            at = match all[at].entries.get(&key) {
                Some((_, Entry::Directory(next), _)) => *next,
                Some(_) => return Err(twice()),
                None => {
                    let own = all.len();
                    all[at].entries.insert(key, (part.to_owned(), Entry::Directory(own), 0));
                    all.push(Directory { parent: Some(at), own, ..Directory::default() });
                    own
                }
            };
        }
        let entry = (name.to_owned(), Entry::File(index), file.size_bytes);
        if all[at].entries.insert(key(file, name)?, entry).is_some() {
            return Err(twice());
        }
    }
    Ok(all)
}

/// What names are compared by.
fn key(file: &File, name: &str) -> Result<String, VfatError> {
    let portable = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~-".contains(&byte);
    let is_good =
        name.bytes().all(portable) && (1..=NAME_MAX).contains(&name.len()) && !name.ends_with('.');
    if is_good {
        return Ok(name.to_ascii_uppercase());
    }
    Err(VfatError::Name { path: file.path.clone(), found: name.to_owned() })
}

impl Directory {
    /// Length of its entries, bytes.
    pub(super) fn size_bytes(&self) -> u64 {
        let own = if self.parent.is_some() { 2 } else { usize::from(self.label.is_some()) };
        let entries = self.entries.keys().zip(self.entries.values());
        let count = entries.map(|(key, (name, ..))| 1 + long_entries(key, name)).sum::<usize>();
        ((own + count) * ENTRY_BYTES) as u64
    }

    /// Its entries; `first` says where something starts.
    pub(super) fn encode(&self, first: &impl Fn(Entry) -> u32) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(label) = self.label {
            short(&mut out, padded_label(label), VOLUME, 0, 0);
        }
        if let Some(parent) = self.parent {
            short(&mut out, *b".          ", IS_DIRECTORY, first(Entry::Directory(self.own)), 0);
            short(&mut out, *b"..         ", IS_DIRECTORY, first(Entry::Directory(parent)), 0);
        }
        for (number, (key, (name, entry, size_bytes))) in (1..).zip(&self.entries) {
            let alias = match eight_three(key) {
                Some(alias) if key == name => alias,
                _ => {
                    let alias = numbered(number);
                    long(&mut out, name, alias);
                    alias
                }
            };
            let kind = if matches!(entry, Entry::File(_)) { ARCHIVE } else { IS_DIRECTORY };
            // Checked by whoever plans the volume.
            short(&mut out, alias, kind, first(*entry), *size_bytes as u32);
        }
        out
    }
}

/// How many entries a long name takes: none where the name is one of eight and three capitals.
fn long_entries(key: &str, name: &str) -> usize {
    let is_short = key == name && eight_three(key).is_some();
    if is_short { 0 } else { name.len().div_ceil(PART_CHARACTERS) }
}

/// A label as it lies on a volume.
pub(super) fn padded_label(label: &str) -> [u8; 11] {
    let mut padded = [b' '; 11];
    padded.iter_mut().zip(label.bytes()).for_each(|(place, byte)| *place = byte);
    padded
}

/// A name that needs no long one.
fn eight_three(key: &str) -> Option<[u8; 11]> {
    let (base, extension) = key.split_once('.').unwrap_or((key, ""));
    let fits = (1..=8).contains(&base.len())
        && extension.len() <= 3
        && !extension.contains('.')
        && !key.contains('+')
        && (key.contains('.') != extension.is_empty());
    fits.then(|| {
        let mut name = padded_label(base);
        name[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
        name
    })
}

/// The short name of a long one: nobody looks for it, so it only has to be the only one of its
/// directory; no name that is given has this sign.
fn numbered(number: u32) -> [u8; 11] {
    padded_label(&format!("#{number:07}"))
}

fn short(out: &mut Vec<u8>, name: [u8; 11], attributes: u8, cluster: u32, size_bytes: u32) {
    let [low0, low1, high0, high1] = cluster.to_le_bytes();
    out.extend(name);
    out.extend([attributes, 0, 0, 0, 0]);
    out.extend(DATE); // made
    out.extend(DATE); // read
    out.extend([high0, high1, 0, 0]);
    out.extend(DATE); // written
    out.extend([low0, low1]);
    out.extend(size_bytes.to_le_bytes());
}

/// The entries of a long name, the last part first (7.1).
fn long(out: &mut Vec<u8>, name: &str, alias: [u8; 11]) {
    let check = alias.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let parts: Vec<&[u8]> = name.as_bytes().chunks(PART_CHARACTERS).collect();
    for (index, part) in parts.iter().enumerate().rev() {
        let mut units = [0xffff_u16; PART_CHARACTERS];
        let with_end = part.iter().map(|byte| u16::from(*byte)).chain([0]);
        units.iter_mut().zip(with_end).for_each(|(unit, byte)| *unit = byte);
        let last = if index + 1 == parts.len() { 0x40 } else { 0 };
        // At most 20 parts.
        out.push((index as u8 + 1) | last);
        out.extend(units[..5].iter().flat_map(|unit| unit.to_le_bytes()));
        out.extend([READ_ONLY | HIDDEN | SYSTEM | VOLUME, 0, check]);
        out.extend(units[5..11].iter().flat_map(|unit| unit.to_le_bytes()));
        out.extend([0, 0]);
        out.extend(units[11..].iter().flat_map(|unit| unit.to_le_bytes()));
    }
}
