//! The entry that is meant where nobody is asked.

use std::fmt;

use deploy::disks::{Disk, Predicates};

use super::{Entry, OnDisk};

/// Why no entry was chosen. Lists the disks, one per line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// No disk that is meant boots.
    #[error("no disk that matches {wanted} holds something to boot:{}", Lines(.refused))]
    Nothing {
        /// What was asked for.
        wanted: String,
        /// Each disk with why not.
        refused: Vec<String>,
        /// Whether more disks may cure it: false where one that is meant is unfinished.
        is_final: bool,
    },
    /// More than one does.
    #[error(
        "{} disks that match {wanted} hold something to boot; name one of them with \
         inaugurator.disk=:{}",
        .bootable.len(),
        Lines(.bootable)
    )]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Each of them with its default entry.
        bootable: Vec<String>,
    },
}

/// Lines below a sentence, indented.
struct Lines<'a>(&'a [String]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(f, "\n  there is no disk (is a driver missing?)");
        }
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// The default entry of the only disk among `disks` that matches `wanted` and boots. Removable media
/// have to be asked for; a disk whose default starts an inaugurator is a medium of ours.
pub fn choose<'a>(disks: &'a [OnDisk], wanted: &Predicates) -> Result<&'a Entry, ChooseError> {
    let judged: Vec<_> = disks.iter().map(|found| (&found.disk, default(found, wanted))).collect();
    let defaults: Vec<_> =
        judged.iter().filter_map(|(disk, judged)| Some((*disk, *judged.as_ref().ok()?))).collect();
    match defaults.as_slice() {
        [(_, entry)] => Ok(entry),
        [] => Err(ChooseError::Nothing {
            wanted: wanted.to_string(),
            is_final: judged.iter().any(|(_, judged)| matches!(judged, Err(Not::Final(_)))),
            refused: judged.iter().filter_map(|(disk, judged)| refused(disk, judged)).collect(),
        }),
        several => {
            let line = |(disk, entry): &(&Disk, &Entry)| format!("{disk}: {entry}");
            let (wanted, bootable) = (wanted.to_string(), several.iter().map(line).collect());
            Err(ChooseError::Ambiguous { wanted, bootable })
        }
    }
}

/// Why a disk is not the one, and whether that stays so.
enum Not {
    Final(String),
    ForNow(String),
}

fn default<'a>(found: &'a OnDisk, wanted: &Predicates) -> Result<&'a Entry, Not> {
    let mut reasons = wanted.mismatches(&found.disk);
    if found.disk.removable && !wanted.allows_removable() {
        reasons.push("removable, and removable=yes is not said".to_owned());
    }
    if !reasons.is_empty() {
        return Err(Not::ForNow(reasons.join("; ")));
    }
    let entries = found.entries.as_ref().map_err(|why| match why {
        super::NotBootable::Unproven(_) => Not::Final(why.to_string()),
        _ => Not::ForNow(why.to_string()),
    })?;
    let nothing = || Not::ForNow("nothing to boot".to_owned());
    let entry = entries.first().ok_or_else(nothing)?;
    if entry.is_inaugurator() {
        return Err(Not::ForNow(format!("{entry} is an inaugurator")));
    }
    Ok(entry)
}

fn refused(disk: &Disk, judged: &Result<&Entry, Not>) -> Option<String> {
    let Err(Not::Final(why) | Not::ForNow(why)) = judged else { return None };
    Some(format!("{disk}: {why}"))
}
