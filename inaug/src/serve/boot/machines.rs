//! Which machine boots what: the file that the operator writes.

use super::cmdline::{self, WORDS_MAX, Word};
use super::identity::{Identity, Mac, Uuid, WordError};
use super::words;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use store::label::LabelName;

/// Mistakes that are said at once: a screen of them.
const MISTAKES_MAX: usize = 20;

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
    pub(crate) append: Vec<Word>,
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

impl Does {
    /// How init is told; nothing where it is not booted.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Deploy(label) => format!("{LABEL}={label}"),
            Self::Recovery => "inaugurator.mode=recovery".to_owned(),
            Self::Disk => String::new(),
        }
    }
}

/// The key of a label, which `append` cannot say beside the field.
const LABEL: &str = "inaugurator.label";

/// The file makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MachinesError {
    #[error("not the JSON of a machines file")]
    Json(#[source] serde_json::Error),
    /// All that is wrong with entries.
    #[error("{}", listed(.0))]
    Entries(Vec<Mistake>),
}

/// What is wrong with an entry, and with which.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {wrong}")]
pub(crate) struct Mistake {
    place: Place,
    wrong: EntryError,
}

/// As many as can be read at once.
fn listed(mistakes: &[Mistake]) -> String {
    let shown = mistakes.iter().take(MISTAKES_MAX).map(ToString::to_string);
    let mut text = shown.collect::<Vec<_>>().join("; ");
    if mistakes.len() > MISTAKES_MAX {
        text.push_str("; and more of them");
    }
    text
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
    #[error("append: {key} is given twice")]
    TwoValues { key: String },
    #[error("its command line has {found} bytes beside what is always on it; {WORDS_MAX} fit")]
    Line { found: usize },
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
struct Document<E> {
    default: Option<E>,
    #[serde(default = "Vec::new")]
    machines: Vec<E>,
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
    /// Reads the file's bytes; all mistakes in entries are one error.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, MachinesError> {
        let document: Document<Value> =
            serde_json::from_slice(json).map_err(MachinesError::Json)?;
        let mut machines = Self::default();
        let mut mistakes = Vec::new();
        let mut inherited = Inherited::default();
        if let Some(value) = document.default {
            let at = |wrong| Mistake { place: Place::Default, wrong };
            match default(value) {
                Ok(found) => inherited = found,
                Err(all) => mistakes.extend(all.into_iter().map(at)),
            }
            machines.default = inherited.entry();
        }
        for (index, value) in document.machines.into_iter().enumerate() {
            let says = says(&value);
            let at = |wrong| Mistake { place: Place::Machine { index, says: says.clone() }, wrong };
            if let Err(all) = machines.add(index, value, &inherited) {
                mistakes.extend(all.into_iter().map(at));
            }
        }
        if mistakes.is_empty() {
            once(json).map(|()| machines)
        } else {
            Err(MachinesError::Entries(mistakes))
        }
    }

    fn add(&mut self, index: usize, value: Value, from: &Inherited) -> Result<(), Vec<EntryError>> {
        let typed: Typed = serde_json::from_value(value).map_err(|error| vec![error.into()])?;
        let mut wrong = Vec::new();
        let identities = found(identities(&typed), &mut wrong);
        if identities.as_ref().is_some_and(Vec::is_empty) {
            wrong.push(EntryError::Nobody);
        }
        for identity in identities.into_iter().flatten() {
            if let Some(other) = self.by_identity.insert(identity.clone(), index)
                && other != index
            {
                wrong.push(EntryError::Twice { identity, other });
            }
        }
        let own = found(does(&typed), &mut wrong);
        let words = found(append_words(&typed), &mut wrong);
        let name = found(name(&typed), &mut wrong).flatten();
        let append = cmdline::joined(&from.append, &words.unwrap_or_default());
        let does = own.map(|own| own.or_else(|| from.does.clone()).ok_or(EntryError::Nothing));
        if let Some(does) = does.and_then(|does| found(does, &mut wrong)) {
            found(check_line(&does, &append), &mut wrong);
            self.entries.push(Entry { name, does, append });
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
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
    append: Vec<Word>,
}

impl Inherited {
    fn entry(&self) -> Option<Entry> {
        let (does, append) = (self.does.clone()?, self.append.clone());
        Some(Entry { name: None, does, append })
    }
}

fn default(value: Value) -> Result<Inherited, Vec<EntryError>> {
    let typed: Typed = serde_json::from_value(value).map_err(|error| vec![error.into()])?;
    let mut wrong = Vec::new();
    let identities = found(identities(&typed), &mut wrong);
    if identities.is_some_and(|all| !all.is_empty()) || typed.name.is_some() {
        wrong.push(EntryError::Somebody);
    }
    let does = found(does(&typed), &mut wrong).flatten();
    let append = found(append_words(&typed), &mut wrong).unwrap_or_default();
    let line = does.as_ref().map(|does| check_line(does, &append));
    line.and_then(|line| found(line, &mut wrong));
    if wrong.is_empty() { Ok(Inherited { does, append }) } else { Err(wrong) }
}

/// What was found, or one mistake more.
fn found<T>(result: Result<T, EntryError>, wrong: &mut Vec<EntryError>) -> Option<T> {
    result.map_err(|error| wrong.push(error)).ok()
}

/// Refuses fields that stand twice: in a [`Value`] the last one has taken the place of others.
fn once(json: &[u8]) -> Result<(), MachinesError> {
    serde_json::from_slice::<Document<Typed>>(json).map(drop).map_err(MachinesError::Json)
}

fn identities(typed: &Typed) -> Result<Vec<Identity>, EntryError> {
    let macs: &[String] = match &typed.mac {
        None => &[],
        Some(OneOrMany::One(mac)) => std::slice::from_ref(mac),
        Some(OneOrMany::Many(macs)) => macs,
    };
    let at = |field| move |wrong| EntryError::Word { field, wrong };
    let mut all = Vec::new();
    for text in macs {
        all.push(Identity::Mac(text.parse::<Mac>().map_err(at("mac"))?));
    }
    if let Some(text) = &typed.uuid {
        all.push(Identity::Uuid(text.parse::<Uuid>().map_err(at("uuid"))?));
    }
    if let Some(text) = &typed.serial {
        all.push(Identity::serial(text).map_err(at("serial"))?);
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

fn append_words(typed: &Typed) -> Result<Vec<Word>, EntryError> {
    let text = typed.append.as_deref().unwrap_or_default();
    harmless("append", text)?;
    let words = cmdline::words(text);
    let words =
        words.ok_or_else(|| text_error("append", text, "has a quote that is not closed"))?;
    let mut keys = Vec::new();
    for key in words.iter().filter_map(Word::single) {
        if key == LABEL {
            return Err(text_error("append", key, "is said by the field label"));
        }
        if keys.contains(&key) {
            return Err(EntryError::TwoValues { key: key.to_owned() });
        }
        keys.push(key);
    }
    Ok(words)
}

/// Refuses what the kernel would cut.
fn check_line(does: &Does, append: &[Word]) -> Result<(), EntryError> {
    let found = cmdline::length(&does.word(), append);
    if found > WORDS_MAX { Err(EntryError::Line { found }) } else { Ok(()) }
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
