//! What was durable when a run was cut off is not fetched again.

use super::disk::{Disk, cut_after};
use super::picture::{MIB, Picture, Table};
use super::run::{Stock, run};
use deploy::target::TargetKind;
use proptest::prelude::*;
use std::collections::HashSet;
use store::Digest;
use store::cut::{Piece, pieces};

fn picture() -> Picture {
    Picture::of_runs(Table::Gpt, 3, &[1, 2, 3, 0, 4, 5, 6, 7, 8, 9, 0, 1, 10], 64)
}

/// Objects of `image` that `disk` lacks somewhere, or that lie in what is held back.
fn lacking(image: &[u8], disk: &[u8]) -> u64 {
    let (mut at, mut lacking) = (0, HashSet::new());
    let tail = disk.len() - MIB;
    for piece in pieces(image) {
        match piece {
            Piece::Zero { length } => at += length,
            Piece::Data { length } => {
                let bytes = &image[at..at + length];
                let held = at < MIB || at + length > tail;
                if held || bytes != &disk[at..at + length] {
                    lacking.insert(Digest::of(bytes));
                }
                at += length;
            }
        }
    }
    lacking.len() as u64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_durable_is_not_fetched_again(cut in 20_u64..70, seed in any::<u64>()) {
        let image = picture().image();
        let stock = Stock::of(&[("new", &picture())]);
        let disk = Disk::with(vec![0; image.len() + 4 * MIB]);
        disk.ail([cut_after(cut)], seed);
        let first = run(&stock.source, "new", &disk, TargetKind::Device);
        disk.crash(seed);
        disk.ail([], 0);
        let durable = disk.content();
        let second = run(&stock.source, "new", &disk, TargetKind::Device);
        prop_assert!(second.ended.is_ok());
        let allowed = lacking(&image, &durable);
        let fetched = second.snapshot.fetched_objects;
        println!("cut after {cut}: {} fetched, then {fetched} of {allowed} lacking", first.snapshot.fetched_objects);
        prop_assert!(fetched <= allowed, "{fetched} fetched, {allowed} were lacking");
    }
}
