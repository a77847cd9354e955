//! Reading labels, manifests and maps from a [`Source`], each checked before it is believed.
//!
//! Given a store and a digest that is trusted, this returns values that are what the
//! digest says. A map is not trusted: it is only shown to fit its format and its manifest's
//! number of segments; what it leads to is the caller's to hash. No function here asks
//! twice: whether to ask again is told by [`ReadError::is_transient`].

use crate::Digest;
use crate::codec::FormatError;
use crate::label::{LabelName, LabelRecord, RECORD_MAX_BYTES, RecordError};
use crate::manifest::{Manifest, PREFIX_BYTES, SegmentKind};
use crate::map::{MAP_MAX_BYTES, Map};
use crate::source::{Item, Partly, Source, SourceError, from_io, read_all};
use std::io::Read;
use std::marker::PhantomData;
use std::ops::Range;
use std::time::Duration;

/// A map names as many packs as its pushes made; this many at 41 bytes each fit beside its places.
const MAP_PACKS_MAX: u64 = 65_536;

/// What a pack takes in a map: digest and a varint.
const MAP_PACK_BYTES: u64 = Digest::LEN as u64 + 9;

/// What a section without objects takes at most: two counts.
const MAP_SECTION_BYTES: u64 = 10;

/// Why a label, manifest or map could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store did not give it.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It does not follow its format.
    #[error("{object} from {store}")]
    Format {
        /// What was read.
        object: String,
        /// The store's name.
        store: String,
        /// Where and how it is wrong.
        source: Box<FormatError>,
    },
    /// It is the record of another label.
    #[error("{object} from {store}")]
    Record {
        /// What was read.
        object: String,
        /// The store's name.
        store: String,
        /// How it is wrong.
        source: Box<RecordError>,
    },
    /// Its bytes are not those that its digest names.
    #[error("{object} from {store}: expected digest {expected}, found {found}")]
    Wrong {
        /// What was read.
        object: String,
        /// The store's name.
        store: String,
        /// The digest asked for.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The map is of another manifest.
    #[error("{object} from {store}: expected {expected} sections, found {found}")]
    Sections {
        /// What was read.
        object: String,
        /// The store's name.
        store: String,
        /// Segments in the manifest.
        expected: usize,
        /// Sections in the map.
        found: usize,
    },
}

impl ReadError {
    /// Whether asking the same store again can help. Bytes that came whole and are wrong
    /// come wrong again.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Source(error) => error.is_transient(),
            Self::Format { .. }
            | Self::Record { .. }
            | Self::Wrong { .. }
            | Self::Sections { .. } => false,
        }
    }

    /// How long the server asks to be left alone before the next try, where it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Source(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// Reads the record of `name`.
pub fn read_label(source: &dyn Source, name: &LabelName) -> Result<LabelRecord, ReadError> {
    let item = Item::Label(name.clone());
    let bytes = read_all(source, &item, RECORD_MAX_BYTES as u64)?;
    LabelRecord::decode(&bytes, name).map_err(|error| ReadError::Record {
        object: item.to_string(),
        store: source.name().into(),
        source: Box::new(error),
    })
}

/// Reads and checks the root of the manifest `digest`; also returns the root's length,
/// bytes: where the segments start.
pub fn read_root(source: &dyn Source, digest: &Digest) -> Result<(Manifest, usize), ReadError> {
    let item = Item::Manifest(*digest);
    let mut root = vec![0; PREFIX_BYTES];
    read_range(source, &item, 0, &mut root)?;
    let malformed = |error| format_error(source, item.to_string(), error);
    let length = Manifest::root_length(&root).map_err(malformed)?;
    root.resize(length, 0);
    read_range(source, &item, PREFIX_BYTES as u64, &mut root[PREFIX_BYTES..])?;
    check_digest(source, || item.to_string(), digest, &root)?;
    let manifest = Manifest::decode(&root).map_err(malformed)?;
    Ok((manifest, length))
}

/// Reads and checks all segments of `manifest`, which are of the kind `S`, whose digest is `digest` and whose root has
/// `root_bytes`, in order. One request for all, made at the first `next`; one segment is
/// held at a time. The first error ends the iterator.
pub fn read_segments<'a, S: SegmentKind>(
    source: &'a dyn Source,
    manifest: &'a Manifest,
    root_bytes: usize,
    digest: &Digest,
) -> Segments<'a, S> {
    read_segments_of(source, manifest, root_bytes, digest, 0..manifest.segments.len())
}

/// Like [`read_segments`], those with the numbers `range` only: how reading goes on after a fault.
pub fn read_segments_of<'a, S: SegmentKind>(
    source: &'a dyn Source,
    manifest: &'a Manifest,
    root_bytes: usize,
    digest: &Digest,
    range: Range<usize>,
) -> Segments<'a, S> {
    let item = Item::Manifest(*digest);
    let end = range.end.min(manifest.segments.len());
    let next = range.start;
    Segments { source, manifest, root_bytes, item, next, end, body: None, kind: PhantomData }
}

