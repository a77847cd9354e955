//! The store beside the target: asked first, and given what came from far.
//!
//! Nothing that fails here fails a deployment: what it does not give is fetched, and what it does
//! not take is fetched again some other time.

use crate::Error;
use crate::fetch::Want;
use crate::links::Link;
use crate::meter::{Meter, PassedOver, add};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::Digest;
use store::dir::DirError;
use store::map::Map;
use store::near::{Kept, Near};

/// How hard what has to be packed anew is compressed: as fast as it goes, since a machine waits.
const LEVEL: i32 = 1;

/// A near store of a label.
pub(crate) struct NearLink {
    near: Arc<Near>,
    /// To be read from like any other store.
    pub(crate) link: Link,
    /// Its packs; its objects are found one by one.
    pub(crate) map: Arc<Map>,
    meter: Arc<Meter>,
    failed: AtomicBool,
}

impl NearLink {
    pub(crate) fn new(near: Arc<Near>, meter: &Arc<Meter>) -> Self {
        // Not counted: what it gives was not fetched.
        let link = Link::new(Arc::new(near.store().clone()));
        let map = Map { packs: near.packs().to_vec(), sections: Vec::new() };
        let (map, meter) = (Arc::new(map), Arc::clone(meter));
        Self { near, link, map, meter, failed: AtomicBool::new(false) }
    }

    /// Whether it has an object.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        !self.link.is_out() && self.near.find(digest).is_some()
    }

    /// `want` where this store has it.
    pub(crate) fn located(&self, want: &Want) -> Option<Want> {
        let (frame, inner_bytes) = self.near.find(&want.digest)?;
        self.near.used(frame.pack);
        Some(Want { frame, inner_bytes, ..want.clone() })
    }

    /// Takes the objects `wants` of a frame that came from far: `raw` is all of it, `packed` what
    /// came, where that can be unpacked alone. They are sorted by where they are in the frame, and proven.
    pub(crate) fn take(&self, packed: Option<&[u8]>, raw: &[u8], wants: &[Want]) {
        if self.failed.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.try_take(packed, raw, wants) {
            self.fail(&error);
        }
    }

    fn try_take(&self, packed: Option<&[u8]>, raw: &[u8], wants: &[Want]) -> Result<(), DirError> {
        let mut objects: Vec<(u32, Digest, u32)> = Vec::new();
        for want in wants {
            let object = (want.inner_bytes, want.digest, want.length);
            let end = objects.last().map_or(0, |(at, _, length)| at + length);
            if want.inner_bytes >= end {
                objects.push(object);
            }
        }
        let named: Vec<_> = objects.iter().map(|(_, digest, length)| (*digest, *length)).collect();
        let length: usize = named.iter().map(|(_, length)| *length as usize).sum();
        let whole = packed.filter(|_| length == raw.len());
        let has_room = if let Some(packed) = whole {
            self.near.keep(packed, &named)?
        } else {
            let parts = objects.iter().map(|(at, _, length)| {
                raw.get(*at as usize..(at + length) as usize).unwrap_or_default()
            });
            let packed = zstd::bulk::compress(&parts.collect::<Vec<_>>().concat(), LEVEL);
            match packed {
                Ok(packed) => self.near.keep(&packed, &named)?,
                // Only for want of memory.
                Err(_) => false,
            }
        };
        if !has_room {
            self.failed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Makes durable what was taken.
    pub(crate) fn finish(&self) -> Kept {
        self.near.finish().unwrap_or_else(|error| {
            self.fail(&error);
            Kept::default()
        })
    }

    /// Sees to it that it is used no more.
    pub(crate) fn leave(&self) {
        self.failed.store(true, Ordering::Relaxed);
        self.link.put_out();
    }

    /// Notes that an object came from here.
    pub(crate) fn gave(&self, bytes: u32) {
        add(&self.meter.near_objects, 1);
        add(&self.meter.near_bytes, u64::from(bytes));
    }

    fn fail(&self, error: &DirError) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            self.meter.pass_over(PassedOver::new(self.link.source.name(), error));
        }
    }

    /// Notes that it gave something wrong, or nothing.
    pub(crate) fn lacks(&self, why: &Error) {
        if !self.link.put_out() {
            self.meter.pass_over(PassedOver::new(self.link.source.name(), why));
        }
    }
}
