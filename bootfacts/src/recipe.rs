//! What every way of describing a boot comes down to: files on a volume and a
//! command line.

use crate::volume::Volume;
use crate::{BootFacts, BootFactsError, Found, Located};

/// The largest kernel that is believed. Distribution kernels are 5-20 MiB, a
/// unified kernel with an embedded initramfs a few hundred at most.
pub(crate) const MAX_KERNEL_BYTES: u64 = 256 << 20;
/// The largest initrd that is believed, all files together: a whole live
/// system fits.
pub(crate) const MAX_INITRD_BYTES: u64 = 2 << 30;
/// The kernel itself takes 2 KiB (x86) to 4 KiB; more is not a command line.
pub(crate) const MAX_CMDLINE_BYTES: usize = 4096;
/// Boot loaders load one to three initrd files.
const MAX_INITRD_FILES: usize = 16;

/// A boot as some configuration describes it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// Path of the kernel on its volume.
    pub(crate) kernel: String,
    /// Paths of the initrd files, in order.
    pub(crate) initrds: Vec<String>,
    pub(crate) cmdline: String,
}

impl Recipe {
    /// Finds the recipe's files on `volume`. `found` and `source` say where
    /// the recipe is from.
    pub(crate) fn locate(
        &self,
        volume: &Volume,
        found: Found,
        source: String,
    ) -> Result<BootFacts, BootFactsError> {
        if self.initrds.len() > MAX_INITRD_FILES {
            let limit = MAX_INITRD_FILES;
            return Err(BootFactsError::TooMany { object: source, things: "initrd files", limit });
        }
        check_cmdline(&self.cmdline)?;
        let kernel = volume.locate(&self.kernel, MAX_KERNEL_BYTES)?;
        let mut left_bytes = MAX_INITRD_BYTES;
        let mut initrds = Vec::new();
        for path in &self.initrds {
            let initrd = volume.locate(path, left_bytes)?;
            left_bytes -= initrd.size_bytes;
            initrds.push(initrd);
        }
        let initrd = Located::concatenate(initrds);
        Ok(BootFacts {
            kernel,
            initrd,
            cmdline: self.cmdline.clone(),
            found,
            source,
            warnings: Vec::new(),
        })
    }
}

/// Refuses a command line that the kernel could not take.
pub(crate) fn check_cmdline(cmdline: &str) -> Result<(), BootFactsError> {
    if cmdline.len() > MAX_CMDLINE_BYTES || cmdline.contains('\0') {
        return Err(BootFactsError::Malformed {
            object: "kernel command line",
            field: "text",
            expected: "at most 4096 bytes without NUL",
            found: format!("{} bytes", cmdline.len()),
        });
    }
    Ok(())
}
