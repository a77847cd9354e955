//! How a deployed tree boots by itself: which boot loaders it brings, and the files that are made
//! for it. Texts are pure; only [`grub::Core`] runs something.

mod grub;
mod loaders;
mod texts;

pub(crate) use grub::BOOT_CODE_BYTES;
pub use grub::{Core, CoreError, Platform};
pub(crate) use loaders::BOOT_IMAGE;
pub use loaders::{Loaders, UefiLoader};
pub use texts::{
    Entry, Mounts, bls_entry, fstab, grub_config, loader_config, next_command_line, without_root,
};
