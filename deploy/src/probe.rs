//! Whether it is worth comparing all of a target with a label: a few places are looked at first.
//!
//! A new disk, or one that held something else, would be read whole for nothing. What a
//! look misses is merely fetched.

use crate::Error;
use crate::content::{Content, Positioned};
use crate::meter::{Limit, Meter, add};
use crate::survey::View;
use crate::target::AlignedBuffer;
use store::Digest;
use store::cut::is_zero;
use store::manifest::{Entry, OBJECT_MAX_BYTES};

/// Segments that are looked at, spread over the image.
const SEGMENTS: usize = 16;

/// Objects of each that are looked at. Of 256 places a target that has a twentieth of the label
/// is overlooked once in 500,000 times.
const OBJECTS: usize = 16;

/// Whether `view` has any of the objects that are looked at.
pub(crate) fn has_any(
    content: &Content<'_>,
    view: &View<'_>,
    meter: &Meter,
) -> Result<bool, Error> {
    let mut found = false;
    let mut buffer = AlignedBuffer::new(OBJECT_MAX_BYTES as usize);
    content.sample(SEGMENTS, meter, |positioned| {
        for (offset, digest, length) in picked(&positioned) {
            let bytes = &mut buffer[..length];
            if view.is_hole(offset, length) {
                continue;
            }
            add(&meter.done_bytes, length as u64);
            if meter.time(Limit::Disk, || view.read(offset, bytes)).is_err() {
                continue;
            }
            found = !is_zero(bytes) && Digest::of(bytes) == digest;
            if found {
                break;
            }
        }
        Ok(!found)
    })?;
    Ok(found)
}

/// Some objects of a segment, evenly spread: place, digest, length.
fn picked(positioned: &Positioned<'_>) -> Vec<(u64, Digest, usize)> {
    let entries = &positioned.segment.entries;
    let objects = entries.iter().filter(|entry| matches!(entry, Entry::Data { .. })).count();
    let step = objects.div_ceil(OBJECTS).max(1);
    let mut offset = positioned.offset_bytes;
    let mut picked = Vec::new();
    let mut number = 0;
    for entry in entries {
        if let Entry::Data { digest, length } = entry {
            if number % step == 0 {
                picked.push((offset, *digest, *length as usize));
            }
            number += 1;
        }
        offset += entry.length();
    }
    picked
}
