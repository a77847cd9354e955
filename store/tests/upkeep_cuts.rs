//! Collecting, renaming and healing that are killed: no label is lost, and the same again finishes it.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::oracle::read_back;
use common::{Place, PushImage, label, listed, noise, request};
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use store::dir::{DirStore, Moment};
use store::gc::{GcOptions, gc};
use store::heal::verify_and_heal;
use store::push::push_image;
use store::source::Item;
use store::verify::verify;

const ACT: &str = "INAUG_TEST_ACT";
const STORE: &str = "INAUG_TEST_STORE";
const SECOND: &str = "INAUG_TEST_SECOND";

/// signal(7), on every architecture.
const SIGKILL: i32 = 9;

/// Locks of the dead are free, but for the moment in which a process that is started by another test has
/// all that this one had open.
const WAIT: Duration = Duration::from_mins(1);

/// How often each act is killed, evenly over the time that it takes.
const KILLS: u32 = 24;

const PART_BYTES: usize = 500 << 10;

fn image(parts: &[u64]) -> Vec<u8> {
    parts.iter().flat_map(|seed| noise(PART_BYTES, *seed)).collect()
}

fn push(place: &Place, name: &str, parts: &[u64]) {
    let file = place.file("image", &image(parts));
    push_image(&place.store, &PushImage { force: true, ..request(name, &file) }, &()).unwrap();
}

fn collect(store: &DirStore) {
    let options = GcOptions {
        dry_run: false,
        max_bytes: None,
        keep: Vec::new(),
        grace_s: 0,
        wait: WAIT,
        clock: &Moment::now,
    };
    gc(store, &options).unwrap();
}

/// There and back, for long enough to be killed on the way, and there. Who was killed may have left
/// either name, or both.
fn rename(store: &DirStore) {
    let (a, new) = (label("a"), label("new"));
    for _ in 0..4 {
        store.rename_label(&a, &new, false).ok();
        store.rename_label(&new, &a, false).unwrap();
    }
    store.rename_label(&a, &new, false).unwrap();
}

fn act(name: &str, store: &DirStore, second: &DirStore) {
    match name {
        "collect" => collect(store),
        "rename" => rename(store),
        _ => {
            let (_, healed) = verify_and_heal(store, None, second, WAIT).unwrap();
            assert_eq!(healed.obstacles, [] as [String; 0]);
        }
    }
}

/// Not a test of its own: what the killed process runs.
#[test]
fn child() {
    let variable = |name: &str| std::env::var(name).ok();
    let Some(name) = variable(ACT) else { return };
    let store = |name: &str| DirStore::open(variable(name).unwrap()).unwrap();
    let (store, second) = (store(STORE), store(SECOND));
    // The parent starts to count when this has come.
    println!("started");
    act(&name, &store, &second);
}

fn start(name: &str, store: &Path, second: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .envs([(ACT, name.as_ref()), (STORE, store.as_os_str()), (SECOND, second.as_os_str())])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = child.stdout.as_mut().unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"started\n") {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    child
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(path, to).unwrap();
        }
    }
}

/// Kills `name` in copies of the store; after each `check` is given the store as it was left, and
/// then as the act, done again, leaves it.
fn kill(name: &str, place: &Place, second: &Place, check: &dyn Fn(&DirStore, bool)) {
    let copies = place.root.path().join("copies");
    fs::create_dir(&copies).unwrap();
    let (mut killed, mut whole) = (0, Duration::ZERO);
    for round in 0..=KILLS {
        let path = copies.join(round.to_string());
        copy(place.store.path(), &path);
        let mut child = start(name, &path, second.store.path());
        let began = Instant::now();
        if round == 0 {
            assert!(child.wait().unwrap().success());
            whole = began.elapsed();
        } else {
            std::thread::sleep(whole * (round - 1) / KILLS); // what is tried is the moment of the kill
            child.kill().unwrap();
            killed += u32::from(child.wait().unwrap().signal() == Some(SIGKILL));
        }
        let store = DirStore::open(&path).unwrap();
        check(&store, false);
        act(name, &store, &second.store);
        check(&store, true);
        collect(&store);
        assert!(path.join("tmp").read_dir().unwrap().next().is_none(), "{round}");
        fs::remove_dir_all(path).unwrap();
    }
    eprintln!("{name}: {killed} of {KILLS} killed before their end, which took {whole:?}");
    assert!(killed > 0);
}

#[test]
fn a_collection_that_is_killed_loses_nothing() {
    let (place, second) = (Place::new(), Place::new());
    push(&place, "a", &[1, 2, 3, 4]);
    push(&place, "b", &[1, 9]);
    push(&place, "c", &[4, 8]);
    push(&place, "dead", &[7]);
    place.store.remove_label(&label("a")).unwrap();
    place.store.remove_label(&label("dead")).unwrap();
    kill("collect", &place, &second, &|store, is_done| {
        for (name, parts) in [("b", [1, 9]), ("c", [4, 8])] {
            assert!(read_back(store, &label(name)).unwrap() == image(&parts), "{name}");
        }
        assert_eq!(verify(store, None).unwrap().damages, []);
        if is_done {
            let packs = store.path().join("packs").read_dir().unwrap();
            let bytes: u64 = packs.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
            let needed = 4 * PART_BYTES as u64;
            assert!((needed..needed + (64 << 10)).contains(&bytes), "{bytes}");
            assert!(!store.path().join("gc.journal").exists());
        }
    });
}

#[test]
fn a_renaming_that_is_killed_leaves_one_of_the_names() {
    let (place, second) = (Place::new(), Place::new());
    push(&place, "a", &[1]);
    push(&place, "other", &[2]);
    kill("rename", &place, &second, &|store, is_done| {
        let mut names = store.labels("*").unwrap();
        names.retain(|name| *name != label("other"));
        assert!(!names.is_empty());
        for name in &names {
            assert!(read_back(store, name).unwrap() == image(&[1]), "{name}");
        }
        if is_done {
            assert_eq!(names, [label("new")]);
            let names: Vec<_> = listed(store).into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, [label("new"), label("other")]);
            assert_eq!(verify(store, None).unwrap().damages, []);
        }
    });
}

#[test]
fn a_healing_that_is_killed_makes_nothing_worse() {
    let (place, second) = (Place::new(), Place::new());
    push(&place, "a", &[1, 2]);
    push(&place, "b", &[3]);
    push(&second, "a", &[1, 2]);
    let manifest = place.store.read_record(&label("a")).unwrap().manifest;
    let pack = place.store.path().join("packs").read_dir().unwrap();
    let pack = pack.map(|entry| entry.unwrap().path());
    let pack = pack.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[300_000] ^= 1;
    fs::write(&pack, bytes).unwrap();
    fs::remove_file(place.item(&Item::Manifest(manifest))).unwrap();
    kill("heal", &place, &second, &|store, is_done| {
        assert!(read_back(store, &label("b")).unwrap() == image(&[3]));
        if is_done {
            assert!(read_back(store, &label("a")).unwrap() == image(&[1, 2]));
            assert_eq!(verify(store, None).unwrap().damages, []);
        }
    });
}
