//! Third stage: what the target lacks is fetched and written. From here to the end of
//! [`crate::verify`] nothing on the target boots.

use crate::Error;
use crate::fetch::{Sink, Want, fetch, sort};
use crate::meter::{Limit, add};
use crate::plan::{Job, Plan};
use crate::survey::Missing;
use crate::target::TargetError;
use std::ops::Range;
use store::manifest::Entry;

/// How many objects are planned at once: bounds memory to some 20 MB whatever
/// the size of the image. An object that is needed again later is fetched again.
const WINDOW_OBJECTS: usize = 256 << 10;

/// The label is on the target, but for what is held back; nothing is proven yet.
pub struct Written {
    pub(crate) job: Job,
    /// The target held everything before: it was read and hashed, and not written to.
    pub(crate) untouched: bool,
}

/// Carries out `plan`.
pub fn write(plan: Plan) -> Result<Written, Error> {
    let Plan { mut job, missing, sealed } = plan;
    if sealed {
        return Ok(Written { job, untouched: true });
    }
    job.target.set_size(job.disk_bytes)?;
    job.unseal()?;
    job.meter.stage(missing.totals.missing_bytes);
    job.bring(&missing)?;
    job.target.flush()?;
    Ok(Written { job, untouched: false })
}

impl Job {
    /// Makes the target unbootable: zeroes, durably, where firmware looks.
    fn unseal(&self) -> Result<(), TargetError> {
        let zeroes = vec![0; crate::held::HEAD_BYTES];
        for range in self.held.ranges() {
            if range.start < range.end {
                self.target.write(range.start, &zeroes[..(range.end - range.start) as usize])?;
            }
        }
        self.target.flush()
    }

    /// Writes the zeroes and the objects that are `missing`.
    pub(crate) fn bring(&self, missing: &Missing) -> Result<(), Error> {
        let mut wants = Vec::new();
        self.content().each(&self.meter, |positioned| {
            let section = &self.label.map.sections[positioned.index];
            let mut places = section.places.iter();
            let mut offset_bytes = positioned.offset_bytes;
            for (index, entry) in positioned.segment.entries.iter().enumerate() {
                let is_missing = missing.has(positioned.index, index);
                match entry {
                    Entry::Zero { length } if is_missing => {
                        self.zero(offset_bytes..offset_bytes + length)?;
                    }
                    Entry::Zero { .. } => {}
                    Entry::Data { digest, length } => {
                        if let (Some(place), true) = (places.next(), is_missing) {
                            wants.push(Want {
                                frame: section.frames[place.frame as usize],
                                inner_bytes: place.offset_bytes,
                                length: *length,
                                digest: *digest,
                                offset_bytes,
                            });
                        }
                    }
                }
                offset_bytes += entry.length();
            }
            if wants.len() >= WINDOW_OBJECTS {
                self.fetch(&mut wants)?;
            }
            Ok(())
        })?;
        self.fetch(&mut wants)
    }

    fn fetch(&self, wants: &mut Vec<Want>) -> Result<(), Error> {
        sort(wants);
        fetch(&self.label, wants, self, &self.meter)?;
        wants.clear();
        Ok(())
    }

    fn zero(&self, range: Range<u64>) -> Result<(), Error> {
        let range = self.held.zero(range);
        if range.start < range.end {
            add(&self.meter.zeroed_bytes, range.end - range.start);
            self.meter.time(Limit::Disk, || self.target.zero(range))?;
        }
        Ok(())
    }
}

impl Sink for Job {
    fn put(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let rest = self.held.take(offset, bytes);
        if rest.start < rest.end {
            let at = offset + rest.start as u64;
            add(&self.meter.written_bytes, (rest.end - rest.start) as u64);
            self.meter.time(Limit::Disk, || self.target.write(at, &bytes[rest]))?;
        }
        Ok(())
    }
}
