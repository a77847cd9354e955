//! Configuration: the kernel's command line, understood, or every mistake in it.
//!
//! Given the text of `/proc/cmdline`, [`Config::parse`] returns a [`Config`] or
//! all [`Mistakes`] at once. Two steps: words as typed, then as meant. Keys of
//! other programs are none of our business; a key with our prefix, or nearly our
//! prefix, that is not in the table is a mistake and is answered with the nearest
//! right one. A key given
//! twice with different values is a mistake too: which one was meant decides
//! which disk is written.

mod changes;
mod keys;
pub(crate) mod nearest;
mod own_file;
mod values;
mod words;

use std::fmt;
use std::time::Duration;

use deploy::disks::Predicates;
use deploy::install::{Own, Sizes};
use deploy::volumes::{Access, FileSystem};
use store::http::{HttpStoreError, Proxy, redacted};
use store::label::LabelName;

use crate::net::{NetConfig, NicChoice};
pub use changes::{ChangeError, Changes};
use keys::{KEYS, Key, PREFIX};
pub use own_file::FileRequest;
use words::Word;

/// All that the operator said, with defaults for what was not said.
#[derive(Debug, Clone)]
pub struct Config {
    /// Stores, nearest first: URLs or absolute paths; at least one where the mode needs a label.
    pub store: Vec<String>,
    /// The labels to deploy: one, or several trees that are joined; none where the mode needs none.
    pub labels: Vec<LabelName>,
    /// What the rest of the boot follows.
    pub settings: Settings,
}

/// What has a default.
#[derive(Debug, Clone)]
pub struct Settings {
    /// As in [`Config`]; may be empty here.
    pub store: Vec<String>,
    /// As in [`Config`]; may be empty here.
    pub labels: Vec<LabelName>,
    /// NIC named by `ip=`, if any; `inaugurator.nic=` has the last word.
    ip_nic: Option<NicChoice>,
    /// Which disk to write.
    pub disk: Predicates,
    /// The token of a disk whose data may go.
    pub wipe: Option<String>,
    /// Everything about the network.
    pub network: NetConfig,
    /// Host name given by `ip=`.
    pub hostname: Option<String>,
    /// Servers that are asked for the time, names or addresses.
    pub ntp: Vec<String>,
    /// Who is asked in the stores' place.
    proxy: Option<String>,
    /// Hosts that are asked without it.
    no_proxy: Vec<String>,
    /// Deploy, or only say how.
    pub mode: Mode,
    /// How long a person may press a key at least, before anything is written.
    pub recovery_window: Duration,
    /// Whether the disk is read back.
    pub verify: bool,
    /// What follows success.
    pub then: Then,
    /// Added to the next kernel's command line.
    pub append: String,
    /// What follows failure.
    pub onfail: OnFail,
    /// Of a tree: paths that stay as they are.
    pub keep: Vec<String>,
    /// Of a tree: sizes of partitions.
    pub sizes: Sizes,
    /// Of a tree: the most bytes that the store on the data partition may have.
    pub local_store_bytes: Option<u64>,
    /// Of a tree: the kind of root file system.
    pub root_kind: Option<FileSystem>,
    /// Of a tree: what the machine has of its own.
    pub own: Own,
    /// Of a tree: more files of the machine's own, not fetched yet.
    pub files: Vec<FileRequest>,
}

impl Settings {
    /// The labels as they are written together; nothing where there are none.
    pub fn label_text(&self) -> String {
        let names: Vec<&str> = self.labels.iter().map(LabelName::as_str).collect();
        names.join("+")
    }

    /// Who is asked in the stores' place, if somebody.
    pub fn proxy(&self) -> Result<Option<Proxy>, HttpStoreError> {
        self.proxy.as_ref().map(|url| Proxy::new(url, &self.no_proxy)).transpose()
    }

    /// How the disk is looked at: a plan leaves it as it is.
    pub fn access(&self) -> Access {
        match self.mode {
            Mode::Deploy => Access::ReadOnly,
            Mode::Plan | Mode::Recovery | Mode::Boot | Mode::Live => Access::AsItIs,
        }
    }

