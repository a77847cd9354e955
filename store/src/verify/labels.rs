//! Labels: record, manifest, map, and each object at its place.

use super::direct::Direct;
use super::packs::Packs;
use super::{Damage, Report, chain};
use crate::Digest;
use crate::dir::DirStore;
use crate::label::LabelName;
use crate::manifest::Manifest;
use crate::manifest_reader::{ReadError, read_map, read_root};
use crate::map::{Map, Place, Section};
use crate::objects::read_objects;
use crate::source::{Item, SourceError};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// How often a map is read again because a pack is gone: two collections do not follow each
/// other so fast.
const MAP_READS_MAX: u32 = 4;

/// The packs that `names` need, as far as their maps can be read.
pub(super) fn packs(store: &DirStore, names: &[LabelName]) -> Vec<Digest> {
    let mut packs = BTreeSet::new();
    for name in names {
        let Ok(record) = store.read_record(name) else { continue };
        let Ok((manifest, _)) = read_root(store, &record.manifest) else { continue };
        let Ok(map) = read_map(store, &record.manifest, &manifest) else { continue };
        packs.extend(map.packs.iter().map(|pack| pack.digest));
    }
    // What is not there is told by the labels that need it.
    let there = |pack: &Digest| store.path().join(Item::Pack(*pack).path()).exists();
    packs.into_iter().filter(there).collect()
}

/// Looks at the labels `names`, given what the packs hold. One that is not there is wrong only
/// if it `must_be`: it was listed a moment ago, so it was removed, or it is lost, and the list
/// of labels tells.
pub(super) fn check(
    store: &DirStore,
    names: &[LabelName],
    must_be: bool,
    packs: &mut Packs,
    report: &mut Report,
) {
    let mut by_manifest: BTreeMap<Digest, Vec<LabelName>> = BTreeMap::new();
    for name in names {
        // Read again before it is judged: it may just have been replaced.
        match store.read_record(name).or_else(|_| store.read_record(name)) {
            Err(ReadError::Source(SourceError::NotFound { .. })) if !must_be => {}
            Ok(record) => by_manifest.entry(record.manifest).or_default().push(name.clone()),
            Err(error) => {
                let labels = vec![name.clone()];
                report.damages.push(unreadable(&Item::Label(name.clone()), &error, labels));
            }
        }
    }
    for (digest, labels) in by_manifest {
        report.manifests += 1;
        let (hurt, direct) = (HashSet::new(), Direct::new(store));
        let (packs, report) = (&mut *packs, &mut *report);
        let mut check = Check { store, packs, report, digest, labels, hurt, direct };
        check.manifest();
        check.note_hurt();
    }
}

/// One manifest being looked at.
struct Check<'a> {
    store: &'a DirStore,
    packs: &'a mut Packs,
    report: &'a mut Report,
    digest: Digest,
    labels: Vec<LabelName>,
    /// Damages of packs that this manifest meets: numbers in [`Report::damages`].
    hurt: HashSet<usize>,
    direct: Direct<'a>,
}

