//! Sorted records that do not fit in memory: temporary runs, few of them.

use super::Record;
use super::merge::{MergeError, merge};
use super::plan::absorbed;
use super::run::{Run, RunError};
use super::write::{Writer, Written, write_sorted};
use crate::Digest;
use crate::dir::{DirError, DirStore};
use crate::map::PackRef;
use std::io;

/// Temporary runs of records of the same packs.
pub(crate) struct Spills<'a> {
    store: &'a DirStore,
    packs: Vec<PackRef>,
    runs: Vec<Written>,
}

impl<'a> Spills<'a> {
    /// None yet.
    pub(crate) fn new(store: &'a DirStore, packs: Vec<PackRef>) -> Self {
        Self { store, packs, runs: Vec::new() }
    }

    /// Sorts `records` and moves them to disk; merges what has become too many runs.
    pub(crate) fn add(&mut self, records: &mut Vec<Record>) -> Result<(), DirError> {
        records.sort_unstable();
        let run = write_sorted(self.store, self.packs.clone(), records.drain(..))?;
        let sizes: Vec<u64> = self.runs.iter().map(|run| run.run.records()).collect();
        let absorbed = absorbed(run.run.records(), &sizes);
        let mut number = 0..;
        let runs = std::mem::take(&mut self.runs).into_iter();
        let (mut merging, kept) = runs.partition::<Vec<_>, _>(|_| {
            number.next().is_some_and(|number| absorbed.contains(&number))
        });
        self.runs = kept;
        merging.push(run);
        let run = self.merge(merging)?;
        self.runs.extend(run);
        Ok(())
    }

    /// Merges all into one.
    pub(crate) fn finish(mut self) -> Result<Option<Written>, DirError> {
        let runs = std::mem::take(&mut self.runs);
        self.merge(runs)
    }

    fn merge(&self, mut runs: Vec<Written>) -> Result<Option<Written>, DirError> {
        if runs.len() < 2 {
            return Ok(runs.pop());
        }
        let mut writer = Writer::create(self.store, self.packs.clone())?;
        let inputs = runs.iter().map(|run| Box::new(run.run.iter()) as _).collect();
        merge(inputs, &mut writer).map_err(|error| match error {
            MergeError::Read(_, error) => unreadable(self.store, error),
            MergeError::Write(error) => error,
        })?;
        writer.finish().map(Some)
    }

    /// A record of `digest`.
    pub(crate) fn find(&self, digest: &Digest) -> Result<Option<Record>, DirError> {
        let mut found = None;
        for run in &self.runs {
            let mut take = |record: &Record| {
                found = Some(*record);
                true
            };
            run.run.find(digest, &mut take).map_err(|error| unreadable(self.store, error))?;
        }
        Ok(found)
    }

    /// The runs there are.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().map(|run| &run.run)
    }
}

/// A run that this process has written itself cannot be read: the disk fails.
pub(crate) fn unreadable(store: &DirStore, error: RunError) -> DirError {
    DirError::io("read a temporary run in", &store.path().join("tmp"))(io::Error::other(error))
}
