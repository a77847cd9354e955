//! Trees onto directories: whatever was there, what is there afterwards is the label, told by a plain
//! slow reading that shares no code with the engine.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is the test's failure")]

mod boot;
mod cuts;
mod faults;
mod fidelity;
mod gates;
mod kept;
mod live;
mod memory;
mod model;
mod oracle;
mod power;
mod random;
mod rights;
mod run;
mod shelf;
mod special;
mod states;
#[path = "../../../store/tests/common/torture.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the store")]
mod torture;

/// What the shared tree of every kind is filled with.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    model::noise(seed, length)
}
