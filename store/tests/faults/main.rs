//! The store under faults: one table of cases, each with what came of it.
//! `cargo test -p store --test faults -- --nocapture` prints it.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests are compiled with this"
)]

mod clock;
#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod damage;
mod history;
mod index;
mod killed;
mod room;

/// What came of a case, in words; what must not come of it fails the test.
type Case = fn() -> String;

const CASES: &[(&str, Case)] = &[
    ("room ends anywhere in a first push", room::first_push),
    ("room ends anywhere in a replacement", room::replacement),
    ("room ends anywhere in a push of new facts", room::facts),
    ("room ends at the label's record: then there is room", room::reused),
    ("a label is removed on a full disk", room::removal),
    ("2 pushers, one label, same content", || crowd::one_label_same(2)),
    ("10 pushers, one label, same content", || crowd::one_label_same(10)),
    ("2 pushers, one label, others' content, forced", || crowd::one_label_forced(2)),
    ("10 pushers, one label, others' content, forced", || crowd::one_label_forced(10)),
    ("10 pushers, one label, others' content, not forced", || crowd::one_label_taken(10)),
    ("2 pushers, own labels, same content", || crowd::own_labels(2, true)),
    ("10 pushers, own labels, same content", || crowd::own_labels(10, true)),
    ("2 pushers, own labels, own content", || crowd::own_labels(2, false)),
    ("10 pushers, own labels, own content", || crowd::own_labels(10, false)),
    ("readers while a label is replaced", crowd::readers_of_replaced),
    ("readers while a label is removed and pushed", crowd::readers_of_removed),
    ("verified while labels are pushed and removed", crowd::verified_beside),
    ("killed anywhere: push, replace, remove", killed::anywhere),
    ("the clock jumps back and forth between pushes", clock::pushes),
    ("leftovers with times of the past and the future", clock::leftovers),
    ("a bit flipped in a file", damage::flipped),
    ("a file cut", damage::cut),
    ("a file removed", damage::removed),
    ("the index removed", index::lost),
    ("a run of the index damaged or cut", index::damaged),
    ("a run of another store", index::foreign),
    ("the index is a file", index::occupied),
    ("a pack removed, cut or replaced behind the index", index::packs_changed),
    ("a pack as long as before, its bytes lost", index::pack_zeroed),
    ("of two packs with the same objects the first is rotten", index::doubled),
    ("a label's record lost, then other pushes", index::record_lost),
    ("a pack that no run knows", index::unknown_pack),
];

#[test]
fn every_fault_ends_right() {
    println!("case | outcome");
    for (case, run) in CASES {
        println!("{case} | {}", run());
    }
}

/// What the killed process of [`killed`] runs; no test of its own.
#[test]
fn child() {
    killed::child();
}
