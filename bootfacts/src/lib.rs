//! How does this image, or tree, boot?
//!
//! Given a disk or partition image, finds the kernel, the initrd and the
//! command line that its own boot loader would use, and where in the image
//! their bytes lie, so that a machine that just received the image can kexec
//! into it without guessing. Read-only, without root, without mounting.
//!
//! The image comes from outside: everything read from it is bounded by named
//! constants, and no content may make this crate panic.
//!
//! Specifications followed: UEFI 2.10 section 5 (GPT), the Boot Loader
//! Specification (UAPI.1), the Unified Kernel Image specification (UAPI.5), the
//! Version Format Specification (UAPI.10) and GRUB's manual for `grub.cfg`.

mod bls;
mod error;
mod extents;
mod found;
mod free;
mod fs;
mod glob;
mod grub;
mod image;
mod kernels;
mod list;
mod located;
mod partitions;
mod pe;
mod recipe;
mod uki;
mod version;
mod volume;
mod warnings;

use std::fs::File;
use std::rc::Rc;

pub use error::BootFactsError;
pub use extents::Extent;
pub use found::{Found, Origin};
pub use free::{FreeSpace, free_space};
pub use fs::{Tree, TreeEntry};
pub use list::{Listing, list};
pub use located::{Located, read_located, read_located_in_tree};

/// How an image boots.
#[derive(Debug, Clone)]
pub struct BootFacts {
    /// The kernel, as the boot loader would load it.
    pub kernel: Located,
    /// The initrd. Several initrd files are one sequence of bytes in the order
    /// in which the boot loader would put them into memory.
    pub initrd: Option<Located>,
    /// The kernel's command line.
    pub cmdline: String,
    /// By what this was found, and where.
    pub found: Found,
    /// The same as one text, for a person:
    /// `partition 3 (ext4) /boot/grub/grub.cfg, entry 'Debian GNU/Linux'`.
    pub source: String,
    /// What was met on the way and may matter, one sentence each.
    pub warnings: Vec<String>,
}

/// What reading an image came to, also when nothing bootable was found.
#[derive(Debug, Clone)]
pub struct Examination {
    /// How the image boots, if that was found. Holds the warnings too.
    pub facts: Option<BootFacts>,
    /// What was met on the way; with no facts, these say why.
    pub warnings: Vec<String>,
}

/// Says how `image` boots, or `None` if it holds nothing this crate can boot.
///
/// Fails only when the image itself cannot be read; a volume or an entry that
/// makes no sense is a warning, and the search goes on. The file's position is
/// left where it was.
pub fn find(image: &File) -> Result<Option<BootFacts>, BootFactsError> {
    Ok(examine(image)?.facts)
}

/// As [`find`], with the warnings also when nothing was found.
///
/// The order is from what describes the boot most exactly to what has to be
/// interpreted: entries by the Boot Loader Specification, unified kernels,
/// `grub.cfg`, and last a unified kernel in the place for removable media,
/// where a mere boot loader usually sits.
pub fn examine(image: &File) -> Result<Examination, BootFactsError> {
    let mut warnings = warnings::Warnings::default();
    let volumes = volume::open_all(image, &mut warnings)?;

    let found = bls::find(&volumes, &mut warnings)
        .or_else(|| uki::find(&volumes, &mut warnings))
        .or_else(|| grub::find(&volumes, &mut warnings))
        .or_else(|| uki::find_removable(&volumes, &mut warnings));

    let warnings = warnings.into_sentences();
    let facts = found.map(|facts| BootFacts { warnings: warnings.clone(), ..facts });
    Ok(Examination { facts, warnings })
}

/// Words of a command line that say where the root is, and how it is mounted: whoever puts the
/// tree onto a disk knows these better. `resume` names a swap space of another machine.
const OF_THE_DISK: [&str; 9] =
    ["root", "rootfstype", "rootflags", "rootdelay", "ro", "rw", "BOOT_IMAGE", "initrd", "resume"];

/// As [`examine`], of a tree: also the newest kernel in `/boot` counts, where nothing describes
/// the boot. What the command line says of the root's place is left out.
pub fn examine_tree(tree: &Rc<dyn Tree>) -> Examination {
    let mut warnings = warnings::Warnings::default();
    let volumes = volume::of_tree(tree);
    let found = bls::find(&volumes, &mut warnings)
        .or_else(|| uki::find(&volumes, &mut warnings))
        .or_else(|| grub::find(&volumes, &mut warnings))
        .or_else(|| kernels::find(&volumes, &mut warnings))
        .or_else(|| uki::find_removable(&volumes, &mut warnings));
    let warnings = warnings.into_sentences();
    let facts = found.map(|facts| {
        let cmdline = without_root(&facts.cmdline);
        BootFacts { warnings: warnings.clone(), cmdline, ..facts }
    });
    Examination { facts, warnings }
}

/// `cmdline` without the words of [`OF_THE_DISK`].
fn without_root(cmdline: &str) -> String {
    let key = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
    let words = cmdline.split_whitespace().filter(|word| !OF_THE_DISK.contains(&&*key(word)));
    words.collect::<Vec<_>>().join(" ")
}
