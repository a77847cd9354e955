//! Pushing images.

use super::boot::{self, OpenBoot};
use super::free::Free;
use super::gpt;
use super::input::Input;
use super::run::{Naming, Run, Take};
use super::scan::{Stop, scan};
use super::tally::{Progress, Tally};
use super::{BootInput, PushError, PushReport};
use crate::dir::DirStore;
use crate::label::LabelName;
use crate::manifest::{Image, Kind, Manifest, Part};
use std::path::PathBuf;
use std::time::Instant;

/// An image to push.
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
    /// zstd's level, 1 to 22; see [`super::LEVEL_DEFAULT`].
    pub level: i32,
    /// What of the image is pushed as zeroes, because no file system uses it.
    pub free: Option<Free>,
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
    let PushImage { label, facts, pushed_unix_s, force, .. } = request;
    let naming = Naming { label, facts, pushed_unix_s: *pushed_unix_s, force: *force };
    naming.check()?;
    let input = Input::open(&request.image)?.without(request.free.as_ref())?;
    let image = image_facts(&input, request)?;
    let boot = request.boot.as_ref().map(|boot| boot::open(boot, Some(&input))).transpose()?;
    let run = Run::begin(store, start)?;
    let files = boot.iter().flat_map(OpenBoot::files);
    let total_bytes = input.size_bytes() + files.map(Input::size_bytes).sum::<u64>();
    let tally = Tally::new(progress, total_bytes);
    let read = |take: &mut Take<'_>| read_all(&input, boot.as_ref(), take, &tally);
    let stored = run.store_content(request.level, &tally, read)?;

    let segments = stored.content.segments.clone();
    let of_image = segments.iter().filter(|segment| segment.part == Part::Content).count();
    let in_tree = |path: &[u8]| Err(PushError::NotInTree { path: path.to_vec() });
    let boot = boot.as_ref().map(|boot| boot.boot(of_image, &in_tree)).transpose()?;
    let manifest = Manifest { kind: Kind::Image(image), boot, segments };
    let report = run.publish(naming, &manifest, stored, &tally)?;
    Ok(PushReport { trimmed_bytes: input.trimmed_bytes(), ..report })
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

fn read_all(
    image: &Input,
    boot: Option<&OpenBoot<'_>>,
    take: &mut Take<'_>,
    tally: &Tally<'_>,
) -> Result<(), Stop> {
    scan(image, Part::Content, tally, take)?;
    for file in boot.into_iter().flat_map(OpenBoot::files) {
        scan(file, Part::Payload, tally, take)?;
    }
    Ok(())
}
