//! Trees onto directories: whatever was there, what is there afterwards is the label, told by a plain
//! slow reading that shares no code with the engine.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is the test's failure")]

mod cuts;
mod faults;
mod gates;
mod model;
mod oracle;
mod random;
mod rights;
mod run;
mod shelf;
mod special;
mod states;
