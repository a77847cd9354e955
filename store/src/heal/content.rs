//! Objects of damaged packs into new ones, and maps that lead there.

use super::{HealError, Healed, second};
use crate::Digest;
use crate::dir::DirStore;
use crate::dir::index::Spot;
use crate::dir::temp::sync_directory;
use crate::manifest_reader::{ReadError, read_map, read_root};
use crate::map::{Map, PackRef};
use crate::objects::read_objects;
use crate::push::packs::PACK_CLOSE_BYTES;
use crate::restock::{Choice, Placed, Restock, TakeError, from, in_map, map_stamp};
use crate::source::{Item, Source};
use crate::stamp::Stamp;
use crate::verify::Packs;
use std::collections::{HashMap, HashSet};

/// This store and the second, by their numbers as sources.
const HERE: usize = 0;
const SECOND: usize = 1;

/// What is known of where objects are.
struct Known<'a> {
    packs: &'a Packs,
    /// Objects that are not where the maps say.
    lost: HashSet<Digest>,
    /// Where packs that are sound have them.
    here: HashMap<Digest, (PackRef, Spot)>,
    /// Where the second store has them.
    second: HashMap<Digest, (PackRef, Spot)>,
    /// Where packs have them that are being collected.
    leaving: HashMap<Digest, (PackRef, Spot)>,
}

/// A manifest that was seen to.
struct Seen {
    placed: Placed,
    /// Its map, as it was read.
    map: Option<Stamp>,
    /// Whether its map is right as it is.
    sound: bool,
}

/// Heals the content of `manifests`, given what there is in `packs`. `false`: others changed maps
/// meanwhile, or packs that were to be relied on are gone, so that it is to be done again.
pub(super) fn heal(
    store: &DirStore,
    second: &dyn Source,
    packs: &Packs,
    manifests: &[Digest],
    healed: &mut Healed,
) -> Result<bool, HealError> {
    let mut known = Known {
        packs,
        lost: HashSet::new(),
        here: HashMap::new(),
        second: HashMap::new(),
        leaving: HashMap::new(),
    };
    let mut restock = Restock::new(store, vec![store, second], PACK_CLOSE_BYTES);
    let mut whole = Vec::new();
    let mut again = Vec::new();
    for manifest in manifests {
        let Some(seen) = see_to(store, &mut restock, manifest, &mut known)? else { continue };
        match (seen.sound, seen.placed.lost) {
            (true, _) => {}
            (false, 0) => whole.push((*manifest, seen)),
            (false, _) => again.push(*manifest),
        }
    }
    known.here = packs.find(&known.lost, false);
    let missing = known.lost.iter().filter(|object| !known.here.contains_key(object));
    let missing: HashSet<Digest> = missing.copied().collect();
    known.second = second::find(second, &again, &missing);
    known.leaving = packs.find(&missing, true);
    for manifest in again {
        let Some(seen) = see_to(store, &mut restock, &manifest, &mut known)? else { continue };
        if seen.placed.lost == 0 {
            whole.push((manifest, seen));
        } else {
            let (manifest, lost) = (Item::Manifest(manifest), seen.placed.lost);
            let (second, sentence) = (second.name(), "objects are not to be had from");
            healed.obstacles.push(format!("{manifest}: {lost} {sentence} {second}"));
        }
    }
    let stocked = restock.finish()?;
    let mut are_led = true;
    for (manifest, Seen { placed, map, .. }) in whole {
        if stocked.lead(&manifest, &placed, map.as_ref())? {
            healed.maps.push(manifest);
        } else {
            are_led = false;
        }
    }
    sync_directory(&store.path().join("maps"))?;
    healed.objects += stocked.objects();
    healed.object_bytes += stocked.raw_bytes;
    healed.taken_objects += stocked.taken.get(SECOND).copied().unwrap_or_default();
    let is_live = |pack: &PackRef| packs.sound(&pack.digest) == Some(*pack);
    // Advice: the next push makes it anew.
    stocked.index(Vec::new(), &is_live).ok();
    Ok(are_led)
}

/// Finds a place for each object of a manifest; nothing if it cannot be read.
fn see_to(
    store: &DirStore,
    restock: &mut Restock<'_, '_>,
    digest: &Digest,
    known: &mut Known<'_>,
) -> Result<Option<Seen>, TakeError> {
    let Ok((manifest, root_bytes)) = read_root(store, digest) else { return Ok(None) };
    let stamp = map_stamp(store, digest);
    let map: Result<Map, ReadError> = read_map(store, digest, &manifest);
    let map = map.ok();
    let mut seen = Seen { placed: restock.begin(), map: stamp, sound: map.is_some() };
    for (number, segment) in read_objects(store, &manifest, root_bytes, digest).enumerate() {
        let Ok(segment) = segment else { return Ok(None) };
        let section = map.as_ref().and_then(|map| map.sections.get(number));
        let fits = section.is_some_and(|section| section.places.len() == segment.objects.len());
        let mut sound = fits;
        let mut missing = Vec::new();
        let mut choose = |number: usize, object: Digest, length: u32| {
            let place = map.as_ref().zip(section);
            let place = place.and_then(|(map, section)| in_map(map, section, number));
            let (choice, is_right) = known.choose(place.filter(|_| fits), object, length);
            sound &= is_right;
            Ok(choice)
        };
        let mut lose = |objects: &[Digest], _: TakeError| {
            missing.extend_from_slice(objects);
            Ok(())
        };
        restock.segment(&segment.objects, &mut seen.placed, &mut choose, &mut lose)?;
        known.lost.extend(missing);
        seen.sound &= sound;
    }
    Ok(Some(seen))
}

impl Known<'_> {
    /// Where to have an object that a map says to be at `place`; and whether that is right.
    fn choose(
        &self,
        place: Option<(PackRef, Spot)>,
        object: Digest,
        length: u32,
    ) -> (Choice, bool) {
        if let Some((pack, spot)) = place {
            if self.packs.sound(&pack.digest) == Some(pack)
                && self.packs.holds(&pack.digest, spot, object, length)
            {
                return (Choice::Here(pack, spot), true);
            }
            // What cannot be told from its index may be there all the same.
            if self.packs.has(&pack.digest) && !self.lost.contains(&object) {
                return (from(HERE, pack, spot), false);
            }
        }
        let here = self.here.get(&object).map(|(pack, spot)| Choice::Here(*pack, *spot));
        let taken = || self.second.get(&object).map(|(pack, spot)| from(SECOND, *pack, *spot));
        let saved = || self.leaving.get(&object).map(|(pack, spot)| from(HERE, *pack, *spot));
        (here.or_else(taken).or_else(saved).unwrap_or(Choice::Lost), false)
    }
}
