//! Trees run from memory: the label's root as an initramfs of its own kernel. No disk is touched.
//!
//! ```text
//! look     labels, memory there is        ->  Draft     laid out; may refuse; nothing is fetched
//! plan     Draft, the machine's own       ->  Plan      prints itself
//! write    Plan, a file in memory         ->  Written   every object hashed before it is put there
//! verify   Written, the same file sealed  ->  Verified  read back; holds what kexec needs
//! ```
//!
//! The archive is laid out from the manifest alone, so that objects are put into it in the order
//! in which they come.

mod archive;
mod boot;
mod memory;
mod plan;
mod refusal;
mod screen;
mod verify;
mod write;

pub use memory::Memory;
pub use plan::{Draft, Options, Plan, look};
pub use refusal::LiveRefusal;
pub use verify::{Verified, verify};
pub use write::{Written, write};
