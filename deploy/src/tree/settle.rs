//! A target in order, and what kexec needs from it.

use super::error::TreeError;
use super::plan::Job;
use super::root::Root;
use super::verify::Verified;
use crate::settle::{copy_segment, digest_of};
use crate::{Error, Label, Meter};
use std::fs::File;
use std::io;
use std::sync::Arc;
use store::manifest::{Boot, Payload, Place};

/// A target that holds its labels, proven.
pub struct Settled {
    job: Job,
    is_read_back: bool,
}

/// Ends a deployment.
pub fn settle(verified: Verified) -> Settled {
    let Verified { job, is_read_back } = verified;
    Settled { job, is_read_back }
}

impl Settled {
    /// The labels, in the order in which they were given.
    pub fn labels(&self) -> &[Label] {
        &self.job.labels
    }

    /// The target.
    pub fn root(&self) -> &Arc<Root> {
        &self.job.root
    }

    /// Whether all of it was read back from its disk. What was found to be right, and not written
    /// to, was compared as the kernel gives it, which may be from memory.
    pub fn is_read_back(&self) -> bool {
        self.is_read_back
    }

    /// Live counters.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.job.meter
    }

    /// How to boot what is on the target: as the first label says that does.
    pub fn boot(&self) -> Option<&Boot> {
        self.booted().and_then(|label| label.manifest.boot.as_ref())
    }

    /// The label that says how to boot.
    fn booted(&self) -> Option<&Label> {
        self.job.labels.iter().find(|label| label.manifest.boot.is_some())
    }

    /// Copies a file of [`Settled::boot`] into `into`, from the target where it is in the tree, else
    /// from the store, and proves it by its digest. `file` is what messages call it.
    pub fn copy(&self, file: &'static str, payload: &Payload, into: &File) -> Result<(), Error> {
        let Some(label) = self.booted() else { return Err(Error::Stopped) };
        match &payload.place {
            Place::Path(path) => {
                let root = &self.job.root;
                let copied = root.file(path).and_then(|mut from| io::copy(&mut from, &mut &*into));
                copied.map_err(root.failed("read", path))?;
            }
            Place::Segment(index) => copy_segment(label, file, *index, into, &self.job.meter)?,
            // A manifest that is a tree and says this is refused when it is read.
            Place::Extents(_) => {}
        }
        let found = digest_of(into, payload.size_bytes)
            .map_err(|source| Error::HandOver { file, source })?;
        if found == payload.digest {
            return Ok(());
        }
        let label = label.record.name.to_string();
        Err(Error::BootFile { file, label, expected: payload.digest, found })
    }
}

impl From<TreeError> for Error {
    fn from(error: TreeError) -> Self {
        Self::Tree(Box::new(error))
    }
}
