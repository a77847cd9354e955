//! The formats: bytes that may not change (`tests/golden`), values that come back, and
//! damaged bytes that are refused.
//!
//! After a deliberate change of a format, which is a new version of it, the golden files
//! are written by running this test with `INAUG_WRITE_GOLDEN=1`.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::{Place, changed, golden, label, noise, request};
use proptest::collection::vec;
use proptest::prelude::*;
use std::path::PathBuf;
use store::Digest;
use store::label::LabelRecord;
use store::manifest::{
    Boot, Entry, Gpt, Image, Kind, Manifest, Part, Payload, Place as PayloadPlace, Segment,
    SegmentKind, SegmentRef,
};
use store::map::{FrameRef, Map, PackRef, Place as ObjectPlace, Section};
use store::pack::{Frame, HEADER, Index, TAIL_BYTES};
use store::push::push_image;

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

fn record() -> LabelRecord {
    LabelRecord {
        name: label("debian/12/demo"),
        manifest: digest(1),
        kind: "image".into(),
        size_bytes: 2_147_483_648,
        pushed_unix_s: 1_700_000_000,
        facts: vec![("git".into(), "0123abc".into()), ("state".into(), "to test".into())],
    }
}

fn segment() -> Segment {
    let data = |number, length| Entry::Data { digest: digest(number), length };
    Segment {
        entries: vec![
            data(2, 4096),
            data(3, 65536),
            Entry::Zero { length: 1 << 20 },
            data(2, 4096),
        ],
    }
}

fn manifest() -> Manifest {
    let segment = |number, encoded_bytes, span_bytes, part| SegmentRef {
        digest: digest(number),
        encoded_bytes,
        span_bytes,
        part,
    };
    let payload = |number, size_bytes, place| Payload { size_bytes, digest: digest(number), place };
    Manifest {
        kind: Kind::Image(Image {
            size_bytes: (64 << 20) + 512,
            sector_bytes: 512,
            gpt: Some(Gpt {
                alternate_lba: 131_072,
                last_usable_lba: 131_039,
                protective_sectors: 131_072,
            }),
        }),
        boot: Some(Boot {
            kernel: payload(7, 5000, PayloadPlace::Extents(vec![(1 << 20, 4096), (4096, 904)])),
            initrd: Some(payload(8, 70_000, PayloadPlace::Segment(2))),
            cmdline: "root=/dev/vda2 ro".into(),
            source: "GRUB: /boot/grub/grub.cfg".into(),
        }),
        segments: vec![
            segment(4, 600, 64 << 20, Part::Content),
            segment(5, 34, 512, Part::Content),
            segment(6, 70, 70_000, Part::Payload),
        ],
    }
}

fn map() -> Map {
    let frame = |pack, offset_bytes, packed_bytes, raw_bytes| FrameRef {
        pack,
        offset_bytes,
        packed_bytes,
        raw_bytes,
    };
    let place = |frame, offset_bytes| ObjectPlace { frame, offset_bytes };
    Map {
        packs: vec![
            PackRef { digest: digest(9), size_bytes: 2_000_000_000 },
            PackRef { digest: digest(10), size_bytes: 500_000 },
        ],
        sections: vec![
            Section {
                frames: vec![frame(0, 16, 100_000, 262_144), frame(1, 300_000, 70_000, 69_632)],
                places: vec![place(0, 0), place(1, 4096), place(0, 131_072)],
            },
            Section::default(),
        ],
    }
}

#[test]
fn records_are_what_they_were() {
    let encoded = record().encode();
    golden("label", encoded.as_bytes());
    assert_eq!(LabelRecord::decode(encoded.as_bytes(), &record().name), Ok(record()));
}

#[test]
fn manifests_are_what_they_were() {
    let encoded = manifest().encode();
    golden("manifest-root", &encoded);
    assert_eq!(Manifest::decode(&encoded), Ok(manifest()));
    let encoded = segment().encode();
    golden("manifest-segment", &encoded);
    assert_eq!(Segment::decode(&encoded, segment().span_bytes()), Ok(segment()));
}

