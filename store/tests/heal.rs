//! Healing: whatever is damaged, what a second store has comes back.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::oracle::read_back;
use common::{Place, PushImage, label, noise, request};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use store::copy::{CopyOptions, copy_label};
use store::dir::LabelChange;
use store::heal::{Healed, verify_and_heal};
use store::push::push_image;
use store::verify::{Report, verify};

const LABELS: [(&str, [u64; 3]); 3] =
    [("one", [1, 2, 3]), ("two", [2, 3, 4]), ("three", [5, 6, 1])];

fn image(parts: &[u64]) -> Vec<u8> {
    parts.iter().flat_map(|seed| noise(150 << 10, *seed)).collect()
}

fn push(place: &Place, name: &str, parts: &[u64]) -> u64 {
    let file = place.file("image", &image(parts));
    let push = PushImage { force: true, ..request(name, &file) };
    push_image(&place.store, &push, &()).unwrap().objects_new
}

/// A store of the labels, and another one that has `names` of them in other packs.
fn two(names: &[&str]) -> (Place, Place) {
    let (place, second) = (Place::new(), Place::new());
    for (name, parts) in LABELS {
        push(&place, name, &parts);
    }
    let options = CopyOptions { force: false, pack_bytes: 100_000 };
    for name in names {
        copy_label(&place.store, &second.store, &label(name), options, &|_, _| ()).unwrap();
    }
    (place, second)
}

fn heal(place: &Place, second: &Place) -> (Report, Healed) {
    verify_and_heal(&place.store, None, &second.store, Duration::ZERO).unwrap()
}

fn files_of(place: &Place, directory: &str) -> Vec<PathBuf> {
    let entries = place.store.path().join(directory).read_dir().unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn check_whole(place: &Place) {
    for (name, parts) in LABELS {
        assert!(read_back(&place.store, &label(name)).unwrap() == image(&parts), "{name}");
        // Also for those who write: nothing is relied on that is not there.
        let again = place.file("again", &image(&parts));
        let push = push_image(&place.store, &request(name, &again), &()).unwrap();
        assert_eq!((push.label, push.objects_new), (LabelChange::Same, 0), "{name}");
    }
    assert_eq!(verify(&place.store, None).unwrap().damages, []);
    assert_eq!(files_of(place, "tmp"), [] as [PathBuf; 0]);
    assert!(!place.store.path().join("gc.journal").exists());
}

#[test]
fn whatever_is_damaged_comes_back() {
    let mut healings = 0;
    for directory in ["packs", "maps", "manifests", "labels"] {
        for number in 0..3 {
            for damage in 0..4_usize {
                let (place, second) = two(&["one", "two", "three"]);
                let path = files_of(&place, directory).swap_remove(number);
                let mut bytes = fs::read(&path).unwrap();
                match damage {
                    0 => fs::remove_file(&path).unwrap(),
                    1 => fs::write(&path, &bytes[..bytes.len() / 3]).unwrap(),
                    _ => {
                        let at = bytes.len() * (5 * (damage - 2) + 1) / 8;
                        bytes[at] ^= 32;
                        fs::write(&path, bytes).unwrap();
                    }
                }
                let what = format!("{directory} {number} {damage}");
                let (report, healed) = heal(&place, &second);
                assert_eq!(report.damages, [], "{what}: {healed:?}");
                assert_eq!(healed.obstacles, [] as [String; 0], "{what}");
                healings += 1;
                check_whole(&place);
            }
        }
    }
    eprintln!("{healings} damages healed");
}

#[test]
fn only_what_is_lost_is_taken() {
    let (place, second) = two(&["one", "two", "three"]);
    let path =
        files_of(&place, "packs").into_iter().max_by_key(|path| path.metadata().unwrap().len());
    let path = path.unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[50_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (report, healed) = heal(&place, &second);
    assert_eq!(report.damages, []);
    assert!(
        healed.taken_objects > 0 && healed.taken_objects < healed.objects / 2 + 20,
        "{healed:?}"
    );
    assert_eq!(healed.removed_packs.len(), 1);
    assert!(!path.exists());
    check_whole(&place);
}

#[test]
fn what_the_second_store_has_not_is_said() {
    let (place, second) = two(&["one"]);
    for path in files_of(&place, "packs") {
        let mut bytes = fs::read(&path).unwrap();
        bytes[1000] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let (report, healed) = heal(&place, &second);
    assert!(read_back(&place.store, &label("one")).unwrap() == image(&LABELS[0].1));
    assert!(!report.is_clean());
    assert!(
        healed.obstacles.iter().any(|text| text.contains("are not to be had from")),
        "{healed:?}"
    );
    let hurt: Vec<_> = report.damages.iter().flat_map(|damage| damage.labels.clone()).collect();
    assert!(!hurt.contains(&label("one")) && hurt.contains(&label("three")), "{hurt:?}");

    // From a third store, the rest.
    let third = Place::new();
    for (name, parts) in LABELS {
        push(&third, &format!("other/{name}"), &[parts[0], parts[1], parts[2], 77]);
    }
    let (report, healed) = heal(&place, &third);
    assert_eq!(report.damages, [], "{healed:?}");
    check_whole(&place);
}

#[test]
fn a_second_store_that_lies_does_no_harm() {
    let (place, second) = two(&["one", "two", "three"]);
    for path in files_of(&second, "packs") {
        let mut bytes = fs::read(&path).unwrap();
        bytes.iter_mut().skip(16).step_by(512).for_each(|byte| *byte ^= 1);
        fs::write(path, bytes).unwrap();
    }
    let path = files_of(&place, "packs").swap_remove(0);
    let sound = fs::read(&path).unwrap();
    let mut bytes = sound.clone();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (report, healed) = heal(&place, &second);
    assert!(!report.is_clean() && !healed.obstacles.is_empty());
    assert_eq!(healed.taken_objects, 0, "what it said to have, it had not");
    assert!(path.exists(), "it may hold what nobody else has");
    fs::write(&path, sound).unwrap();
    assert_eq!(verify(&place.store, None).unwrap().damages, []);
    check_whole(&place);
}

#[test]
fn a_store_that_is_whole_stays_as_it_is() {
    let (place, second) = two(&["one"]);
    let before = common::files(&place.store);
    let (report, healed) = heal(&place, &second);
    assert!(report.is_clean());
    assert_eq!(healed, Healed::default());
    assert_eq!(common::files(&place.store), before);
}
