//! KVM where it truly works, else TCG.

use crate::sys;
use anyhow::{Context, Result, anyhow, ensure};
use std::fs::{self, OpenOptions};
use std::sync::OnceLock;

/// How the machine's instructions are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// Hardware virtualisation.
    Kvm,
    /// Emulation: 10 to 30 times slower.
    Tcg,
}

impl Accel {
    /// What this host can do, found out once.
    pub fn of_this_host() -> Self {
        if Self::check_kvm().is_ok() { Self::Kvm } else { Self::Tcg }
    }

    /// Whether KVM works here, or why it does not; found out once.
    pub fn check_kvm() -> Result<()> {
        static WHY_NOT: OnceLock<Option<String>> = OnceLock::new();
        let why_not = WHY_NOT.get_or_init(|| {
            let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            let found = Self::check(&flags, makes_machine);
            found.err().map(|error| format!("no KVM here: {error:#}"))
        });
        why_not.as_ref().map_or(Ok(()), |why_not| Err(anyhow!("{why_not}")))
    }

    /// A `/dev/kvm` that opens proves nothing: inside some virtual machines it does, makes a
    /// machine, and hangs it, so the CPU must have the flag as well; and where another program
    /// has the CPU's extension, or a BIOS has it off, it makes none.
    fn check(cpuinfo: &str, makes_machine: impl FnOnce() -> Result<()>) -> Result<()> {
        let virtualises = cpuinfo
            .lines()
            .filter(|line| line.starts_with("flags"))
            .flat_map(str::split_whitespace)
            .any(|flag| flag == "vmx" || flag == "svm");
        ensure!(virtualises, "the CPU has neither vmx nor svm");
        makes_machine()
    }

    /// By how much a deadline written for KVM is stretched.
    pub fn deadline_factor(self) -> u32 {
        match self {
            Self::Kvm => 1,
            // A boot takes 10 times as long, and the machines that lack KVM are
            // the ones whose cores are shared. Only a failure waits this long.
            Self::Tcg => 15,
        }
    }

    pub(crate) fn arguments(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }
}

/// Has KVM make a machine, which is gone at once.
fn makes_machine() -> Result<()> {
    let kvm = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    let kvm = kvm.context("cannot open /dev/kvm")?;
    sys::make_machine(&kvm).map(drop).context("/dev/kvm makes no machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kvm_needs_the_flag_and_a_machine_that_is_made() {
        let no_flag = Some("the CPU has neither vmx nor svm");
        for (cpuinfo, makes, expected) in [
            ("flags\t: fpu vmx sse\n", true, None),
            ("flags\t: fpu svm sse\n", true, None),
            ("flags\t: fpu svm_lock sse\n", true, no_flag),
            ("flags\t: fpu sse\n", true, no_flag),
            ("flags\t: fpu vmx\n", false, Some("busy")),
            ("bugs\t: vmx\n", true, no_flag),
        ] {
            let machine = || if makes { Ok(()) } else { Err(anyhow!("busy")) };
            let found = Accel::check(cpuinfo, machine).err().map(|error| error.to_string());
            assert_eq!(found.as_deref(), expected, "{cpuinfo:?} {makes}");
        }
    }

    #[test]
    fn a_device_without_the_flag_is_not_touched() {
        let touched = || -> Result<()> { panic!("touched") };
        assert!(Accel::check("flags\t: fpu\n", touched).is_err());
    }
}
