//! The engine on disks in memory that fail, lie and forget: whatever a disk does, what ends is
//! the right bytes or the right sentence, and nothing boots that was not proven.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is the test's failure")]

#[path = "../common/mod.rs"]
mod common;

mod crash;
mod cuts;
mod disk;
mod fault;
mod fetched;
mod noise;
mod oracle;
mod picture;
mod run;
mod states;
mod table;
