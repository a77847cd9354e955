//! Last stage of the engine: the kernel sees the new partitions, and what kexec needs is
//! at hand.

use crate::content::{Part, Positioned, parts, read_label_segments};
use crate::fetch::{Sink, fetch, sort};
use crate::meter::Meter;
use crate::plan::Job;
use crate::stop::Stop;
use crate::target::AlignedBuffer;
use crate::verify::Verified;
use crate::{Error, Label};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use store::Hasher;
use store::manifest::{Boot, Payload, Place};

/// What is copied at once, bytes.
const STEP_BYTES: u64 = 1 << 20;

/// A target that holds its label, proven and bootable.
pub struct Settled {
    job: Job,
}

/// Makes the kernel see what is on the target now.
pub fn settle(verified: Verified) -> Settled {
    let Verified { job } = verified;
    job.target.reread_partitions();
    Settled { job }
}

impl Settled {
    /// The label.
    pub fn label(&self) -> &Label {
        &self.job.label
    }

    /// Live counters.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.job.meter
    }

    /// How to boot what the label holds, where it says so.
    pub fn boot(&self) -> Option<&Boot> {
        self.job.label.manifest.boot.as_ref()
    }

    /// Copies a boot file into `into`, from the target where it lies there, else from the
    /// store, and proves it by its digest. `file` is what messages call it.
    pub fn copy(&self, file: &'static str, payload: &Payload, into: &File) -> Result<(), Error> {
        match &payload.place {
            Place::Extents(extents) => self.copy_extents(file, extents, into)?,
            Place::Segment(index) => {
                copy_segment(&self.job.label, file, *index, into, &self.job.meter)?;
            }
            // A manifest that is an image and says this is refused when it is read.
            Place::Path(_) => {}
        }
        let found = digest_of(into, payload.size_bytes)
            .map_err(|source| Error::HandOver { file, source })?;
        if found == payload.digest {
            return Ok(());
        }
        let label = self.job.label.record.name.to_string();
        Err(Error::BootFile { file, label, expected: payload.digest, found })
    }

    /// From the target; what was held back is the image's there too.
    fn copy_extents(
        &self,
        file: &'static str,
        extents: &[(u64, u64)],
        into: &File,
    ) -> Result<(), Error> {
        let mut buffer = AlignedBuffer::new(STEP_BYTES as usize);
        let mut at = 0;
        for (start, length) in extents {
            let mut offset = *start;
            while offset < start + length {
                let step = (start + length - offset).min(STEP_BYTES);
                let bytes = &mut buffer[..step as usize];
                self.job.target.read(offset, bytes)?;
                into.write_all_at(bytes, at).map_err(|source| Error::HandOver { file, source })?;
                offset += step;
                at += step;
            }
        }
        Ok(())
    }
}

/// Copies segment `index` of `label`, a payload beside its content, from the store into `into`.
/// `file` is what messages call it.
pub(crate) fn copy_segment(
    label: &Label,
    file: &'static str,
    index: usize,
    into: &File,
    meter: &Meter,
) -> Result<(), Error> {
    let mut wants = Vec::new();
    let mut zeroes = 0;
    read_label_segments(label, index..index + 1, meter, |index, segment| {
        let positioned = Positioned { index, offset_bytes: 0, segment: &segment };
        for part in parts(&positioned, &label.map().sections[index]) {
            match part {
                // The file reads as zeroes where nothing is written, up to its length.
                Part::Zero(range) => zeroes = range.end,
                Part::Object(want) => wants.push(want),
            }
        }
        Ok(())
    })?;
    into.set_len(zeroes).map_err(|source| Error::HandOver { file, source })?;
    sort(&mut wants);
    let (sink, stop) = (FileSink { name: file, file: into }, Stop::default());
    fetch(label, &wants, &sink, &stop, meter)
}

struct FileSink<'a> {
    name: &'static str,
    file: &'a File,
}

impl Sink for FileSink<'_> {
    fn put(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let failed = |source| Error::HandOver { file: self.name, source };
        self.file.write_all_at(bytes, offset).map_err(failed)
    }
}

/// Digest of the first `size_bytes` of `file`, read through the descriptor itself.
pub(crate) fn digest_of(file: &File, size_bytes: u64) -> std::io::Result<store::Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; STEP_BYTES as usize];
    let mut at = 0;
    while at < size_bytes {
        let step = (size_bytes - at).min(STEP_BYTES) as usize;
        file.read_exact_at(&mut buffer[..step], at)?;
        hasher.update(&buffer[..step]);
        at += step as u64;
    }
    Ok(hasher.finish())
}
