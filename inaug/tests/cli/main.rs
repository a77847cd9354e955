//! The operator's command as the operator runs it: the real binary, real stores, its exit codes,
//! sentences and documents.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod booting;
mod deploying;
mod directories;
mod documents;
mod https;
mod in_qemu;
mod lab;
mod media;
mod media_refresh;
mod scripted;
mod serving;
mod stores;
mod support;
mod tree_targets;
mod trees;
mod trimming;
mod unified;
mod upkeep;
mod usage;
