//! Every way in, from the firmware up.

#[path = "../lab/mod.rs"]
mod lab;

mod ondisk;
mod pxe;
mod recovery;
mod uki;
mod wire;
