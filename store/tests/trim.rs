//! Free space is pushed as zeroes, and as nothing else.
#![allow(clippy::unwrap_used, reason = "a failed step is the test's failure")]

mod common;

use common::{Place, content, label, noise, request};
use proptest::prelude::*;
use std::fs::File;
use std::time::Duration;
use store::push::{Free, PushError, PushImage, Stamp, push_image};

/// Pushes `image` with `ranges` free.
fn push(place: &Place, name: &str, image: &[u8], ranges: Vec<(u64, u64)>) -> store::Digest {
    let path = place.file(name, image);
    let as_of = Stamp::of(&File::open(&path).unwrap()).unwrap();
    let free = Some(Free { ranges, as_of });
    let push = PushImage { free, ..request(name, &path) };
    push_image(&place.store, &push, &()).unwrap().manifest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The same manifest as that of the image with zeroes there: stretches that are skipped, that
    /// are read, that are no whole blocks, at both ends.
    #[test]
    fn a_trimmed_push_is_the_push_of_zeroes(
        length in 1_usize..6 << 20,
        free in prop::collection::vec((0_u64..6 << 20, prop_oneof![1_u64..9000, 1_u64..3 << 20]), 0..12),
    ) {
        let place = Place::new();
        let image = noise(length, 7);
        let mut cleared = image.clone();
        for (start, bytes) in &free {
            let start = (*start as usize).min(length);
            let end = (start + *bytes as usize).min(length);
            cleared[start..end].fill(0);
        }
        let trimmed = push(&place, "trimmed", &image, free);
        prop_assert!(content(&place.store, &label("trimmed")).1 == cleared);
        prop_assert_eq!(push(&place, "cleared", &cleared, Vec::new()), trimmed);
    }
}

#[test]
fn what_is_free_is_counted_and_an_image_written_to_since_is_not_pushed() {
    let place = Place::new();
    let path = place.file("image", &noise(100_000, 1));
    let as_of = Stamp::of(&File::open(&path).unwrap()).unwrap();
    let ranges = vec![(4096, 8192), (8192, 8192), (99_000, 1 << 40)];
    let free = Some(Free { ranges, as_of });
    let push = PushImage { free, ..request("a", &path) };
    let report = push_image(&place.store, &push, &()).unwrap();
    assert_eq!(report.trimmed_bytes, 12_288 + 1000);
    let refused = || {
        let error = push_image(&place.store, &push, &()).unwrap_err();
        assert!(matches!(error, PushError::Changed { .. }), "{error}");
    };
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(modified + Duration::from_nanos(1)).unwrap();
    refused();
    file.set_modified(modified).unwrap();
    refused();
    std::fs::rename(place.file("other", &noise(100_000, 1)), &path).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    refused();
}