impl Check<'_> {
    fn manifest(&mut self) {
        let (manifest, root_bytes) = match read_root(self.store, &self.digest) {
            Ok(read) => read,
            Err(error) => return self.unreadable(&Item::Manifest(self.digest), &error),
        };
        let map = match self.map(&manifest) {
            Ok(map) => {
                self.packs_of(&map);
                Some(map)
            }
            Err(error) => {
                self.unreadable(&Item::Map(self.digest), &error);
                None
            }
        };
        self.segments(&manifest, root_bytes, map.as_ref());
    }

    /// The map; read again where a pack is not there: a collection may have led it elsewhere.
    fn map(&self, manifest: &Manifest) -> Result<Map, ReadError> {
        let mut map = read_map(self.store, &self.digest, manifest)?;
        for _ in 0..MAP_READS_MAX {
            let there = |pack: &Digest| self.store.path().join(Item::Pack(*pack).path()).exists();
            if map.packs.iter().all(|pack| there(&pack.digest)) {
                break;
            }
            let again = read_map(self.store, &self.digest, manifest)?;
            if again == map {
                break;
            }
            map = again;
        }
        Ok(map)
    }

    fn packs_of(&mut self, map: &Map) {
        for pack in &map.packs {
            let object = Item::Pack(pack.digest).to_string();
            self.packs.look_if_new(self.store, &pack.digest, self.report);
            match self.packs.get(&pack.digest) {
                None => self.damage(object, "a file of the store".into(), "none".into()),
                Some(found) => {
                    let other = found.size_bytes.filter(|size| *size != pack.size_bytes);
                    if let Some(size) = other {
                        let expected = format!("{} bytes, as the map says", pack.size_bytes);
                        self.damage(object, expected, size.to_string());
                    }
                }
            }
        }
    }

    fn segments(&mut self, manifest: &Manifest, root_bytes: usize, map: Option<&Map>) {
        let segments = read_objects(self.store, manifest, root_bytes, &self.digest);
        for (number, segment) in segments.enumerate() {
            let segment = match segment {
                Ok(segment) => segment,
                Err(error) => return self.unreadable(&Item::Manifest(self.digest), &error),
            };
            if let Some((map, section)) = map.zip(map.and_then(|map| map.sections.get(number)))
                && let Some((expected, found)) = self.section(&segment.objects, section, map)
            {
                let object = format!("{}: section {number}", Item::Map(self.digest));
                self.damage(object, expected, found);
            }
        }
    }

    /// The first thing wrong with a section, as expected and found.
    fn section(
        &mut self,
        objects: &[(Digest, u32)],
        section: &Section,
        map: &Map,
    ) -> Option<(String, String)> {
        if objects.len() != section.places.len() {
            let expected = format!("{} objects", objects.len());
            return Some((expected, section.places.len().to_string()));
        }
        let mut places = objects.iter().zip(&section.places);
        places.find_map(|((digest, length), place)| {
            self.place(*digest, *length, *place, section, map)
        })
    }

    fn place(
        &mut self,
        digest: Digest,
        length: u32,
        place: Place,
        section: &Section,
        map: &Map,
    ) -> Option<(String, String)> {
        let frame = *section.frames.get(place.frame as usize)?;
        let pack = map.packs.get(frame.pack as usize)?.digest;
        // A pack that is missing is a damage of its own.
        let known = self.packs.get(&pack)?;
        let checked = known.frames.get(&frame.offset_bytes);
        let indexed = checked.filter(|checked| checked.holds(&frame, place, digest, length));
        if indexed.is_some_and(|checked| checked.damage.is_none())
            || self.direct.has(pack, frame, place, digest, length)
        {
            return None;
        }
        if let Some(damage) = checked.and_then(|checked| checked.damage).or(known.damage) {
            self.hurt.insert(damage);
            return None;
        }
        let at = format!("{} at {}", Item::Pack(pack), frame.offset_bytes);
        let expected = format!("object {} in {at}", digest.short());
        Some((expected, format!("other bytes at {} of the frame", place.offset_bytes)))
    }

    fn unreadable(&mut self, item: &Item, error: &ReadError) {
        let labels = self.labels_still();
        if !labels.is_empty() {
            self.report.damages.push(unreadable(item, error, labels));
        }
    }

    /// The labels that name this manifest still: what others need may be collected by now.
    fn labels_still(&self) -> Vec<LabelName> {
        let still = |name: &&LabelName| {
            self.store.read_record(name).is_ok_and(|record| record.manifest == self.digest)
        };
        self.labels.iter().filter(still).cloned().collect()
    }

    /// The same missing pack met by several manifests is one damage.
    fn damage(&mut self, object: String, expected: String, found: String) {
        let labels = self.labels_still();
        if labels.is_empty() {
            return;
        }
        let same = |damage: &&mut Damage| {
            (&damage.object, &damage.expected, &damage.found) == (&object, &expected, &found)
        };
        match self.report.damages.iter_mut().find(same) {
            Some(damage) => damage.labels.extend(labels),
            None => self.report.damages.push(Damage { object, expected, found, labels }),
        }
    }

    fn note_hurt(self) {
        for number in self.hurt {
            self.report.damages[number].labels.extend(self.labels.iter().cloned());
        }
    }
}

fn unreadable(item: &Item, error: &ReadError, labels: Vec<LabelName>) -> Damage {
    let (object, expected, found) = match error {
        ReadError::Wrong { object, expected, found, .. } => {
            (object.clone(), format!("digest {expected}"), found.to_string())
        }
        other => (item.to_string(), "what its format says".into(), chain(other)),
    };
    Damage { object, expected, found, labels }
}
