//! First stage: from a name to everything that can be known before content moves.

use crate::Error;
use crate::content::content_segments;
use crate::counted::Counted;
use crate::meter::{Meter, add};
use crate::retry::{retry, retry_from};
use std::cell::RefCell;
use std::sync::Arc;
use store::Digest;
use store::label::{LabelName, LabelRecord};
use store::manifest::Manifest;
use store::manifest_reader::{ReadError, read_label, read_map_on, read_root};
use store::map::Map;
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
    pub(crate) map: Map,
    pub(crate) root_bytes: usize,
    pub(crate) source: Arc<dyn Source>,
}

/// Reads `name` from the first store of `chain`, nearest first, that has it. A store that does
/// not answer is passed over, after one try while another is left; where none has the label, the
/// first such failure is the error.
pub fn resolve(
    chain: &[Arc<dyn Source>],
    name: &LabelName,
    meter: &Arc<Meter>,
) -> Result<Label, Error> {
    let (source, record) = find(chain, name, meter)?;
    read(source, record, meter)
}

/// The digest of the manifest that `name` names, by the first store of `chain` that has it.
pub fn manifest_of(
    chain: &[Arc<dyn Source>],
    name: &LabelName,
    meter: &Arc<Meter>,
) -> Result<Digest, Error> {
    find(chain, name, meter).map(|(_, record)| record.manifest)
}

/// The record of `name`, and the store that has it.
fn find(
    chain: &[Arc<dyn Source>],
    name: &LabelName,
    meter: &Arc<Meter>,
) -> Result<(Arc<dyn Source>, LabelRecord), Error> {
    let mut silent = None;
    for (index, source) in chain.iter().enumerate() {
        let source: Arc<dyn Source> =
            Arc::new(Counted { inner: Arc::clone(source), meter: Arc::clone(meter) });
        let is_last = index + 1 == chain.len();
        let read = || read_label(&*source, name);
        match if is_last { ask(meter, read) } else { read() } {
            Ok(record) => return Ok((source, record)),
            Err(ReadError::Source(SourceError::NotFound { .. })) => {}
            Err(error) if error.is_transient() => {
                silent.get_or_insert(error);
            }
            Err(error) => {
                return Err(Error::Label { object: format!("label {name}"), source: error });
            }
        }
    }
    if let Some(source) = silent {
        return Err(Error::Label { object: format!("label {name}"), source });
    }
    let stores: Vec<_> = chain.iter().map(|source| source.name()).collect();
    Err(Error::NoSuchLabel { label: name.to_string(), stores: stores.join(", ") })
}

fn read(source: Arc<dyn Source>, record: LabelRecord, meter: &Meter) -> Result<Label, Error> {
    let wrong = |object: &str| {
        let object = format!("{object} of label {}", record.name);
        move |source| Error::Label { object, source }
    };
    let digest = &record.manifest;
    let (manifest, root_bytes) =
        ask(meter, || read_root(&*source, digest)).map_err(wrong("manifest"))?;
    let map = ask_map(&*source, digest, &manifest, meter).map_err(wrong("map"))?;
    Ok(Label { record, manifest, map, root_bytes, source })
}

/// A map may be long: each try goes on where the last one broke.
fn ask_map(
    source: &dyn Source,
    digest: &Digest,
    manifest: &Manifest,
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
    retry_from(|| read_map_on(source, digest, manifest, &mut partly.borrow_mut()), came_enough)
}

fn ask<T>(meter: &Meter, read: impl FnMut() -> Result<T, ReadError>) -> Result<T, ReadError> {
    retry(read, || add(&meter.retries, 1))
}

impl Label {
    /// Length of the image, or of all files of the tree, bytes.
    pub fn size_bytes(&self) -> u64 {
        self.manifest.size_bytes()
    }

    /// How many segments are the image; those after them are payloads.
    pub(crate) fn content_segments(&self) -> usize {
        content_segments(&self.manifest)
    }
}
