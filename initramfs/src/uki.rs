//! A unified kernel image: one EFI executable that is the whole of a boot (UAPI.5, Unified Kernel
//! Image).
//!
//! Given a stub that firmware can run (systemd-stub(7)), a kernel, an initramfs and a command
//! line, [`assemble`] returns the executable. Firmware starts it from a disk, a stick or a URL,
//! and a signature on it covers all that is in it. The same inputs give the same bytes.

mod fields;
mod kernel;
mod pe;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use kernel::kernel_release;
use pe::Section;

/// Where Debian's `systemd-boot-efi`, and most others, have the stub.
pub const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

/// What boot loaders show of it (os-release(5)).
const OS_RELEASE: &str = concat!(
    "ID=inaugurator\nNAME=Inaugurator\nPRETTY_NAME=\"Inaugurator ",
    env!("CARGO_PKG_VERSION"),
    "\"\nVERSION_ID=",
    env!("CARGO_PKG_VERSION"),
    "\n"
);

/// The longest stub, in bytes: systemd's has 80 to 150 KiB.
const MAX_STUB_BYTES: u64 = 4 << 20;
/// The longest kernel, in bytes: distributions' have 5 to 20 MiB.
const MAX_KERNEL_BYTES: u64 = 256 << 20;
/// The longest initramfs, in bytes. Firmware has the whole executable in memory twice, as a file
/// and as sections, and the stub a third time.
const MAX_INITRD_BYTES: u64 = 1 << 30;
/// `COMMAND_LINE_SIZE` of x86-64, without the zero that ends it: the kernel cuts a longer one.
const MAX_CMDLINE_BYTES: u64 = 2047;

/// What becomes one file.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// What firmware runs: an unsigned PE executable for x86-64 with the sections of none of these.
    pub stub: &'a [u8],
    /// The kernel: a bzImage with an EFI stub of its own.
    pub kernel: &'a [u8],
    /// The initramfs, packed.
    pub initrd: &'a [u8],
    /// The kernel's command line: one line of printable ASCII.
    pub cmdline: &'a str,
}

/// A finished executable.
#[derive(Debug, Clone)]
pub struct Uki {
    /// The file.
    pub bytes: Vec<u8>,
    /// `uname -r` of its kernel.
    pub release: String,
    /// What was put in, in its order.
    pub sections: Vec<SectionSize>,
}

/// A section by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionSize {
    /// Such as `.linux`.
    pub name: &'static str,
    /// How long its contents are.
    pub size_bytes: u64,
}

/// Why there is no unified kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UkiError {
    /// There is no stub where packages put it.
    #[error("no stub for unified kernels: expected {}, which package systemd-boot-efi has; install it, or give --stub", path.display())]
    NoStub {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A part cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file has no end where the part that it should be has one.
    #[error("{}: expected at most {limit_bytes} bytes, found more", path.display())]
    Long {
        /// The file.
        path: PathBuf,
        /// The bound in bytes.
        limit_bytes: u64,
    },
    /// A part is empty, or longer than it can be.
    #[error("{part}: expected 1 to {limit_bytes} bytes, found {found_bytes}")]
    Size {
        /// Which one.
        part: &'static str,
        /// The bound in bytes.
        limit_bytes: u64,
        /// Its length in bytes.
        found_bytes: u64,
    },
    /// The command line cannot be what its operator meant.
    #[error("command line: expected one line of printable ASCII, found {found:?} at byte {at}")]
    CommandLine {
        /// The first character that cannot be there.
        found: char,
        /// Where it stands.
        at: usize,
    },
    /// The stub is no executable that sections can be added to.
    #[error("stub: expected {expected}, found {found}")]
    Stub {
        /// What it should have.
        expected: &'static str,
        /// What it has.
        found: String,
    },
    /// The kernel is none that firmware can start.
    #[error("kernel: expected {expected}, found {found}")]
    Kernel {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
}

/// Puts the parts into one executable.
pub fn assemble(parts: &Parts) -> Result<Uki, UkiError> {
    check_size("stub", parts.stub, MAX_STUB_BYTES)?;
    check_size("kernel", parts.kernel, MAX_KERNEL_BYTES)?;
    check_size("initramfs", parts.initrd, MAX_INITRD_BYTES)?;
    check_size("command line", parts.cmdline.as_bytes(), MAX_CMDLINE_BYTES)?;
    check_text(parts.cmdline)?;
    let release = kernel_release(parts.kernel)?;
    // The kernel comes last: a later stub may run it where it is, and what a kernel needs beyond
    // its file is then free.
    let sections = [
        Section { name: ".osrel", contents: OS_RELEASE.as_bytes() },
        Section { name: ".uname", contents: release.as_bytes() },
        Section { name: ".cmdline", contents: parts.cmdline.as_bytes() },
        Section { name: ".initrd", contents: parts.initrd },
        Section { name: ".linux", contents: parts.kernel },
    ];
    let bytes = pe::with_sections(parts.stub, &sections)?;
    let size = |section: &Section| SectionSize {
        name: section.name,
        size_bytes: section.contents.len() as u64,
    };
    let sections = sections.iter().map(size).collect();
    Ok(Uki { bytes, release, sections })
}

/// The stub in the file `path`, or where packages put it.
pub fn read_stub(path: Option<&Path>) -> Result<Vec<u8>, UkiError> {
    let (path, is_given) = (path.unwrap_or(Path::new(STUB)), path.is_some());
    read_part(path, MAX_STUB_BYTES).map_err(|error| match error {
        UkiError::Read { path, source }
            if !is_given && source.kind() == io::ErrorKind::NotFound =>
        {
            UkiError::NoStub { path }
        }
        error => error,
    })
}

/// The kernel in the file `path`.
pub fn read_kernel(path: &Path) -> Result<Vec<u8>, UkiError> {
    read_part(path, MAX_KERNEL_BYTES)
}

/// The file `path`, which may be one without an end.
fn read_part(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, UkiError> {
    let mut bytes = Vec::new();
    let file = File::open(path);
    let read = file.and_then(|file| file.take(limit_bytes + 1).read_to_end(&mut bytes));
    read.map_err(|source| UkiError::Read { path: path.to_owned(), source })?;
    if bytes.len() as u64 > limit_bytes {
        return Err(UkiError::Long { path: path.to_owned(), limit_bytes });
    }
    Ok(bytes)
}

fn check_size(part: &'static str, bytes: &[u8], limit_bytes: u64) -> Result<(), UkiError> {
    let found_bytes = bytes.len() as u64;
    if (1..=limit_bytes).contains(&found_bytes) {
        return Ok(());
    }
    Err(UkiError::Size { part, limit_bytes, found_bytes })
}

/// The stub hands the line on byte by byte, and a line that ends early would leave words out.
fn check_text(cmdline: &str) -> Result<(), UkiError> {
    match cmdline.char_indices().find(|(_, found)| !matches!(found, ' '..='~')) {
        Some((at, found)) => Err(UkiError::CommandLine { found, at }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
