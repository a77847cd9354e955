//! Pushes that are cut, and disks that are full.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::disk::SmallDisk;
use common::{Place, PushImage, content, files, label, listed, noise, request};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use store::dir::DirStore;
use store::push::push_image;
use store::verify::verify;

/// signal(7), on every architecture.
const SIGKILL: i32 = 9;

const STORE: &str = "INAUG_TEST_STORE";
const IMAGE: &str = "INAUG_TEST_IMAGE";

/// Not a test of its own: what the killed process runs.
#[test]
fn child_pushes() {
    let (Ok(store), Ok(image)) = (std::env::var(STORE), std::env::var(IMAGE)) else { return };
    let store = DirStore::open(store).unwrap();
    let push = PushImage { force: true, ..request("label", Path::new(&image)) };
    push_image(&store, &push, &()).unwrap();
}

fn start_child(store: &Path, image: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child_pushes", "--exact"])
        .env(STORE, store)
        .env(IMAGE, image)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_push_leaves_the_old_label_or_the_new_one() {
    let place = Place::new();
    let images: Vec<(PathBuf, Vec<u8>)> = (0..2)
        .map(|seed| {
            let bytes = noise(6 << 20, seed + 1);
            (place.file(&format!("image{seed}"), &bytes), bytes)
        })
        .collect();
    push_image(&place.store, &request("label", &images[0].0), &()).unwrap();
    let whole = std::time::Instant::now();
    assert!(start_child(place.store.path(), &images[1].0).wait().unwrap().success());
    let whole = whole.elapsed();
    let (mut killed, mut cleaned) = (0, 0);
    for round in 0..24_u32 {
        // Packs of earlier rounds would leave nothing to write.
        for directory in ["packs", "maps", "manifests", "labels"] {
            for entry in std::fs::read_dir(place.store.path().join(directory)).unwrap() {
                std::fs::remove_file(entry.unwrap().path()).unwrap();
            }
        }
        std::fs::remove_file(place.store.path().join("labels.list")).unwrap();
        let (old, new) = (&images[(round % 2) as usize], &images[(1 - round % 2) as usize]);
        let push = PushImage { force: true, ..request("label", &old.0) };
        cleaned += push_image(&place.store, &push, &()).unwrap().cleaned_files;
        let mut child = start_child(place.store.path(), &new.0);
        std::thread::sleep(Duration::from_micros(whole.as_micros() as u64 * u64::from(round) / 20));
        child.kill().ok();
        killed += u32::from(child.wait().unwrap().signal() == Some(SIGKILL));
        let image = content(&place.store, &label("label")).1;
        assert!(image == old.1 || image == new.1, "round {round}");
        let damages = verify(&place.store, None).unwrap().damages;
        assert_eq!(damages, [], "round {round}");
    }
    let last = push_image(&place.store, &request("other", &images[0].0), &()).unwrap();
    eprintln!("{killed} of 24 killed before their end, {cleaned} files cleaned");
    assert!(killed >= 5, "{killed}");
    assert!(place.store.path().join("tmp").read_dir().unwrap().next().is_none());
    assert_eq!(listed(&place.store).len(), 2);
    assert_eq!(last.damaged_packs, []);
}

#[test]
fn two_processes_push_at_once() {
    let place = Place::new();
    let bytes = noise(4 << 20, 1);
    let image = place.file("image", &bytes);
    let children: Vec<_> = (0..3).map(|_| start_child(place.store.path(), &image)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert!(content(&place.store, &label("label")).1 == bytes);
    assert!(verify(&place.store, None).unwrap().is_clean());
}

#[test]
fn a_full_disk_ends_in_words_and_an_unchanged_store() {
    let Some(disk) = SmallDisk::mount(4096) else {
        eprintln!("SKIPPED: mounting a small tmpfs needs root");
        return;
    };
    let place = Place::new();
    let store = DirStore::create(disk.path().join("store")).unwrap();
    push_image(&store, &request("a", &place.file("a", &noise(1 << 20, 1))), &()).unwrap();
    let before = files(&store);
    let big = place.file("b", &noise(8 << 20, 2));
    for name in ["a", "b"] {
        let push = PushImage { force: true, ..request(name, &big) };
        let error = push_image(&store, &push, &()).unwrap_err().to_string();
        assert!(error.starts_with("no room in the store for a pack: writing "), "{error}");
        assert_eq!(files(&store), before);
    }
    push_image(&store, &request("c", &place.file("c", &noise(1 << 20, 3))), &()).unwrap();
    assert!(verify(&store, None).unwrap().is_clean());
}

#[test]
fn room_that_ends_at_any_file_leaves_the_store_unchanged() {
    let place = Place::new();
    let image = place.file("image", &noise(1 << 20, 2));
    let mut ends = Vec::new();
    // The pack takes 257 to 260 pages; the files after it a page or two each.
    for pages in 255..280 {
        let Some(disk) = SmallDisk::mount(pages * 4) else {
            eprintln!("SKIPPED: mounting a small tmpfs needs root");
            return;
        };
        let store = DirStore::create(disk.path().join("store")).unwrap();
        let before = files(&store);
        match push_image(&store, &request("a", &image), &()) {
            Ok(_) => {
                assert!(verify(&store, None).unwrap().is_clean());
                ends.push("done".to_owned());
            }
            Err(error) => {
                let text = error.to_string();
                let what = text.strip_prefix("no room in the store for ").expect(&text);
                ends.push(what.split([' ', ':']).next().unwrap().to_owned());
                let labels: Vec<_> = files(&store)
                    .into_iter()
                    .filter(|(path, _)| path.to_string_lossy().contains("label"))
                    .collect();
                let labels_before: Vec<_> = before
                    .into_iter()
                    .filter(|(path, _)| path.to_string_lossy().contains("label"))
                    .collect();
                assert_eq!(labels, labels_before, "{text}");
                assert!(store.path().join("tmp").read_dir().unwrap().next().is_none());
            }
        }
    }
    ends.dedup();
    eprintln!("room ended at: {ends:?}");
    assert!(ends.len() >= 3 && ends.last().is_some_and(|end| end == "done"), "{ends:?}");
}
