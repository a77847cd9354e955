//! Crash states: what may be on a disk when its power fails, made from what a machine wrote.
//!
//! Killing a machine finds no missing flush: the host keeps what QEMU was given. So one run
//! is recorded (see [`Disk::log`](crate::Disk::log)), and the states that a power cut could
//! have left are made from the record, thousands of them, without booting anything.

mod disk;
mod log;
mod points;
mod pushes;
mod replay;

pub use disk::{Judge, Verdict};
pub use log::{Entry, WriteLog};
pub use pushes::{NOTE_BYTES, PUSH_PART_BYTES, PUSHES, Push};
pub use replay::{Asked, Cut, Replayed, last_state, replay};
