//! Clocks that jump: nothing but what a record says may come of them.

use crate::common::oracle::read_back;
use crate::common::{Place, PushImage, label, noise, request};
use std::fs::{self, File};
use std::time::{Duration, SystemTime};
use store::dir::LabelChange;
use store::push::push_image;
use store::verify::verify;

pub fn pushes() -> String {
    let place = Place::new();
    let times = [1_700_000_000, 0, 4_000_000_000, 1, u64::MAX, 1_700_000_001];
    for (number, pushed_unix_s) in times.into_iter().enumerate() {
        let bytes = noise(100_000, number as u64 + 1);
        let image = place.file("image", &bytes);
        let push = PushImage { force: true, pushed_unix_s, ..request("a", &image) };
        let report = push_image(&place.store, &push, &()).unwrap();
        assert!(matches!(report.label, LabelChange::New | LabelChange::Replaced(_)));
        assert_eq!(place.store.read_record(&label("a")).unwrap().pushed_unix_s, pushed_unix_s);
        assert!(read_back(&place.store, &label("a")).unwrap() == bytes);
    }
    assert!(verify(&place.store, None).unwrap().is_clean());
    "the last push counts, whatever its time".into()
}

/// Locks say who lives, times do not.
pub fn leftovers() -> String {
    let place = Place::new();
    let year = Duration::from_hours(365 * 24);
    let now = SystemTime::now();
    let times = [SystemTime::UNIX_EPOCH, now - year, now, now + year, now + 100 * year];
    let tmp = place.store.path().join("tmp");
    let mut living = Vec::new();
    for (number, time) in times.iter().enumerate() {
        for (name, lives) in [("dead", false), ("live", true)] {
            let path = tmp.join(format!("{}-{name}", 4_000_000 + number));
            let file = File::create(&path).unwrap();
            file.set_times(fs::FileTimes::new().set_modified(*time).set_accessed(*time)).unwrap();
            if lives {
                file.lock().unwrap();
                living.push((path, file));
            }
        }
    }
    let image = place.file("image", &noise(100_000, 1));
    let report = push_image(&place.store, &request("a", &image), &()).unwrap();
    assert_eq!(report.cleaned_files, times.len());
    assert!(living.iter().all(|(path, _)| path.exists()));
    assert_eq!(tmp.read_dir().unwrap().count(), living.len());
    "those of dead writers are removed, those of living ones stay".into()
}
