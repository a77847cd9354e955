//! Why an initramfs cannot be built.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why an initramfs cannot be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that goes in, or that says what goes in, cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Modules are wanted and no kernel is given to take them from.
    #[error("modules are wanted, so the kernel's directory and release must be given")]
    NoKernel,
    /// A directory holds the modules of no kernel, or of several.
    #[error("{}: expected one kernel below lib/modules, found [{}]", root.display(), found.join(", "))]
    WhichKernel {
        /// The directory.
        root: PathBuf,
        /// The releases in it.
        found: Vec<String>,
    },
    /// An index of the kernel has a line that is not of its kind.
    #[error("{}, line {number}: expected {expected}, found {found:?}", path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// Line number, from one.
        number: usize,
        /// What such a line looks like.
        expected: &'static str,
        /// The line.
        found: String,
    },
    /// `modules.dep` wants a module that it does not list.
    #[error("module {module} wants {dependency}, which modules.dep does not list; run depmod")]
    UnknownDependency {
        /// The module.
        module: String,
        /// What it wants.
        dependency: String,
    },
    /// A file is larger, unpacked, than any module or firmware file is.
    #[error("{}: expected at most {limit} bytes unpacked", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound in bytes.
        limit: u64,
    },
    /// A compressed file cannot be unpacked.
    #[error("{}: cannot unpack: {detail}", path.display())]
    Unpack {
        /// The file.
        path: PathBuf,
        /// What the decompressor said.
        detail: String,
    },
    /// A module is not an ELF file with a `.modinfo` section.
    #[error("{}: expected a kernel module: {detail}", path.display())]
    NotAModule {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A tool is not an ELF program for this machine, or lacks a library.
    #[error("{}: expected a program: {detail}", path.display())]
    NotAProgram {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A name cannot be in the archive.
    #[error("{path:?} cannot be in the archive: {detail}")]
    Path {
        /// The name as given.
        path: String,
        /// Why not.
        detail: &'static str,
    },
    /// zstd failed, which only happens when memory is out.
    #[error("cannot compress the archive")]
    Compress(#[source] io::Error),
}
