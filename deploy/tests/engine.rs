//! The engine on real stores and real files: whatever the image, whatever was on the
//! target, wherever it was cut, what ends is the image.
#![allow(clippy::unwrap_used, reason = "a failed step is the test's failure")]

mod common;

use common::{Flaky, Shop, deploy, deploy_metered, deploy_seeded, image_of};
use deploy::{Category, Mark, Meter, ReadBack, Snapshot};
use proptest::prelude::*;
use std::fs;
use std::io::Cursor;
use std::ops::Range;
use std::sync::Arc;
use store::cut::OBJECT_CUT_MAX_BYTES;
use store::map::Map;
use store::source::{Body, Item, Source, SourceError, read_all};

/// Far more runs than the largest image needs with the smallest budget.
const RUNS_MAX: u64 = 200;

/// Ends of the ranges that are held back, inside of the image.
const EDGES: u64 = 2;

#[test]
fn a_cold_file_becomes_the_image_and_the_same_label_again_moves_nothing() {
    let shop = Shop::new();
    let image = image_of(&[7, 0, 0, 3, 3, 9, 0, 1], 80);
    let source = shop.push("debian/12/demo", &image);
    let target = shop.path("disk");
    let first = deploy(&source, "debian/12/demo", &target, ReadBack::Yes).unwrap();
    assert!(fs::read(&target).unwrap() == image);
    assert!(first.fetched_objects > 0 && first.written_bytes > 0);
    let again = deploy(&source, "debian/12/demo", &target, ReadBack::Yes).unwrap();
    assert_eq!((again.fetched_objects, again.written_bytes), (0, 0));
}

#[test]
fn the_next_label_moves_only_what_differs() {
    let shop = Shop::new();
    let mut image = image_of(&[1, 2, 3, 4, 5, 6, 7, 8], 200);
    let source = shop.push("v1", &image);
    let target = shop.path("disk");
    let cold = deploy(&source, "v1", &target, ReadBack::Yes).unwrap();
    image[3_000_000..3_004_096].fill(0xaa);
    let source = shop.push("v2", &image);
    let next = deploy(&source, "v2", &target, ReadBack::Yes).unwrap();
    assert!(fs::read(&target).unwrap() == image);
    assert!(next.fetched_objects <= 3, "{next:?}");
    assert!(next.fetched_objects < cold.fetched_objects);
}

/// Puts `v1` on a target, then `v2`, and returns what that took.
fn next(v1: &[u8], v2: &[u8]) -> Snapshot {
    let shop = Shop::new();
    let target = shop.path("disk");
    deploy(&shop.push("v1", v1), "v1", &target, ReadBack::Yes).unwrap();
    let next = deploy_seeded(&shop.push("v2", v2), "v2", &target, "v1").unwrap();
    assert!(fs::read(&target).unwrap()[..v2.len()] == *v2);
    next
}

#[test]
fn what_moved_is_moved_and_not_fetched() {
    let v1 = image_of(&[1, 2, 3, 4, 5, 6, 7, 8], 800);
    let mut forward = image_of(&[9], 100);
    forward.extend_from_slice(&v1);
    let mut swapped = v1[v1.len() / 2..].to_vec();
    swapped.extend_from_slice(&v1[..v1.len() / 2]);
    for v2 in [forward.clone(), v1[3 << 20..].to_vec(), swapped] {
        let next = next(&v1, &v2);
        assert!(next.copied_bytes > v2.len() as u64 / 2, "{next:?}");
        assert!(next.fetched_objects < next.copied_objects / 5, "{next:?}");
    }
    // And back: only what is cut in another way at the start is new.
    let back = next(&forward, &v1);
    assert!(back.fetched_objects <= 2, "{back:?}");
}

#[test]
fn a_flipped_bit_in_a_pack_is_refused_with_the_objects_name_and_nothing_boots() {
    let shop = Shop::new();
    let source = shop.push("v1", &image_of(&[1, 2, 3, 4], 100));
    let pack = fs::read_dir(shop.path("store/packs")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&pack, bytes).unwrap();
    let target = shop.path("disk");
    let error = deploy(&source, "v1", &target, ReadBack::Yes).unwrap_err();
    assert_eq!(error.category(), Category::Verification, "{error}");
    let text = error.to_string();
    let name = pack.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(text.contains(&name) && text.contains("expected") && text.contains("found"), "{text}");
    assert!(fs::read(&target).unwrap()[..Mark::OFFSET].iter().all(|byte| *byte == 0));
}

