//! H: one download whose connections end again and again, by FIN and by RST in turn: a byte before, at
//! and a byte after every edge of the objects that are sent, and at random bytes.

use crate::case::{Bench, Case, Ran};
use anyhow::{Context, Result, ensure};
use qemu_tests::{Cuts, Noise};
use std::fs;
use std::ops::Range;
use store::pack::{Index, TAIL_BYTES};

/// Random cuts of one download; each piece of it survives some.
const CUTS: usize = 100;

/// Downloads that are cut at random: 500 cuts together.
const NAMES: [&str; 5] = [
    "a pack cut 100 times at random, first",
    "a pack cut 100 times at random, second",
    "a pack cut 100 times at random, third",
    "a pack cut 100 times at random, fourth",
    "a pack cut 100 times at random, fifth",
];

/// The longest object as it is sent, bytes: what one cut may cost.
const OBJECT_BYTES: u64 = 64 << 10;

pub(crate) fn cases(bench: &Bench) -> Result<Vec<Case>> {
    let objects = objects(bench)?;
    let (Some(first), Some(last)) = (objects.first(), objects.last()) else { return Ok(vec![]) };
    let whole = first.start..last.end;
    let edges = objects.iter().flat_map(|object| {
        let edge = object.start;
        [edge.saturating_sub(1), edge, edge + 1]
    });
    let edges = edges.chain([whole.end - 1]).filter(|byte| whole.contains(byte));
    let mut cases = vec![cut("a pack cut around every edge of its objects", bench, edges)];
    for (seed, name) in (1..).zip(NAMES) {
        let mut noise = Noise::of(seed);
        let bytes = whole.end - whole.start;
        let random = (0..CUTS).map(|_| whole.start + noise.number() % bytes);
        cases.push(cut(name, bench, random));
    }
    Ok(cases)
}

fn cut(name: &'static str, bench: &Bench, before: impl IntoIterator<Item = u64>) -> Case {
    let case = Case { check: each_costs_an_object, ..Case::of(name, bench) };
    case.shelf.cut(Cuts::of("packs/", before));
    case
}

/// Where the pack has its objects.
fn objects(bench: &Bench) -> Result<Vec<Range<u64>>> {
    let mut packs = fs::read_dir(bench.store().join("packs"))?;
    let bytes = fs::read(packs.next().context("a store without packs")??.path())?;
    let tail = bytes.len().checked_sub(TAIL_BYTES).context("a pack without an end")?;
    let (at, length) = Index::locate(&bytes[tail..], bytes.len() as u64)?;
    let body = &bytes[usize::try_from(at)?..][..usize::try_from(length)?];
    let index = Index::decode(body, at, &bytes[tail..])?;
    let end = |at: u64, length: u32| at..at + u64::from(length);
    Ok(index.frames.iter().map(|frame| end(frame.offset_bytes, frame.packed_bytes)).collect())
}

/// What was fetched a second time is no more than an object for each cut, and all cuts struck.
fn each_costs_an_object(ran: &Ran) -> Result<()> {
    let packs = || ran.served.iter().filter(|served| served.path.starts_with("/packs/"));
    let cuts = packs().filter(|served| served.spoilt).count() as u64;
    ensure!(ran.cuts_left == 0, "{} cuts did not strike", ran.cuts_left);
    let sent: u64 = packs().map(|served| served.bytes).sum();
    let end = packs().map(|served| served.start + served.bytes).max().unwrap_or_default();
    ensure!(cuts > 0, "nothing was cut");
    ensure!(
        sent <= end + cuts * OBJECT_BYTES,
        "{sent} bytes were sent of a pack of {end}, with {cuts} cuts"
    );
    Ok(())
}
