//! The commands: one module for each, and what they share.

pub(crate) mod boot;
pub(crate) mod copy;
pub(crate) mod deploy;
pub(crate) mod diff;
pub(crate) mod gc;
pub(crate) mod initramfs;
pub(crate) mod labels;
pub(crate) mod media;
pub(crate) mod push;
pub(crate) mod pxe_config;
pub(crate) mod rename;
pub(crate) mod rm;
pub(crate) mod serve;
pub(crate) mod show;
mod sign;
pub(crate) mod verify;

mod access;
mod boot_facts;
mod open;
mod read;

pub(crate) use boot_facts::BootDocument;
pub(crate) use open::{open_chain, open_dir, open_source};

use serde::ser::{Serialize, Serializer};

/// The facts of a label; in JSON an object, in the record's order.
pub(crate) struct Facts(pub(crate) Vec<(String, String)>);

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Stages with the seconds they took; in JSON an object, in order.
pub(crate) struct Stages(pub(crate) Vec<(&'static str, f64)>);

impl Serialize for Stages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(stage, seconds)| (stage, seconds)))
    }
}
