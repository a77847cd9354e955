//! What can be done to a store.

use crate::world::World;
use std::time::Duration;
use store::copy::{CopyError, CopyOptions, copy_label};
use store::dir::{DirError, DirStore, Moment, RenameError};
use store::gc::{GcError, GcOptions, gc};
use store::label::LabelName;
use store::manifest_reader::ReadError;
use store::source::{Source, SourceError};

/// An act, as text to hand to a process: `push a/b 3`, `rm a/b`, `rename a/b c/d`, `give a/b`,
/// `take a/b`, `gc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Push(LabelName, u64),
    Remove(LabelName),
    /// To a name that must be free, or is replaced.
    Rename(LabelName, LabelName),
    /// To the second store.
    Give(LabelName),
    /// From the second store.
    Take(LabelName),
    Collect,
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Push(label, content) => write!(f, "push {label} {content}"),
            Self::Remove(label) => write!(f, "rm {label}"),
            Self::Rename(old, new) => write!(f, "rename {old} {new}"),
            Self::Give(label) => write!(f, "give {label}"),
            Self::Take(label) => write!(f, "take {label}"),
            Self::Collect => f.write_str("gc"),
        }
    }
}

impl std::str::FromStr for Act {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split(' ').collect();
        let label = |number: usize| {
            words.get(number).and_then(|word| word.parse().ok()).ok_or(format!("no act: {text}"))
        };
        Ok(match words[0] {
            "push" => Self::Push(label(1)?, words[2].parse::<u64>().map_err(|e| e.to_string())?),
            "rm" => Self::Remove(label(1)?),
            "rename" => Self::Rename(label(1)?, label(2)?),
            "give" => Self::Give(label(1)?),
            "take" => Self::Take(label(1)?),
            "gc" => Self::Collect,
            _ => return Err(format!("no act: {text}")),
        })
    }
}

impl Act {
    /// Does it; returns what came of it in a word.
    pub fn run(&self, world: &World) -> Result<&'static str, String> {
        let store = world.store();
        match self {
            Self::Push(label, content) => world.push(&store, label, *content).map(|()| "pushed"),
            Self::Remove(label) => match store.remove_label(label) {
                Err(DirError::NoLabel { .. }) => Ok("gone"),
                removed => removed.map(|()| "removed").map_err(|error| error.to_string()),
            },
            Self::Rename(old, new) => match store.rename_label(old, new, true) {
                Err(RenameError::Read(error)) if is_gone(&error) => Ok("gone"),
                renamed => renamed.map(|_| "renamed").map_err(|error| error.to_string()),
            },
            Self::Give(label) => copy(&store, &world.second(), label),
            Self::Take(label) => copy(&world.second(), &store, label),
            Self::Collect => collect(&store),
        }
    }
}

fn is_gone(error: &ReadError) -> bool {
    matches!(error, ReadError::Source(SourceError::NotFound { .. }))
}

fn copy(from: &dyn Source, to: &DirStore, label: &LabelName) -> Result<&'static str, String> {
    let options = CopyOptions { force: true, pack_bytes: 100_000 };
    match copy_label(from, to, label, options, &|_, _| ()) {
        Ok(_) => Ok("copied"),
        Err(CopyError::Read(error)) if is_gone(&error) => Ok("gone"),
        // The map that it knew may be of before a collection: who asks again gets the new one.
        Err(error @ CopyError::Take(_)) => Err(format!("stale: {error}")),
        Err(error) => Err(error.to_string()),
    }
}

fn collect(store: &DirStore) -> Result<&'static str, String> {
    let options = GcOptions {
        dry_run: false,
        max_bytes: None,
        keep: Vec::new(),
        grace_s: 0,
        wait: Duration::from_mins(1),
        clock: &Moment::now,
    };
    match gc(store, &options) {
        Ok(report) if report.damaged.is_empty() && report.index_failure.is_none() => {
            let moved = !report.repacked.is_empty();
            Ok(if moved { "collected, moved" } else { "collected" })
        }
        Ok(report) => Err(format!("{report:?}")),
        Err(GcError::Busy { .. }) => Ok("another collects"),
        Err(error) => Err(error.to_string()),
    }
}
