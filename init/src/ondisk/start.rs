//! Starting an entry from here.

use std::convert::Infallible;
use std::fs::File;
use std::io;

use bootfacts::{BootFacts, BootFactsError, Located, read_located};
use deploy::Unproven;
use deploy::boot::next_command_line;
use deploy::disks::{Disk, Places, is_same_disk};

use super::Entry;
use super::find::is_unproven;
use crate::boot::Exchanged;
use crate::kexec::{self, ImageError, KexecError, SealedImage, TooLittleMemory, fits};
use crate::machine::Machine;
use crate::report;

/// Why an entry could not be started. Nothing was changed; the firmware may still boot the disk.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The disk cannot be read.
    #[error("{disk} cannot be read")]
    Disk {
        /// Its path.
        disk: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another disk took its place.
    #[error(transparent)]
    Exchanged(#[from] Exchanged),
    /// Its deployment was not finished.
    #[error("{disk}")]
    Unproven {
        /// Its path.
        disk: String,
        /// What is known of the deployment.
        #[source]
        source: Unproven,
    },
    /// Kernel or initrd cannot be found again.
    #[error("{disk}")]
    Files {
        /// The disk's path.
        disk: String,
        /// Why.
        #[source]
        source: BootFactsError,
    },
    /// They cannot be held in memory.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// They do not fit into it.
    #[error(transparent)]
    Memory(#[from] TooLittleMemory),
    /// This kernel does not start another.
    #[error(transparent)]
    Kexec(#[from] KexecError),
}

/// Starts `entry`, with `append` behind its command line, and with this kernel's consoles where
/// neither of them names one. Returns only with why not: whether the firmware is to try instead is
/// the caller's to decide.
///
/// There is no digest of what is on the disk: what is loaded is what was read. A disk that was
/// exchanged, or whose deployment is not finished, is refused whatever the list said before.
pub fn start(machine: &Machine, entry: &Entry, append: &str) -> Result<Infallible, StartError> {
    let Entry { disk, facts } = entry;
    machine.console.say("kexec", &format!("{}: {entry}", disk.path));
    let device = open(entry)?;
    fits(images_bytes(facts), report::memory_available())?;
    let kernel = image(disk, &device, "kernel", &facts.kernel)?;
    let initrd =
        facts.initrd.as_ref().map(|initrd| image(disk, &device, "initrd", initrd)).transpose()?;
    let line = next_command_line(&facts.cmdline, append, &machine.command_line);
    Ok(kexec::go(&machine.console, "the disk's", &kernel, initrd.as_ref(), &line)?)
}

/// The disk, if it is still the one that was looked at, and may be booted.
fn open(entry: &Entry) -> Result<File, StartError> {
    let disk = &entry.disk;
    let failed = |source| StartError::Disk { disk: disk.path.clone(), source };
    let device = File::open(&disk.path).map_err(failed)?;
    // The open descriptor pins the disk; only now is it certain which one it is.
    if !is_same_disk(&Places::default(), disk) {
        return Err(Exchanged { path: disk.path.clone(), diskseq: disk.diskseq }.into());
    }
    match is_unproven(&device, entry.facts.found.partition.is_some()).map_err(failed)? {
        Some(source) => Err(StartError::Unproven { disk: disk.path.clone(), source }),
        None => Ok(device),
    }
}

fn images_bytes(facts: &BootFacts) -> u64 {
    let initrd_bytes = facts.initrd.as_ref().map_or(0, |initrd| initrd.size_bytes);
    facts.kernel.size_bytes.saturating_add(initrd_bytes)
}

fn image(
    disk: &Disk,
    device: &File,
    what: &'static str,
    located: &Located,
) -> Result<SealedImage, StartError> {
    let reader = read_located(device, located)
        .map_err(|source| StartError::Files { disk: disk.path.clone(), source })?;
    Ok(SealedImage::read(what, &located.path, located.size_bytes, reader)?)
}
