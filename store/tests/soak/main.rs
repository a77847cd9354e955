//! A store that is pushed to, read, copied from and to, tidied up and killed, all at once; and random
//! histories of the same, one step after another.
//!
//! `cargo test -p store --test soak -- --nocapture` prints the table of events;
//! `INAUG_SOAK_EVENTS=20000` makes it some minutes.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests are compiled with this"
)]

mod act;
mod child;
#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod history;
mod whole;
mod world;
