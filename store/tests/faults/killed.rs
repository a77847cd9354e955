//! Processes that are killed.

use crate::common::oracle::read_back;
use crate::common::{Place, PushImage, label, noise, request};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use store::dir::DirStore;
use store::push::push_image;
use store::source::Item;
use store::verify::verify;

const STORE: &str = "INAUG_TEST_FAULTS_STORE";
const IMAGES: &str = "INAUG_TEST_FAULTS_IMAGES";

/// signal(7), on every architecture.
const SIGKILL: i32 = 9;

/// How many processes are killed.
const KILLS: u64 = 30;

/// Kills come after so many steps of this, one more each time: all of a round is met.
const STEP: Duration = Duration::from_millis(7);

/// Pushes, replaces and removes until it is killed.
pub fn child() {
    let (Ok(store), Ok(images)) = (std::env::var(STORE), std::env::var(IMAGES)) else { return };
    let store = DirStore::open(store).unwrap();
    let image = |number: u64| Path::new(&images).join(number.to_string());
    // The parent starts to count when this has come.
    println!("started");
    for round in 0_u64.. {
        let push = PushImage { force: true, ..request("a", &image(round % 3)) };
        push_image(&store, &push, &()).unwrap();
        push_image(&store, &request("b", &image(2)), &()).unwrap();
        store.remove_label(&label("b")).unwrap();
    }
}

pub fn anywhere() -> String {
    let place = Place::new();
    let images: Vec<_> = (0..3).map(|number| noise(1 << 20, number + 1)).collect();
    for (number, bytes) in images.iter().enumerate() {
        place.file(&number.to_string(), bytes);
    }
    push_image(&place.store, &request("a", &place.root.path().join("0")), &()).unwrap();
    let (mut b_there, mut cleaned) = (0, 0);
    for kill in 0..KILLS {
        if kill % 3 == 0 {
            forget_packs(&place);
        }
        kill_one(&place, STEP * kill as u32);
        let a = read_back(&place.store, &label("a")).unwrap();
        assert!(images.contains(&a), "kill {kill}");
        if place.store.labels("b").unwrap() == [label("b")] {
            assert!(read_back(&place.store, &label("b")).unwrap() == images[2], "kill {kill}");
            b_there += 1;
        }
        assert_eq!(verify(&place.store, None).unwrap().damages, [], "kill {kill}");
        let push = request("c", &place.root.path().join("1"));
        cleaned += push_image(&place.store, &push, &()).unwrap().cleaned_files;
        assert!(place.store.path().join("tmp").read_dir().unwrap().next().is_none());
    }
    eprintln!("{KILLS} kills: the second label there after {b_there}, {cleaned} files cleaned");
    format!("after each of {KILLS} kills every label is old or new, whole, and tmp is cleaned")
}

/// Lets all that `a` does not need be pushed anew.
fn forget_packs(place: &Place) {
    for directory in ["packs", "maps", "manifests", "labels"] {
        for entry in place.store.path().join(directory).read_dir().unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
    std::fs::remove_file(place.item(&Item::LabelList)).unwrap();
    push_image(&place.store, &request("a", &place.root.path().join("0")), &()).unwrap();
}

fn kill_one(place: &Place, after: Duration) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(STORE, place.store.path())
        .env(IMAGES, place.root.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"started\n") {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    std::thread::sleep(after); // the moment of the kill is what is tried, nothing is waited for
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL));
}
