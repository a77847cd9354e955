//! The index, which is believed only as far as it is right.

use crate::common::oracle::read_back;
use crate::common::{Place, PushImage, label, noise, request};
use std::fs::{self, File};
use std::path::PathBuf;
use store::Digest;
use store::push::{PushReport, push_image};
use store::source::Item;
use store::verify::verify;

/// Content of the pushes: enough objects for several blocks of a run.
const IMAGE_BYTES: usize = 6 << 20;

/// Flips in a run.
const FLIPS: usize = 40;

struct Pushed {
    place: Place,
    bytes: Vec<u8>,
    image: PathBuf,
    first: PushReport,
}

fn pushed() -> Pushed {
    let place = Place::new();
    let bytes = noise(IMAGE_BYTES, 1);
    let image = place.file("image", &bytes);
    let first = push_image(&place.store, &request("a", &image), &()).unwrap();
    Pushed { place, bytes, image, first }
}

impl Pushed {
    fn run(&self) -> PathBuf {
        let mut runs = self.place.store.path().join("index").read_dir().unwrap();
        let run = runs.next().unwrap().unwrap().path();
        assert!(runs.next().is_none());
        run
    }

    fn pack(&self) -> PathBuf {
        self.place.item(&Item::Pack(self.first.packs[0].digest))
    }

    /// Pushes the same again, under another name: the store holds all of it afterwards.
    fn again(&self) -> PushReport {
        let push = PushImage { force: true, ..request("b", &self.image) };
        let report = push_image(&self.place.store, &push, &()).unwrap();
        for name in ["a", "b"] {
            assert!(read_back(&self.place.store, &label(name)).unwrap() == self.bytes);
        }
        assert_eq!(verify(&self.place.store, None).unwrap().damages, []);
        report
    }
}

pub fn lost() -> String {
    let pushed = pushed();
    let (run, before) = (pushed.run(), fs::read(pushed.run()).unwrap());
    fs::remove_dir_all(run.parent().unwrap()).unwrap();
    assert_eq!(pushed.again().objects_new, 0);
    assert!(fs::read(run).unwrap() == before);
    "made again by the next push, the same bytes; nothing is stored twice".into()
}

pub fn damaged() -> String {
    let pushed = pushed();
    let (run, before) = (pushed.run(), fs::read(pushed.run()).unwrap());
    let mut damages: Vec<Vec<u8>> = (0..FLIPS)
        .map(|number| {
            let mut bytes = before.clone();
            bytes[number * (before.len() - 1) / (FLIPS - 1)] ^= 1 << (number % 8);
            bytes
        })
        .collect();
    damages.extend([0, 1, 4096, before.len() - 1].map(|length| before[..length].to_vec()));
    damages.push(vec![0; before.len()]);
    for (number, damage) in damages.iter().enumerate() {
        fs::write(&run, damage).unwrap();
        let report = pushed.again();
        assert_eq!((report.objects_new, &report.index_failure), (0, &None), "damage {number}");
        assert!(fs::read(&run).unwrap() == before, "damage {number}");
    }
    let count = damages.len();
    format!("{count} damages: noticed and made again by the next push; nothing is stored twice")
}

pub fn foreign() -> String {
    let (ours, other) = (pushed(), Place::new());
    let image = other.file("image", &noise(IMAGE_BYTES, 2));
    push_image(&other.store, &request("x", &image), &()).unwrap();
    let run = other.store.path().join("index").read_dir().unwrap().next().unwrap().unwrap();
    let copy = ours.run().with_file_name(run.file_name());
    fs::copy(run.path(), &copy).unwrap();
    let push = request("x", &image);
    let report = push_image(&ours.place.store, &push, &()).unwrap();
    assert_eq!((report.objects_new, report.packs.len()), (report.objects, 1));
    assert!(verify(&ours.place.store, None).unwrap().is_clean());
    assert_eq!(ours.again().objects_new, 0);
    "nothing it says is believed".into()
}

pub fn occupied() -> String {
    let pushed = pushed();
    let index = pushed.place.store.path().join("index");
    fs::remove_dir_all(&index).unwrap();
    fs::write(&index, "a file").unwrap();
    let report = pushed.again();
    assert_eq!(report.objects_new, 0);
    let failure = report.index_failure.unwrap();
    assert!(failure.starts_with("create "), "{failure}");
    "pushes go on without, and say why".into()
}

