//! The engine: puts a label on a target and proves it.
//!
//! ```text
//! label   name -> signed record, manifest, map   ->  Label
//! plan    Label, Target                          ->  Plan      read-only; may refuse
//! write   what the target lacks                  ->  Written   cannot boot from here ...
//! verify  read back from the device              ->  Verified  ... to here
//! settle  the target is in order                 ->  Settled   holds what kexec needs
//! ```
//!
//! Each arrow is a type that only the stage before can make, so the order of
//! stages is not a matter of care. No PID 1, no network bring-up: `inaug deploy`
//! runs the same engine on a host.

pub mod boot;
pub mod disks;
pub mod install;
pub mod label;
pub mod layout;
pub mod live;
pub mod meter;
pub mod plan;
pub mod settle;
pub mod target;
pub mod tools;
pub mod tree;
pub mod verify;
pub mod vfat;
pub mod volumes;
pub mod write;

mod busy;
mod content;
mod counted;
mod diffs;
mod error;
mod fetch;
mod fit;
mod held;
mod links;
mod mark;
mod missing;
mod moves;
mod near;
mod patient;
mod probe;
mod retry;
mod seal;
mod seeds;
mod stop;
mod survey;
mod sys;
mod unproven;
mod window;

pub use error::{Category, Error};
pub use label::Label;
pub use mark::Mark;
pub use meter::{Limit, Meter, PassedOver, Snapshot};
pub use missing::Totals;
pub use patient::Patient;
pub use plan::{Plan, Refusal};
pub use settle::Settled;
pub use stop::Stopper;
pub use target::{Medium, Target};
pub use unproven::{Unproven, unproven};
pub use verify::{ReadBack, Verified};
pub use write::Written;
