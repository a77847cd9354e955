//! Copying, healing and collecting on disks that are full, wherever the room ends.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::disk::SmallDisk;
use common::oracle::read_back;
use common::{Place, PushImage, label, noise, request};
use std::fs;
use std::path::Path;
use std::time::Duration;
use store::copy::{CopyOptions, copy_label};
use store::dir::{DirStore, Moment};
use store::gc::{GcOptions, gc};
use store::heal::verify_and_heal;
use store::push::push_image;
use store::verify::verify;

/// Without root no file system can be mounted.
const SKIPPED: &str = "SKIPPED: mounting a small tmpfs needs root";

const IMAGE_BYTES: usize = 64 << 10;

/// More room than anything here takes, KiB.
const ENOUGH_KIB: u64 = 4096;

fn push(store: &DirStore, place: &Place, name: &str, seeds: &[u64]) {
    let bytes: Vec<u8> = seeds.iter().flat_map(|seed| noise(IMAGE_BYTES, *seed)).collect();
    let file = place.file("image", &bytes);
    push_image(store, &PushImage { force: true, ..request(name, &file) }, &()).unwrap();
}

fn used_kib(path: &Path) -> u64 {
    let output = std::process::Command::new("df").args(["--output=used", "-k"]).arg(path).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.lines().nth(1).unwrap().trim().parse().unwrap()
}

/// Does `act` to a store made by `prepare` with 0, 1, 2 ... free pages until it succeeds; at every
/// end the labels of `there` are whole, and with room `act` succeeds. Returns where it ended.
fn sweep(
    prepare: impl Fn(&DirStore),
    act: impl Fn(&DirStore) -> Result<(), String>,
    there: &[(&str, u64)],
) -> Option<Vec<String>> {
    let mut ends: Vec<String> = Vec::new();
    for pages in 0..200 {
        let disk = SmallDisk::mount(ENOUGH_KIB)?;
        let store = DirStore::create(disk.path().join("store")).unwrap();
        prepare(&store);
        disk.resize(used_kib(disk.path()) + pages * 4);
        let end = act(&store).err().unwrap_or_else(|| "done".into());
        for (name, seed) in there {
            let bytes = read_back(&store, &label(name)).unwrap();
            assert!(bytes == noise(IMAGE_BYTES, *seed), "{pages}: {end}: {name}");
        }
        disk.resize(ENOUGH_KIB);
        act(&store).unwrap();
        assert_eq!(verify(&store, None).unwrap().damages, [], "{pages}: {end}");
        assert!(store.path().join("tmp").read_dir().unwrap().next().is_none(), "{end}");
        let done = end == "done";
        let words: Vec<&str> = end.split([':', ' ']).filter(|word| word.len() != 12).collect();
        let end = words.join(" ").chars().take(60).collect();
        if ends.last() != Some(&end) {
            ends.push(end);
        }
        if done {
            return Some(ends);
        }
    }
    unreachable!("it never succeeds: {ends:?}")
}

fn collect(store: &DirStore, grace_s: u64) -> Result<(), String> {
    let clock = || Moment { boot: "one".into(), seconds: 0 };
    let options = GcOptions {
        dry_run: false,
        max_bytes: None,
        keep: Vec::new(),
        grace_s,
        wait: Duration::ZERO,
        clock: &clock,
    };
    gc(store, &options).map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_copy_ends_in_words_and_the_labels_are_as_they_were() {
    let from = Place::new();
    push(&from.store, &from, "a", &[1]);
    let options = CopyOptions { force: false, pack_bytes: 20_000 };
    let ends = sweep(
        |store| push(store, &from, "b", &[2]),
        |store| {
            let copied = copy_label(&from.store, store, &label("a"), options, &|_, _| ());
            let copied = copied.map_err(|error| error.to_string())?;
            copied.index_failure.map_or(Ok(()), Err)
        },
        &[("b", 2)],
    );
    let Some(ends) = ends else { return eprintln!("{SKIPPED}") };
    eprintln!("{ends:?}");
    assert!(ends[..ends.len() - 1].iter().all(|end| end.starts_with("no room in the store")));
}

#[test]
fn a_collection_that_moves_objects_ends_in_words_and_nothing_is_lost() {
    let place = Place::new();
    let ends = sweep(
        |store| {
            push(store, &place, "a", &[1, 2, 3]);
            push(store, &place, "b", &[1]);
            push(store, &place, "c", &[3]);
            store.remove_label(&label("a")).unwrap();
        },
        |store| collect(store, 0),
        &[("b", 1), ("c", 3)],
    );
    let Some(ends) = ends else { return eprintln!("{SKIPPED}") };
    eprintln!("{ends:?}");
}

#[test]
fn a_full_disk_can_be_tidied_up() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(ENOUGH_KIB) else { return eprintln!("{SKIPPED}") };
    let store = DirStore::create(disk.path().join("store")).unwrap();
    push(&store, &place, "a", &[1]);
    push(&store, &place, "b", &[2]);
    store.remove_label(&label("a")).unwrap();
    let used = used_kib(disk.path());
    disk.resize(used);
    let error = collect(&store, 100).unwrap_err();
    assert!(error.contains("--grace 0 deletes at once what it can"), "{error}");
    collect(&store, 0).unwrap();
    assert!(used_kib(disk.path()) + 64 <= used);
    assert!(read_back(&store, &label("b")).unwrap() == noise(IMAGE_BYTES, 2));
    assert_eq!(verify(&store, None).unwrap().damages, []);
}

#[test]
fn healing_ends_in_words_and_the_store_is_no_worse() {
    let second = Place::new();
    push(&second.store, &second, "a", &[1]);
    push(&second.store, &second, "b", &[2]);
    let ends = sweep(
        |store| {
            push(store, &second, "b", &[2]);
            push(store, &second, "a", &[1]);
            let map = store.read_record(&label("a")).unwrap().manifest;
            let packs = store.path().join("packs").read_dir().unwrap();
            let newest = packs.map(|entry| entry.unwrap().path());
            let newest = newest.max_by_key(|path| path.metadata().unwrap().modified().unwrap());
            let newest = newest.unwrap();
            let mut bytes = fs::read(&newest).unwrap();
            bytes[1000] ^= 1;
            fs::write(newest, bytes).unwrap();
            assert!(store.path().join(format!("maps/{map}")).exists());
        },
        |store| {
            let healed = verify_and_heal(store, None, &second.store, Duration::ZERO);
            let (report, healed) = healed.map_err(|error| error.to_string())?;
            match (report.is_clean(), healed.obstacles.first()) {
                (true, _) => Ok(()),
                (false, obstacle) => Err(format!("not healed: {obstacle:?}")),
            }
        },
        &[("b", 2)],
    );
    let Some(ends) = ends else { return eprintln!("{SKIPPED}") };
    eprintln!("{ends:?}");
}