    /// The keys that were given and mean nothing but for a tree.
    pub fn for_trees(&self) -> Vec<&'static str> {
        let Sizes { esp_bytes, swap_bytes, data_bytes } = self.sizes;
        let given = [
            ("inaugurator.keep", !self.keep.is_empty()),
            ("inaugurator.root-fs", self.root_kind.is_some()),
            ("inaugurator.esp-size", esp_bytes.is_some()),
            ("inaugurator.swap-size", swap_bytes.is_some()),
            ("inaugurator.data-size", data_bytes.is_some()),
            ("inaugurator.local-store", self.local_store_bytes.is_some()),
            ("inaugurator.hostname", self.own.hostname.is_some()),
            ("inaugurator.root-password", self.own.root_password.is_some()),
            ("inaugurator.ssh-key", !self.own.ssh_keys.is_empty()),
            ("inaugurator.file", !self.files.is_empty()),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            store: Vec::new(),
            labels: Vec::new(),
            ip_nic: None,
            disk: Predicates::default(),
            wipe: None,
            network: NetConfig::default(),
            hostname: None,
            ntp: Vec::new(),
            proxy: None,
            no_proxy: Vec::new(),
            mode: Mode::Deploy,
            recovery_window: Duration::ZERO,
            verify: true,
            then: Then::Kexec,
            append: String::new(),
            onfail: OnFail::Retry,
            keep: Vec::new(),
            sizes: Sizes::default(),
            local_store_bytes: None,
            root_kind: None,
            own: Own::default(),
            files: Vec::new(),
        }
    }
}

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Write.
    Deploy,
    /// Print the plan and stop.
    Plan,
    /// Start what is on the disk, without a network, and write nothing.
    Boot,
    /// Run the label from memory, and touch no disk.
    Live,
    /// A person decides at the console.
    Recovery,
}

impl Mode {
    const WORDS: [(&str, Self); 5] = [
        ("deploy", Self::Deploy),
        ("plan", Self::Plan),
        ("boot", Self::Boot),
        ("live", Self::Live),
        ("recovery", Self::Recovery),
    ];

    /// Whether a label is taken from a store.
    fn needs_label(self) -> bool {
        match self {
            Self::Deploy | Self::Plan | Self::Live => true,
            // A person may say it later.
            Self::Boot | Self::Recovery => false,
        }
    }
}

/// What says something of a disk: with [`Mode::Live`] there is none.
pub(crate) const OF_DISKS: [&str; 8] = [
    "inaugurator.disk",
    "inaugurator.wipe",
    "inaugurator.keep",
    "inaugurator.root-fs",
    "inaugurator.esp-size",
    "inaugurator.swap-size",
    "inaugurator.data-size",
    "inaugurator.local-store",
];

/// What follows success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Start the deployed kernel from here.
    Kexec,
    /// Reset, and let the firmware find the disk.
    Reboot,
    /// Power off.
    PowerOff,
}

impl Then {
    const WORDS: [(&str, Self); 3] =
        [("kexec", Self::Kexec), ("reboot", Self::Reboot), ("poweroff", Self::PowerOff)];
}

/// What follows failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFail {
    /// Try again with growing pauses; then the console if a person is there,
    /// else reboot.
    Retry,
    /// Reboot after a pause in which the report can be read.
    Reboot,
    /// Wait for a person.
    Console,
    /// Power off after the same pause.
    PowerOff,
}

impl OnFail {
    const WORDS: [(&str, Self); 4] = [
        ("retry", Self::Retry),
        ("reboot", Self::Reboot),
        ("console", Self::Console),
        ("poweroff", Self::PowerOff),
    ];
}

/// Everything wrong with a command line, and what could be understood of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} in the kernel command line:{}", counted(.mistakes.len()), lines(.mistakes))]
pub struct Mistakes {
    /// One for each, in the order of the line, what is missing last.
    pub mistakes: Vec<Mistake>,
    /// What to do about it: `inaugurator.onfail=` where that was right.
    pub onfail: OnFail,
    /// `inaugurator.mode=` where that was right: a person at a console can set the rest right.
    pub mode: Mode,
}

/// One thing wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mistake {
    /// A key of ours that does not exist.
    NoSuchKey {
        /// The word as typed.
        typed: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// A value that cannot be understood.
    BadValue {
        /// The word as typed.
        typed: String,
        /// What would be right.
        expected: String,
    },
    /// One key with two values.
    Twice {
        /// The second word as typed.
        typed: String,
        /// The first word as typed.
        first: String,
    },
    /// A key that means nothing for a label that runs from memory.
    NotLive {
        /// The word as typed.
        typed: String,
        /// Why not.
        why: &'static str,
    },
    /// A key that must be given.
    Missing {
        /// The key.
        key: &'static str,
        /// The form of its value.
        value: &'static str,
    },
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchKey { typed, nearest: Some(right) } => {
                write!(f, "{typed}: no such key; did you mean {right}= ?")
            }
            Self::NoSuchKey { typed, nearest: None } => {
                write!(f, "{typed}: no such key; there are {}", names().join(" "))
            }
            Self::BadValue { typed, expected } => {
                write!(f, "{}: expected {expected}", redacted(typed))
            }
            Self::Twice { typed, first } => {
                write!(f, "{}: contradicts {}; say it once", redacted(typed), redacted(first))
            }
            Self::NotLive { typed, why } => {
                write!(f, "{typed}: contradicts inaugurator.mode=live, which {why}")
            }
            Self::Missing { key, value } => write!(f, "{key}={value} is missing"),
        }
    }
}

impl Config {
    /// The labels as they are written together.
    pub fn label_text(&self) -> String {
        self.settings.label_text()
    }
}

