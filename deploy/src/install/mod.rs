//! Trees onto disks of their own, so that they boot by themselves.
//!
//! ```text
//! Disk      what is on the disk: table, mark, root    opened; nothing is written
//! plan      labels, Disk                          ->  Plan      may refuse
//! write     gates closed; table, file systems, files  ->  Written   does not boot from here ...
//! verify    unmounted, mounted, read and hashed   ->  Verified
//! settle    boot files, gates opened, mark        ->  Settled   ... to here
//! ```
//!
//! The gates are the sectors that firmware looks at: they are closed before anything else is
//! written and opened when all of it was read back. A cut between the two leaves a disk that is
//! ours, does not boot, and is gone on with by the next run.

mod boot_files;
mod disk;
mod esp;
mod gates;
mod local;
mod notice;
mod own;
mod parse;
mod plan;
mod proven;
mod region;
mod screen;
mod settle;
mod write;

pub use boot_files::Boots;
pub use disk::{Disk, Look};
pub(crate) use notice::says_unfinished;
#[cfg(test)]
pub(crate) use notice::unfinished_boot_code;
pub(crate) use own::CONSOLE;
pub use own::{Own, OwnFile};
pub use parse::{meet, parse_file_path, parse_hostname, parse_password, parse_ssh_key};
pub(crate) use plan::shadow;
pub use plan::{Options, Plan, Sizes, plan};
pub use settle::{Settled, Verified, settle, verify};
pub use write::{Written, write};
