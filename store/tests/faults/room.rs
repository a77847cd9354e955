//! Disks that are full.

use crate::common::disk::SmallDisk;
use crate::common::oracle::read_back;
use crate::common::{Place, PushImage, label, noise, request};
use std::path::Path;
use store::dir::DirStore;
use store::push::push_image;
use store::verify::verify;

/// Without root no file system can be mounted.
const SKIPPED: &str = "SKIPPED: mounting a small tmpfs needs root";

/// Content of the pushes: 64 KiB take 17 pages in a pack.
const IMAGE_BYTES: usize = 64 << 10;

/// More room than any of these pushes takes, KiB.
const ENOUGH_KIB: u64 = 4096;

/// Where a push ended, as what it had no room for.
struct Swept(Vec<String>);

impl Swept {
    fn note(&mut self, end: &str) {
        if self.0.last().is_none_or(|last| last != end) {
            self.0.push(end.to_owned());
        }
    }

    fn words(mut self) -> String {
        assert_eq!(self.0.last().unwrap(), "done");
        assert!(self.0.len() >= 3, "{:?}", self.0);
        self.0.pop();
        format!("labels as before at {}; then done", self.0.join(", "))
    }
}

/// Does `prepare` with enough room, then `act` with 0, 1, 2 ... free pages until it succeeds.
/// At every end, all labels read back as `before` says, or after success as `after` says.
fn sweep(
    prepare: impl Fn(&DirStore),
    push: impl Fn() -> PushImage,
    before: &[(&str, &[u8])],
    after: &[(&str, &[u8])],
) -> String {
    let mut swept = Swept(Vec::new());
    for pages in 0..200 {
        let Some(disk) = SmallDisk::mount(ENOUGH_KIB) else { return SKIPPED.into() };
        let store = DirStore::create(disk.path().join("store")).unwrap();
        prepare(&store);
        disk.resize(used_kib(disk.path()) + pages * 4);
        let (end, expected) = match push_image(&store, &push(), &()) {
            Ok(report) if report.index_failure.is_none() => ("done".to_owned(), after),
            Ok(report) => {
                let failure = report.index_failure.unwrap();
                assert!(failure.starts_with("no room in the store for a run"), "{failure}");
                ("the index (pushed all the same)".to_owned(), after)
            }
            Err(error) => {
                let text = error.to_string();
                let what = text.strip_prefix("no room in the store for ").expect(&text);
                let what = what.split(": ").next().unwrap();
                let no_digest = what.split(' ').filter(|word| word.len() != 12);
                (no_digest.collect::<Vec<_>>().join(" "), before)
            }
        };
        swept.note(&end);
        for (name, bytes) in expected {
            assert!(read_back(&store, &label(name)).unwrap() == *bytes, "{pages} {end} {name}");
        }
        assert_eq!(store.labels("*").unwrap().len(), expected.len());
        assert!(store.path().join("tmp").read_dir().unwrap().next().is_none());
        disk.resize(ENOUGH_KIB);
        let again = push_image(&store, &push(), &()).unwrap();
        assert_eq!(again.damaged_packs, []);
        assert!(verify(&store, None).unwrap().is_clean());
        if end == "done" {
            break;
        }
    }
    swept.words()
}

fn used_kib(path: &Path) -> u64 {
    let output = std::process::Command::new("df").args(["--output=used", "-k"]).arg(path).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.lines().nth(1).unwrap().trim().parse().unwrap()
}

pub fn first_push() -> String {
    let place = Place::new();
    let bytes = noise(IMAGE_BYTES, 1);
    let image = place.file("image", &bytes);
    sweep(|_| (), || request("a", &image), &[], &[("a", &bytes)])
}

pub fn replacement() -> String {
    let place = Place::new();
    let (old, new) = (noise(IMAGE_BYTES, 1), noise(IMAGE_BYTES, 2));
    let (old_image, new_image) = (place.file("old", &old), place.file("new", &new));
    let prepare = |store: &DirStore| {
        for name in ["a", "b"] {
            push_image(store, &request(name, &old_image), &()).unwrap();
        }
    };
    let push = || PushImage { force: true, ..request("a", &new_image) };
    sweep(prepare, push, &[("a", &old), ("b", &old)], &[("a", &new), ("b", &old)])
}

pub fn facts() -> String {
    let place = Place::new();
    let bytes = noise(IMAGE_BYTES, 1);
    let image = place.file("image", &bytes);
    let prepare = |store: &DirStore| {
        push_image(store, &request("a", &image), &()).unwrap();
    };
    let facts = vec![("state".into(), "good".into())];
    let push = || PushImage { facts: facts.clone(), ..request("a", &image) };
    sweep(prepare, push, &[("a", &bytes)], &[("a", &bytes)])
}

/// What a push leaves that found no room for its record is taken by the next.
pub fn reused() -> String {
    let place = Place::new();
    let image = place.file("image", &noise(IMAGE_BYTES, 1));
    let mut reused = Vec::new();
    for pages in 0..100 {
        let Some(disk) = SmallDisk::mount(ENOUGH_KIB) else { return SKIPPED.into() };
        let store = DirStore::create(disk.path().join("store")).unwrap();
        disk.resize(used_kib(disk.path()) + pages * 4);
        let Err(error) = push_image(&store, &request("a", &image), &()) else { break };
        let packs = store.path().join("packs").read_dir().unwrap().count();
        disk.resize(ENOUGH_KIB);
        let again = push_image(&store, &request("a", &image), &()).unwrap();
        assert_eq!(again.objects_new == 0, packs == 1, "{error}");
        assert_eq!(store.path().join("packs").read_dir().unwrap().count(), 1);
        if packs == 1 {
            reused.push(error.to_string().split(": ").next().unwrap().to_owned());
        }
    }
    reused.dedup();
    assert!(reused.iter().any(|end| end.ends_with("label a")), "{reused:?}");
    format!("nothing is stored twice after \"{}\"", reused.join("\", \""))
}

pub fn removal() -> String {
    let place = Place::new();
    let bytes = noise(IMAGE_BYTES, 1);
    let image = place.file("image", &bytes);
    let Some(disk) = SmallDisk::mount(ENOUGH_KIB) else { return SKIPPED.into() };
    let store = DirStore::create(disk.path().join("store")).unwrap();
    for name in ["a", "b"] {
        push_image(&store, &request(name, &image), &()).unwrap();
    }
    disk.resize(used_kib(disk.path()));
    store.remove_label(&label("a")).unwrap();
    assert_eq!(store.labels("*").unwrap(), [label("b")]);
    assert!(read_back(&store, &label("b")).unwrap() == bytes);
    assert!(verify(&store, None).unwrap().is_clean());
    "removed".into()
}
