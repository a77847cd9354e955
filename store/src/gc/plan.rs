//! What to remove: decided from what labels need and what there is.

use super::labels::Listed;
use super::marks::Marks;
use super::{GcError, GcOptions, GcReport};
use crate::Digest;
use crate::dir::DirStore;
use crate::dir::packs::frames_bytes;
use crate::label::LabelName;
use crate::label_list::matches;
use crate::map::PackRef;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;

/// A pack is collected when more than one part in so many of its frames is needed by nobody: a
/// store then takes at most a third more than its labels need, and freeing a byte costs at
/// most three that are written again.
const DEAD_MAX_SHARE: u64 = 4;

/// What is said of a pack that does not begin and end like one.
const NO_PACK: &str = "it does not begin and end like a pack";

/// What is said of a pack that is not there.
pub(super) const MISSING: &str = "it is not there";

/// What is to go.
pub(super) struct Plan {
    /// Labels, the least recently used first.
    pub(super) labels: Vec<Listed>,
    /// Manifests that no label names, or of which only the map is there.
    pub(super) manifests: BTreeSet<Digest>,
    /// Packs that nothing leads to.
    pub(super) dead: Vec<PackRef>,
    /// Packs that are mostly dead, with how much of each is needed, bytes.
    pub(super) repack: BTreeMap<PackRef, u64>,
    /// Packs that are needed and are not there, or cannot be told to be packs, each with why. What
    /// they held may be in packs that nothing leads to, so nothing is deleted.
    pub(super) damaged: Vec<(Digest, String)>,
    /// Bytes of packs, manifests and maps that stay.
    pub(super) size_bytes: u64,
}

/// The packs there are, each with how much of it is frames, bytes; none: it is damaged.
pub(super) struct Packs(BTreeMap<Digest, (PackRef, Option<u64>)>);

impl Packs {
    /// Those of `store`.
    pub(super) fn read(store: &DirStore) -> Result<Self, GcError> {
        let packs = store.packs_with_sizes()?.into_iter();
        Ok(Self(packs.map(|pack| (pack.digest, (pack, frames_bytes(store, &pack)))).collect()))
    }
}

/// What becomes of a pack.
enum Fate {
    Stays,
    Dead,
    /// So many bytes of it are needed.
    MostlyDead(u64),
    Damaged,
}

impl Fate {
    fn of(pack: &PackRef, frames: Option<u64>, marks: &Marks) -> Self {
        match (marks.live_bytes(&pack.digest), frames) {
            _ if marks.is_pinned(&pack.digest) => Self::Stays,
            (0, _) => Self::Dead,
            (_, None) => Self::Damaged,
            (live, Some(frames)) if is_mostly_dead(frames, live) => Self::MostlyDead(live),
            _ => Self::Stays,
        }
    }

    /// What is left of the pack, bytes.
    fn size_bytes(&self, pack: &PackRef) -> u64 {
        match self {
            Self::Stays | Self::Damaged => pack.size_bytes,
            Self::MostlyDead(live) => *live,
            Self::Dead => 0,
        }
    }
}

impl Plan {
    /// For a store that has `packs` and `labels`, which need `marks`.
    pub(super) fn make(
        store: &DirStore,
        packs: &Packs,
        labels: &[Listed],
        marks: &mut Marks,
        options: &GcOptions<'_>,
    ) -> Result<Self, GcError> {
        let plan = Self::of(store, packs, marks)?;
        match options.max_bytes {
            Some(max_bytes) if plan.size_bytes > max_bytes && plan.damaged.is_empty() => {
                let gone = make_room(store, packs, labels, marks, (options, max_bytes))?;
                Ok(Self { labels: gone, ..Self::of(store, packs, marks)? })
            }
            _ => Ok(plan),
        }
    }

