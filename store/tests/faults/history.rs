//! Any history of a store's packs and runs: whatever was lost, cut, flipped or put back before a
//! push, afterwards the label's content can be read.

use crate::common::oracle::read_back;
use crate::common::{Place, PushImage, label, noise, request};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use store::pack::{HEADER, TAIL_BYTES};
use store::push::push_image;

/// Images that share parts.
const IMAGES: u64 = 4;

/// Something that happens to a store. Numbers choose among what is there.
#[derive(Debug, Clone)]
enum Event {
    Push(u64),
    LosePack(usize),
    CutPack(usize, usize),
    /// In its header or tail: what is between them only reading all of it would find.
    FlipPack(usize, usize),
    /// As long as before, all zeroes: what a power cut leaves where nothing was written back.
    ZeroPack(usize),
    LoseRun(usize),
    CutRun(usize, usize),
    FlipRun(usize, usize),
    SaveRuns,
    RestoreRuns,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let any = any::<usize>;
    let event = prop_oneof![
        6 => (0..IMAGES).prop_map(Event::Push),
        2 => any().prop_map(Event::LosePack),
        1 => (any(), any()).prop_map(|(pack, at)| Event::CutPack(pack, at)),
        1 => (any(), any()).prop_map(|(pack, at)| Event::FlipPack(pack, at)),
        1 => any().prop_map(Event::ZeroPack),
        1 => any().prop_map(Event::LoseRun),
        1 => (any(), any()).prop_map(|(run, at)| Event::CutRun(run, at)),
        2 => (any(), any()).prop_map(|(run, at)| Event::FlipRun(run, at)),
        1 => Just(Event::SaveRuns),
        1 => Just(Event::RestoreRuns),
    ];
    prop::collection::vec(event, 1..24)
}

fn image(number: u64) -> Vec<u8> {
    let parts = (number..number + 3).map(|part| noise(90_000 + part as usize * 4096, part + 1));
    parts.collect::<Vec<_>>().concat()
}

/// One of the files in a directory of the store, if there is any.
fn one(place: &Place, directory: &str, number: usize) -> Option<PathBuf> {
    let entries = place.store.path().join(directory).read_dir().ok()?;
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    (!files.is_empty()).then(|| files.swap_remove(number % files.len()))
}

fn change(path: Option<PathBuf>, change: impl FnOnce(&mut Vec<u8>)) {
    let Some(path) = path else { return };
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn remove(path: Option<PathBuf>) {
    if let Some(path) = path {
        fs::remove_file(path).unwrap();
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let Ok(entries) = from.read_dir() else { return };
    for entry in entries.map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Flips one bit of a pack's header or tail. A pack that was cut shorter has none.
fn flip_end(at: usize) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| {
        let (header, tail) = (HEADER.len(), TAIL_BYTES);
        let of_ends = at / 8 % (header + tail);
        let place = match of_ends.checked_sub(header) {
            None => Some(of_ends),
            Some(of_tail) => bytes.len().checked_sub(tail - of_tail),
        };
        if let Some(byte) = place.and_then(|place| bytes.get_mut(place)) {
            *byte ^= 1 << (at % 8);
        }
    }
}

fn happen(place: &Place, event: &Event) {
    let (index, saved) = (place.store.path().join("index"), place.root.path().join("saved"));
    let cut = |at: usize| move |bytes: &mut Vec<u8>| bytes.truncate(at % (bytes.len() + 1));
    let flip = |at: usize| {
        move |bytes: &mut Vec<u8>| {
            let length = bytes.len().max(1);
            bytes.iter_mut().skip(at / 8 % length).take(1).for_each(|byte| *byte ^= 1 << (at % 8));
        }
    };
    match *event {
        Event::Push(number) => {
            let file = place.file("image", &image(number));
            let push = PushImage { force: true, ..request("a", &file) };
            let report = push_image(&place.store, &push, &()).unwrap();
            assert!(read_back(&place.store, &label("a")) == Ok(image(number)), "{report:?}");
        }
        Event::LosePack(number) => {
            remove(one(place, "packs", number));
        }
        Event::CutPack(number, at) => change(one(place, "packs", number), cut(at)),
        Event::FlipPack(number, at) => change(one(place, "packs", number), flip_end(at)),
        Event::ZeroPack(number) => change(one(place, "packs", number), |bytes| bytes.fill(0)),
        Event::LoseRun(number) => {
            remove(one(place, "index", number));
        }
        Event::CutRun(number, at) => change(one(place, "index", number), cut(at)),
        Event::FlipRun(number, at) => change(one(place, "index", number), flip(at)),
        Event::SaveRuns => copy_all(&index, &saved),
        Event::RestoreRuns => copy_all(&saved, &index),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn whatever_happened_a_push_makes_its_label_whole(events in events()) {
        let place = Place::new();
        for event in &events {
            happen(&place, event);
        }
        happen(&place, &Event::Push(0));
    }
}
