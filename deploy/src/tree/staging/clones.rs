//! Files whose whole content the target has elsewhere share its blocks, where the file system can
//! do that (`ioctl_ficlone(2)`); what they share is hashed like all else.

use super::Staged;
use super::resume::{Present, bits};
use crate::Error;
use crate::meter::add;
use crate::tree::inventory::Inventory;
use crate::tree::plan::Job;
use crate::tree::stage::Stage;
use crate::tree::wanted::File;
use std::{fs, io};

/// Makes files of others.
pub(super) struct Clones<'a> {
    job: &'a Job,
    has: &'a Inventory,
    stage: &'a Stage,
    /// Whether blocks can be shared, as far as is known.
    can_share: bool,
}

impl<'a> Clones<'a> {
    pub(super) fn new(job: &'a Job, has: &'a Inventory, stage: &'a Stage) -> Self {
        Self { job, has, stage, can_share: true }
    }

    /// Makes `staged` of a file with the same content, if there is one. What is shared is counted
    /// as copied.
    pub(super) fn try_clone(&mut self, staged: &Staged) -> Result<Present, Error> {
        let wanted = &self.job.wanted.files[staged.file as usize];
        let whole = self.whole(wanted).filter(|_| self.can_share);
        let from = whole.and_then(|file| self.has.open(&self.job.root, file).ok());
        let Some(from) = from else { return Ok(Present::nothing()) };
        if self.share(&from, staged).is_err() {
            self.can_share = false;
        } else if let Some(bits) = self.proven(staged) {
            let present = Present::Some(bits);
            let pieces = (0..).zip(self.job.wanted.pieces(wanted));
            let mut objects = pieces.filter(|(_, (_, piece))| piece.object().is_some());
            let count = objects.clone().count();
            let is_all = objects.all(|(number, _)| present.has(number));
            if is_all {
                staged.begin();
                add(&self.job.meter.copied_objects, count as u64);
                add(&self.job.meter.copied_bytes, wanted.size_bytes);
                return Ok(Present::All);
            }
        }
        self.stage.remove(&staged.name(self.job)).map_err(staged.failed(self.job, "make anew"))?;
        Ok(Present::nothing())
    }

    /// A file of the target with this content: one that has its first object at its start.
    fn whole(&self, wanted: &File) -> Option<u32> {
        let mut objects = self.job.wanted.pieces(wanted);
        let (at, digest, length) = objects.find_map(|(at, piece)| {
            piece.object().map(|(digest, _)| (at, digest, piece.length()))
        })?;
        let seed = self.has.seed(&digest, length).filter(|seed| seed.offset_bytes == at)?;
        let is_whole = self.has.id(seed.file) == Some(self.job.wanted.id(wanted));
        is_whole.then_some(seed.file)
    }

    fn share(&self, from: &fs::File, staged: &Staged) -> io::Result<()> {
        let made = self.stage.create(&staged.name(self.job))?;
        self.job.root.hands.clone_content(from, &made)
    }

    fn proven(&self, staged: &Staged) -> Option<Vec<u64>> {
        bits(self.job, staged, &self.stage.read_file(&staged.name(self.job)).ok()?)
    }
}
