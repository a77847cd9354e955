//! What a machine boots with, and how QEMU is told of it.

use crate::arguments::{escaped, words};
use crate::machine::Firmware;
use std::path::Path;

/// A build of UEFI, as Debian's `ovmf` has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    /// Its code, which machines share.
    pub(crate) code: &'static str,
    /// The variables that a machine starts from; every machine gets a copy.
    pub(crate) variables: &'static str,
    /// It keeps its variables where only its own code can change them.
    guarded: bool,
}

pub(crate) const PLAIN: Build = Build {
    code: "/usr/share/OVMF/OVMF_CODE_4M.fd",
    variables: "/usr/share/OVMF/OVMF_VARS_4M.fd",
    guarded: false,
};

const SECURE: Build = Build {
    code: "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
    variables: "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd",
    guarded: true,
};

impl Build {
    /// The one that this firmware is; none of a BIOS.
    pub(crate) fn of(firmware: &Firmware) -> Option<Self> {
        match firmware {
            Firmware::SeaBios | Firmware::Direct { uefi: false, .. } => None,
            Firmware::Ovmf | Firmware::Direct { uefi: true, .. } => Some(PLAIN),
            Firmware::SecureBoot => Some(SECURE),
        }
    }

    fn arguments(self, variables: &Path) -> Vec<String> {
        let code = format!("if=pflash,format=raw,readonly=on,file={}", self.code);
        let variables = format!("if=pflash,format=raw,file={}", escaped(variables));
        let mut all = words(&["-drive", &code, "-drive", &variables]);
        if self.guarded {
            // System management mode, as the build wants it (OvmfPkg/README, "SMM support").
            all.extend(words(&["-machine", "q35,smm=on"]));
            all.extend(words(&["-global", "driver=cfi.pflash01,property=secure,value=on"]));
            all.extend(words(&["-global", "ICH9-LPC.disable_s3=1"]));
        }
        all
    }
}

/// The firmware, and what it is told to start. `variables` is the machine's own copy.
pub(crate) fn firmware_arguments(firmware: &Firmware, variables: &Path) -> Vec<String> {
    let mut all = Build::of(firmware).map_or_else(Vec::new, |build| build.arguments(variables));
    match firmware {
        // Without a screen it says on the serial line what it boots, and that it cannot.
        Firmware::SeaBios => all.extend(words(&["-machine", "graphics=off"])),
        Firmware::Ovmf | Firmware::SecureBoot => {}
        Firmware::Direct { kernel, initrd, cmdline, .. } => {
            let kernel = kernel.display().to_string();
            let initrd = initrd.display().to_string();
            all.extend(words(&["-kernel", &kernel, "-initrd", &initrd, "-append", cmdline]));
        }
    }
    all
}
