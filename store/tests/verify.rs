//! Every planted damage is found, named, and laid to the labels it hurts.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::{Place, label, noise, request};
use std::fs;
use std::path::Path;
use store::Digest;
use store::manifest_reader::read_root;
use store::push::push_image;
use store::source::Item;
use store::verify::{Report, verify};

/// Two labels: `old`, and `new`, which shares the first half with it.
struct Pushed {
    place: Place,
    old_pack: Digest,
    new_pack: Digest,
    old: Digest,
    new: Digest,
}

fn pushed() -> Pushed {
    let place = Place::new();
    let shared = noise(1 << 20, 1);
    let push = |name: &str, seed| {
        let image = place.file(name, &[shared.clone(), noise(1 << 20, seed)].concat());
        push_image(&place.store, &request(name, &image), &()).unwrap()
    };
    let (old, new) = (push("old", 2), push("new", 3));
    let (old_pack, new_pack) = (old.packs[0].digest, new.packs[0].digest);
    let (old, new) = (old.manifest, new.manifest);
    Pushed { place, old_pack, new_pack, old, new }
}

fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Damages as (object, labels).
fn found(report: &Report) -> Vec<(String, String)> {
    let labels = |damage: &store::verify::Damage| {
        let names: Vec<_> = damage.labels.iter().map(ToString::to_string).collect();
        names.join(" ")
    };
    report.damages.iter().map(|damage| (damage.object.clone(), labels(damage))).collect()
}

#[test]
fn a_whole_store_is_clean() {
    let pushed = pushed();
    let report = verify(&pushed.place.store, None).unwrap();
    assert_eq!(report.damages, []);
    assert_eq!((report.labels, report.manifests, report.packs), (2, 2, 2));
    assert!(report.objects > 100 && report.pack_bytes > 3 << 20);
    let one = verify(&pushed.place.store, Some(&label("old"))).unwrap();
    assert_eq!((one.labels, one.packs, one.is_clean()), (1, 1, true));
}

#[test]
fn each_planted_damage_is_found() {
    type Row<'a> = (&'a str, fn(&Pushed), &'a [(&'a str, &'a str)]);
    let table: &[Row<'_>] = &[
        (
            "shared frame",
            |p| flip(&p.place.item(&Item::Pack(p.old_pack)), |_| 5000),
            &[("pack OLDPACK: frame at 16", "new old")],
        ),
        (
            "own frame",
            |p| flip(&p.place.item(&Item::Pack(p.new_pack)), |length| length / 2),
            &[("pack NEWPACK: frame at", "new")],
        ),
        (
            "pack header",
            |p| flip(&p.place.item(&Item::Pack(p.new_pack)), |_| 9),
            &[("pack NEWPACK", "")],
        ),
        (
            "pack index",
            |p| flip(&p.place.item(&Item::Pack(p.new_pack)), |length| length - 60),
            &[("pack NEWPACK", "")],
        ),
        (
            "cut pack",
            |p| {
                let path = p.place.item(&Item::Pack(p.old_pack));
                let bytes = fs::read(&path).unwrap();
                fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
            },
            &[("pack OLDPACK", "")],
        ),
        (
            "pack cut in its frames",
            |p| {
                let path = p.place.item(&Item::Pack(p.old_pack));
                let bytes = fs::read(&path).unwrap();
                fs::write(path, &bytes[..bytes.len() * 3 / 4]).unwrap();
            },
            &[("pack OLDPACK", "old")],
        ),
        (
            "lost pack",
            |p| fs::remove_file(p.place.item(&Item::Pack(p.old_pack))).unwrap(),
            &[("pack OLDPACK", "new old")],
        ),
        (
            "map",
            |p| flip(&p.place.item(&Item::Map(p.new)), |length| length / 2),
            &[("map of manifest NEW", "new")],
        ),
        (
            "lost map",
            |p| fs::remove_file(p.place.item(&Item::Map(p.new))).unwrap(),
            &[("map of manifest NEW", "new")],
        ),
        (
            "another's map",
            |p| {
                fs::copy(p.place.item(&Item::Map(p.old)), p.place.item(&Item::Map(p.new)))
                    .map(|_| ())
                    .unwrap();
            },
            &[("map of manifest NEW: section 0", "new")],
        ),
        (
            "root",
            |p| flip(&p.place.item(&Item::Manifest(p.old)), |_| 20),
            &[("manifest OLD", "old")],
        ),
        (
            "segment",
            |p| flip(&p.place.item(&Item::Manifest(p.old)), |length| length - 1),
            &[("manifest OLD: segment 0", "old")],
        ),
        (
            "lost manifest",
            |p| fs::remove_file(p.place.item(&Item::Manifest(p.old))).unwrap(),
            &[("manifest OLD", "old")],
        ),
        (
            "record",
            |p| flip(&p.place.item(&Item::Label(label("new"))), |_| 40),
            &[("label new", "new")],
        ),
        (
            "lost record",
            |p| fs::remove_file(p.place.item(&Item::Label(label("old")))).unwrap(),
            &[("label old", "old")],
        ),
        ("list", |p| flip(&p.place.item(&Item::LabelList), |_| 3), &[("list of labels", "")]),
        (
            "record under another name",
            |p| {
                fs::copy(
                    p.place.item(&Item::Label(label("old"))),
                    p.place.item(&Item::Label(label("new"))),
                )
                .map(|_| ())
                .unwrap();
            },
            &[("label new", "new")],
        ),
    ];
    for (what, plant, expected) in table {
        let pushed = pushed();
        plant(&pushed);
        let names = |text: &str| {
            text.replace("OLDPACK", &pushed.old_pack.short())
                .replace("NEWPACK", &pushed.new_pack.short())
                .replace("OLD", &pushed.old.short())
                .replace("NEW", &pushed.new.short())
        };
        let report = verify(&pushed.place.store, None).unwrap();
        let found = found(&report);
        assert_eq!(found.len(), expected.len(), "{what}: {found:?}");
        for ((object, labels), (expected_object, expected_labels)) in found.iter().zip(*expected) {
            assert!(object.starts_with(&names(expected_object)), "{what}: {object}");
            assert_eq!(labels, expected_labels, "{what}");
        }
    }
}

#[test]
fn a_flip_anywhere_in_a_pack_is_found() {
    let pushed = pushed();
    let path = pushed.place.item(&Item::Pack(pushed.new_pack));
    let bytes = fs::read(&path).unwrap();
    for step in 0..40 {
        let mut flipped = bytes.clone();
        flipped[step * (bytes.len() - 1) / 39] ^= 1 << (step % 8);
        fs::write(&path, flipped).unwrap();
        assert!(!verify(&pushed.place.store, Some(&label("new"))).unwrap().is_clean(), "{step}");
    }
}

#[test]
fn a_damage_says_object_expected_found_and_labels() {
    let pushed = pushed();
    flip(&pushed.place.item(&Item::Manifest(pushed.old)), |length| length - 1);
    let (manifest, _) = read_root(&pushed.place.store, &pushed.old).unwrap();
    let text = verify(&pushed.place.store, None).unwrap().damages[0].to_string();
    let (short, segment) = (pushed.old.short(), manifest.segments[0].digest);
    let start = format!("manifest {short}: segment 0: expected digest {segment}, found ");
    assert!(text.starts_with(&start) && text.ends_with("; hurts old"), "{text}");
}
