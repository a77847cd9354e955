//! Second stage: what would be done, as a value that prints itself. Nothing is written.

use crate::Error;
use crate::content::{Content, Kept};
use crate::fit::{Fit, GptFit};
use crate::held::{Held, TAIL_BYTES};
use crate::label::Label;
use crate::mark::Mark;
use crate::meter::Meter;
use crate::missing::{Missing, Totals};
use crate::probe;
use crate::seeds::{Seeds, scan};
use crate::survey::{Purpose, View, compare};
use crate::target::{Target, TargetKind};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use store::Digest;
use store::manifest::Image;

/// An image of at most this is always compared, bytes: it takes no longer than looking at a
/// few places.
const ALWAYS_COMPARED_BYTES: u64 = 16 << 20;

/// When this much would be fetched, and no manifest tells what the target holds, it is searched
/// for what moved, bytes: reading a disk costs less than fetching it.
const SCANNED_FROM_BYTES: u64 = 4 << 20;

/// Everything one deployment works with; handed from stage to stage.
pub(crate) struct Job {
    pub(crate) label: Label,
    pub(crate) target: Target,
    pub(crate) disk_bytes: u64,
    pub(crate) held: Held,
    pub(crate) fit: Fit,
    /// What the disk is to say while the deployment is unfinished.
    pub(crate) beginning: Mark,
    pub(crate) kept: Kept,
    /// Put onto the target since the start, bytes: says when to flush.
    pub(crate) put_bytes: AtomicU64,
    pub(crate) meter: Arc<Meter>,
}

/// What a deployment would do.
pub struct Plan {
    pub(crate) job: Job,
    pub(crate) missing: Missing,
    pub(crate) seeds: Seeds,
    /// The parts that are held back are on the disk as they should be.
    pub(crate) sealed: bool,
}

/// Why a deployment is refused before anything is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The target is too small.
    #[error("label {label} needs {needs_bytes} bytes ({}), {target} has {has_bytes} ({})", human(*needs_bytes), human(*has_bytes))]
    TooSmall {
        /// The label.
        label: String,
        /// The target.
        target: String,
        /// Size of the image, bytes.
        needs_bytes: u64,
        /// Size of the target, bytes.
        has_bytes: u64,
    },
    /// The partition table counts in other sectors.
    #[error("label {label} is for {image_bytes}-byte sectors, {target} has {target_bytes}")]
    Sectors {
        /// The label.
        label: String,
        /// The target.
        target: String,
        /// Sector size of the image, bytes.
        image_bytes: u32,
        /// Sector size of the target, bytes.
        target_bytes: u32,
    },
    /// The image ends inside a sector of the disk.
    #[error(
        "label {label} has {size_bytes} bytes, not a whole number of the {target_bytes}-byte sectors of {target}"
    )]
    Ragged {
        /// The label.
        label: String,
        /// The target.
        target: String,
        /// Size of the image, bytes.
        size_bytes: u64,
        /// Sector size of the target, bytes.
        target_bytes: u32,
    },
}

/// Finds out what it takes to put `label` on `target`. Reads the target; writes nothing.
pub fn plan(label: Label, target: Target, meter: Arc<Meter>) -> Result<Plan, Error> {
    plan_seeded(label, target, &[], meter)
}

/// [`plan`] for a target that is said to hold the labels with the manifests `seeds`, besides what
/// its mark says.
pub fn plan_seeded(
    label: Label,
    target: Target,
    seeds: &[Digest],
    meter: Arc<Meter>,
) -> Result<Plan, Error> {
    let image = image_of(&label)?;
    refuse(&label.record.name.to_string(), &image, &target)?;
    let disk_bytes = match target.kind() {
        TargetKind::Device => target.size_bytes(),
        TargetKind::File => target.size_bytes().max(image.size_bytes),
    };
    // What is compared is what the device has, not what the kernel remembers of it.
    target.drop_cache();
    let held = Held::new(disk_bytes);
    held.load(&target)?;
    let mark = held.with_head(|head| Mark::read(head));
    let mut holds = mark.map(|mark| mark.holds()).unwrap_or_default();
    holds.extend(seeds);
    let beginning = Mark::unfinished(&label.record.name, label.record.manifest, holds.clone());
    let fit = fit(&image, &target, disk_bytes, &beginning);
    held.with_head(|head| fit.to_image(head));
    let kept = Kept::default();
    let put_bytes = AtomicU64::new(0);
    let job = Job { label, target, disk_bytes, held, fit, beginning, kept, put_bytes, meter };
    let (missing, seeds) = job.look(&holds)?;
    let sealed = missing.is_empty() && job.is_sealed()?;
    Ok(Plan { job, missing, seeds, sealed })
}

/// Facts of the image that `label` is.
fn image_of(label: &Label) -> Result<Image, Error> {
    label.manifest.image().cloned().ok_or_else(|| Error::Kind {
        label: label.record.name.to_string(),
        expected: "image",
        found: "tree",
    })
}

/// What makes it impossible or unsafe to put an image on a target.
fn refuse(label: &str, image: &Image, target: &Target) -> Result<(), Refusal> {
    let (label, target_name) = (label.to_owned(), target.name().to_owned());
    let needs_bytes = image.size_bytes;
    if target.kind() == TargetKind::File {
        return Ok(());
    }
    let has_bytes = target.size_bytes();
    if has_bytes < needs_bytes {
        return Err(Refusal::TooSmall { label, target: target_name, needs_bytes, has_bytes });
    }
    let Some(target_bytes) = target.sector_bytes else { return Ok(()) };
    let image_bytes = image.sector_bytes;
    if image_bytes != target_bytes {
        return Err(Refusal::Sectors { label, target: target_name, image_bytes, target_bytes });
    }
    if !needs_bytes.is_multiple_of(u64::from(target_bytes)) {
        let size_bytes = needs_bytes;
        return Err(Refusal::Ragged { label, target: target_name, size_bytes, target_bytes });
    }
    Ok(())
}

