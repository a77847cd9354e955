//! Putting images into a directory store.
//!
//! ```text
//! read, cut    one thread: windows of 1 MiB, holes not read
//! hash         every core
//! gather       one thread, in order: what is new, into frames of 256 KiB
//! compress     every core
//! write        one thread: packs, their digests, sync
//! publish      names: packs, then manifest and map, then the label
//! ```
//!
//! Between the stages are short queues: the content under way takes about 5 MiB and
//! another 5 MiB for each core. Memory grows neither with the image nor with the store: what
//! the store has is looked up in its index on disk, what is new is held up to a bound and
//! sorted to disk beyond it, and manifest and map are put together from temporary files. What
//! grows is small: 48 bytes for each segment of the image, 80 for each pack of the store.

mod boot;
pub(crate) mod catalog;
mod error;
mod free;
pub(crate) mod fresh;
mod gather;
mod gpt;
mod image;
pub(crate) mod mapping;
pub(crate) mod packs;
mod publish;
mod scan;
pub(crate) mod spool;
mod tally;

pub(crate) use gather::FRAME_RAW_BYTES;
pub(crate) use publish::check_map_length;

pub use boot::{BootInput, PAYLOAD_MAX_BYTES, PayloadInput};
pub use error::PushError;
pub use free::Free;
pub use tally::{Done, Progress, Seconds};

pub use crate::stamp::Stamp;

use crate::Digest;
use crate::dir::{DirError, DirStore, LabelChange, temp};
use crate::label::{LabelName, fact_is_valid};
use crate::manifest::{Image, Kind, Manifest, Part};
use crate::map::PackRef;
use crate::parallel::{Submit, lane};
use boot::OpenBoot;
use catalog::Catalog;
use gather::{Content, Hashed, RawFrame, gather};
use image::Input;
use packs::{PackedFrame, Written, write_packs};
use scan::{Batch, Cut, Stop, scan};
use std::io;
use std::path::PathBuf;
use std::time::Instant;
use tally::Tally;

/// zstd's own default: about as fast as the disks that images come from, per core.
pub const LEVEL_DEFAULT: i32 = 3;

/// What to push.
#[derive(Debug, Clone)]
pub struct PushImage {
    /// The label that is to name it.
    pub label: LabelName,
    /// The image: a regular file or a block device.
    pub image: PathBuf,
    /// Sector size the image is made for, bytes; where not given, its partition table says
    /// it, or it is 512.
    pub sector_bytes: Option<u32>,
    /// How to boot it.
    pub boot: Option<BootInput>,
    /// Free facts for the label's record.
    pub facts: Vec<(String, String)>,
    /// The time now, seconds since 1970 UTC.
    pub pushed_unix_s: u64,
    /// Whether a label that names other content may be replaced.
    pub force: bool,
    /// zstd's level, 1 to 22; see [`LEVEL_DEFAULT`].
    pub level: i32,
    /// What of the image is pushed as zeroes, because no file system uses it.
    pub free: Option<Free>,
}

/// What a push did.
#[derive(Debug, Clone, PartialEq)]
pub struct PushReport {
    /// Digest of the manifest.
    pub manifest: Digest,
    /// What became of the label.
    pub label: LabelChange,
    /// Length of the image, bytes.
    pub image_bytes: u64,
    /// Of image and payloads, bytes that are zero.
    pub zero_bytes: u64,
    /// Bytes of the image that were taken for zeroes, whatever stands there.
    pub trimmed_bytes: u64,
    /// Objects in the manifest, each as often as it is there.
    pub objects: u64,
    /// Objects that the store did not have.
    pub objects_new: u64,
    /// Their bytes.
    pub new_raw_bytes: u64,
    /// Bytes of the frames that hold them.
    pub new_packed_bytes: u64,
    /// Bytes of the objects that the store had, or that came twice.
    pub reused_bytes: u64,
    /// The packs written.
    pub packs: Vec<PackRef>,
    /// Packs of the store whose index could not be read; what they held was stored again.
    pub damaged_packs: Vec<Digest>,
    /// Files of pushes that were cut, removed.
    pub cleaned_files: usize,
    /// Why the store's index could not be brought up to date: the next push takes longer to
    /// begin, and nothing else is wrong.
    pub index_failure: Option<String>,
    /// Where the time went.
    pub seconds: Seconds,
}

impl PushImage {
    /// Facts in the order of their keys.
    fn sorted_facts(&self) -> Vec<(String, String)> {
        let mut facts = self.facts.clone();
        facts.sort();
        facts
    }

    fn check_facts(&self) -> Result<(), PushError> {
        let facts = self.sorted_facts();
        let twice = facts.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| &pair[1]);
        let invalid = facts.iter().find(|(key, value)| !fact_is_valid(key, value));
        match twice.or(invalid) {
            None => Ok(()),
            Some((key, value)) => Err(PushError::Fact { found: format!("{key}={value}") }),
        }
    }
}

