//! First stage: from a name to everything that can be known before content moves.

use crate::Error;
use crate::content::content_segments;
use crate::links::{Link, Links};
use crate::meter::{Meter, PassedOver, add};
use crate::near::NearLink;
use crate::retry::{retry_at_most, retry_from};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use store::Digest;
use store::label::{LabelName, LabelRecord};
use store::manifest::Manifest;
use store::manifest_reader::{ReadError, read_label, read_map_on, read_root};
use store::map::Map;
use store::near::{Kept, Near};
use store::source::{Partly, Source, SourceError};

/// So much of a map has to come before its tries are counted anew, bytes: about a frame, so that
/// the longest map ends after a thousand times as many tries.
const PROGRESS_BYTES: usize = 256 << 10;

/// A label, its manifest and its map: what is to be on the target, by digest.
pub struct Label {
    /// Its record.
    pub record: LabelRecord,
    /// The root of its manifest.
    pub manifest: Manifest,
    /// The map of the nearest store that has one that fits; see [`Label::map`].
    map: Mutex<Arc<Map>>,
    pub(crate) root_bytes: usize,
    pub(crate) links: Links,
    pub(crate) near: Option<NearLink>,
}

/// Reads `name` from the first store of `chain`, nearest first, that has it. A store that fails is
/// passed over where another has the label; where none has, the first such failure is the error.
/// Stores after that one are asked for what it cannot give.
pub fn resolve(
    chain: &[Arc<dyn Source>],
    name: &LabelName,
    meter: &Arc<Meter>,
) -> Result<Label, Error> {
    let (links, record) = find(chain, name, meter)?;
    read(links, record, meter)
}

/// The digest of the manifest that `name` names, by the first store of `chain` that has it.
pub fn manifest_of(
    chain: &[Arc<dyn Source>],
    name: &LabelName,
    meter: &Arc<Meter>,
) -> Result<Digest, Error> {
    find(chain, name, meter).map(|(_, record)| record.manifest)
}

/// The record of `name`, and the stores from the one on that has it.
fn find(
    chain: &[Arc<dyn Source>],
    name: &LabelName,
    meter: &Arc<Meter>,
) -> Result<(Links, LabelRecord), Error> {
    let links = Links::new(chain.iter().cloned(), meter);
    let mut failures = Vec::new();
    let mut ask = |(index, (link, tries)): (usize, (&Link, u32))| {
        let retried = || add(&meter.retries, 1);
        match retry_at_most(tries, || read_label(&*link.source, name), retried) {
            Ok(record) => return Some((index, record)),
            Err(ReadError::Source(SourceError::NotFound { .. })) => {}
            Err(error) => failures.push((chain[index].name(), error)),
        }
        None
    };
    let found = links.live().enumerate().find_map(&mut ask);
    if let Some((index, record)) = found {
        for (store, error) in failures {
            meter.pass_over(PassedOver::new(store, &error));
        }
        return Ok((links.starting_at(index), record));
    }
    if let Some((_, source)) = failures.into_iter().next() {
        return Err(Error::Label { object: format!("label {name}"), source });
    }
    let stores: Vec<_> = chain.iter().map(|source| source.name()).collect();
    Err(Error::NoSuchLabel { label: name.to_string(), stores: stores.join(", ") })
}

fn read(links: Links, record: LabelRecord, meter: &Meter) -> Result<Label, Error> {
    let wrong = |object: &str| {
        let object = format!("{object} of label {}", record.name);
        move |source| Error::Label { object, source }
    };
    let digest = &record.manifest;
    let (manifest, root_bytes) =
        links.read(|link| read_root(&*link.source, digest)).map_err(wrong("manifest"))?;
    let map = read_a_map(&links, digest, &manifest, meter).map_err(wrong("map"))?;
    Ok(Label { record, manifest, map: Mutex::new(map), root_bytes, links, near: None })
}

/// The map of the nearest store that has one.
fn read_a_map(
    links: &Links,
    digest: &Digest,
    manifest: &Manifest,
    meter: &Meter,
) -> Result<Arc<Map>, ReadError> {
    let mut first = None;
    for (link, tries) in links.live() {
        match ask_map(&*link.source, digest, manifest, tries, meter) {
            Ok(map) => {
                let map = Arc::new(map);
                link.set_map(&map);
                return Ok(map);
            }
            Err(error) => links.failed(link, error, &mut first),
        }
    }
    Err(first.unwrap_or_else(|| links.nobody()))
}

/// A map may be long: each try goes on where the last one broke.
fn ask_map(
    source: &dyn Source,
    digest: &Digest,
    manifest: &Manifest,
    tries_max: u32,
    meter: &Meter,
) -> Result<Map, ReadError> {
    let (partly, mut counted) = (RefCell::new(Partly::default()), 0);
    let came_enough = || {
        add(&meter.retries, 1);
        let came = partly.borrow().bytes().len();
        let enough = came >= counted + PROGRESS_BYTES;
        if enough {
            counted = came;
        }
        enough
    };
    let read = || read_map_on(source, digest, manifest, &mut partly.borrow_mut());
    retry_from(tries_max, read, came_enough)
}

impl Label {
    /// The same label, which takes from `near` what that has, and puts there what comes from far.
    #[must_use]
    pub fn with_near(mut self, near: Arc<Near>, meter: &Arc<Meter>) -> Self {
        self.near = Some(NearLink::new(near, meter));
        self
    }

    /// Makes durable what the store beside the target, if there is one, was given.
    pub fn finish_near(&self) -> Option<Kept> {
        self.near.as_ref().map(NearLink::finish)
    }

    /// The same, and it is neither read nor written from now on.
    pub(crate) fn leave_near(&self) -> Option<Kept> {
        let kept = self.finish_near();
        self.near.iter().for_each(NearLink::leave);
        kept
    }

    /// Where its objects are, by the nearest store that has a map which fits what was read of the
    /// manifest so far.
    pub(crate) fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sees to it that the map has a place for each of the `expected` objects of segment `index`: a
    /// store whose map has not is passed over, and the next one's is read. Each turn takes a store
    /// out, so that it ends.
    pub(crate) fn fit_map(
        &self,
        index: usize,
        expected: usize,
        meter: &Meter,
    ) -> Result<(), Error> {
        let digest = &self.record.manifest;
        loop {
            let map = self.map();
            let found = map.sections.get(index).map_or(0, |section| section.places.len());
            if expected == found {
                return Ok(());
            }
            let wrong = Error::Map { manifest: *digest, segment: index, expected, found };
            let link = self.links.all().find(|link| link.has_map(&map));
            if let Some(link) = link.filter(|link| !link.is_out()) {
                self.links.pass_over(link, &wrong);
                if !link.is_out() {
                    // There is no other.
                    return Err(wrong);
                }
            }
            let Ok(next) = read_a_map(&self.links, digest, &self.manifest, meter) else {
                return Err(wrong);
            };
            *self.map.lock().unwrap_or_else(PoisonError::into_inner) = next;
        }
    }

    /// Length of the image, or of all files of the tree, bytes.
    pub fn size_bytes(&self) -> u64 {
        self.manifest.size_bytes()
    }

    /// How many segments are the image; those after them are payloads.
    pub(crate) fn content_segments(&self) -> usize {
        content_segments(&self.manifest)
    }
}