fn fit(image: &Image, target: &Target, disk_bytes: u64, beginning: &Mark) -> Fit {
    let sector_bytes = image.sector_bytes as usize;
    // The backup table is moved only where it comes to lie beyond the image: it must not
    // replace anything that was proven.
    let room = disk_bytes.saturating_sub(image.size_bytes) >= TAIL_BYTES;
    let gpt = image.gpt.filter(|_| room).map(|image| GptFit { sector_bytes, image, disk_bytes });
    // A file is to be the image to the byte.
    let mark = (target.kind() == TargetKind::Device).then(|| beginning.clone());
    Fit { sector_bytes, gpt, mark }
}

impl Job {
    pub(crate) fn content(&self) -> Content<'_> {
        Content::new(&self.label, &self.kept)
    }

    pub(crate) fn view(&self) -> View<'_> {
        View { target: &self.target, held: &self.held }
    }

    pub(crate) fn compare(&self, purpose: Purpose, seeds: &Seeds) -> Result<Missing, Error> {
        self.meter.stage(self.label.size_bytes());
        compare(&self.label, &self.content(), &self.view(), purpose, seeds, &self.meter)
    }

    /// What the target lacks, and where it may have what it lacks elsewhere, when it is said to
    /// hold the manifests `holds`.
    fn look(&self, holds: &[Digest]) -> Result<(Missing, Seeds), Error> {
        let (content, meter) = (self.content(), &self.meter);
        self.meter.stage(self.label.size_bytes());
        let worth_it = !holds.is_empty()
            || self.label.size_bytes() <= ALWAYS_COMPARED_BYTES
            || probe::has_any(&content, &self.view(), meter)?;
        if !worth_it {
            return Ok((Missing::all(&self.label, &content, meter)?, Seeds::default()));
        }
        let readable_bytes = self.target.size_bytes().min(self.label.size_bytes());
        let seeds = Seeds::of(&self.label, holds, self.target.size_bytes(), meter);
        let is_another = holds.first().is_some_and(|held| *held != self.label.record.manifest);
        let purpose = if is_another { Purpose::SurveyOfAnother } else { Purpose::Survey };
        let missing = self.compare(purpose, &seeds)?;
        // Where only this label is known to be there, or its beginning, nothing has moved.
        let only_this = holds.iter().all(|held| *held == self.label.record.manifest);
        let is_told = !seeds.is_empty() || !holds.is_empty() && only_this;
        if is_told || missing.totals.packed_bytes < SCANNED_FROM_BYTES {
            return Ok((missing, seeds));
        }
        self.meter.stage(readable_bytes);
        let seeds = scan(&self.view(), readable_bytes, meter);
        Ok((missing.recount(&self.label, &content, &seeds, meter)?, seeds))
    }
}

impl Plan {
    /// What is there and what is not.
    pub fn totals(&self) -> Totals {
        self.missing.totals
    }

    /// Whether the target holds the label already.
    pub fn nothing_to_do(&self) -> bool {
        self.sealed
    }

    /// The label.
    pub fn label(&self) -> &Label {
        &self.job.label
    }

    /// The target.
    pub fn target(&self) -> &Target {
        &self.job.target
    }

    /// Live counters.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.job.meter
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = self.missing.totals;
        let Totals { kept_objects, kept_bytes, moved_objects, moved_bytes, .. } = totals;
        let fetched_objects = totals.missing_objects - moved_objects - totals.near_objects;
        let (label, target) = (&self.job.label, &self.job.target);
        head(f, std::slice::from_ref(label))?;
        let (size, disk) = (human(label.size_bytes()), human(self.job.disk_bytes));
        writeln!(f, "target  {}: the label takes {size} of {disk}", target.name())?;
        writeln!(f, "keep    {kept_objects} objects, {}", human(kept_bytes))?;
        writeln!(f, "move    {moved_objects} objects, {}", human(moved_bytes))?;
        let packed = human(self.missing.totals.packed_bytes);
        if let Some(near) = &label.near {
            let (objects, bytes) = (totals.near_objects, human(totals.near_bytes));
            writeln!(f, "near    {objects} objects, {bytes}: in {}", near.link.source.name())?;
        }
        let fetched = human(totals.missing_bytes - moved_bytes - totals.near_bytes);
        writeln!(f, "fetch   {fetched_objects} objects, {fetched}: {packed} packed")?;
        let zero = human(self.missing.totals.zero_missing_bytes);
        writeln!(f, "zero    {zero}")?;
        match &label.manifest.boot {
            Some(boot) => write!(f, "boot    {}", boot.source),
            None => write!(f, "boot    by the firmware only: the label names no kernel"),
        }
    }
}

/// What is deployed, and from where: the first lines of every plan.
pub(crate) fn head(f: &mut fmt::Formatter<'_>, labels: &[Label]) -> fmt::Result {
    for Label { record, .. } in labels {
        writeln!(f, "label   {} ({} {})", record.name, record.kind, record.manifest.short())?;
    }
    labels.first().map_or(Ok(()), |label| writeln!(f, "store   {}", label.links.name()))
}

/// A number of bytes for people, in binary units.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_unit_people_use() {
        let shown = [0, 1023, 1024, 1 << 20, (1 << 30) - 1, 12 << 30].map(human);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.0 GiB", "12.0 GiB"]);
    }
}