    fn of(store: &DirStore, packs: &Packs, marks: &Marks) -> Result<Self, GcError> {
        let missing = marks.needed_packs().filter(|pack| !packs.0.contains_key(*pack));
        let mut plan = Self {
            labels: Vec::new(),
            manifests: manifests(store)?.into_iter().filter(|name| !marks.has(name)).collect(),
            dead: Vec::new(),
            repack: BTreeMap::new(),
            damaged: missing.map(|pack| (*pack, MISSING.to_owned())).collect(),
            size_bytes: marks.manifest_bytes(),
        };
        plan.damaged.sort();
        for (pack, frames) in packs.0.values() {
            let fate = Fate::of(pack, *frames, marks);
            plan.size_bytes += fate.size_bytes(pack);
            match fate {
                Fate::Stays => {}
                Fate::Dead => plan.dead.push(*pack),
                Fate::MostlyDead(live) => drop(plan.repack.insert(*pack, live)),
                Fate::Damaged => plan.damaged.push((pack.digest, NO_PACK.to_owned())),
            }
        }
        Ok(plan)
    }

    /// What is reported where nothing is deleted because of damage.
    pub(super) fn refusal(self, options: &GcOptions<'_>) -> GcReport {
        GcReport {
            damaged: self.damaged,
            is_refused: true,
            size_bytes: self.size_bytes,
            over_bytes: options.max_bytes.map_or(0, |max| self.size_bytes.saturating_sub(max)),
            ..GcReport::default()
        }
    }
}

/// Takes labels out of `marks`, the least recently used first, until the rest fits; returns them.
fn make_room(
    store: &DirStore,
    packs: &Packs,
    labels: &[Listed],
    marks: &mut Marks,
    (options, max_bytes): (&GcOptions<'_>, u64),
) -> Result<Vec<Listed>, GcError> {
    let size = |pack: &Digest, marks: &Marks| {
        let (pack, frames) = packs.0.get(pack)?;
        Some(Fate::of(pack, *frames, marks).size_bytes(pack))
    };
    let all = packs.0.keys().filter_map(|pack| Some((*pack, size(pack, marks)?)));
    let mut sizes: HashMap<Digest, u64> = all.collect();
    let mut packs_bytes: u64 = sizes.values().sum();
    let mut uses: HashMap<Digest, usize> = HashMap::new();
    for label in labels {
        *uses.entry(label.manifest).or_default() += 1;
    }
    let mut gone = Vec::new();
    for label in candidates(labels, &options.keep) {
        if packs_bytes + marks.manifest_bytes() <= max_bytes {
            break;
        }
        gone.push(label.clone());
        let left = uses.entry(label.manifest).or_default();
        *left = left.saturating_sub(1);
        if *left > 0 {
            continue;
        }
        let failed = |source| GcError::Label { label: label.name.clone(), source };
        // Only the packs that it led to become smaller.
        for pack in marks.remove(store, &label.manifest).map_err(failed)? {
            let now = size(&pack, marks).unwrap_or_default();
            let before = sizes.insert(pack, now).unwrap_or_default();
            packs_bytes = packs_bytes.saturating_sub(before) + now;
        }
    }
    Ok(gone)
}
/// Whether a pack with `frames` bytes of frames, of which `live` are needed, is worth collecting.
pub(super) fn is_mostly_dead(frames: u64, live: u64) -> bool {
    frames.saturating_sub(live) > frames / DEAD_MAX_SHARE
}

/// Labels that may be removed, the least recently used first.
fn candidates<'a>(labels: &'a [Listed], keep: &[String]) -> Vec<&'a Listed> {
    let kept = |name: &LabelName| keep.iter().any(|pattern| matches(pattern, name.as_str()));
    // One whose record is lost cannot be told when it was used: whoever repairs it says.
    let mut candidates: Vec<_> =
        labels.iter().filter(|label| label.used.is_some() && !kept(&label.name)).collect();
    candidates.sort_by(|one, other| (one.used, &one.name).cmp(&(other.used, &other.name)));
    candidates
}

/// The manifests of which anything is there.
fn manifests(store: &DirStore) -> Result<BTreeSet<Digest>, GcError> {
    let mut names = BTreeSet::new();
    for directory in ["manifests", "maps", "diffs"] {
        let path = store.path().join(directory);
        let failed = |error| crate::dir::DirError::io("read", &path)(error);
        let entries = match fs::read_dir(&path) {
            // Stores without diffs need not have room for them.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            names.extend(name.to_str().and_then(|name| name.parse::<Digest>().ok()));
        }
    }
    Ok(names)
}
