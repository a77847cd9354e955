//! Diffs between trees in a store: what they bring is what the label has.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::{Place, label, noise};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use store::Digest;
use store::diffs::{Diffs, Part, make_diffs};
use store::manifest::SegmentKind;
use store::manifest_reader::{read_label, read_map, read_root, read_segments};
use store::push::{PushTree, TreeInput, push_tree};
use store::source::{Item, read_all};
use store::tree::TreeSegment;
use store::tree::walk::Mounts;

fn push(place: &Place, name: &str, tree: &Path) -> Digest {
    let request = PushTree {
        label: label(name),
        input: TreeInput::Directory {
            path: tree.to_owned(),
            mounts: Mounts::Refuse,
            allow_changed: false,
        },
        boot: None,
        facts: Vec::new(),
        pushed_unix_s: 1_700_000_000,
        force: false,
        level: 3,
    };
    push_tree(&place.store, &request, &()).unwrap().manifest
}

/// All objects of a tree by what diffs call them.
fn objects(place: &Place, digest: &Digest) -> HashMap<Part, Vec<u8>> {
    let (manifest, root_bytes) = read_root(&place.store, digest).unwrap();
    let map = read_map(&place.store, digest, &manifest).unwrap();
    let mut objects = HashMap::new();
    let segments = read_segments::<TreeSegment>(&place.store, &manifest, root_bytes, digest);
    for (segment, section) in segments.zip(&map.sections) {
        for ((digest, length), at) in segment.unwrap().objects().zip(&section.places) {
            let frame = section.frames[at.frame as usize];
            let pack = Item::Pack(map.packs[frame.pack as usize].digest);
            let pack = read_all(&place.store, &pack, u64::MAX >> 1).unwrap();
            let packed = &pack[frame.offset_bytes as usize..][..frame.packed_bytes as usize];
            let raw = zstd::bulk::decompress(packed, frame.raw_bytes as usize).unwrap();
            let bytes = raw[at.offset_bytes as usize..][..length as usize].to_vec();
            assert_eq!(Digest::of(&bytes), digest);
            objects.insert(Part::of(&digest, length), bytes);
        }
    }
    objects
}

fn list(place: &Place, digest: &Digest) -> Diffs {
    Diffs::decode(&read_all(&place.store, &Item::Diffs(*digest), 1 << 20).unwrap()).unwrap()
}

/// Unpacks all diffs of the list by an independent reading, and compares them with the objects.
fn check(place: &Place, list: &Diffs, held: &HashMap<Part, Vec<u8>>, new: &HashMap<Part, Vec<u8>>) {
    use std::io::Read;
    for diff in &list.diffs {
        let pack = Item::Pack(list.packs[diff.frame.pack as usize].digest);
        let pack = read_all(&place.store, &pack, u64::MAX >> 1).unwrap();
        let start = diff.frame.offset_bytes as usize;
        let packed = &pack[start..start + diff.frame.packed_bytes as usize];
        let prefix: Vec<u8> = diff.references.iter().flat_map(|part| held[part].clone()).collect();
        let mut content = Vec::new();
        zstd::stream::read::Decoder::with_ref_prefix(packed, &prefix)
            .unwrap()
            .read_to_end(&mut content)
            .unwrap();
        let expected: Vec<u8> = diff.targets.iter().flat_map(|part| new[part].clone()).collect();
        assert!(content == expected);
    }
}

#[test]
fn what_changed_is_told_by_what_it_was() {
    let place = Place::new();
    let trees = tempfile::tempdir().unwrap();
    let (old, new) = (trees.path().join("old"), trees.path().join("new"));
    for tree in [&old, &new] {
        fs::create_dir_all(tree.join("boot")).unwrap();
    }
    let kernel = noise(700_000, 1);
    fs::write(old.join("boot/vmlinuz-6.1.0-21"), &kernel).unwrap();
    let mut next = kernel.clone();
    next.splice(300_000..300_010, *b"a somewhat longer piece of text");
    fs::write(new.join("boot/vmlinuz-6.1.0-22"), &next).unwrap();
    fs::write(old.join("same"), noise(50_000, 2)).unwrap();
    fs::write(new.join("same"), noise(50_000, 2)).unwrap();
    fs::write(new.join("unlike-all"), noise(60_000, 3)).unwrap();
    let (base, manifest) = (push(&place, "old", &old), push(&place, "new", &new));

    let made = make_diffs(&place.store, &manifest, &base).unwrap();
    assert!(made.diffs >= 1 && made.packed_bytes < made.target_bytes / 50, "{made:?}");
    let (held, of_new) = (objects(&place, &base), objects(&place, &manifest));
    let first = list(&place, &manifest);
    check(&place, &first, &held, &of_new);
    let brought = first.diffs.iter().flat_map(|diff| &diff.targets);
    assert!(brought.clone().all(|part| !held.contains_key(part)));
    assert!(!brought.clone().any(|part| u64::from(part.length) == 60_000));

    // The same again adds nothing; another base adds its own.
    make_diffs(&place.store, &manifest, &base).unwrap();
    assert_eq!(list(&place, &manifest).diffs, first.diffs);
    let third = trees.path().join("third");
    fs::create_dir_all(third.join("boot")).unwrap();
    let mut earlier = kernel;
    earlier.drain(100..5000);
    fs::write(third.join("boot/vmlinuz-6.1.0-20"), &earlier).unwrap();
    let other = push(&place, "third", &third);
    make_diffs(&place.store, &manifest, &other).unwrap();
    let both = list(&place, &manifest);
    assert_eq!(both.diffs[..first.diffs.len()], first.diffs[..]);
    assert!(both.diffs.len() > first.diffs.len());
    let all = held.into_iter().chain(objects(&place, &other)).collect();
    check(&place, &both, &all, &of_new);

    // Packs of diffs hold no objects, and verify finds nothing wrong with them.
    let report = store::verify::verify(&place.store, None).unwrap();
    assert!(report.is_clean(), "{:?}", report.damages);
    let record = read_label(&place.store, &label("new")).unwrap();
    assert_eq!(record.manifest, manifest);
}
