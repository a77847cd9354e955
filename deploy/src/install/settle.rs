//! The tree proven, and then what makes it boot.

use super::boot_files::{BootFiles, Boots};
use super::write::{Site, Written};
use crate::tree::{self, verify_anew};
use crate::volumes::Access;
use crate::{Error, Label, Meter, ReadBack};
use std::fs::File;
use std::sync::Arc;
use store::manifest::{Boot, Payload};
use store::near::Kept;

/// The tree is on the disk, proven.
pub struct Verified {
    site: Site,
    tree: tree::Verified,
    is_untouched: bool,
}

/// A disk that boots what is on it.
pub struct Settled {
    tree: tree::Settled,
    boots: Boots,
    lacks: Option<String>,
    cmdline: Option<String>,
    kept: Option<Kept>,
}

impl Verified {
    /// Whether the root was read back after it was written. One that had everything before was read
    /// from the disk for the plan, and is not read a second time.
    pub fn is_read_back(&self) -> bool {
        self.tree.is_read_back
    }
}

/// Unmounts the root, reads all of it back, and repairs once what is not as it should be.
pub fn verify(written: Written, read_back: ReadBack) -> Result<Verified, Error> {
    let Written { site, tree, is_untouched } = written;
    let tree = verify_anew(tree, read_back, &mut |root| site.reopen(root))?;
    Ok(Verified { site, tree, is_untouched })
}

/// Writes what makes the disk boot, reads it back, and opens the gates.
pub fn settle(verified: Verified) -> Result<Settled, Error> {
    let Verified { site, tree, is_untouched } = verified;
    let tree = if is_untouched {
        tree
    } else {
        // What is only in the journal is not seen by boot loaders: it is unmounted before.
        tree.reached_anew(&mut |root| site.reopen_for(root, Access::ReadOnly))?
    };
    let Site { disk, table, booted, local, mark, meter, .. } = site;
    let files = BootFiles::prepare(tree.root(), &table, booted.as_ref(), &|path| tree.proof(path))?;
    let (boots, lacks) = (files.boots(), files.lacks().map(str::to_owned));
    if !is_untouched {
        files.write(&disk.target, &meter)?;
        files.open_gates(&disk.target, mark)?;
    }
    let cmdline = booted.map(|booted| booted.entry.cmdline);
    let tree = tree::settle(tree);
    // When the disk boots already: a cut meanwhile costs nothing but what would be kept.
    let kept = local.and_then(|local| local.finish(tree.labels(), &meter));
    Ok(Settled { tree, boots, lacks, cmdline, kept })
}

impl Settled {
    /// The labels, in the order in which they were given.
    pub fn labels(&self) -> &[Label] {
        self.tree.labels()
    }

    /// Live counters.
    pub fn meter(&self) -> &Arc<Meter> {
        self.tree.meter()
    }

    /// What the store on the data partition kept.
    pub fn kept(&self) -> Option<Kept> {
        self.kept
    }

    /// For which firmware there is a boot loader on the disk.
    pub fn boots(&self) -> Boots {
        self.boots
    }

    /// Why there is no boot loader for one kind of firmware, though the tree brings one.
    pub fn lacks(&self) -> Option<&str> {
        self.lacks.as_deref()
    }

    /// How to boot what is on the disk: as the first label says that does.
    pub fn boot(&self) -> Option<&Boot> {
        self.tree.boot()
    }

    /// The command line with which its own boot loader starts it.
    pub fn command_line(&self) -> Option<&str> {
        self.cmdline.as_deref()
    }

    /// Copies a boot file from the root into `into`, and proves it by its digest. `file` is what
    /// messages call it.
    pub fn copy(&self, file: &'static str, payload: &Payload, into: &File) -> Result<(), Error> {
        self.tree.copy(file, payload, into)
    }
}
