//! Damaged files of every kind, against an oracle that tries to read each label back.

use crate::common::oracle::read_back;
use crate::common::{Place, label, noise, request};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use store::dir::DirStore;
use store::push::{BootInput, PayloadInput, push_image};
use store::verify::verify;

/// Damages of each file: a flip costs a verification of the whole store.
const FLIPS: u64 = 24;
const CUTS: u64 = 8;

const NAMES: [&str; 3] = ["one", "two", "three/with__parts"];

/// Three labels that share a part of their content; the last has a kernel beside its image.
fn three() -> Place {
    let place = Place::new();
    let shared = noise(300 << 10, 1);
    for (number, name) in NAMES.iter().enumerate() {
        let mut bytes = [&shared[..], &noise(200 << 10, number as u64 + 2)].concat();
        bytes[40_960..81_920].fill(0);
        let image = place.file("image", &bytes);
        let kernel = PayloadInput::File(place.file("kernel", &noise(50_000, 9)));
        let (cmdline, source) = ("quiet".into(), "given".into());
        let boot = BootInput { kernel, initrd: None, cmdline, source };
        let boot = (number == 2).then_some(boot);
        let facts = vec![("state".into(), "good".into())];
        let push = crate::common::PushImage { boot, facts, ..request(name, &image) };
        push_image(&place.store, &push, &()).unwrap();
    }
    place
}

/// The files of a store but for its locks, each with what it is one of.
fn files(store: &DirStore) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in store.path().read_dir().unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_name().into_string().unwrap();
        if !entry.path().is_dir() {
            files.push((entry.path(), kind));
            continue;
        }
        let entries = entry.path().read_dir().unwrap();
        files.extend(entries.map(|entry| (entry.unwrap().path(), kind.clone())));
    }
    files.retain(|(_, kind)| kind != "lock" && kind != "gc.lock");
    files.sort();
    files
}

/// What is said of a damaged store, checked: exactly the labels that cannot be read are hurt.
fn judge(place: &Place, images: &BTreeMap<&str, Vec<u8>>, what: &str) -> &'static str {
    let Ok(store) = DirStore::open(place.store.path()) else { return "no store" };
    let hurt: BTreeSet<String> = NAMES
        .iter()
        .filter(|name| match read_back(&store, &label(name)) {
            Ok(bytes) => {
                assert!(bytes == images[*name], "{what}: {name} reads back wrong");
                false
            }
            Err(_) => true,
        })
        .map(|name| label(name).to_string())
        .collect();
    let report = verify(&store, None).unwrap();
    let named = report.damages.iter().flat_map(|damage| damage.labels.iter());
    let ours = |name: &String| NAMES.iter().any(|ours| label(ours).as_str() == name);
    let named: BTreeSet<String> = named.map(ToString::to_string).filter(ours).collect();
    assert_eq!(named, hurt, "{what}: {:?}", report.damages);
    match (report.is_clean(), hurt.is_empty()) {
        (true, _) => "harmless",
        (false, true) => "said, hurts none",
        (false, false) => "said, with the labels it hurts",
    }
}

/// Plants `damages` in every file, one at a time; returns the outcomes for each kind of file.
fn plant(damages: u64, damage: impl Fn(&Path, u64, &[u8])) -> String {
    let place = three();
    let images: BTreeMap<_, _> =
        NAMES.iter().map(|name| (*name, read_back(&place.store, &label(name)).unwrap())).collect();
    assert_eq!(judge(&place, &images, "whole"), "harmless");
    let mut outcomes: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    for (path, kind) in files(&place.store) {
        let bytes = fs::read(&path).unwrap();
        for number in 0..damages {
            damage(&path, number, &bytes);
            let what = format!("{} {number}", path.display());
            let outcome = judge(&place, &images, &what);
            let advice = matches!(kind.as_str(), "index" | "labels.list");
            assert!(advice || outcome != "harmless", "{what} is not noticed");
            *outcomes.entry(kind.clone()).or_default().entry(outcome).or_default() += 1;
            // Links and times do not matter to a store: the same bytes are the same file.
            fs::write(&path, &bytes).unwrap();
        }
    }
    assert_eq!(judge(&place, &images, "whole again"), "harmless");
    let kinds = outcomes.into_iter().map(|(kind, outcomes)| {
        let outcomes = outcomes.iter().map(|(outcome, count)| format!("{outcome} {count}"));
        format!("{kind}: {}", outcomes.collect::<Vec<_>>().join(", "))
    });
    kinds.collect::<Vec<_>>().join("; ")
}

/// A place in `length`, spread by `number`, the same each time.
fn spread(number: u64, length: u64) -> u64 {
    let random = store::Digest::of(&[number.to_le_bytes(), length.to_le_bytes()].concat());
    let value = random.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    match number {
        0 => 0,
        1 => length - 1,
        _ => value % length,
    }
}

pub fn flipped() -> String {
    plant(FLIPS, |path, number, bytes| {
        let mut bytes = bytes.to_vec();
        let bit = spread(number, bytes.len() as u64 * 8);
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        fs::write(path, bytes).unwrap();
    })
}

pub fn cut() -> String {
    plant(CUTS, |path, number, bytes| {
        let length = spread(number, bytes.len() as u64);
        fs::write(path, &bytes[..length as usize]).unwrap();
    })
}

pub fn removed() -> String {
    plant(1, |path, _, _| fs::remove_file(path).unwrap())
}
