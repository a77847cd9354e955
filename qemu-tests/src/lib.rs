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
//! The machines are those of crate `machine`.

mod compare;
pub mod crash;
pub mod environment;
mod image;
mod server;
mod trees;
mod volume;

pub use compare::first_difference;
pub use image::{ROOT_PARTUUID, TestImage, newc, newc_of};
pub use machine::{
    Accel, Access, Ailment, Bus, Console, Disk, Firmware, Format, Machine, Match, Nic, NicModel,
    Qmp, Running, Shell, Texts, deadline,
};
pub use server::{IPV6_ONLY, StaticServer};
pub use trees::{Difference, differences};
pub use volume::{ESP_TYPE, Partition, ROOT_TYPE, unmounted};
pub use wire::Noise;
pub use wire::http::{ALWAYS, Cuts, Fault, Misbehaviour, Served};
