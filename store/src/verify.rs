//! Whether a store holds what its labels say: every byte read, every digest computed.
//!
//! Packs first: the file's digest, the index, each frame, each object. Then labels: record,
//! manifest, segments, map, and that the map leads to each object in a frame that is right.
//! Nothing is changed, and pushes and removals may go on meanwhile. The index is not looked at: a push believes none of it that fails its
//! checks. About 60 bytes of memory for each object in the packs.

mod direct;
mod labels;
mod list;
mod packs;

pub(crate) use packs::Packs;

use crate::Digest;
use crate::dir::{DirError, DirStore};
use crate::label::LabelName;
use std::collections::BTreeSet;
use std::fmt;

/// What was looked at and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Labels looked at.
    pub labels: u64,
    /// Manifests looked at, each once.
    pub manifests: u64,
    /// Packs looked at.
    pub packs: u64,
    /// Objects in those packs.
    pub objects: u64,
    /// Bytes of those packs.
    pub pack_bytes: u64,
    /// What is wrong.
    pub damages: Vec<Damage>,
}

/// Something that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What: "pack 0123456789ab: object ...".
    pub object: String,
    /// What would have been right.
    pub expected: String,
    /// What there is.
    pub found: String,
    /// The labels that cannot be deployed because of it; none: all can.
    pub labels: Vec<LabelName>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.object, self.expected, self.found)?;
        if self.labels.is_empty() {
            return f.write_str("; hurts no label");
        }
        let names: Vec<&str> = self.labels.iter().map(LabelName::as_str).collect();
        write!(f, "; hurts {}", names.join(", "))
    }
}

impl Report {
    /// Whether all is right.
    pub fn is_clean(&self) -> bool {
        self.damages.is_empty()
    }
}

/// Looks at `label` and what it needs, or at all labels and all packs.
pub fn verify(store: &DirStore, label: Option<&LabelName>) -> Result<Report, DirError> {
    Ok(look(store, label)?.0)
}

/// The same; also returns what there is in the packs.
pub(crate) fn look(
    store: &DirStore,
    label: Option<&LabelName>,
) -> Result<(Report, Packs), DirError> {
    let names = match label {
        Some(name) => vec![name.clone()],
        None => store.labels("*")?,
    };
    let mut report = Report { labels: names.len() as u64, ..Report::default() };
    let needed = match label {
        Some(_) => labels::packs(store, &names),
        None => store.packs()?,
    };
    let mut packs = packs::check(store, &needed, &mut report);
    labels::check(store, &names, label.is_some(), &mut packs, &mut report);
    if label.is_none() {
        list::check(store, &mut report);
    }
    Ok((report, packs))
}

/// Brings `packs` up to date, for one that relies on them and on none that is `leaving`.
pub(crate) fn refresh(
    store: &DirStore,
    label: Option<&LabelName>,
    packs: &mut Packs,
    leaving: BTreeSet<Digest>,
    report: &mut Report,
) -> Result<(), DirError> {
    let needed = match label {
        Some(name) => labels::packs(store, std::slice::from_ref(name)),
        None => store.packs()?,
    };
    packs.refresh(store, &needed, leaving, report);
    Ok(())
}

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
