//! Files whose whole content the target has elsewhere share its blocks, where the file system can
//! do that (`ioctl_ficlone(2)`); what they share is hashed like all else.

use super::Staged;
use super::resume::{Present, bits};
use crate::Error;
use crate::meter::add;
use crate::tree::inventory::{Inventory, Place};
use crate::tree::plan::Job;
use crate::tree::stage::{STAGE, Stage};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use store::Digest;

/// Makes files of others.
pub(super) struct Clones<'a> {
    job: &'a Job,
    has: &'a Inventory,
    stage: &'a Stage,
    /// Whole files of the target by their content; none once it was found that nothing is shared
    /// here.
    whole: Option<HashMap<Digest, u32>>,
}

impl<'a> Clones<'a> {
    pub(super) fn new(job: &'a Job, has: &'a Inventory, stage: &'a Stage) -> Self {
        let files = (0..).zip(&has.files);
        let whole = files.filter_map(|(number, file)| Some((file.id?, number))).collect();
        Self { job, has, stage, whole: Some(whole) }
    }

    /// Makes `staged` of a file with the same content, if there is one. What is shared is counted
    /// as copied.
    pub(super) fn try_clone(&mut self, staged: &Staged) -> Result<Present, Error> {
        let wanted = &self.job.wanted.files[staged.file as usize];
        let whole = self.whole.as_ref().and_then(|whole| whole.get(&wanted.id));
        let Some(number) = whole.filter(|_| wanted.size_bytes > 0) else {
            return Ok(Present::nothing());
        };
        let from = &self.has.files[*number as usize];
        let path = match from.place {
            Place::Node(node) => self.has.nodes.path(node),
            Place::Staged(number) => [STAGE, b"/", &self.has.staged[number as usize].0].concat(),
        };
        let Ok(from) = self.job.root.file(&path) else { return Ok(Present::nothing()) };
        if self.share(&from, staged).is_err() {
            self.whole = None;
        } else if let Some(bits) = self.proven(staged) {
            let pieces = self.job.wanted.pieces(wanted);
            let objects = pieces.filter(|(_, piece)| piece.object().is_some()).count();
            let is_all = (0..).zip(self.job.wanted.pieces(wanted)).all(|(number, (_, piece))| {
                piece.object().is_none() || Present::Some(bits.clone()).has(number)
            });
            if is_all {
                add(&self.job.meter.copied_objects, objects as u64);
                add(&self.job.meter.copied_bytes, wanted.size_bytes);
                return Ok(Present::All);
            }
        }
        self.stage.remove(&staged.name).map_err(staged.failed(self.job, "make anew"))?;
        Ok(Present::nothing())
    }

    fn share(&self, from: &File, staged: &Staged) -> io::Result<()> {
        let made = self.stage.create(&staged.name)?;
        self.job.root.hands.clone_content(from, &made)
    }

    fn proven(&self, staged: &Staged) -> Option<Vec<u64>> {
        bits(self.job, staged, &self.stage.read_file(&staged.name).ok()?)
    }
}
