//! Which machine boots what: the file that the operator writes.

use super::identity::{Identity, Mac, Uuid, WordError};
use super::words;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use store::label::LabelName;

/// Characters of the words for a kernel: its command line ends at 2047 on x86, and what we say
/// ourselves takes some hundreds.
const APPEND_MAX: usize = 1024;

/// What each machine boots.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    entries: Vec<Entry>,
    by_identity: HashMap<Identity, usize>,
    default: Option<Entry>,
}

/// What a machine boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What the operator calls it.
    pub(crate) name: Option<String>,
    pub(crate) does: Does,
    /// Words for the command line of the inaugurator's kernel.
    pub(crate) append: Vec<String>,
}

/// What is booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Does {
    /// The inaugurator, with this label, or several joined by `+`.
    Deploy(String),
    /// The inaugurator, for a person at its console.
    Recovery,
    /// What is on the disk.
    Disk,
}

/// The file makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MachinesError {
    #[error("not the JSON of a machines file")]
    Json(#[source] serde_json::Error),
    #[error("{place}")]
    Entry { place: Place, source: EntryError },
}

/// What is wrong with an entry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EntryError {
    #[error(transparent)]
    Field(#[from] serde_json::Error),
    #[error("{field}: {wrong}")]
    Word { field: &'static str, wrong: WordError },
    #[error("{field}: {text:?} {why}")]
    Text { field: &'static str, text: String, why: String },
    #[error("names no machine: expected mac, uuid or serial")]
    Nobody,
    #[error("names a machine: the default is for all others")]
    Somebody,
    #[error("has both label and boot")]
    Both,
    #[error("says neither label nor boot, and neither does the default")]
    Nothing,
    #[error("{identity} is that of machines[{other}] too")]
    Twice { identity: Identity, other: usize },
}

/// An entry, as the operator finds it.
#[derive(Debug)]
pub(crate) enum Place {
    Default,
    Machine {
        /// From 0, as JSON counts.
        index: usize,
        /// What it says of itself, as written.
        says: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Machine { index, says } => write!(f, "machines[{index}]{says}"),
        }
    }
}

/// The file as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    default: Option<Value>,
    #[serde(default)]
    machines: Vec<Value>,
}

/// An entry as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    name: Option<String>,
    mac: Option<OneOrMany>,
    uuid: Option<String>,
    serial: Option<String>,
    label: Option<String>,
    boot: Option<Boot>,
    append: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "mac: expected one address, or a list of them")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Boot {
    Recovery,
    Disk,
}

impl Machines {
    /// Reads the file's bytes; the first mistake is an error that names its entry.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, MachinesError> {
        let document: Document = serde_json::from_slice(json).map_err(MachinesError::Json)?;
        let at = |place: Place| move |source| MachinesError::Entry { place, source };
        let mut machines = Self::default();
        let mut inherited = Inherited::default();
        if let Some(value) = document.default {
            inherited = default(value).map_err(at(Place::Default))?;
            machines.default = inherited.entry();
        }
        for (index, value) in document.machines.into_iter().enumerate() {
            let place = Place::Machine { index, says: says(&value) };
            machines.add(index, value, &inherited).map_err(at(place))?;
        }
        Ok(machines)
    }

    fn add(&mut self, index: usize, value: Value, from: &Inherited) -> Result<(), EntryError> {
        let typed: Typed = serde_json::from_value(value)?;
        let identities = identities(&typed)?;
        if identities.is_empty() {
            return Err(EntryError::Nobody);
        }
        let does = does(&typed)?.or_else(|| from.does.clone()).ok_or(EntryError::Nothing)?;
        let mut append = from.append.clone();
        append.extend(append_words(&typed)?);
        self.entries.push(Entry { name: name(&typed)?, does, append });
        for identity in identities {
            if let Some(other) = self.by_identity.insert(identity.clone(), index)
                && other != index
            {
                return Err(EntryError::Twice { identity, other });
            }
        }
        Ok(())
    }

    /// What a machine with these identities boots: the first of them that the file names decides;
    /// `None` if it names none and has no default.
    pub(crate) fn find<'a>(
        &self,
        identities: impl IntoIterator<Item = &'a Identity>,
    ) -> Option<&Entry> {
        let mut named = identities.into_iter().filter_map(|one| self.by_identity.get(one));
        named.next().and_then(|index| self.entries.get(*index)).or(self.default.as_ref())
    }
}

