//! The segments of a label, one after another, in bounded memory.

use crate::fetch::Want;
use crate::label::Label;
use crate::links::{Link, Links};
use crate::meter::{Meter, add};
use crate::retry::{noise, pause};
use crate::{Error, target};
use std::ops::Range;
use std::sync::OnceLock;
use store::Digest;
use store::cut::SEGMENT_SPAN_BYTES;
use store::manifest::{self, Entry, Manifest, Segment, SegmentKind};
use store::manifest_reader::{ReadError, read_segments_of};
use store::map::Section;

/// Segments are kept between passes while all of them together are encoded in at most
/// this, bytes: about 4 GiB of content. Longer manifests are read again for each pass.
const KEPT_MAX_BYTES: u64 = 8 << 20;

/// A segment and where in the image it starts.
pub(crate) struct Positioned<'a> {
    /// Its index in the manifest.
    pub(crate) index: usize,
    /// Where it starts in the image, bytes.
    pub(crate) offset_bytes: u64,
    /// Its entries.
    pub(crate) segment: &'a Segment,
}

/// Where the segments of a label come from.
pub(crate) struct Content<'a> {
    label: &'a Label,
    kept: &'a Kept,
}

/// Segments that are kept between passes.
#[derive(Default)]
pub(crate) struct Kept(OnceLock<Vec<Segment>>);

impl<'a> Content<'a> {
    pub(crate) fn new(label: &'a Label, kept: &'a Kept) -> Self {
        Self { label, kept }
    }

