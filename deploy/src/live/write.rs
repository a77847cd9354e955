//! The archive made: headers, and objects as they come.

use super::archive::records;
use super::plan::Plan;
use crate::Error;
use crate::fetch::{Sink, Want, fetch, sort};
use crate::meter::{Limit, Meter, add};
use crate::stop::Stop;
use crate::tree::From;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What messages call it.
pub(super) const ARCHIVE: &str = "initramfs";

/// How many objects are planned at once: bounds memory to some 4 MB whatever the size of a label.
const WINDOW_OBJECTS: usize = 32 << 10;

/// The archive is there; nothing is read back yet.
pub struct Written {
    pub(super) plan: Plan,
}

/// Makes the archive in `into`, an empty file in memory.
pub fn write(plan: Plan, into: &File) -> Result<Written, Error> {
    plan.drawn.meter().stage(plan.drawn.needs().bytes);
    into.set_len(plan.takes.archive_bytes).map_err(failed)?;
    let mut window = Window { plan: &plan, into, fetches: none(&plan), objects: 0 };
    for record in records(plan.drawn.wanted(), &plan.names) {
        into.write_all_at(&record.head, record.at_bytes).map_err(failed)?;
        if let Some((_, file)) = record.file {
            window.file(file, record.content_at_bytes())?;
        }
    }
    window.bring()?;
    Ok(Written { plan })
}

/// Memory that cannot be had, for the most part.
pub(super) fn failed(source: io::Error) -> Error {
    Error::HandOver { file: ARCHIVE, source }
}

/// Objects that are brought at once.
struct Window<'a> {
    plan: &'a Plan,
    into: &'a File,
    /// For each label, what is fetched of it.
    fetches: Vec<Vec<Want>>,
    objects: usize,
}

impl Window<'_> {
    /// Brings the content of a file to `at`. Zeroes are there already.
    fn file(&mut self, file: u32, at: u64) -> Result<(), Error> {
        let wanted = self.plan.drawn.wanted();
        for (offset, piece) in wanted.pieces(&wanted.files[file as usize]) {
            match piece.object() {
                None => {}
                Some((digest, From::Overlay)) => {
                    let bytes = wanted.local.get(&digest).map(|bytes| &bytes[..]);
                    let put = self.into.write_all_at(bytes.unwrap_or_default(), at + offset);
                    put.map_err(failed)?;
                }
                Some((digest, From::Label(place))) => {
                    let object = (digest, piece.length());
                    let (label, want) = self.plan.drawn.want_of(place, object, at + offset)?;
                    self.fetches[label].push(want);
                    self.objects += 1;
                }
            }
        }
        if self.objects < WINDOW_OBJECTS { Ok(()) } else { self.bring() }
    }

    /// Fetches from each label what is its own.
    fn bring(&mut self) -> Result<(), Error> {
        self.objects = 0;
        let meter = self.plan.drawn.meter();
        let (sink, stop) = (InMemory { file: self.into, meter }, Stop::default());
        let fetches = std::mem::replace(&mut self.fetches, none(self.plan));
        for (label, mut wants) in self.plan.labels().iter().zip(fetches) {
            sort(&mut wants);
            fetch(label, &wants, &sink, &stop, meter)?;
        }
        Ok(())
    }
}

/// Nothing of each label.
fn none(plan: &Plan) -> Vec<Vec<Want>> {
    plan.labels().iter().map(|_| Vec::new()).collect()
}

/// The archive, as objects see it.
struct InMemory<'a> {
    file: &'a File,
    meter: &'a Meter,
}

impl Sink for InMemory<'_> {
    fn put(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let put = self.meter.time(Limit::Disk, || self.file.write_all_at(bytes, offset));
        put.map_err(failed)?;
        add(&self.meter.written_bytes, bytes.len() as u64);
        Ok(())
    }
}
