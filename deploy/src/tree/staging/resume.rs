//! What an earlier run left of a file that is being made, looked at piece by piece: its pieces
//! are known, so that nothing that is durable is fetched again.

use super::Staged;
use super::sink::Files;
use crate::Error;
use crate::tree::inventory::Inventory;
use crate::tree::plan::Job;
use std::fs::File;
use std::os::unix::fs::FileExt;
use store::Digest;
use store::cut::is_zero;
use store::manifest::OBJECT_MAX_BYTES;

/// Which pieces of a file are there.
pub(super) enum Present {
    /// All, and nothing else is.
    All,
    /// Those with the bits that are set.
    Some(Vec<u64>),
}

impl Present {
    /// None is.
    pub(super) fn nothing() -> Self {
        Self::Some(Vec::new())
    }

    /// Whether piece number `number` is.
    pub(super) fn has(&self, number: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(bits) => {
                bits.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
            }
        }
    }
}

/// Looks at what is there of `staged`. What cannot be gone on with is removed.
pub(super) fn look(
    job: &Job,
    has: &Inventory,
    left: u32,
    files: &Files<'_>,
    staged: &Staged,
) -> Result<Present, Error> {
    let wanted = &job.wanted.files[staged.file as usize];
    let is_whole = has.id(left) == Some(job.wanted.id(wanted));
    if is_whole && has.files[left as usize].size_bytes == wanted.size_bytes {
        staged.begin();
        return Ok(Present::All);
    }
    let name = staged.name(job);
    let bits = files.stage().read_file(&name).ok().and_then(|file| bits(job, staged, &file));
    if let Some(bits) = bits {
        staged.begin();
        return Ok(Present::Some(bits));
    }
    files.stage().remove(&name).map_err(staged.failed(job, "make anew"))?;
    Ok(Present::nothing())
}

/// The pieces that are there; `None` where there is what should not be.
pub(super) fn bits(job: &Job, staged: &Staged, file: &File) -> Option<Vec<u64>> {
    let wanted = &job.wanted.files[staged.file as usize];
    if file.metadata().ok()?.len() != wanted.size_bytes {
        return None;
    }
    let mut bits = Vec::new();
    let mut buffer = Vec::new();
    for (number, (at, piece)) in job.wanted.pieces(wanted).enumerate() {
        if number % 64 == 0 {
            bits.push(0_u64);
        }
        let Some((digest, _)) = piece.object() else {
            is_all_zero(file, at, piece.length()).then_some(())?;
            continue;
        };
        buffer.resize(piece.length() as usize, 0);
        file.read_exact_at(&mut buffer, at).ok()?;
        if Digest::of(&buffer) == digest {
            *bits.last_mut()? |= 1 << (number % 64);
        }
    }
    Some(bits)
}

/// Whether a stretch of a file is a hole, or reads as zeroes.
fn is_all_zero(file: &File, at: u64, length: u64) -> bool {
    let end = at + length;
    let mut next = at;
    let mut buffer = vec![0; length.min(OBJECT_MAX_BYTES) as usize];
    while next < end {
        // Where holes cannot be told, everything is looked at (lseek(2)).
        let data = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(next)) {
            Ok(data) => data,
            Err(rustix::io::Errno::NXIO) => return true,
            Err(_) => next,
        };
        if data >= end {
            return true;
        }
        next = data.max(next);
        let step = (end - next).min(buffer.len() as u64) as usize;
        let bytes = &mut buffer[..step];
        if file.read_exact_at(bytes, next).is_err() || !is_zero(bytes) {
            return false;
        }
        next += step as u64;
    }
    true
}
