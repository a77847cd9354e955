//! Runs against an ordinary map, and runs that are damaged.

use super::write::write_sorted;
use super::*;
use crate::dir::DirStore;
use crate::map::PackRef;
use proptest::prelude::*;
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::PathBuf;

struct Place {
    root: tempfile::TempDir,
    store: DirStore,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = DirStore::create(root.path().join("store")).unwrap();
        Self { root, store }
    }

    fn index(&self) -> PathBuf {
        self.store.path().join("index")
    }
}

/// Packs in order of their digests.
fn packs(seeds: std::ops::Range<u64>) -> Vec<PackRef> {
    let pack =
        |seed: u64| PackRef { digest: Digest::of(&seed.to_le_bytes()), size_bytes: 100 + seed };
    let mut packs: Vec<_> = seeds.map(pack).collect();
    packs.sort();
    packs
}

fn digest(object: u64) -> Digest {
    Digest::of(&[object.to_le_bytes(), [7; 8]].concat())
}

fn record(object: u64, pack: u32) -> Record {
    let spot = Spot { pack, offset_bytes: object * 9, packed_bytes: 9, raw_bytes: 8, at_bytes: 1 };
    Record { digest: digest(object), spot }
}

/// All records of `digest`, or why they cannot be told.
fn found(run: &Run, digest: &Digest) -> Result<Vec<Record>, RunError> {
    let mut records = Vec::new();
    let mut take = |record: &Record| {
        records.push(*record);
        false
    };
    run.find(digest, &mut take).map(|()| records)
}

fn all(run: &Run) -> Result<Vec<Record>, RunError> {
    run.iter().collect()
}

/// Names of the runs in the index with their numbers of records and packs.
fn kept(place: &Place) -> Vec<(u64, usize)> {
    let runs = open_all(&place.store).unwrap();
    let mut sizes: Vec<_> =
        runs.iter().map(|kept| (kept.run.records(), kept.run.packs().len())).collect();
    sizes.sort_unstable();
    sizes
}

fn source(objects: std::ops::Range<u64>, packs: &[PackRef]) -> Source<'static> {
    let mut records: Vec<_> = objects.map(|object| record(object, 0)).collect();
    records.sort_unstable();
    let count = records.len() as u64;
    Source { packs: packs.to_vec(), count, records: Box::new(records.into_iter().map(Ok)) }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn what_was_put_in_is_found(
        objects in prop::collection::vec((0_u64..600, 0_u32..90), 0..4000),
        doubled in 0_u64..600,
    ) {
        let place = Place::new();
        let packs = packs(0..90);
        let doubles = (0..90).map(|pack| (doubled, pack));
        let mut records: Vec<_> =
            objects.into_iter().chain(doubles).map(|(object, pack)| record(object, pack)).collect();
        let mut sorter = Sorter::new(&place.store, packs.clone());
        for record in &records {
            sorter.push(*record).unwrap();
        }
        let run = sorter.finish().unwrap().unwrap().run;
        records.sort_unstable();
        records.dedup();
        prop_assert_eq!(&all(&run).unwrap(), &records);
        let mut oracle: HashMap<Digest, Vec<Record>> = HashMap::new();
        for record in records {
            oracle.entry(record.digest).or_default().push(record);
        }
        for object in 0..700 {
            let expected = oracle.remove(&digest(object)).unwrap_or_default();
            prop_assert_eq!(found(&run, &digest(object)).unwrap(), expected);
        }
    }

    #[test]
    fn a_damaged_run_says_nothing_wrong(at: u32, bit in 0_u32..8, cut: bool) {
        let place = Place::new();
        let (objects, packs) = (0..400, packs(0..3));
        let mut records: Vec<_> =
            objects.clone().map(|object| record(object, object as u32 % 3)).collect();
        records.sort_unstable();
        let written = write_sorted(&place.store, packs.clone(), records.iter().copied()).unwrap();
        let path = place.root.path().join("run");
        written.file.rename_to(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = at as usize % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        fs::write(&path, bytes).unwrap();
        let Ok(run) = Run::open(File::open(&path).unwrap(), &written.name) else { return Ok(()) };
        prop_assert_eq!(run.packs(), packs);
        prop_assert!(all(&run).is_err());
        let mut damaged = 0;
        for record in &records {
            match found(&run, &record.digest) {
                Ok(found) => prop_assert_eq!(found, [*record]),
                Err(_) => damaged += 1,
            }
        }
        prop_assert!(damaged > 0);
    }
}