/// What the default gives to entries that do not say it themselves.
#[derive(Default)]
struct Inherited {
    does: Option<Does>,
    append: Vec<String>,
}

impl Inherited {
    fn entry(&self) -> Option<Entry> {
        let (does, append) = (self.does.clone()?, self.append.clone());
        Some(Entry { name: None, does, append })
    }
}

fn default(value: Value) -> Result<Inherited, EntryError> {
    let typed: Typed = serde_json::from_value(value)?;
    if !identities(&typed)?.is_empty() || typed.name.is_some() {
        return Err(EntryError::Somebody);
    }
    Ok(Inherited { does: does(&typed)?, append: append_words(&typed)? })
}

fn identities(typed: &Typed) -> Result<Vec<Identity>, EntryError> {
    let macs: &[String] = match &typed.mac {
        None => &[],
        Some(OneOrMany::One(mac)) => std::slice::from_ref(mac),
        Some(OneOrMany::Many(macs)) => macs,
    };
    let mut all = Vec::new();
    for text in macs {
        let mac: Result<Mac, _> = text.parse();
        all.push(Identity::Mac(mac.map_err(|wrong| EntryError::Word { field: "mac", wrong })?));
    }
    if let Some(text) = &typed.uuid {
        let uuid: Result<Uuid, _> = text.parse();
        all.push(Identity::Uuid(uuid.map_err(|wrong| EntryError::Word { field: "uuid", wrong })?));
    }
    if let Some(serial) = typed.serial.as_deref().map(str::trim) {
        if serial.is_empty() {
            return Err(text_error("serial", serial, "is nobody's"));
        }
        all.push(Identity::Serial(serial.to_owned()));
    }
    Ok(all)
}

fn does(typed: &Typed) -> Result<Option<Does>, EntryError> {
    Ok(match (&typed.label, typed.boot) {
        (Some(_), Some(_)) => return Err(EntryError::Both),
        (Some(label), None) => Some(Does::Deploy(joined(label)?)),
        (None, Some(Boot::Recovery)) => Some(Does::Recovery),
        (None, Some(Boot::Disk)) => Some(Does::Disk),
        (None, None) => None,
    })
}

/// Labels joined by `+`, each in its one spelling.
fn joined(text: &str) -> Result<String, EntryError> {
    let mut labels = Vec::new();
    for label in text.split('+') {
        let name: Result<LabelName, _> = label.parse();
        let name = name.map_err(|error| text_error("label", text, &error.to_string()))?;
        labels.push(name.to_string());
    }
    Ok(labels.join("+"))
}

fn append_words(typed: &Typed) -> Result<Vec<String>, EntryError> {
    let text = typed.append.as_deref().unwrap_or_default();
    if text.len() > APPEND_MAX {
        return Err(text_error("append", text, &format!("is longer than {APPEND_MAX} bytes")));
    }
    harmless("append", text)?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

fn name(typed: &Typed) -> Result<Option<String>, EntryError> {
    if let Some(name) = &typed.name
        && words::shown(name) != *name
    {
        return Err(text_error("name", name, "has characters that are not letters, digits or ._-"));
    }
    Ok(typed.name.clone())
}

/// Refuses what would be a command to iPXE.
fn harmless(field: &'static str, text: &str) -> Result<(), EntryError> {
    if text.contains(|c: char| c.is_control()) {
        return Err(text_error(field, text, "is more than one line"));
    }
    let fault = |word| words::fault(word).map(|why| text_error(field, word, why));
    text.split_whitespace().find_map(fault).map_or(Ok(()), Err)
}

fn text_error(field: &'static str, text: &str, why: &str) -> EntryError {
    EntryError::Text { field, text: text.to_owned(), why: why.to_owned() }
}

/// What an entry says of its machine, for an error about the entry: it may be anything.
fn says(value: &Value) -> String {
    let fields = ["name", "mac", "uuid", "serial"];
    let said = fields.iter().find_map(|field| Some((field, value.get(field)?)));
    said.map_or_else(String::new, |(field, value)| format!(" ({field} {value})"))
}

#[cfg(test)]
#[path = "machines_tests.rs"]
mod tests;
