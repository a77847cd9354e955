//! What to remove: decided from what labels need and what there is.

use super::labels::Listed;
use super::marks::Marks;
use super::{GcError, GcOptions};
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
    /// Packs that cannot be told to be packs, and are needed: left alone.
    pub(super) damaged: Vec<PackRef>,
    /// Bytes of packs, manifests and maps that stay.
    pub(super) size_bytes: u64,
}

/// The packs there are, each with how much of it is frames, bytes; none: it is damaged.
pub(super) struct Packs(Vec<(PackRef, Option<u64>)>);

impl Packs {
    /// Those of `store`.
    pub(super) fn read(store: &DirStore) -> Result<Self, GcError> {
        let packs = store.packs_with_sizes()?.into_iter();
        Ok(Self(packs.map(|pack| (pack, frames_bytes(store, &pack))).collect()))
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
        let mut plan = Self::of(store, packs, marks)?;
        let Some(max_bytes) = options.max_bytes else { return Ok(plan) };
        let mut uses: HashMap<Digest, usize> = HashMap::new();
        for label in labels {
            *uses.entry(label.manifest).or_default() += 1;
        }
        let mut gone = Vec::new();
        for label in candidates(labels, &options.keep) {
            if plan.size_bytes <= max_bytes {
                break;
            }
            gone.push(label.clone());
            let left = uses.entry(label.manifest).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                let failed = |source| GcError::Label { label: label.name.clone(), source };
                marks.remove(store, &label.manifest).map_err(failed)?;
                plan = Self::of(store, packs, marks)?;
            }
        }
        Ok(Self { labels: gone, ..plan })
    }

    fn of(store: &DirStore, packs: &Packs, marks: &Marks) -> Result<Self, GcError> {
        let live = marks.live_bytes();
        let mut plan = Self {
            labels: Vec::new(),
            manifests: manifests(store)?.into_iter().filter(|name| !marks.has(name)).collect(),
            dead: Vec::new(),
            repack: BTreeMap::new(),
            damaged: Vec::new(),
            size_bytes: marks.manifest_bytes(),
        };
        let pinned = marks.pinned();
        for (pack, frames) in &packs.0 {
            if pinned.contains(&pack.digest) {
                plan.size_bytes += pack.size_bytes;
                continue;
            }
            match (live.get(&pack.digest), frames) {
                (None, _) => plan.dead.push(*pack),
                (Some(_), None) => {
                    plan.damaged.push(*pack);
                    plan.size_bytes += pack.size_bytes;
                }
                (Some(live), Some(frames)) if is_mostly_dead(*frames, *live) => {
                    plan.repack.insert(*pack, *live);
                    plan.size_bytes += live;
                }
                _ => plan.size_bytes += pack.size_bytes,
            }
        }
        Ok(plan)
    }
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
