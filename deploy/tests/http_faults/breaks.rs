//! Rows in which the connection breaks: in every phase of a reply, and at every edge of a frame.

use crate::fault::{At, Fault, How, On, Rule, When};
use crate::run::{Expect, Row};
use crate::shelf::Shelf;
use deploy::Category;

/// Cuts at bytes drawn at random, for each way to cut.
const RANDOM_CUTS: usize = 104;

/// From which they are drawn, the same every time.
const SEED: u64 = 0x1f2e_3d4c_5b6a_7988;

const HOWS: [How; 4] = [How::Fin, How::Rst, How::Stall, How::Drip];

fn row(name: String, on: On, when: When, fault: Fault, expect: Expect) -> Row {
    let rules = vec![Rule { on, when, fault }];
    Row { name, rules, lie: None, expect, replaced: false }
}

/// Phases of a reply; the last is in the middle of the shortest body that the item has.
fn phases(on: On) -> [At; 5] {
    let middle = match on {
        On::Label => 40,
        On::Manifest => 5, // of the twelve bytes that are asked for first
        On::Map => 100,
        On::Pack => 500_000,
    };
    [At::Request, At::StatusLine, At::Head, At::After(0), At::After(middle)]
}

/// A break once, in each phase of the reply for each kind of item, in each way: ridden out.
pub(crate) fn once() -> impl Iterator<Item = Row> {
    let all = On::ALL.into_iter().flat_map(|on| phases(on).map(|at| (on, at)));
    all.flat_map(|(on, at)| {
        HOWS.map(|how| {
            let name = format!("{how:?} once, {on:?}, {at:?}");
            row(name, on, When::Nth(1), Fault::Break(at, how), Expect::Right)
        })
    })
}

/// A break each time, before any of the body came: the sentence says how.
pub(crate) fn always() -> impl Iterator<Item = Row> {
    let breaks = [
        (At::Request, How::Fin, ["error sending request", "connection closed"]),
        (At::Request, How::Stall, ["nothing came for 2 s", "after 0 bytes"]),
        (At::Head, How::Drip, ["nothing came for 2 s", "after 0 bytes"]),
        (At::After(0), How::Fin, ["expected ", " bytes, found 0"]),
        (At::After(0), How::Rst, ["127.0.0.1", "reset"]),
        (At::After(0), How::Stall, ["nothing came for 2 s", "after 0 bytes"]),
        (At::After(0), How::Drip, ["expected at least 4096 bytes in 3 s", " after "]),
    ];
    On::ALL.into_iter().flat_map(move |on| {
        breaks.map(|(at, how, words)| {
            let name = format!("{how:?} always, {on:?}, {at:?}");
            let words: &'static [&'static str] = Box::leak(Box::new(words));
            let expect = Expect::Tired(Category::Network, words);
            row(name, on, When::Always, Fault::Break(at, how), expect)
        })
    })
}

/// Every reply brings more than a cut connection has to, and too slowly: it is no progress.
pub(crate) fn slow_always() -> impl Iterator<Item = Row> {
    let words = &["expected at least 4096 bytes in 3 s", " after "][..];
    let fault = Fault::Break(At::After(5_000), How::Drip);
    let expect = Expect::Tired(Category::Network, words);
    [row("Drip after each 5000 bytes, Pack".into(), On::Pack, When::Always, fault, expect)]
        .into_iter()
}

/// Every reply is cut, but each brings a part of a frame: it ends right. (Torn connections lose
/// what is under way, and may bring less.)
pub(crate) fn slow_progress() -> impl Iterator<Item = Row> {
    [(How::Fin, 900_000), (How::Stall, 900_000), (How::Fin, 50_000)].into_iter().map(
        |(how, bytes)| {
            let fault = Fault::Break(At::After(bytes), how);
            let name = format!("{how:?} after each {bytes} bytes, Pack");
            row(name, On::Pack, When::Always, fault, Expect::Right)
        },
    )
}

/// Cuts at each edge of a frame, a byte before and a byte after it, and at random bytes.
pub(crate) fn cuts(shelf: &Shelf) -> impl Iterator<Item = Row> {
    let frames = shelf.one.as_copy().frames();
    let (first, last) = (frames.first().unwrap(), frames.last().unwrap());
    let content = first.offset_bytes..last.offset_bytes + u64::from(last.packed_bytes);
    let around = |edge: u64| [(edge - 1, "-1"), (edge, ""), (edge + 1, "+1")];
    let mut bytes: Vec<_> = frames
        .iter()
        .enumerate()
        .flat_map(|(index, frame)| around(frame.offset_bytes).map(|(at, by)| (at, index, by)))
        .filter(|(byte, ..)| content.contains(byte))
        .map(|(byte, index, by)| (byte, format!("frame {index}{by}")))
        .collect();
    bytes.push((content.end - 1, "the last byte".into()));
    let mut state = SEED;
    bytes.extend((0..RANDOM_CUTS).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (content.start + state % (content.end - content.start), "at random".into())
    }));
    let both = |(byte, place): (u64, String)| {
        [How::Fin, How::Rst].map(|how| {
            let name = format!("{how:?} at byte {byte} of the pack, {place}");
            let fault = Fault::Break(At::Byte(byte), how);
            row(name, On::Pack, When::Covering(byte), fault, Expect::Right)
        })
    };
    bytes.into_iter().flat_map(both)
}
