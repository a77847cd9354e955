//! Pushing images, and getting them back.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::{Place, content, files, label, listed, noise, request};
use proptest::prelude::*;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use store::Digest;
use store::dir::{DirStore, LabelChange};
use store::manifest::{Gpt, Place as PayloadPlace};
use store::push::{BootInput, PayloadInput, PushError, push_image};

#[test]
fn an_image_comes_back_with_its_payloads() {
    let place = Place::new();
    let mut bytes = noise(3 << 20, 1);
    bytes[1 << 20..2 << 20].fill(0);
    bytes.extend_from_slice(b"a tail that is no whole block");
    let image = place.file("image", &bytes);
    let kernel = noise(70_000, 2);
    let boot = BootInput {
        kernel: PayloadInput::File(place.file("kernel", &kernel)),
        initrd: Some(PayloadInput::Extents {
            size_bytes: 5000,
            digest: Digest::of(&[&bytes[8192..12288], &bytes[100..1004]].concat()),
            extents: vec![(8192, 4096), (100, 904)],
        }),
        cmdline: "root=/dev/vda1".into(),
        source: "given".into(),
    };
    let facts = vec![("git".into(), "b".into()), ("a".into(), "x y".into())];
    let push = common::PushImage { boot: Some(boot), facts, ..request("debian/12", &image) };
    let report = push_image(&place.store, &push, &()).unwrap();
    let (manifest, back, payloads) = content(&place.store, &label("debian__12"));
    assert!(back == bytes);
    assert!(payloads == std::slice::from_ref(&kernel));
    let boot = manifest.boot.as_ref().unwrap();
    assert_eq!(boot.kernel.digest, Digest::of(&kernel));
    assert_eq!(boot.kernel.place, PayloadPlace::Segment(1));
    assert_eq!((report.label, report.zero_bytes), (LabelChange::New, 1 << 20));
    assert_eq!(report.new_raw_bytes, (2 << 20) + 29 + 70_000);
    assert_eq!(listed(&place.store), [(label("debian/12"), report.manifest)]);
    let record = place.store.read_record(&label("debian/12")).unwrap();
    assert_eq!(record.facts[0].0, "a");
    assert!(place.store.path().join("tmp").read_dir().unwrap().next().is_none());
}

#[test]
fn the_same_again_changes_nothing() {
    let place = Place::new();
    let image = place.file("image", &noise(1 << 20, 1));
    let first = push_image(&place.store, &request("a", &image), &()).unwrap();
    let before = files(&place.store);
    let push = common::PushImage { pushed_unix_s: 1_800_000_000, ..request("a", &image) };
    let again = push_image(&place.store, &push, &()).unwrap();
    assert_eq!((again.label, again.manifest), (LabelChange::Same, first.manifest));
    assert_eq!((again.objects_new, again.packs.len()), (0, 0));
    assert_eq!(files(&place.store), before);
}

#[test]
fn what_moved_is_not_stored_again() {
    let place = Place::new();
    let bytes = noise(4 << 20, 1);
    push_image(&place.store, &request("a", &place.file("a", &bytes)), &()).unwrap();
    let moved = [noise(12 << 10, 2), bytes].concat();
    let report = push_image(&place.store, &request("b", &place.file("b", &moved)), &()).unwrap();
    assert!(report.new_raw_bytes <= (12 << 10) + (64 << 10), "{report:?}");
    assert!(content(&place.store, &label("b")).1 == moved);
}

#[test]
fn two_stores_get_the_same_bytes() {
    let bytes = noise(3 << 20, 7);
    let stores = [(); 2].map(|()| {
        let place = Place::new();
        push_image(&place.store, &request("a", &place.file("a", &bytes)), &()).unwrap();
        let root = place.store.path().to_owned();
        let files = files(&place.store).into_iter();
        let relative = files.map(|(p, digest)| (p.strip_prefix(&root).unwrap().to_owned(), digest));
        relative.collect::<Vec<_>>()
    });
    assert_eq!(stores[0], stores[1]);
}

#[test]
fn holes_are_cut_like_zeroes() {
    let place = Place::new();
    let size = (130 << 20) + 5000;
    let sparse = place.root.path().join("sparse");
    let file = File::create(&sparse).unwrap();
    file.set_len(size).unwrap();
    for (offset, length) in [
        (0, 5000),
        (70 << 20, 300_000),
        ((64 << 20) - 100, 200),
        ((128 << 20) + 1, 1),
        (size - 1, 1),
    ] {
        file.write_all_at(&noise(length, offset + 1), offset).unwrap();
    }
    let full = place.file("full", &std::fs::read(&sparse).unwrap());
    let first = push_image(&place.store, &request("sparse", &sparse), &()).unwrap();
    let second = push_image(&place.store, &request("full", &full), &()).unwrap();
    assert_eq!(first.manifest, second.manifest);
    assert_eq!(second.objects_new, 0);
    assert!(content(&place.store, &label("sparse")).1 == std::fs::read(&full).unwrap());
}

