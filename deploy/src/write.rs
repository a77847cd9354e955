//! Third stage: what the target lacks is fetched and written. From here to the end of
//! [`crate::verify`] nothing on the target boots.

use crate::Error;
use crate::content::{Part, parts};
use crate::fetch::{Sink, Want, fetch, sort};
use crate::held::HEAD_BYTES;
use crate::mark::Mark;
use crate::meter::{Limit, add};
use crate::plan::{Job, Plan};
use crate::survey::Missing;
use crate::target::{AlignedBuffer, TargetError};
use std::ops::Range;

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
        // A run that was cut off may have written it all and flushed none of it.
        job.target.flush()?;
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
    /// Makes the target unbootable: zeroes, durably, where firmware looks. Before that the
    /// disk is marked as ours, so that a cut at any moment leaves one that may be written.
    fn unseal(&self) -> Result<(), TargetError> {
        let [mut head, tail] = self.held.ranges();
        if let Some(mark) = &self.fit.mark
            && head.end == HEAD_BYTES as u64
        {
            let mut block = AlignedBuffer::new(Mark::BYTES);
            block.copy_from_slice(&mark.encode());
            self.target.write(Mark::OFFSET as u64, &block)?;
            self.target.flush()?;
            head.end = Mark::OFFSET as u64;
        }
        let zeroes = AlignedBuffer::new(HEAD_BYTES);
        for range in [head, tail] {
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
            for (index, part) in parts(&positioned, section).enumerate() {
                match part {
                    _ if !missing.has(positioned.index, index) => {}
                    Part::Zero(range) => self.zero(range)?,
                    Part::Object(want) => wants.push(want),
                }
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
