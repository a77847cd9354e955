//! Formats and the artifact store.
//!
//! A *label* names a *manifest* through a small *label record*; the manifest
//! says which *objects* make up the thing; the *map* says where in which *pack*
//! each object lies. Digests are trusted, places are not: whatever a map leads
//! to is hashed before it is believed.
//!
//! The format code is `no_std` + `alloc` and knows no file, socket or clock.
//! With the feature `std` come directories, pushing and verifying; with `http`,
//! reading over HTTP/1.1 with ranges and TLS. The bytes are specified in
//! SPECIFICATION.md and held by the golden files in `tests/golden`.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod codec;
pub mod cut;
pub mod diffs;
mod digest;
pub mod label;
pub mod label_list;
pub mod manifest;
pub mod map;
pub mod pack;
pub mod tree;

#[cfg(feature = "std")]
pub mod copy;
#[cfg(feature = "std")]
pub mod dir;
#[cfg(feature = "std")]
pub mod gc;
#[cfg(feature = "std")]
pub mod heal;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "std")]
pub mod manifest_reader;
#[cfg(feature = "std")]
pub mod near;
#[cfg(feature = "std")]
pub mod objects;
#[cfg(feature = "http")]
mod open;
#[cfg(feature = "std")]
mod parallel;
#[cfg(feature = "std")]
pub mod pick;
#[cfg(feature = "std")]
pub mod push;
#[cfg(feature = "std")]
mod restock;
#[cfg(feature = "std")]
pub mod source;
#[cfg(feature = "std")]
mod stamp;
#[cfg(feature = "std")]
pub mod verify;

pub use codec::FormatError;
pub use digest::{Digest, DigestParseError, Hasher};
#[cfg(feature = "http")]
pub use open::{OpenError, open_chain, open_store};
#[cfg(feature = "std")]
pub use restock::TakeError;
#[cfg(feature = "std")]
pub use source::is_url;
#[cfg(feature = "std")]
pub use stamp::Stamp;