pub fn packs_changed() -> String {
    let pushed = pushed();
    let whole = fs::read(pushed.pack()).unwrap();
    fs::remove_file(pushed.pack()).unwrap();
    let report = pushed.again();
    assert_eq!((report.objects_new, &report.packs), (report.objects, &pushed.first.packs));
    for length in [0, 1000, whole.len() as u64 - 1, whole.len() as u64 + 1] {
        File::options().write(true).open(pushed.pack()).unwrap().set_len(length).unwrap();
        let report = pushed.again();
        assert_eq!(report.damaged_packs, [pushed.first.packs[0].digest], "{length}");
        assert_eq!(report.packs, pushed.first.packs, "{length}");
    }
    assert!(fs::read(pushed.pack()).unwrap() == whole);
    assert_eq!(pushed.again().objects_new, 0);
    "what it held is stored again by the next push, the same bytes".into()
}

pub fn pack_zeroed() -> String {
    let pushed = pushed();
    let whole = fs::read(pushed.pack()).unwrap();
    let zeroed = |range: std::ops::Range<usize>| {
        let mut bytes = whole.clone();
        bytes[range].fill(0);
        bytes
    };
    let (length, page) = (whole.len(), 4096);
    for range in
        [0..length, 0..page, length - page..length, length - 1..length, length - 16..length]
    {
        fs::write(pushed.pack(), zeroed(range.clone())).unwrap();
        let report = pushed.again();
        assert_eq!(report.damaged_packs, [pushed.first.packs[0].digest], "{range:?}");
        assert_eq!(report.packs, pushed.first.packs, "{range:?}");
        assert_eq!(report.index_failure, None);
    }
    assert!(fs::read(pushed.pack()).unwrap() == whole);
    "noticed by its ends though a run knows it; stored again, the same bytes".into()
}

/// Two pushes at once may store the same objects twice, in other frames.
pub fn doubled() -> String {
    for seed in 2..10 {
        let (ours, other) = (pushed(), Place::new());
        let bytes = [ours.bytes.clone(), noise(1 << 20, seed)].concat();
        let image = other.file("image", &bytes);
        let pack = push_image(&other.store, &request("x", &image), &()).unwrap().packs[0].digest;
        if pack > ours.first.packs[0].digest {
            continue; // ours is preferred
        }
        let mut rotten = fs::read(other.item(&Item::Pack(pack))).unwrap();
        rotten[1000] ^= 1;
        fs::write(ours.place.item(&Item::Pack(pack)), rotten).unwrap();
        let push = request("a", &ours.image);
        assert_eq!(push_image(&ours.place.store, &push, &()).unwrap().objects_new, 0);
        assert!(read_back(&ours.place.store, &label("a")).unwrap() == ours.bytes);
        return "the same push again keeps the map that works".into();
    }
    panic!("no pack with a lower name");
}

pub fn record_lost() -> String {
    let pushed = pushed();
    let store = &pushed.place.store;
    fs::remove_file(pushed.place.item(&Item::Label(label("a")))).unwrap();
    for name in ["b", "c", "c"] {
        push_image(store, &request(name, &pushed.image), &()).unwrap();
        let damages = verify(store, None).unwrap().damages;
        assert_eq!(damages.iter().map(|damage| &*damage.object).collect::<Vec<_>>(), ["label a"]);
    }
    // A list that a cut left behind its records is made right by the same push.
    let list = pushed.place.item(&Item::LabelList);
    let before = fs::read(&list).unwrap();
    fs::write(&list, &before[..before.len() - 67]).unwrap();
    push_image(store, &request("c", &pushed.image), &()).unwrap();
    assert!(fs::read(&list).unwrap() == before);
    store.remove_label(&label("a")).unwrap();
    assert_eq!(verify(store, None).unwrap().damages, []);
    assert!(store.remove_label(&label("a")).is_err());
    "it stays on the list, so a verification says so until it is removed or pushed".into()
}

pub fn unknown_pack() -> String {
    let (ours, other) = (pushed(), Place::new());
    let bytes = noise(IMAGE_BYTES, 2);
    let image = other.file("image", &bytes);
    let pack = push_image(&other.store, &request("x", &image), &()).unwrap().packs[0].digest;
    fs::copy(other.item(&Item::Pack(pack)), ours.place.item(&Item::Pack(pack))).unwrap();
    let report = push_image(&ours.place.store, &request("x", &image), &()).unwrap();
    assert_eq!(report.objects_new, 0);
    assert!(read_back(&ours.place.store, &label("x")).unwrap() == bytes);
    let rotten = Digest::of(b"rotten");
    fs::write(ours.place.item(&Item::Pack(rotten)), "no pack").unwrap();
    let report = push_image(&ours.place.store, &request("y", &image), &()).unwrap();
    assert_eq!((report.objects_new, report.damaged_packs), (0, vec![rotten]));
    "a whole one is used, a rotten one is named".into()
}
