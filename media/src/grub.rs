//! GRUB's cores for a BIOS, made by this host's `grub-mkimage` of this host's modules.

use crate::MediaError;
use deploy::tools::Tool;
use std::path::Path;

/// Where Debian's `grub-pc-bin` has GRUB for a BIOS.
const DIRECTORY: &str = "/usr/lib/grub/i386-pc";

/// What every core has: enough to read a configuration that boots a kernel, and to look around by
/// hand where that fails.
const MODULES: [&str; 10] = [
    "biosdisk",
    "normal",
    "configfile",
    "linux",
    "serial",
    "terminal",
    "echo",
    "test",
    "ls",
    "cat",
];

/// The medium that a core reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// The FAT in this partition of the disk that the core came from.
    Partition(u32),
    /// The CD-ROM that the core came from.
    Disc,
}

/// A core, as `grub-mkimage` makes it.
pub(crate) fn core(reads: Reads) -> Result<Vec<u8>, MediaError> {
    let (format, prefix, reader) = match reads {
        // Without a disk in the prefix it is the one that the core came from.
        Reads::Partition(number) => {
            ("i386-pc", format!("(,gpt{number})/boot/grub"), &["part_gpt", "fat"][..])
        }
        Reads::Disc => ("i386-pc-eltorito", "/boot/grub".to_owned(), &["iso9660"][..]),
    };
    let make = |tool: Tool<'_>| {
        tool.args(["-O", format, "-d", DIRECTORY, "-p", &prefix])
            .args(reader.iter().chain(&MODULES))
            .run()
    };
    Tool::named("grub-mkimage").and_then(make).map_err(|source| MediaError::Tool {
        what: "GRUB's core for a BIOS",
        package: "grub-pc-bin",
        source,
    })
}

/// The first sector of a disk.
pub(crate) fn boot_image() -> Result<Vec<u8>, MediaError> {
    let path = Path::new(DIRECTORY).join("boot.img");
    std::fs::read(&path).map_err(MediaError::io("read (package grub-pc-bin has it)", &path))
}