#[test]
fn what_is_not_in_the_store_is_said() {
    let shop = Shop::new();
    let source = shop.push("v1", &image_of(&[1], 8));
    let error = deploy(&source, "v2", &shop.path("disk"), ReadBack::Yes).unwrap_err();
    let store = source.name().to_owned();
    assert_eq!(error.to_string(), format!("no such label: v2 is in none of: {store}"));
}

#[test]
fn a_directory_is_no_target() {
    let shop = Shop::new();
    let source = shop.push("v1", &image_of(&[1], 8));
    let error = deploy(&source, "v1", &shop.path(""), ReadBack::Yes).unwrap_err();
    assert!(error.to_string().ends_with("a regular file, found a directory"), "{error}");
}

#[test]
fn a_faulty_way_is_tried_again_from_where_it_broke() {
    let shop = Shop::new();
    let image = image_of(&[1, 2, 3, 4, 5, 6, 7, 8], 1000);
    let source = shop.push("v1", &image);
    let flaky = Flaky::passing(&source, 200_000);
    let target = shop.path("disk");
    let snapshot = deploy(&flaky.as_source(), "v1", &target, ReadBack::Yes).unwrap();
    assert!(fs::read(&target).unwrap() == image);
    assert!(snapshot.retries > 0, "the fault was met");
}

/// A store whose map leads every object of a frame to the frame's first one.
struct LyingMap(Arc<dyn Source>);

impl Source for LyingMap {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        if !matches!(item, Item::Map(_)) {
            return self.0.open(item, range);
        }
        let mut map = Map::decode(&read_all(&*self.0, item, 1 << 20)?).unwrap();
        for section in &mut map.sections {
            section.places.iter_mut().for_each(|place| place.offset_bytes = 0);
        }
        let bytes = map.encode();
        let length_bytes = Some(bytes.len() as u64);
        Ok(Body { length_bytes, total_bytes: length_bytes, reader: Box::new(Cursor::new(bytes)) })
    }
}

#[test]
fn a_map_that_lies_costs_an_error_and_never_puts_unproven_bytes() {
    let shop = Shop::new();
    let source = shop.push("v1", &image_of(&[1, 2, 3, 4], 100));
    let lying: Arc<dyn Source> = Arc::new(LyingMap(source));
    let error = deploy(&lying, "v1", &shop.path("disk"), ReadBack::No).unwrap_err();
    assert_eq!(error.category(), Category::Verification, "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any image over any earlier content equals the image.
    #[test]
    fn any_image_over_anything(
        seeds in prop::collection::vec(0_u8..6, 1..40),
        before in prop::collection::vec(0_u8..6, 0..40),
        tail in 0_usize..5000,
    ) {
        let shop = Shop::new();
        let mut image = image_of(&seeds, 24);
        image.truncate(image.len() - tail.min(image.len() - 1));
        let source = shop.push("v1", &image);
        let target = shop.path("disk");
        fs::write(&target, image_of(&before, 24)).unwrap();
        deploy(&source, "v1", &target, ReadBack::Yes).unwrap();
        prop_assert!(fs::read(&target).unwrap()[..image.len()] == image);
    }

    /// Cut off again and again, started again until it ends: equals the image, never boots
    /// before, and nothing that was written is written again.
    #[test]
    fn cut_anywhere_and_run_again(
        seeds in prop::collection::vec(1_u8..6, 30..60),
        budget in 50_000_u64..400_000,
    ) {
        let shop = Shop::new();
        let image = image_of(&seeds, 24);
        let source = shop.push("v1", &image);
        let cold = deploy(&source, "v1", &shop.path("whole"), ReadBack::Yes).unwrap();
        let target = shop.path("disk");
        let (mut written, mut runs) = (0, 0);
        loop {
            runs += 1;
            prop_assert!(runs < RUNS_MAX, "it ends");
            let way = Flaky::gone(&source, budget * runs).as_source();
            let meter = Arc::new(Meter::new());
            let ended = deploy_metered(&way, "v1", &target, ReadBack::Yes, &meter);
            written += meter.snapshot().written_bytes;
            let Err(error) = ended else { break };
            prop_assert_eq!(error.category(), Category::Network);
            let disk = fs::read(&target).unwrap();
            prop_assert!(disk.iter().take(Mark::OFFSET).all(|byte| *byte == 0), "it would boot");
        }
        prop_assert!(fs::read(&target).unwrap() == image);
        // An object that lies across an edge of what is held back is written anew each time.
        let across = EDGES * OBJECT_CUT_MAX_BYTES as u64 * (runs - 1);
        prop_assert!(written <= cold.written_bytes + across, "{written} in {runs} runs");
    }
}
