//! Every way in, from the firmware up.

#[path = "../lab/mod.rs"]
mod lab;

mod ci;
mod drivers;
mod live;
mod media;
mod ondisk;
mod pxe;
mod recovery;
mod uki;
mod wire;