/// Pushes an image: afterwards the label names it and the store holds all of it.
///
/// Pushing the same again changes nothing but repairs: objects that the store has lost are
/// stored again. After a cut at any moment the label names what it did or the new content,
/// whole. Pushes may run at the same time.
pub fn push_image(
    store: &DirStore,
    request: &PushImage,
    progress: &dyn Progress,
) -> Result<PushReport, PushError> {
    let start = Instant::now();
    request.check_facts()?;
    let input = Input::open(&request.image)?.without(request.free.as_ref())?;
    let image = image_facts(&input, request)?;
    let boot = request.boot.as_ref().map(|boot| boot::open(boot, &input)).transpose()?;
    let cleaned_files = temp::clean(store)?;
    let catalog = Catalog::read(store)?;
    let index = start.elapsed().as_secs_f64();

    let files = boot.iter().flat_map(OpenBoot::files);
    let total_bytes = input.size_bytes() + files.map(Input::size_bytes).sum::<u64>();
    let tally = Tally::new(progress, total_bytes);
    let (content, written) =
        store_content(store, request, &input, boot.as_ref(), &catalog, &tally)?;

    let publishing = Instant::now();
    let segments = content.segments.clone();
    let of_image = segments.iter().filter(|segment| segment.part == Part::Content).count();
    let image_bytes = image.size_bytes;
    let boot = boot.as_ref().map(|boot| boot.boot(of_image));
    let manifest = Manifest { kind: Kind::Image(image), boot, segments };
    let packs = written.packs.iter().map(|pack| pack.pack).collect();
    let publication = publish::Publication {
        request,
        manifest: &manifest,
        content: &content,
        catalog: &catalog,
        written,
    };
    let published = publish::publish(store, publication)?;
    let done = tally.done();
    Ok(PushReport {
        manifest: published.manifest,
        label: published.change,
        image_bytes,
        zero_bytes: content.counts.zero_bytes,
        trimmed_bytes: input.trimmed_bytes(),
        objects: content.counts.objects,
        objects_new: content.counts.objects_new,
        new_raw_bytes: done.new_bytes,
        new_packed_bytes: done.packed_bytes,
        reused_bytes: content.counts.reused_bytes,
        packs,
        damaged_packs: catalog.damaged(),
        index_failure: published.index_failure.map(|error| crate::verify::chain(&error)),
        cleaned_files,
        seconds: Seconds {
            index,
            publish: publishing.elapsed().as_secs_f64(),
            total: start.elapsed().as_secs_f64(),
            ..tally.seconds()
        },
    })
}

/// What the manifest says of the image.
fn image_facts(input: &Input, request: &PushImage) -> Result<Image, PushError> {
    let path = &request.image;
    if input.size_bytes() == 0 {
        return Err(PushError::Empty { path: path.clone() });
    }
    if let Some(given) = request.sector_bytes.filter(|given| !matches!(given, 512 | 4096)) {
        return Err(PushError::SectorSize { given });
    }
    let mut head = vec![0; input.size_bytes().min(gpt::HEAD_BYTES as u64) as usize];
    input.read(&mut head, 0)?;
    let found = gpt::find(&head);
    let sector_bytes = match (request.sector_bytes, found) {
        (Some(given), Some(gpt::Found { sector_bytes: found, .. })) if given != found => {
            return Err(PushError::Sectors { path: path.clone(), given, found });
        }
        (given, found) => given.or(found.map(|found| found.sector_bytes)).unwrap_or(512),
    };
    let gpt = found.and_then(|found| found.gpt);
    Ok(Image { size_bytes: input.size_bytes(), sector_bytes, gpt })
}

/// Runs the stages from reading to packs in the store's `tmp`.
fn store_content<'a>(
    store: &'a DirStore,
    request: &PushImage,
    image: &Input,
    boot: Option<&OpenBoot<'_>>,
    catalog: &Catalog<'_>,
    tally: &Tally<'_>,
) -> Result<(Content<'a>, Written<'a>), PushError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let level = request.level;
    std::thread::scope(|scope| {
        let (to_hash, hashed) = lane(scope, threads, || |batch| hash(batch, catalog, tally));
        let (to_compress, frames) = lane(scope, threads, || compressor(level, tally));
        let reader = scope.spawn(move || read_all(image, boot, &to_hash, tally));
        let gatherer = scope.spawn(move || gather(store, hashed, to_compress, tally));
        let written = write_packs(store, frames, tally);
        let content = gatherer.join().map_err(|payload| PushError::panicked(&*payload))?;
        let read = reader.join().map_err(|payload| PushError::panicked(&*payload))?;
        // Whoever failed first has made the others stop: the last stage's error comes first.
        let written = written?;
        let content = match (content, read) {
            (Err(Stop::Failed(error)), _) | (_, Err(Stop::Failed(error))) => return Err(error),
            (Ok(content), Ok(())) => content,
            _ => {
                let said = "that another failed, which none did".to_owned();
                return Err(PushError::Thread { said });
            }
        };
        Ok((content, written))
    })
}

fn read_all(
    image: &Input,
    boot: Option<&OpenBoot<'_>>,
    to_hash: &Submit<Batch, Result<Hashed, DirError>>,
    tally: &Tally<'_>,
) -> Result<(), Stop> {
    let mut take = |batch| to_hash.submit(batch);
    scan(image, Part::Content, tally, &mut take)?;
    for file in boot.into_iter().flat_map(OpenBoot::files) {
        scan(file, Part::Payload, tally, &mut take)?;
    }
    Ok(())
}

fn hash(batch: Batch, catalog: &Catalog<'_>, tally: &Tally<'_>) -> Result<Hashed, DirError> {
    let object = |cut: &Cut| match cut {
        Cut::Zero(_) => None,
        Cut::Data(range) => {
            let digest = Digest::of(&batch.bytes[range.clone()]);
            Some(catalog.find(&digest).map(|found| (digest, found)))
        }
    };
    let objects =
        tally.hashing(|| batch.cuts.iter().filter_map(object).collect::<Result<_, _>>())?;
    Ok(Hashed { batch, objects })
}

fn compressor<'a>(
    level: i32,
    tally: &'a Tally<'a>,
) -> impl FnMut(RawFrame) -> io::Result<PackedFrame> + 'a {
    let mut compressor = zstd::bulk::Compressor::new(level);
    move |frame| {
        let compressor =
            compressor.as_mut().map_err(|error| io::Error::other(error.to_string()))?;
        let packed = tally.compressing(|| compressor.compress(&frame.bytes))?;
        Ok(PackedFrame { packed, objects: frame.objects })
    }
}
