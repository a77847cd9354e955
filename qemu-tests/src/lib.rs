//! Machines in QEMU and stores that misbehave, so that a test of the whole
//! product reads as one sentence: a machine, what it is given, what must be
//! seen on its console.
//!
//! ```no_run
//! # use qemu_tests::{Disk, Machine, StaticServer, deadline, environment};
//! # fn main() -> anyhow::Result<()> {
//! # let (store, disk) = (std::path::Path::new("store"), std::path::Path::new("disk.raw"));
//! let store = StaticServer::of(store)?;
//! let mut machine = Machine {
//!     memory_mib: 256,
//!     disks: vec![Disk::at(disk)],
//!     ..Machine::direct(
//!         environment::kernel()?,
//!         environment::init()?,
//!         &format!("inaugurator.store={} inaugurator.label=test", store.guest_url()),
//!     )
//! }
//! .start()?;
//! machine.expect("witness: up", deadline::INAUGURATE)?;
//! machine.wait_exit(deadline::POWER_OFF)
//! # }
//! ```
//!
//! A failed expectation carries the whole console. Every wait has a deadline,
//! written for KVM and stretched where only TCG is there. No QEMU outlives the
//! test that started it.

pub mod accel;
mod ailment;
mod arguments;
mod compare;
mod console;
pub mod crash;
pub mod deadline;
mod devices;
pub mod environment;
mod image;
mod machine;
mod noise;
mod qmp;
mod running;
mod server;
mod shell;
mod sys;
mod trees;
mod volume;

pub use ailment::{Access, Ailment};
pub use compare::first_difference;
pub use console::Console;
pub use devices::{Bus, Disk, Format, Nic, NicModel};
pub use image::{ROOT_PARTUUID, TestImage, newc, newc_of};
pub use machine::{Firmware, Machine};
pub use noise::Noise;
pub use qmp::Qmp;
pub use running::{Match, Running, Texts};
pub use server::{ALWAYS, Fault, Misbehaviour, Served, StaticServer};
pub use shell::Shell;
pub use trees::{Difference, differences};
pub use volume::{ESP_TYPE, Partition, ROOT_TYPE};
