//! Builds the initramfs that carries PID 1: a reproducible newc archive, compressed with
//! zstd, with the modules and firmware of one kernel, and the programs that PID 1 runs.
//!
//! Given [`Options`], [`build`] returns the bytes and a [`Report`] of what is in them. The
//! same inputs give the same bytes: names are sorted, owners and times are zero, and nothing
//! of the building machine gets in. Nothing is executed and nothing is written.
//!
//! [`uki::assemble`] joins it with a kernel into one executable for EFI firmware.
//!
//! [`table`] is the file by which the builder tells PID 1 what to load, and [`newc`] one record of an
//! archive. They are the only parts that PID 1 itself links (`default-features = false`).

pub mod newc;
pub mod table;

#[cfg(feature = "build")]
mod archive;
#[cfg(feature = "build")]
mod build;
#[cfg(feature = "build")]
mod compress;
#[cfg(feature = "build")]
mod error;
#[cfg(feature = "build")]
mod firmware;
#[cfg(feature = "build")]
mod modules;
#[cfg(feature = "build")]
mod tools;
#[cfg(feature = "build")]
pub mod uki;

#[cfg(feature = "build")]
pub use build::{Embed, Initramfs, Options, Report, build};
#[cfg(feature = "build")]
pub use error::Error;
#[cfg(feature = "build")]
pub use firmware::MissingFirmware;
#[cfg(feature = "build")]
pub use modules::{INDEXES, KernelTree, Modules, module_files};
#[cfg(feature = "build")]
pub use tools::find_program;
