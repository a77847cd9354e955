//! Single objects of a label, taken from a store: what reads a few files of a large tree.

use crate::Digest;
use crate::map::Map;
use crate::restock::{FrameAt, TakeError, Want, take};
use crate::source::Source;

/// An object, and where a map says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picked {
    frame: FrameAt,
    want: Want,
}

impl Picked {
    /// Object `number` of segment `section`, counted as the map does: `Data` entries in their
    /// order. `None` where the map does not know it.
    pub fn of(map: &Map, section: usize, number: usize, object: (Digest, u32)) -> Option<Self> {
        let section = map.sections.get(section)?;
        let place = section.places.get(number)?;
        let frame = section.frames.get(place.frame as usize)?;
        let pack = map.packs.get(frame.pack as usize)?.digest;
        let frame = FrameAt {
            source: 0,
            pack,
            offset_bytes: frame.offset_bytes,
            packed_bytes: frame.packed_bytes,
            raw_bytes: frame.raw_bytes,
        };
        let (digest, length) = object;
        Some(Self { frame, want: Want { at_bytes: place.offset_bytes, length, digest } })
    }
}

/// Is given an object, which is what its digest says.
pub type Put<'a, E> = &'a mut dyn FnMut(&Digest, &[u8]) -> Result<(), E>;

/// Takes these objects from `source`, each hashed, few requests for all; `put` is given them in the
/// order of the packs. The first that cannot be had, or put, ends it.
pub fn pick<E: From<TakeError>>(
    source: &dyn Source,
    objects: &[Picked],
    put: Put<'_, E>,
) -> Result<(), E> {
    let wants = objects.iter().map(|picked| (picked.frame, picked.want)).collect();
    take(&[source], wants, &mut |taken| {
        if let Some((_, error)) = taken.lost.into_iter().next() {
            return Err(error.into());
        }
        for want in &taken.proven {
            let start = want.at_bytes as usize;
            put(&want.digest, &taken.raw[start..start + want.length as usize])?;
        }
        Ok(())
    })
}
