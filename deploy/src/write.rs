//! Third stage: what the target lacks is fetched and written. From here to the end of
//! [`crate::verify`] nothing on the target boots.

use crate::Error;
use crate::content::{Part, parts};
use crate::fetch::Sink;
use crate::meter::{Limit, add};
use crate::missing::Missing;
use crate::plan::{Job, Plan};
use crate::seeds::Seeds;
use std::ops::Range;
use std::sync::atomic::Ordering;

/// How many objects are planned at once: bounds memory to some 20 MB whatever
/// the size of the image. An object that is needed again later is fetched again, and what a
/// later window would have moved may be overwritten by then.
const WINDOW_OBJECTS: usize = 128 << 10;

/// What is written is made durable after so much at the latest, bytes: a machine that is cut off
/// loses little, and the disk writes while more is fetched.
const FLUSH_EVERY_BYTES: u64 = 64 << 20;

/// The label is on the target, but for what is held back; nothing is proven yet.
pub struct Written {
    pub(crate) job: Job,
    /// The target held everything before: it was read and hashed, and not written to.
    pub(crate) untouched: bool,
}

/// Carries out `plan`.
pub fn write(plan: Plan) -> Result<Written, Error> {
    let Plan { mut job, missing, seeds, sealed } = plan;
    if sealed {
        // A run that was cut off may have written it all and flushed none of it.
        job.target.flush()?;
        return Ok(Written { job, untouched: true });
    }
    job.target.set_size(job.disk_bytes)?;
    job.unseal()?;
    job.meter.stage(missing.totals.missing_bytes);
    job.bring(&missing, &seeds)?;
    job.target.flush()?;
    Ok(Written { job, untouched: false })
}

impl Job {
    /// Writes the zeroes and the objects that are `missing`. What `seeds` know of is moved.
    pub(crate) fn bring(&self, missing: &Missing, seeds: &Seeds) -> Result<(), Error> {
        let mut wants = Vec::new();
        self.each_missing(missing, |part| {
            match part {
                // What lies there may be wanted elsewhere.
                Part::Zero(_) if !seeds.is_empty() => {}
                Part::Zero(range) => self.zero(range)?,
                Part::Object(want) => wants.push(want),
            }
            if wants.len() >= WINDOW_OBJECTS {
                self.bring_window(std::mem::take(&mut wants), seeds)?;
            }
            Ok(())
        })?;
        self.bring_window(wants, seeds)?;
        if !seeds.is_empty() && missing.totals.zero_missing_bytes > 0 {
            self.each_missing(missing, |part| match part {
                Part::Zero(range) => self.zero(range),
                Part::Object(_) => Ok(()),
            })?;
        }
        Ok(())
    }

    fn each_missing(
        &self,
        missing: &Missing,
        mut take: impl FnMut(Part) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.content().each(&self.meter, |positioned| {
            let map = self.label.map();
            let section = &map.sections[positioned.index];
            let parts = parts(&positioned, section).enumerate();
            let mut missing = parts.filter(|(index, _)| missing.has(positioned.index, *index));
            missing.try_for_each(|(_, part)| take(part))
        })
    }

    /// Whoever writes past a multiple of [`FLUSH_EVERY_BYTES`] flushes, while the others go on.
    fn flush_now_and_then(&self, written_bytes: u64) -> Result<(), Error> {
        let before = self.put_bytes.fetch_add(written_bytes, Ordering::Relaxed);
        if before / FLUSH_EVERY_BYTES == (before + written_bytes) / FLUSH_EVERY_BYTES {
            return Ok(());
        }
        Ok(self.meter.time(Limit::Disk, || self.target.flush())?)
    }

    fn zero(&self, range: Range<u64>) -> Result<(), Error> {
        let range = self.held.zero(range);
        let length = (range.end - range.start) as usize;
        if length > 0 && !self.view().is_hole(range.start, length) {
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
            let length = rest.len() as u64;
            self.meter.time(Limit::Disk, || self.target.write(at, &bytes[rest]))?;
            self.flush_now_and_then(length)?;
        }
        Ok(())
    }
}
