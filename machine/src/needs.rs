//! What machines need of the host, and which Debian package brings it.

use crate::firmware::PLAIN;
use std::env;
use std::fmt;
use std::path::Path;

/// The program that runs machines.
pub(crate) const QEMU: &str = "qemu-system-x86_64";

/// Something that the host does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// The program or file.
    pub what: &'static str,
    /// Debian's package with it.
    pub package: &'static str,
}

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, package } = self;
        write!(f, "{what} is not there: install Debian's package {package}")
    }
}

/// What machines would not start without, and is not there: QEMU, and with `uefi` the firmware.
pub fn missing(uefi: bool) -> Option<Needed> {
    let path = env::var_os("PATH").unwrap_or_default();
    if !env::split_paths(&path).any(|directory| directory.join(QEMU).is_file()) {
        return Some(Needed { what: QEMU, package: "qemu-system-x86" });
    }
    let firmware = [PLAIN.code, PLAIN.variables].into_iter().filter(|_| uefi);
    let what = firmware.into_iter().find(|file| !Path::new(file).is_file())?;
    Some(Needed { what, package: "ovmf" })
}
