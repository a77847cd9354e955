//! Diffs between trees in a store: what they bring is what the label has.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::{Place, label, noise};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use store::Digest;
use store::copy::{CopyOptions, CopyReport, copy_label};
use store::diffs::{Diffs, Part, make_diffs};
use store::dir::LabelChange;
use store::heal::verify_and_heal;
use store::manifest::SegmentKind;
use store::manifest_reader::{read_label, read_map, read_root, read_segments};
use store::push::{PushTree, TreeInput, push_tree};
use store::source::{Item, read_all};
use store::tree::TreeSegment;
use store::tree::walk::Mounts;
use store::verify::verify;

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
    let report = verify(&place.store, None).unwrap();
    assert!(report.is_clean(), "{:?}", report.damages);
    let record = read_label(&place.store, &label("new")).unwrap();
    assert_eq!(record.manifest, manifest);
}

const KERNEL: &str = "boot/vmlinuz-6.1.0-2";

/// A store of three versions of a tree, each with a kernel that is like the first one.
fn versions() -> (Place, [Digest; 3]) {
    let place = Place::new();
    let manifests = [0, 1, 2].map(|version: u8| {
        let tree = place.root.path().join(format!("tree{version}"));
        fs::create_dir_all(tree.join("boot")).unwrap();
        let mut kernel = noise(700_000, 1);
        kernel.splice(300_000..300_010, vec![version; 20 * usize::from(version)]);
        fs::write(tree.join(format!("{KERNEL}{version}")), kernel).unwrap();
        push(&place, &format!("v{version}"), &tree)
    });
    (place, manifests)
}

fn copy(from: &Place, to: &Place, name: &str) -> CopyReport {
    copy_label(&from.store, &to.store, &label(name), CopyOptions::default(), &|_, _| ()).unwrap()
}

/// The diffs of the list, without where they are.
fn what(list: &Diffs) -> Vec<(Vec<Part>, Vec<Part>)> {
    list.diffs.iter().map(|diff| (diff.references.clone(), diff.targets.clone())).collect()
}

#[test]
fn a_copy_takes_diffs_with_it() {
    let (from, [first, second, new]) = versions();
    make_diffs(&from.store, &new, &second).unwrap();
    let to = Place::new();
    let copied = copy(&from, &to, "v2");
    let of_second = what(&list(&from, &new));
    assert_eq!((copied.diffs, copied.diff_packs.len()), (of_second.len() as u64, 1));
    assert_eq!(what(&list(&to, &new)), of_second);
    check(&to, &list(&to, &new), &objects(&from, &second), &objects(&to, &new));

    // What was made since comes with the next copy, and only that.
    make_diffs(&from.store, &new, &first).unwrap();
    let again = copy(&from, &to, "v2");
    let all = what(&list(&from, &new));
    assert_eq!((again.change, again.diff_packs.len()), (LabelChange::Same, 1));
    assert_eq!(again.diffs, (all.len() - of_second.len()) as u64);
    assert_eq!(what(&list(&to, &new)), all);
    let same = copy(&from, &to, "v2");
    assert_eq!((same.diffs, same.diff_packs, same.diffs_failure), (0, vec![], None));
    assert_eq!(verify(&to.store, None).unwrap().damages, []);

    // A pack that is not what it is called is not taken, and the label is whole without it.
    let pack = list(&from, &new).packs[0].digest;
    flip(&from, pack);
    let other = Place::new();
    let failure = copy(&from, &other, "v2").diffs_failure.unwrap();
    assert!(failure.starts_with(&format!("pack {} of ", pack.short())), "{failure}");
    assert_eq!(verify(&other.store, None).unwrap().damages, []);
    assert!(other.store.path().join("tmp").read_dir().unwrap().next().is_none());
}

fn flip(place: &Place, pack: Digest) {
    let path = place.item(&Item::Pack(pack));
    let mut bytes = fs::read(&path).unwrap();
    bytes[50] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn diffs_that_are_damaged_are_taken_anew_or_done_without() {
    let (second, [old, _, new]) = versions();
    make_diffs(&second.store, &new, &old).unwrap();
    for is_there in [true, false] {
        let place = Place::new();
        copy(&second, &place, "v2");
        let before = list(&place, &new);
        flip(&place, before.packs[0].digest);
        let other = if is_there { &second } else { &Place::new() };
        let (report, healed) =
            verify_and_heal(&place.store, None, &other.store, Duration::ZERO).unwrap();
        assert_eq!(report.damages, []);
        assert_eq!(healed.diffs, if is_there { vec![new] } else { vec![] });
        assert_eq!(place.item(&Item::Diffs(new)).exists(), is_there);
        assert_eq!(place.item(&Item::Pack(before.packs[0].digest)).exists(), is_there);
        if is_there {
            assert_eq!(list(&place, &new), before);
        }
    }
}
