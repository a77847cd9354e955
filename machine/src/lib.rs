//! Machines in QEMU as values: a [`Machine`] is what it has, [`Running`] is what it says and
//! what is done to it.
//!
//! No QEMU outlives the thread that started it. Every wait has a deadline, written for KVM and
//! stretched where only TCG is there; one that is missed carries the whole console.

mod accel;
mod ailment;
mod arguments;
mod console;
pub mod deadline;
mod devices;
mod firmware;
mod machine;
mod needs;
mod qmp;
mod running;
mod shell;
mod sys;

pub use accel::Accel;
pub use ailment::{Access, Ailment};
pub use console::{After, Console};
pub use devices::{Bus, Disk, Format, Nic, NicModel};
pub use machine::{Firmware, Machine};
pub use needs::{Needed, missing};
pub use qmp::Qmp;
pub use running::{Match, Running, Texts};
pub use shell::Shell;