#[test]
fn a_label_is_replaced_by_force_only() {
    let place = Place::new();
    let one = place.file("one", &noise(9000, 1));
    let two = place.file("two", &noise(9000, 2));
    let first = push_image(&place.store, &request("a", &one), &()).unwrap();
    let before = files(&place.store);
    let error = push_image(&place.store, &request("a", &two), &()).unwrap_err();
    let PushError::Taken { old, new, .. } = &error else { panic!("{error}") };
    assert_eq!(*old, first.manifest);
    assert!(error.to_string().contains(&format!("expected {new}; --force replaces it")));
    assert_eq!(files(&place.store), before, "refused without a trace");
    let push = common::PushImage { force: true, ..request("a", &two) };
    let second = push_image(&place.store, &push, &()).unwrap();
    assert_eq!(second.label, LabelChange::Replaced(first.manifest));
    assert_eq!(listed(&place.store), [(label("a"), second.manifest)]);
}

#[test]
fn new_facts_need_no_force() {
    let place = Place::new();
    let image = place.file("one", &noise(9000, 1));
    push_image(&place.store, &request("a", &image), &()).unwrap();
    let facts = vec![("state".into(), "good".into())];
    let push = common::PushImage { facts: facts.clone(), ..request("a", &image) };
    assert_eq!(push_image(&place.store, &push, &()).unwrap().label, LabelChange::Facts);
    assert_eq!(place.store.read_record(&label("a")).unwrap().facts, facts);
}

#[test]
fn labels_are_listed_and_removed() {
    let place = Place::new();
    let image = place.file("one", &noise(9000, 1));
    for name in ["b/1", "a/2", "a/1"] {
        push_image(&place.store, &request(name, &image), &()).unwrap();
    }
    assert_eq!(place.store.labels("a/*").unwrap(), ["a/1", "a/2"].map(label));
    place.store.remove_label(&label("a/1")).unwrap();
    assert_eq!(place.store.labels("*").unwrap(), ["a/2", "b/1"].map(label));
    assert_eq!(listed(&place.store).len(), 2);
    let error = place.store.remove_label(&label("a/1")).unwrap_err();
    assert!(error.to_string().starts_with("label a/1 is not in the store"), "{error}");
}

#[test]
fn the_partition_table_is_read() {
    let place = Place::new();
    let mut bytes = noise(8 << 20, 1);
    bytes[..34 * 512].fill(0);
    let image = place.file("disk", &bytes);
    let started = std::process::Command::new("sfdisk")
        .arg(&image)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    let Ok(mut sfdisk) = started else {
        eprintln!("SKIPPED: no sfdisk");
        return;
    };
    sfdisk.stdin.take().unwrap().write_all(b"label: gpt\n,1M\n").unwrap();
    assert!(sfdisk.wait().unwrap().success());
    push_image(&place.store, &request("disk", &image), &()).unwrap();
    let (manifest, ..) = content(&place.store, &label("disk"));
    let sectors = (8 << 20) / 512;
    let gpt = manifest.image().unwrap().gpt.unwrap();
    assert_eq!(manifest.image().unwrap().sector_bytes, 512);
    assert_eq!((gpt.alternate_lba, gpt.protective_sectors), (sectors - 1, sectors as u32 - 1));
    assert!(matches!(gpt, Gpt { last_usable_lba, .. } if last_usable_lba < sectors - 1));
    let push = common::PushImage { sector_bytes: Some(4096), ..request("disk", &image) };
    let error = push_image(&place.store, &push, &()).unwrap_err();
    assert!(
        error.to_string().contains("expected 4096-byte sectors, found a partition table for 512")
    );
}