/// Iterator over the segments of a manifest; see [`read_segments`].
pub struct Segments<'a, S> {
    source: &'a dyn Source,
    manifest: &'a Manifest,
    root_bytes: usize,
    item: Item,
    next: usize,
    end: usize,
    body: Option<Box<dyn Read + Send>>,
    kind: PhantomData<fn() -> S>,
}

impl<S: SegmentKind> Iterator for Segments<'_, S> {
    type Item = Result<S, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let segment = self.read_next();
        self.next = if segment.is_ok() { self.next + 1 } else { usize::MAX };
        Some(segment)
    }
}

impl<S: SegmentKind> Segments<'_, S> {
    fn read_next(&mut self) -> Result<S, ReadError> {
        let expected = self.manifest.segments[self.next];
        let mut bytes = vec![0; expected.encoded_bytes as usize];
        if !bytes.is_empty() {
            let read = self.body()?.read_exact(&mut bytes);
            read.map_err(|error| from_io(error, self.source, &self.item))?;
        }
        let name = || format!("{}: segment {}", self.item, self.next);
        check_digest(self.source, name, &expected.digest, &bytes)?;
        S::decode(&bytes, expected.span_bytes)
            .map_err(|error| format_error(self.source, name(), error))
    }

    fn body(&mut self) -> Result<&mut Box<dyn Read + Send>, ReadError> {
        let body = match self.body.take() {
            Some(body) => body,
            None => self.source.open(&self.item, Some(self.range_left()))?.reader,
        };
        Ok(self.body.insert(body))
    }

    /// The bytes of all segments that are still to come.
    fn range_left(&self) -> Range<u64> {
        let encoded = |segments: &[crate::manifest::SegmentRef]| {
            segments.iter().map(|segment| u64::from(segment.encoded_bytes)).sum::<u64>()
        };
        let (before, after) = self.manifest.segments[..self.end].split_at(self.next);
        let start = self.root_bytes as u64 + encoded(before);
        start..start + encoded(after)
    }
}

/// Reads the map of `manifest`, whose digest is `digest`. That it has a section for each
/// segment is checked here; that a section has a place for each object of its segment is
/// the caller's to check, who alone holds the segments.
pub fn read_map(
    source: &dyn Source,
    digest: &Digest,
    manifest: &Manifest,
) -> Result<Map, ReadError> {
    read_map_on(source, digest, manifest, &mut Partly::default())
}

/// Like [`read_map`], going on after what an earlier try left in `partly`: a map may be the
/// longest thing that is read whole.
pub fn read_map_on(
    source: &dyn Source,
    digest: &Digest,
    manifest: &Manifest,
    partly: &mut Partly,
) -> Result<Map, ReadError> {
    let (item, max_bytes) = (Item::Map(*digest), map_max_bytes(manifest));
    partly.read(source, &item, max_bytes)?;
    let mut map = Map::decode(partly.bytes());
    if map.is_err() && partly.is_resumed() {
        // The parts may be of two maps: it was written anew between them.
        *partly = Partly::default();
        partly.read(source, &item, max_bytes)?;
        map = Map::decode(partly.bytes());
    }
    let map = map.map_err(|error| format_error(source, item.to_string(), error))?;
    let (expected, found) = (manifest.segments.len(), map.sections.len());
    if expected == found {
        return Ok(map);
    }
    let (object, store) = (item.to_string(), source.name().into());
    Err(ReadError::Sections { object, store, expected, found })
}

/// The longest map that can be `manifest`'s, bytes. An object takes at least 34 bytes in its
/// segment, and at most 31 in the map: a frame of its own (5 + 9 + 4 + 3) and a place (5 + 3).
pub(crate) fn map_max_bytes(manifest: &Manifest) -> u64 {
    let encoded = |sum, segment: &crate::manifest::SegmentRef| {
        sum + u64::from(segment.encoded_bytes) + MAP_SECTION_BYTES
    };
    let sections = manifest.segments.iter().fold(0, encoded);
    let around = 8 + 2 * MAP_SECTION_BYTES + Digest::LEN as u64;
    (sections + around + MAP_PACKS_MAX * MAP_PACK_BYTES).min(MAP_MAX_BYTES)
}

fn read_range(
    source: &dyn Source,
    item: &Item,
    offset: u64,
    into: &mut [u8],
) -> Result<(), SourceError> {
    if into.is_empty() {
        return Ok(());
    }
    let mut body = source.open(item, Some(offset..offset + into.len() as u64))?;
    body.reader.read_exact(into).map_err(|error| from_io(error, source, item))
}

fn check_digest(
    source: &dyn Source,
    object: impl Fn() -> String,
    expected: &Digest,
    bytes: &[u8],
) -> Result<(), ReadError> {
    let found = Digest::of(bytes);
    if found == *expected {
        return Ok(());
    }
    let (object, store) = (object(), source.name().into());
    Err(ReadError::Wrong { object, store, expected: *expected, found })
}

/// What does not follow its format, said of `object`.
pub(crate) fn format_error(source: &dyn Source, object: String, error: FormatError) -> ReadError {
    ReadError::Format { object, store: source.name().into(), source: Box::new(error) }
}
