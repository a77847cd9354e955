//! What goes into an initramfs, and what became of it.

use std::fs;
use std::path::PathBuf;

use crate::archive::{Archive, Node};
use crate::{Error, KernelTree, MissingFirmware, Modules, compress, firmware, modules, tools};

/// Directories that PID 1 mounts on or writes to, and their permissions.
const DIRECTORIES: &[(&str, u32)] = &[
    ("/dev", 0o755),
    ("/etc", 0o755),
    ("/lib/firmware", 0o755),
    ("/lib/modules", 0o755),
    ("/mnt", 0o755),
    ("/proc", 0o555),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
    ("/var", 0o755),
];

/// Nodes that are needed before devtmpfs is mounted: the kernel opens `/dev/console` for
/// PID 1 itself. Path, permissions, major, minor (`Documentation/admin-guide/devices.txt`).
const DEVICES: &[(&str, u32, u32, u32)] =
    &[("/dev/console", 0o600, 5, 1), ("/dev/null", 0o666, 1, 3)];

/// What to build.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The executable that becomes `/init`.
    pub init: PathBuf,
    /// Which modules to pack.
    pub modules: Modules,
    /// The kernel that they are of; not needed for [`Modules::None`].
    pub kernel: Option<KernelTree>,
    /// Programs, as absolute paths below [`Options::tools_from`]: packed with their libraries.
    pub tools: Vec<String>,
    /// The tree that programs are taken from: `/` for this host.
    pub tools_from: PathBuf,
    /// More files.
    pub embed: Vec<Embed>,
    /// Where firmware is taken from, for example `/lib/firmware`; without it none is packed.
    pub firmware: Option<PathBuf>,
}

/// A file of the host to carry along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embed {
    /// The file on the host; links are followed.
    pub source: PathBuf,
    /// Absolute path in the initramfs.
    pub destination: String,
    /// Permissions, for example `0o644`; bits above `0o7777` are ignored.
    pub mode: u32,
}

/// A finished initramfs.
#[derive(Debug, Clone)]
pub struct Initramfs {
    /// The compressed archive.
    pub bytes: Vec<u8>,
    /// What is in it.
    pub report: Report,
}

/// What is in an initramfs. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Files, directories and devices.
    pub entries: usize,
    /// Size of the archive before compression, which is about what it takes of memory.
    pub unpacked_bytes: u64,
    /// Size of [`Initramfs::bytes`].
    pub packed_bytes: u64,
    /// Size of `/init`.
    pub init_bytes: u64,
    /// Size of all modules.
    pub module_bytes: u64,
    /// Size of all firmware files.
    pub firmware_bytes: u64,
    /// Size of all programs with their libraries.
    pub tool_bytes: u64,
    /// Paths of the programs.
    pub tools: Vec<String>,
    /// Paths of their libraries, sorted.
    pub libraries: Vec<String>,
    /// Names of the modules, sorted.
    pub modules: Vec<String>,
    /// Modules of the thin list that the kernel neither has nor has built in: hardware that
    /// this initramfs does not support.
    pub absent_modules: Vec<String>,
    /// Firmware files, sorted.
    pub firmware: Vec<String>,
    /// Firmware files that a module names and that were not found.
    pub missing_firmware: Vec<MissingFirmware>,
}

/// Builds an initramfs.
pub fn build(options: &Options) -> Result<Initramfs, Error> {
    let mut report = Report::default();
    let mut archive = skeleton()?;
    report.init_bytes = add_file(&mut archive, &options.init, "/init", 0o755)?;
    let packed = tools::pack(&mut archive, &options.tools_from, &options.tools)?;
    (report.tools, report.libraries, report.tool_bytes) =
        (packed.programs, packed.libraries, packed.bytes);
    for Embed { source, destination, mode } in &options.embed {
        add_file(&mut archive, source, destination, mode & 0o7777)?;
    }
    if options.modules != Modules::None {
        let kernel = options.kernel.as_ref().ok_or(Error::NoKernel)?;
        add_drivers(&mut archive, kernel, options, &mut report)?;
    }

    let newc = archive.newc();
    let bytes = compress::zstd(&newc)?;
    report.entries = archive.len();
    report.unpacked_bytes = newc.len() as u64;
    report.packed_bytes = bytes.len() as u64;
    Ok(Initramfs { bytes, report })
}

fn skeleton() -> Result<Archive, Error> {
    let mut archive = Archive::default();
    for (path, permissions) in DIRECTORIES {
        archive.add(path, Node::Directory(*permissions))?;
    }
    for &(path, permissions, major, minor) in DEVICES {
        archive.add(path, Node::Character { permissions, major, minor })?;
    }
    Ok(archive)
}

fn add_file(
    archive: &mut Archive,
    source: &PathBuf,
    path: &str,
    permissions: u32,
) -> Result<u64, Error> {
    let unreadable = |error| Error::Read { path: source.clone(), source: error };
    let bytes = fs::read(source).map_err(unreadable)?;
    let length = bytes.len() as u64;
    archive.add(path, Node::File { permissions, bytes })?;
    Ok(length)
}

fn add_drivers(
    archive: &mut Archive,
    kernel: &KernelTree,
    options: &Options,
    report: &mut Report,
) -> Result<(), Error> {
    let drivers = modules::pack(archive, kernel, options.modules)?;
    let directory = options.firmware.as_deref();
    let firmware = firmware::pack(archive, directory, &kernel.version, drivers.firmware)?;
    report.module_bytes = drivers.bytes;
    report.modules = drivers.modules;
    report.absent_modules = drivers.absent;
    report.firmware_bytes = firmware.bytes;
    report.firmware = firmware.files;
    report.missing_firmware = firmware.missing;
    Ok(())
}

#[cfg(test)]
mod tests;