#[test]
fn maps_are_what_they_were() {
    let encoded = map().encode();
    golden("map", &encoded);
    assert_eq!(Map::decode(&encoded), Ok(map()));
}

/// The pack of a small push. zstd's output is not part of the format: this file is read only.
#[test]
fn packs_are_read_as_they_were() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pack");
    let objects = [noise(100, 1), vec![b'a'; 5000]];
    if std::env::var_os("INAUG_WRITE_GOLDEN").is_some() {
        let packed = zstd::bulk::compress(&objects.concat(), 3).unwrap();
        let entry = |object: &Vec<u8>| (Digest::of(object), object.len() as u32);
        let frame = Frame {
            offset_bytes: HEADER.len() as u64,
            packed_bytes: packed.len() as u32,
            objects: objects.iter().map(entry).collect(),
        };
        let index = Index { frames: vec![frame] }.encode();
        std::fs::write(&path, [&HEADER[..], &packed, &index].concat()).unwrap();
    }
    let bytes = std::fs::read(&path).unwrap();
    let tail = &bytes[bytes.len() - TAIL_BYTES..];
    let (at, length) = Index::locate(tail, bytes.len() as u64).unwrap();
    let index = Index::decode(&bytes[at as usize..][..length as usize], at, tail).unwrap();
    assert_eq!(bytes[at as usize - 8..], index.encode());
    let frame = &index.frames[0];
    let packed = &bytes[frame.offset_bytes as usize..][..frame.packed_bytes as usize];
    let raw = zstd::bulk::decompress(packed, frame.raw_bytes() as usize).unwrap();
    assert_eq!(raw, objects.concat());
    assert_eq!(frame.objects[1], (Digest::of(&objects[1]), 5000));
    let streamed = zstd::stream::decode_all(&bytes[..]).unwrap();
    assert_eq!(streamed, raw, "a pack is a zstd stream");
}

/// The manifest of a given image: cutting and encoding together may not change, or nothing
/// pushed before is found again.
#[test]
fn an_image_has_the_manifest_it_had() {
    let place = Place::new();
    let mut bytes = noise(3 << 20, 42);
    bytes[1 << 20..(1 << 20) + 300_000].fill(0);
    let report = push_image(&place.store, &request("a", &place.file("a", &bytes)), &()).unwrap();
    golden("image-digest", format!("{}\n", report.manifest).as_bytes());
}

fn digests() -> impl Strategy<Value = Digest> {
    any::<u8>().prop_map(digest)
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let data =
        (digests(), 1_u32..=1 << 20).prop_map(|(digest, length)| Entry::Data { digest, length });
    let zero = (1_u64..1 << 40).prop_map(|length| Entry::Zero { length });
    vec(prop_oneof![3 => data, 1 => zero], 0..40).prop_map(|mut entries| {
        entries.dedup_by(|a, b| matches!((a, b), (Entry::Zero { .. }, Entry::Zero { .. })));
        entries
    })
}

fn maps() -> impl Strategy<Value = Map> {
    let frame = (0_u32..2, 0_u64..1 << 20, 0_u32..1 << 20, 0_u32..=1 << 20).prop_map(
        |(pack, offset_bytes, packed_bytes, raw_bytes)| FrameRef {
            pack,
            offset_bytes,
            packed_bytes,
            raw_bytes,
        },
    );
    let section = (vec(frame, 1..5), vec((any::<prop::sample::Index>(), 0_u32..1 << 20), 0..20))
        .prop_map(|(frames, places)| {
            let place = |(frame, offset): (prop::sample::Index, u32)| {
                let frame = frame.index(frames.len());
                let offset_bytes = offset.min(frames[frame].raw_bytes);
                ObjectPlace { frame: frame as u32, offset_bytes }
            };
            let places = places.into_iter().map(place).collect();
            Section { frames, places }
        });
    let packs = [1, 2].map(|number| PackRef { digest: digest(number), size_bytes: 1 << 22 });
    vec(section, 0..5).prop_map(move |sections| Map { packs: packs.to_vec(), sections })
}

