//! Reading manifests: resumed, damaged, and with the map of something else.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::{Place, label, noise, request};
use std::fs;
use std::os::unix::fs::FileExt;
use store::manifest_reader::{
    ReadError, read_label, read_map, read_root, read_segments, read_segments_of,
};
use store::push::push_image;
use store::source::{Item, Source};

fn three_segments(place: &Place) -> store::Digest {
    let path = place.root.path().join("image");
    let file = fs::File::create(&path).unwrap();
    file.set_len(150 << 20).unwrap();
    for at in [0, 70 << 20, 140 << 20] {
        file.write_all_at(&noise(200_000, at + 1), at).unwrap();
    }
    push_image(&place.store, &request("a", &path), &()).unwrap().manifest
}

#[test]
fn reading_goes_on_where_it_stopped() {
    let place = Place::new();
    let digest = three_segments(&place);
    let (manifest, root_bytes) = read_root(&place.store, &digest).unwrap();
    let segments: Vec<_> =
        read_segments::<store::manifest::Segment>(&place.store, &manifest, root_bytes, &digest)
            .collect::<Result<_, _>>()
            .unwrap();
    assert_eq!(segments.len(), 3);
    for first in 0..=3 {
        let rest = read_segments_of::<store::manifest::Segment>(
            &place.store,
            &manifest,
            root_bytes,
            &digest,
            first..usize::MAX,
        );
        assert_eq!(rest.collect::<Result<Vec<_>, _>>().unwrap(), segments[first..]);
    }
}

#[test]
fn the_first_wrong_segment_ends_the_reading_and_is_named() {
    let place = Place::new();
    let digest = three_segments(&place);
    let (manifest, root_bytes) = read_root(&place.store, &digest).unwrap();
    let path = place.item(&Item::Manifest(digest));
    let mut bytes = fs::read(&path).unwrap();
    let second = root_bytes + manifest.segments[0].encoded_bytes as usize;
    bytes[second + 10] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let read: Vec<_> =
        read_segments::<store::manifest::Segment>(&place.store, &manifest, root_bytes, &digest)
            .collect();
    assert!(read.len() == 2 && read[0].is_ok());
    let error = read[1].as_ref().unwrap_err();
    let expected = format!(
        "manifest {}: segment 1 from {}: expected digest {}, found ",
        digest.short(),
        place.store.name(),
        manifest.segments[1].digest,
    );
    assert!(error.to_string().starts_with(&expected) && !error.is_transient(), "{error}");
    fs::write(&path, &bytes[..second + 10]).unwrap();
    let read: Vec<_> =
        read_segments::<store::manifest::Segment>(&place.store, &manifest, root_bytes, &digest)
            .collect();
    assert!(matches!(read.last(), Some(Err(ReadError::Source(error))) if error.is_transient()));
}

#[test]
fn what_is_not_there_or_of_another_is_named() {
    let place = Place::new();
    let digest = three_segments(&place);
    let error = read_label(&place.store, &label("b")).unwrap_err();
    assert!(error.to_string().starts_with("label b is not in the store"), "{error}");
    let one = place.file("one", &noise(5000, 9));
    let other = push_image(&place.store, &request("b", &one), &()).unwrap().manifest;
    fs::copy(place.item(&Item::Map(other)), place.item(&Item::Map(digest))).unwrap();
    let (manifest, _) = read_root(&place.store, &digest).unwrap();
    let error = read_map(&place.store, &digest, &manifest).unwrap_err().to_string();
    assert!(error.ends_with("expected 3 sections, found 1"), "{error}");
}
