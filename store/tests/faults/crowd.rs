//! Many at once.

use crate::common::oracle::read_back;
use crate::common::{Place, PushImage, label, noise, request};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use store::dir::DirStore;
use store::push::{PushError, PushReport, push_image};
use store::verify::verify;

/// What all images have in common, and what each has for itself.
const SHARED_BYTES: usize = 1 << 20;
const OWN_BYTES: usize = 256 << 10;

/// Times each pusher pushes.
const ROUNDS: u64 = 3;

/// Times a label is replaced or removed under readers.
const REPLACED: u64 = 30;

fn image(number: u64) -> Vec<u8> {
    [noise(SHARED_BYTES, 1000), noise(OWN_BYTES, number)].concat()
}

/// Lets `pushers` start at one moment, each with a store opened for itself.
fn together(
    place: &Place,
    pushers: u64,
    push: impl Fn(&DirStore, u64) -> Result<PushReport, PushError> + Sync,
) -> Vec<Result<PushReport, PushError>> {
    let start = Barrier::new(pushers as usize);
    let one = |number| {
        let store = DirStore::open(place.store.path()).unwrap();
        start.wait();
        push(&store, number)
    };
    thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> = (0..pushers).map(|number| scope.spawn(move || one(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// All is whole, nothing is left over, and the index knows every object.
fn settled(place: &Place, pushers: u64) -> String {
    assert!(verify(&place.store, None).unwrap().is_clean());
    assert!(place.store.path().join("tmp").read_dir().unwrap().next().is_none());
    for number in 0..pushers {
        let image = place.file("again", &image(number));
        let push = PushImage { force: true, ..request("again", &image) };
        let again = push_image(&place.store, &push, &()).unwrap();
        assert_eq!(again.objects_new, 0, "{again:?}");
        assert_eq!(again.index_failure, None);
    }
    let runs = place.store.path().join("index").read_dir().unwrap().count();
    let packs = place.store.path().join("packs").read_dir().unwrap().count();
    assert!(runs <= packs);
    format!("{packs} packs, {runs} runs")
}

pub fn one_label_same(pushers: u64) -> String {
    let place = Place::new();
    let file = place.file("image", &image(0));
    for report in together(&place, pushers, |store, _| push_image(store, &request("a", &file), &()))
    {
        report.unwrap();
    }
    assert!(read_back(&place.store, &label("a")).unwrap() == image(0));
    format!("all succeed; {}", settled(&place, 1))
}

pub fn one_label_forced(pushers: u64) -> String {
    let place = Place::new();
    let files: Vec<_> =
        (0..pushers).map(|number| place.file(&number.to_string(), &image(number))).collect();
    let push = |store: &DirStore, number| {
        let image = &files[number as usize];
        for _ in 1..ROUNDS {
            push_image(store, &PushImage { force: true, ..request("a", image) }, &())?;
        }
        push_image(store, &PushImage { force: true, ..request("a", image) }, &())
    };
    for report in together(&place, pushers, push) {
        report.unwrap();
    }
    let last = read_back(&place.store, &label("a")).unwrap();
    assert!((0..pushers).any(|number| image(number) == last));
    format!("all succeed, the last one's is there; {}", settled(&place, pushers))
}

pub fn one_label_taken(pushers: u64) -> String {
    let place = Place::new();
    let files: Vec<_> =
        (0..pushers).map(|number| place.file(&number.to_string(), &image(number))).collect();
    let push = |store: &DirStore, number: u64| {
        push_image(store, &request("a", &files[number as usize]), &())
    };
    let (mut winners, mut taken) = (Vec::new(), 0);
    for (number, report) in together(&place, pushers, push).into_iter().enumerate() {
        match report {
            Ok(_) => winners.push(number as u64),
            Err(PushError::Taken { .. }) => taken += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((winners.len(), taken), (1, pushers - 1));
    assert!(read_back(&place.store, &label("a")).unwrap() == image(winners[0]));
    assert!(verify(&place.store, None).unwrap().is_clean());
    format!("one succeeds, {taken} are told that the label is taken")
}

pub fn own_labels(pushers: u64, same: bool) -> String {
    let place = Place::new();
    let content = |number| image(if same { 0 } else { number });
    let files: Vec<_> =
        (0..pushers).map(|number| place.file(&number.to_string(), &content(number))).collect();
    let push = |store: &DirStore, number: u64| {
        for round in 1..ROUNDS {
            let name = format!("label{number}/{round}");
            push_image(store, &request(&name, &files[number as usize]), &())?;
        }
        push_image(store, &request(&format!("label{number}/0"), &files[number as usize]), &())
    };
    for report in together(&place, pushers, push) {
        report.unwrap();
    }
    for number in 0..pushers {
        for round in 0..ROUNDS {
            let name = label(&format!("label{number}/{round}"));
            assert!(read_back(&place.store, &name).unwrap() == content(number));
        }
    }
    let listed = crate::common::listed(&place.store).len() as u64;
    assert_eq!(listed, pushers * ROUNDS);
    format!("all succeed, {listed} labels; {}", settled(&place, if same { 1 } else { pushers }))
}

/// Runs `write` while readers read `a` again and again; what they read must be in `allowed`
/// or, where `may_be_gone`, nothing. Returns how often they read.
fn readers(place: &Place, allowed: &[Vec<u8>], may_be_gone: bool, write: impl FnOnce()) -> u64 {
    let done = AtomicBool::new(false);
    let read = || {
        let store = DirStore::open(place.store.path()).unwrap();
        let mut reads = 0;
        while !done.load(Ordering::Relaxed) {
            match read_back(&store, &label("a")) {
                Ok(bytes) => assert!(allowed.contains(&bytes), "neither old nor new"),
                Err(error) => assert!(
                    may_be_gone && error.starts_with("label a is not in the store"),
                    "{error}"
                ),
            }
            reads += 1;
        }
        reads
    };
    thread::scope(|scope| {
        let readers = [(); 3].map(|()| scope.spawn(read));
        write();
        done.store(true, Ordering::Relaxed);
        readers.map(|reader| reader.join().unwrap()).iter().sum()
    })
}

pub fn readers_of_replaced() -> String {
    let place = Place::new();
    let images = [image(0), image(1)];
    let files = [place.file("0", &images[0]), place.file("1", &images[1])];
    push_image(&place.store, &request("a", &files[0]), &()).unwrap();
    let reads = readers(&place, &images, false, || {
        for round in 0..REPLACED {
            let push = PushImage { force: true, ..request("a", &files[(round % 2) as usize]) };
            push_image(&place.store, &push, &()).unwrap();
        }
    });
    assert!(reads > 0);
    "each read is the old image or the new one, whole".into()
}

/// Verifies again and again while `write` pushes and removes: a healthy store has no damage.
pub fn verified_beside() -> String {
    let place = Place::new();
    let files = [0, 1].map(|number| place.file(&number.to_string(), &image(number)));
    push_image(&place.store, &request("a", &files[0]), &()).unwrap();
    let done = AtomicBool::new(false);
    let verifies = thread::scope(|scope| {
        let verifier = scope.spawn(|| {
            let store = DirStore::open(place.store.path()).unwrap();
            let mut verifies = 0;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(verify(&store, None).unwrap().damages, []);
                assert_eq!(verify(&store, Some(&label("a"))).unwrap().damages, []);
                verifies += 1;
            }
            verifies
        });
        for round in 0..REPLACED {
            // New content each time: a pack that no listing made before has.
            let file = place.file("new", &image(100 + round));
            let push = PushImage { force: true, ..request("a", &file) };
            push_image(&place.store, &push, &()).unwrap();
            push_image(&place.store, &request("b", &files[1]), &()).unwrap();
            place.store.remove_label(&label("b")).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        verifier.join().unwrap()
    });
    assert!(verifies > 0);
    "a store that is whole is found whole each time".into()
}

pub fn readers_of_removed() -> String {
    let place = Place::new();
    let images = [image(0), image(1)];
    let files = [place.file("0", &images[0]), place.file("1", &images[1])];
    push_image(&place.store, &request("a", &files[0]), &()).unwrap();
    let reads = readers(&place, &images, true, || {
        for round in 0..REPLACED {
            place.store.remove_label(&label("a")).unwrap();
            push_image(&place.store, &request("a", &files[(round % 2) as usize]), &()).unwrap();
        }
    });
    assert!(reads > 0);
    "each read is an image, whole, or \"not in the store\"".into()
}