fn indexes() -> impl Strategy<Value = Index> {
    let frame = (1_u32..1 << 20, vec((digests(), 1_u32..65536), 0..16));
    vec(frame, 0..8).prop_map(|frames| {
        let mut offset_bytes = HEADER.len() as u64;
        let frame = |(packed_bytes, objects)| {
            let frame = Frame { offset_bytes, packed_bytes, objects };
            offset_bytes += u64::from(packed_bytes);
            frame
        };
        Index { frames: frames.into_iter().map(frame).collect() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn segments_come_back(entries in entries()) {
        let segment = Segment { entries };
        let back = Segment::decode(&segment.encode(), segment.span_bytes());
        prop_assert_eq!(back, Ok(segment));
    }

    #[test]
    fn maps_come_back_and_any_change_is_refused(
        map in maps(), at: prop::sample::Index, how in 0_u8..12,
    ) {
        let encoded = map.encode();
        let changed = changed(&encoded, at, how);
        prop_assert_eq!(Map::decode(&encoded), Ok(map));
        prop_assert!(changed == encoded || Map::decode(&changed).is_err());
    }

    #[test]
    fn records_refuse_any_change(at: prop::sample::Index, how in 0_u8..12) {
        let encoded = record().encode().into_bytes();
        let changed = changed(&encoded, at, how);
        prop_assert!(changed == encoded || LabelRecord::decode_any(&changed).is_err());
    }

    #[test]
    fn indexes_come_back_and_any_change_is_refused(
        index in indexes(), at: prop::sample::Index, how in 0_u8..12,
    ) {
        let read = |file: &[u8]| {
            let tail = &file[file.len().saturating_sub(TAIL_BYTES)..];
            let (at, length) = Index::locate(tail, file.len() as u64)?;
            Index::decode(&file[at as usize..][..length as usize], at, tail)
        };
        let encoded = index.encode();
        let packed: u32 = index.frames.iter().map(|frame| frame.packed_bytes).sum();
        let before = [&HEADER[..], &vec![0; packed as usize]].concat();
        prop_assert_eq!(read(&[&before, &encoded[..]].concat()), Ok(index));
        // The index frame's own header is not read this way: it is for zstd.
        let changed = changed(&encoded[8..], at, how);
        let file = [&before, &encoded[..8], &changed].concat();
        prop_assert!(changed == encoded[8..] || read(&file).is_err());
    }

    #[test]
    fn damaged_manifests_are_an_error_or_another_value(at: prop::sample::Index, how in 0_u8..12) {
        // No check of their own: their digest is known. They must not panic or come back the same.
        let root = changed(&manifest().encode(), at, how);
        prop_assert!(root == manifest().encode() || Manifest::decode(&root) != Ok(manifest()));
        let bytes = changed(&segment().encode(), at, how);
        let decoded = Segment::decode(&bytes, segment().span_bytes());
        prop_assert!(bytes == segment().encode() || decoded != Ok(segment()));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in vec(any::<u8>(), 0..300), magic in 0_usize..4) {
        let magics: [&[u8]; 4] = [b"", b"inaugmf1", b"inaugmp1", b"inaug-label 1\n"];
        let bytes = [magics[magic], &bytes].concat();
        Manifest::decode(&bytes).ok();
        Manifest::root_length(&bytes).ok();
        Segment::decode(&bytes, 4096).ok();
        Map::decode(&bytes).ok();
        LabelRecord::decode_any(&bytes).ok();
        Index::locate(&bytes, u64::MAX).ok();
        Index::decode(&bytes, 0, &bytes).ok();
        store::label_list::decode(&bytes).ok();
    }
}
