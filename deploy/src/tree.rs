//! Trees onto directories.
//!
//! ```text
//! inventory   the target                     ->  Inventory   reads and hashes; needs no label
//! plan        labels, overlay, Inventory     ->  Plan        pure; may refuse; nothing is written
//! write       staged beside, then renamed    ->  Written     each file is old or new
//! verify      the target, from its disk      ->  Verified    repairs once what reads back wrong
//! settle                                     ->  Settled     holds what kexec needs
//! ```
//!
//! What matches the label is not touched. There is no journal: every run compares the target with
//! the label, and what an earlier run staged is found by name and content.

mod commit;
mod content_id;
mod decide;
mod drawn;
mod error;
mod gate;
mod inventory;
mod join;
mod keep;
mod load;
mod meta;
mod nodes;
mod overlay;
mod plan;
mod rights;
mod root;
mod settle;
mod stage;
mod staging;
mod sweep;
mod tight;
mod verify;
mod wanted;
mod write;

pub use drawn::{Drawn, Needs};
pub(crate) use error::shown;
pub use error::{TreeError, TreeRefusal};
pub use gate::{Call, Gate};
pub use inventory::{Inventory, Taking};
pub use keep::Keep;
pub(crate) use nodes::{Cursor, What};
pub use overlay::Overlay;
pub use plan::{NodeTotals, Options, Plan, Totals, plan};
pub use rights::{Adapted, Rights};
pub use root::Root;
pub use settle::{Settled, settle};
pub(crate) use verify::verify_anew;
pub use verify::{Verified, verify};
pub(crate) use wanted::{From, Piece, Proof, Wanted};
pub use write::{Written, write};
