//! By what a boot was found, and where that is written.

use crate::volume::Volume;

/// What describes a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An entry by the Boot Loader Specification.
    Entry,
    /// A unified kernel.
    UnifiedKernel,
    /// An item of a `grub.cfg`.
    Grub,
    /// Nothing does: it is the newest kernel in `/boot`.
    NewestKernel,
}

impl Origin {
    /// What to call it before a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entry => "boot loader entry",
            Self::UnifiedKernel => "unified kernel",
            Self::Grub => "GRUB menu entry",
            Self::NewestKernel => "newest kernel",
        }
    }
}

/// One boot as it is described on a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// By what.
    pub origin: Origin,
    /// What its boot loader would call it in its menu.
    pub title: String,
    /// Whether the loader's configuration names it as the default. Where none is named, it is the
    /// first.
    pub is_default: bool,
    /// The partition's number as Linux counts it; none where the image, or the tree, is one volume.
    pub partition: Option<u32>,
    /// `ext4`, `vfat` or `tree`.
    pub file_system: &'static str,
    /// Path of the file that describes it, or that is the kernel.
    pub path: String,
}

impl Found {
    /// What describes a boot in the file `path` of `volume`. Its title comes from there, and from
    /// whoever wrote it: control characters would be a terminal's commands.
    pub(crate) fn on(
        volume: &Volume,
        origin: Origin,
        path: &str,
        title: &str,
        is_default: bool,
    ) -> Self {
        let title = title.replace(char::is_control, "?");
        let (partition, file_system) = (volume.partition, volume.fs.kind_name());
        Self { origin, title, is_default, partition, file_system, path: path.to_owned() }
    }
}