#[test]
fn bad_input_is_refused_by_name() {
    let place = Place::new();
    let image = place.file("image", &noise(9000, 1));
    let kernel =
        |kernel| BootInput { kernel, initrd: None, cmdline: String::new(), source: String::new() };
    let digest = Digest::of(b"");
    let extents = |size_bytes, extents| PayloadInput::Extents { size_bytes, digest, extents };
    let boot = |payload| common::PushImage { boot: Some(kernel(payload)), ..request("a", &image) };
    let fact = |key: &str, value: &str| common::PushImage {
        facts: vec![(key.into(), value.into())],
        ..request("a", &image)
    };
    let missing = place.root.path().join("missing");
    for (push, expected) in [
        (request("a", &missing), "read "),
        (request("a", place.root.path()), "found a directory"),
        (request("a", "/dev/null".as_ref()), "expected a regular file or a block device"),
        (request("a", &place.file("empty", b"")), "found 0 bytes"),
        (boot(extents(9, vec![(9000, 9)])), "extents within 9000 bytes, found 9 bytes at 9000"),
        (boot(extents(9, vec![(0, 8)])), "kernel: expected 9 bytes, found extents of 8 bytes"),
        (boot(extents(9, vec![(0, 9)])), "kernel: expected digest af1349"),
        (boot(PayloadInput::File(missing.clone())), "read "),
        (boot(PayloadInput::File(place.file("none", b""))), "found 0 in"),
        (fact("a b", "c"), "found \"a b=c\""),
        (fact("a", "c\nd"), "found \"a=c\\nd\""),
        (common::PushImage { sector_bytes: Some(520), ..request("a", &image) }, "found 520"),
    ] {
        let error = push_image(&place.store, &push, &()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(place.store.labels("*").unwrap(), []);
    assert!(place.store.path().join("tmp").read_dir().unwrap().next().is_none());
}

#[test]
fn a_directory_that_is_no_store_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let error = DirStore::open(root.path()).unwrap_err().to_string();
    assert!(error.contains("is not a store: expected a file inaug-store"), "{error}");
    std::fs::write(root.path().join("letter"), b"").unwrap();
    let error = DirStore::create(root.path()).unwrap_err().to_string();
    assert!(error.ends_with("found letter"), "{error}");
}

#[test]
fn two_pushes_at_once_are_both_right() {
    let place = Place::new();
    let shared = noise(2 << 20, 1);
    let images = [2, 3, 4].map(|seed| [shared.clone(), noise(1 << 20, seed)].concat());
    std::thread::scope(|scope| {
        for (number, bytes) in images.iter().enumerate() {
            let store = DirStore::open(place.store.path()).unwrap();
            let image = place.file(&format!("image{number}"), bytes);
            scope.spawn(move || {
                for copy in 0..3 {
                    let name = format!("label{number}/{copy}");
                    push_image(&store, &request(&name, &image), &()).unwrap();
                }
            });
        }
    });
    for (number, bytes) in images.iter().enumerate() {
        for copy in 0..3 {
            assert!(content(&place.store, &label(&format!("label{number}/{copy}"))).1 == *bytes);
        }
    }
    assert_eq!(listed(&place.store).len(), 9);
}

#[test]
fn a_lost_pack_is_made_again_by_the_same_push() {
    let place = Place::new();
    let bytes = noise(1 << 20, 1);
    let image = place.file("image", &bytes);
    let first = push_image(&place.store, &request("a", &image), &()).unwrap();
    let pack = place.item(&store::source::Item::Pack(first.packs[0].digest));
    File::options().write(true).open(&pack).unwrap().set_len(1000).unwrap();
    let again = push_image(&place.store, &request("a", &image), &()).unwrap();
    assert_eq!(again.damaged_packs, [first.packs[0].digest]);
    assert_eq!(again.packs, first.packs);
    assert!(content(&place.store, &label("a")).1 == bytes);
}

#[derive(Debug, Clone)]
enum Stretch {
    Hole(usize),
    Zero(usize),
    Noise(usize, u64),
}

fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
    let length = 1_usize..400_000;
    let stretch = prop_oneof![
        length.clone().prop_map(Stretch::Hole),
        length.clone().prop_map(Stretch::Zero),
        (length, 0_u64..6).prop_map(|(length, seed)| Stretch::Noise(length, seed)),
    ];
    prop::collection::vec(stretch, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn any_image_comes_back(stretches in prop::collection::vec(stretches(), 1..3)) {
        let place = Place::new();
        for (number, stretches) in stretches.iter().enumerate() {
            let path = place.root.path().join(format!("image{number}"));
            let file = File::create(&path).unwrap();
            let mut at = 0;
            for stretch in stretches {
                let (length, bytes) = match stretch {
                    Stretch::Hole(length) => (*length, Vec::new()),
                    Stretch::Zero(length) => (*length, vec![0; *length]),
                    Stretch::Noise(length, seed) => (*length, noise(*length, *seed)),
                };
                file.write_all_at(&bytes, at).unwrap();
                at += length as u64;
                file.set_len(at).unwrap();
            }
            let name = format!("image{number}");
            push_image(&place.store, &request(&name, &path), &()).unwrap();
            prop_assert!(content(&place.store, &label(&name)).1 == std::fs::read(&path).unwrap());
        }
    }
}