/// What is wrong with a word where a label is to run from memory.
fn not_live(word: &Word) -> Option<Mistake> {
    let leaves = ["reboot", "poweroff"];
    let why = if OF_DISKS.contains(&word.key.as_str()) {
        "touches no disk"
    } else if word.key == "inaugurator.then"
        && word.value.as_deref().is_some_and(|value| leaves.contains(&value))
    {
        "starts the label and leaves nothing to be started later"
    } else {
        return None;
    };
    Some(Mistake::NotLive { typed: word.typed.clone(), why })
}

fn counted(count: usize) -> String {
    if count == 1 { "1 mistake".into() } else { format!("{count} mistakes") }
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().fold(String::new(), |text, mistake| text + "\n  " + &mistake.to_string())
}

fn names() -> Vec<&'static str> {
    KEYS.iter().map(|key| key.name).filter(|name| name.starts_with(PREFIX)).collect()
}

impl Config {
    /// Understands the text of `/proc/cmdline`.
    pub fn parse(command_line: &str) -> Result<Self, Mistakes> {
        let words = words::split(command_line);
        let (settings, mut mistakes) = take_all(&words);
        if settings.mode == Mode::Live {
            mistakes.extend(words.iter().filter_map(not_live));
        }
        let was_named = |name: &str| words.iter().any(|word| word.key == name);
        let is_required =
            |key: &&Key| key.default == "(must be given)" && settings.mode.needs_label();
        let required = KEYS.iter().filter(is_required);
        mistakes.extend(
            required
                .filter(|key| !was_named(key.name))
                .map(|key| Mistake::Missing { key: key.name, value: key.value }),
        );
        let settings = settings.unless(mistakes)?;
        let (store, labels) = (settings.store.clone(), settings.labels.clone());
        Ok(Self { store, labels, settings })
    }
}

impl Settings {
    /// As [`Config::parse`], of a line that need not say everything.
    pub fn parse(command_line: &str) -> Result<Self, Mistakes> {
        let (settings, mistakes) = take_all(&words::split(command_line));
        settings.unless(mistakes)
    }

    fn unless(self, mistakes: Vec<Mistake>) -> Result<Self, Mistakes> {
        if mistakes.is_empty() {
            return Ok(self);
        }
        Err(Mistakes { mistakes, onfail: self.onfail, mode: self.mode })
    }
}

/// What could be understood, and what could not.
fn take_all(words: &[Word]) -> (Settings, Vec<Mistake>) {
    let mut settings = Settings::default();
    let mut mistakes = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let result = take(&mut settings, word, &words[..index]);
        mistakes.extend(result.err());
    }
    if settings.network.nic.is_none() {
        settings.network.nic = settings.ip_nic.take();
    }
    (settings, mistakes)
}

/// Takes one word, knowing those before it. Other programs' words are passed over.
fn take(settings: &mut Settings, word: &Word, before: &[Word]) -> Result<(), Mistake> {
    let Some(key) = KEYS.iter().find(|key| key.name == word.key) else {
        return unknown(word).map_or(Ok(()), Err);
    };
    let typed = word.typed.clone();
    let earlier = before.iter().find(|other| other.key == word.key && !key.repeats);
    match (earlier, word.value.as_deref()) {
        // A boot loader and a PXE ROM may both say the same.
        (Some(first), value) if first.value.as_deref() == value => Ok(()),
        (Some(first), _) => Err(Mistake::Twice { typed, first: first.typed.clone() }),
        (None, None | Some("")) => Err(Mistake::BadValue { typed, expected: form(key) }),
        (None, Some(value)) => {
            (key.set)(settings, value).map_err(|expected| Mistake::BadValue { typed, expected })
        }
    }
}

fn form(key: &Key) -> String {
    format!("{}={}", key.name, key.value)
}

/// A word of ours whose key does not exist. A misspelt prefix is ours too: the
/// disk that it was to name must not be chosen without it.
fn unknown(word: &Word) -> Option<Mistake> {
    let (prefix, rest) = word.key.split_once('.')?;
    let right = PREFIX.trim_end_matches('.');
    if prefix != right && !nearest::is_misspelt(prefix, right) {
        return None;
    }
    let meant = format!("{PREFIX}{}", rest.to_lowercase());
    let nearest = nearest::nearest(&meant, names().into_iter());
    Some(Mistake::NoSuchKey { typed: word.typed.clone(), nearest })
}

/// What init can be told, for `--help`.
pub fn help() -> String {
    let mut text = String::from("On the kernel command line:\n");
    for key in &KEYS {
        let Key { name, value, help, default, .. } = key;
        text.extend([
            "\n  ",
            name,
            "=",
            value,
            "\n      ",
            help,
            "\n      default: ",
            default,
            "\n",
        ]);
    }
    text
}

#[cfg(test)]
mod tests;