#[test]
fn the_bytes_are_as_specified() {
    let place = Place::new();
    let packs = packs(0..2);
    let mut records = [record(1, 1), record(2, 0)];
    records.sort_unstable();
    let written = write_sorted(&place.store, packs.clone(), records.into_iter()).unwrap();
    let path = place.root.path().join("run");
    written.file.rename_to(&path).unwrap();
    let number = |number: u64| number.to_le_bytes();
    let mut block = Vec::new();
    for Record { digest, spot } in records {
        block.extend_from_slice(digest.as_bytes());
        block.extend(spot.pack.to_le_bytes());
        block.extend(number(spot.offset_bytes));
        block.extend([9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0]);
    }
    block.resize(4088, 0);
    let table = packs.iter().map(|pack| (pack.digest, number(pack.size_bytes)));
    let table: Vec<u8> =
        table.flat_map(|(digest, size)| [&digest.as_bytes()[..], &size].concat()).collect();
    let seed = u64::from_le_bytes(*Digest::of(&table).as_bytes().first_chunk().unwrap());
    let check = xxhash_rust::xxh3::xxh3_64_with_seed(&block, seed);
    let mut fence: Vec<u8> = records[0].digest.as_bytes()[..8].to_vec();
    fence.reverse();
    let end = [&table[..], &fence, &number(2), &number(2), b"inaugix1"].concat();
    assert!(fs::read(path).unwrap() == [&block[..], &number(check), &end].concat());
    assert_eq!(written.name, Digest::of(&end));
}

#[test]
fn a_run_under_another_name_is_removed() {
    let place = Place::new();
    keep(&place.store, vec![source(0..10, &packs(0..1))], &|_| true).unwrap();
    let name = open_all(&place.store).unwrap()[0].name;
    fs::write(place.index().join("notes"), "of somebody").unwrap();
    let (from, to) = (name.to_string(), digest(1).to_string());
    fs::rename(place.index().join(from), place.index().join(&to)).unwrap();
    assert_eq!(kept(&place), []);
    assert!(!place.index().join(to).exists());
    assert!(place.index().join("notes").exists());
}

#[test]
fn runs_are_merged_when_they_are_small_stale_or_doubled() {
    let place = Place::new();
    let all_live = |_: &PackRef| true;
    let keep_live = |sources, is_live: &dyn Fn(&PackRef) -> bool| {
        keep(&place.store, sources, is_live).unwrap();
        kept(&place)
    };
    assert_eq!(keep_live(vec![], &all_live), []);
    assert!(!place.index().exists(), "nothing is made for nothing");
    let [a, b, c, d] = [0, 1, 2, 3].map(|seed| packs(seed..seed + 1));
    assert_eq!(keep_live(vec![source(0..1000, &a)], &all_live), [(1000, 1)]);
    assert_eq!(keep_live(vec![source(1000..1100, &b)], &all_live), [(100, 1), (1000, 1)]);
    let same = keep_live(vec![source(1000..1100, &b)], &all_live);
    assert_eq!(same, [(100, 1), (1000, 1)], "what is there already");
    assert_eq!(keep_live(vec![source(2000..2060, &c)], &all_live), [(160, 2), (1000, 1)]);
    assert_eq!(keep_live(vec![], &all_live), [(160, 2), (1000, 1)], "as it should be");
    let without_b = |pack: &PackRef| *pack != b[0];
    assert_eq!(keep_live(vec![source(5000..5001, &d)], &without_b), [(61, 2), (1000, 1)]);
    let shared = [a[0], c[0], d[0]];
    let again = keep_live(vec![source(5000..5600, &d)], &|pack| shared.contains(pack));
    assert_eq!(again.iter().map(|(_, packs)| packs).sum::<usize>(), 3, "{again:?}");
}

#[test]
fn a_merge_that_meets_damage_takes_that_run_away() {
    let place = Place::new();
    let [a, b] = [0, 1].map(|seed| packs(seed..seed + 1));
    keep(&place.store, vec![source(0..1000, &a)], &|_| true).unwrap();
    let path = place.index().read_dir().unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = keep(&place.store, vec![source(2000..3000, &b)], &|_| true).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("check at byte 4096"));
    assert!(!path.exists());
    assert_eq!(kept(&place), []);
    assert!(place.store.path().join("tmp").read_dir().unwrap().next().is_none());
}