    /// Gives each segment of the image to `visit`, in order, until one fails.
    pub(crate) fn each(
        &self,
        meter: &Meter,
        mut visit: impl FnMut(Positioned<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let count = self.label.content_segments();
        let mut offset_bytes = 0;
        let mut give = |index: usize, segment: &Segment| {
            let positioned = Positioned { index, offset_bytes, segment };
            offset_bytes += self.label.manifest.segments[index].span_bytes;
            visit(positioned)
        };
        if let Some(kept) = self.kept.0.get() {
            return kept.iter().take(count).enumerate().try_for_each(|(i, s)| give(i, s));
        }
        let mut keep = self.is_short().then(Vec::new);
        self.read(0..count, meter, |index, segment| {
            give(index, &segment)?;
            if let Some(keep) = &mut keep {
                keep.push(segment);
            }
            Ok(())
        })?;
        if let Some(keep) = keep {
            // A second pass at the same time would have kept the same segments.
            let _ = self.kept.0.set(keep);
        }
        Ok(())
    }

    /// Gives up to `count` segments of the image to `visit`, evenly spread over it, for as long as
    /// it wants more.
    pub(crate) fn sample(
        &self,
        count: usize,
        meter: &Meter,
        mut visit: impl FnMut(Positioned<'_>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let segments = self.label.content_segments();
        let count = count.min(segments);
        if self.is_short() {
            // Read whole once, they are at hand ever after.
            self.each(meter, |_| Ok(()))?;
        }
        for pick in 0..count {
            let index = pick * segments / count;
            let spans = &self.label.manifest.segments[..index];
            let offset_bytes = spans.iter().map(|segment| segment.span_bytes).sum();
            let mut more = true;
            let mut give = |segment: &Segment| -> Result<(), Error> {
                more = visit(Positioned { index, offset_bytes, segment })?;
                Ok(())
            };
            match self.kept.0.get() {
                Some(kept) => give(&kept[index])?,
                None => self.read(index..index + 1, meter, |_, segment| give(&segment))?,
            }
            if !more {
                break;
            }
        }
        Ok(())
    }

    /// Whether all segments together may be kept.
    fn is_short(&self) -> bool {
        let encoded = self.label.manifest.segments.iter().map(|s| u64::from(s.encoded_bytes));
        encoded.sum::<u64>() <= KEPT_MAX_BYTES
    }

    /// Reads the segments `range` from the store, going on after what may pass.
    pub(crate) fn read(
        &self,
        range: Range<usize>,
        meter: &Meter,
        mut give: impl FnMut(usize, Segment) -> Result<(), Error>,
    ) -> Result<(), Error> {
        read_label_segments(self.label, range, meter, &mut give)
    }
}

/// Reads the segments `range` of `label` from its stores, each of which must fit its section of the
/// map, going on after what may pass.
pub(crate) fn read_label_segments<S: SegmentKind>(
    label: &Label,
    range: Range<usize>,
    meter: &Meter,
    mut give: impl FnMut(usize, S) -> Result<(), Error>,
) -> Result<(), Error> {
    let Label { links, manifest, record, root_bytes, .. } = label;
    let mut failure = None;
    let root = (manifest, *root_bytes, &record.manifest);
    let read = read_segments(links, root, range, meter, |index, segment: S| {
        let fits = label.fit_map(index, segment.objects().count(), meter);
        let given = fits.and_then(|()| give(index, segment));
        given.map_err(|error| failure = Some(error)).is_ok()
    });
    match (failure, read) {
        (Some(error), _) => Err(error),
        (None, Err(source)) => {
            Err(Error::Label { object: format!("manifest of label {}", record.name), source })
        }
        (None, Ok(())) => Ok(()),
    }
}

/// Reads the segments `range` of any manifest, whose root, its length and its digest are given, for as
/// long as `give` says so: going on after what may pass, and in the next store after what does not.
pub(crate) fn read_segments<S: SegmentKind>(
    links: &Links,
    root: (&Manifest, usize, &Digest),
    mut range: Range<usize>,
    meter: &Meter,
    mut give: impl FnMut(usize, S) -> bool,
) -> Result<(), ReadError> {
    let mut first = None;
    for (link, tries_max) in links.live() {
        match read_segments_from(link, tries_max, root, &mut range, meter, &mut give) {
            Ok(()) => return Ok(()),
            Err(error) => links.failed(link, error, &mut first),
        }
    }
    Err(first.unwrap_or_else(|| links.nobody()))
}

/// The same from one store; leaves in `range` what was not read.
fn read_segments_from<S: SegmentKind>(
    link: &Link,
    tries_max: u32,
    (manifest, root_bytes, digest): (&Manifest, usize, &Digest),
    range: &mut Range<usize>,
    meter: &Meter,
    give: &mut impl FnMut(usize, S) -> bool,
) -> Result<(), ReadError> {
    let mut tries = 1;
    while range.start < range.end {
        for segment in read_segments_of(&*link.source, manifest, root_bytes, digest, range.clone())
        {
            match segment {
                Ok(segment) => {
                    if !give(range.start, segment) {
                        return Ok(());
                    }
                    (range.start, tries) = (range.start + 1, 1);
                }
                Err(error) if error.is_transient() && tries < tries_max => {
                    add(&meter.retries, 1);
                    std::thread::sleep(pause(tries, &error, noise()));
                    tries += 1;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// How many segments are the content of a manifest; those after them are payloads.
pub(crate) fn content_segments(manifest: &Manifest) -> usize {
    manifest.segments.iter().take_while(|segment| segment.part == manifest::Part::Content).count()
}

/// An entry as it is to be brought to the target.
pub(crate) enum Part {
    /// Zeroes, in the content.
    Zero(Range<u64>),
    /// An object.
    Object(Want),
}

/// The entries of a segment in order, each object with where the map says it is.
/// [`Label::fit_map`] has seen to it that each has a place.
pub(crate) fn parts(positioned: &Positioned<'_>, section: &Section) -> impl Iterator<Item = Part> {
    let mut places = section.places.iter().enumerate();
    let segment = positioned.index as u32;
    let mut next = positioned.offset_bytes;
    positioned.segment.entries.iter().map_while(move |entry| {
        let offset_bytes = next;
        next += entry.length();
        Some(match entry {
            Entry::Zero { .. } => Part::Zero(offset_bytes..next),
            Entry::Data { digest, length } => {
                let (object, place) = places.next()?;
                Part::Object(Want {
                    segment,
                    object: object as u32,
                    frame: section.frames[place.frame as usize],
                    inner_bytes: place.offset_bytes,
                    length: *length,
                    digest: *digest,
                    offset_bytes,
                })
            }
        })
    })
}

/// The engine reads, hashes and writes in aligned steps; so segments start on them.
const _: () = assert!(SEGMENT_SPAN_BYTES.is_multiple_of(target::ALIGN_BYTES as u64));
