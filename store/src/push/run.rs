//! A push from reading to the label, whatever is read: the stages and their order.

use super::PushReport;
use super::catalog::Catalog;
use super::error::PushError;
use super::gather::{Gathered, Hashed, RawFrame, gather};
use super::packs::{PackedFrame, Written, write_packs};
use super::publish::{Publication, publish};
use super::scan::{Batch, Cut, Stop};
use super::tally::{Seconds, Tally};
use crate::Digest;
use crate::dir::{DirError, DirStore, temp};
use crate::label::{LabelName, fact_is_valid};
use crate::manifest::Manifest;
use crate::parallel::{Closed, lane};
use std::io;
use std::time::Instant;

/// Takes what is read.
pub(super) type Take<'a> = dyn FnMut(Batch) -> Result<(), Closed> + 'a;

/// How what is pushed is named.
#[derive(Clone, Copy)]
pub(super) struct Naming<'a> {
    pub(super) label: &'a LabelName,
    pub(super) facts: &'a [(String, String)],
    pub(super) pushed_unix_s: u64,
    pub(super) force: bool,
}

/// A push under way.
pub(super) struct Run<'a> {
    store: &'a DirStore,
    start: Instant,
    catalog: Catalog<'a>,
    cleaned_files: usize,
    index_s: f64,
}

/// What was read, in packs that have no names yet.
pub(super) struct Stored<'a, R> {
    pub(super) content: Gathered<'a>,
    written: Written<'a>,
    /// What the reader has to say at the end.
    pub(super) read: R,
}

impl Naming<'_> {
    /// The facts in the order of their keys.
    pub(super) fn sorted_facts(&self) -> Vec<(String, String)> {
        let mut facts = self.facts.to_vec();
        facts.sort();
        facts
    }

    /// An error for facts that a record cannot have.
    pub(super) fn check(&self) -> Result<(), PushError> {
        let facts = self.sorted_facts();
        let twice = facts.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| &pair[1]);
        let invalid = facts.iter().find(|(key, value)| !fact_is_valid(key, value));
        match twice.or(invalid) {
            None => Ok(()),
            Some((key, value)) => Err(PushError::Fact { found: format!("{key}={value}") }),
        }
    }
}

impl<'a> Run<'a> {
    /// Opens the store's index, for a push that began at `start`.
    pub(super) fn begin(store: &'a DirStore, start: Instant) -> Result<Self, PushError> {
        let cleaned_files = temp::clean(store)?;
        let catalog = Catalog::read(store)?;
        let index_s = start.elapsed().as_secs_f64();
        Ok(Self { store, start, catalog, cleaned_files, index_s })
    }

    /// Runs the stages from reading, which `read` does, to packs in the store's `tmp`.
    pub(super) fn store_content<R: Send>(
        &self,
        level: i32,
        tally: &Tally<'_>,
        read: impl FnOnce(&mut Take<'_>) -> Result<R, Stop> + Send,
    ) -> Result<Stored<'a, R>, PushError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (store, catalog) = (self.store, &self.catalog);
        std::thread::scope(|scope| {
            let (to_hash, hashed) = lane(scope, threads, || |batch| hash(batch, catalog, tally));
            let (to_compress, frames) = lane(scope, threads, || compressor(level, tally));
            let reader = scope.spawn(move || read(&mut |batch| to_hash.submit(batch)));
            let gatherer = scope.spawn(move || gather(store, hashed, to_compress, tally));
            let written = write_packs(store, frames, tally);
            let content = gatherer.join().map_err(|payload| PushError::panicked(&*payload))?;
            let read = reader.join().map_err(|payload| PushError::panicked(&*payload))?;
            // Whoever failed first has made the others stop: the last stage's error comes first.
            let written = written?;
            match (content, read) {
                (Err(Stop::Failed(error)), _) | (_, Err(Stop::Failed(error))) => Err(error),
                (Ok(content), Ok(read)) => Ok(Stored { content, written, read }),
                _ => {
                    let said = "that another failed, which none did".to_owned();
                    Err(PushError::Thread { said })
                }
            }
        })
    }

    /// Gives all of it its names.
    pub(super) fn publish<R>(
        self,
        naming: Naming<'_>,
        manifest: &Manifest,
        stored: Stored<'a, R>,
        tally: &Tally<'_>,
    ) -> Result<PushReport, PushError> {
        let publishing = Instant::now();
        let Stored { content, written, .. } = stored;
        let packs = written.packs.iter().map(|pack| pack.pack).collect();
        let (content, catalog) = (&content, &self.catalog);
        let publication = Publication { naming, manifest, content, catalog, written };
        let published = publish(self.store, publication)?;
        let done = tally.done();
        Ok(PushReport {
            manifest: published.manifest,
            label: published.change,
            size_bytes: manifest.size_bytes(),
            zero_bytes: content.counts.zero_bytes,
            trimmed_bytes: 0,
            tree: None,
            objects: content.counts.objects,
            objects_new: content.counts.objects_new,
            new_raw_bytes: done.new_bytes,
            new_packed_bytes: done.packed_bytes,
            reused_bytes: content.counts.reused_bytes,
            packs,
            damaged_packs: catalog.damaged(),
            index_failure: published.index_failure.map(|error| crate::verify::chain(&error)),
            cleaned_files: self.cleaned_files,
            seconds: Seconds {
                index: self.index_s,
                publish: publishing.elapsed().as_secs_f64(),
                total: self.start.elapsed().as_secs_f64(),
                ..tally.seconds()
            },
        })
    }
}

fn hash(batch: Batch, catalog: &Catalog<'_>, tally: &Tally<'_>) -> Result<Hashed, DirError> {
    let object = |cut: &Cut| match cut {
        Cut::Zero(_) | Cut::Node(_) => None,
        Cut::Data(range) => {
            let digest = Digest::of(&batch.bytes[range.clone()]);
            Some(catalog.find(&digest).map(|found| (digest, found)))
        }
    };
    let objects =
        tally.hashing(|| batch.cuts.iter().filter_map(object).collect::<Result<_, _>>())?;
    Ok(Hashed { batch, objects })
}

fn compressor<'a>(
    level: i32,
    tally: &'a Tally<'a>,
) -> impl FnMut(RawFrame) -> io::Result<PackedFrame> + 'a {
    let mut compressor = zstd::bulk::Compressor::new(level);
    move |frame| {
        let compressor =
            compressor.as_mut().map_err(|error| io::Error::other(error.to_string()))?;
        let packed = tally.compressing(|| compressor.compress(&frame.bytes))?;
        Ok(PackedFrame { packed, objects: frame.objects })
    }
}
