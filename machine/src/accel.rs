//! KVM where it truly works, else TCG.

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
        static FOUND: OnceLock<Accel> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            let opens = OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
            Self::from_facts(&flags, opens)
        })
    }

    /// `/dev/kvm` alone proves nothing: inside some virtual machines it opens,
    /// creates a VM and hangs it. The CPU must have the flag as well.
    fn from_facts(cpuinfo: &str, kvm_opens: bool) -> Self {
        let virtualises = cpuinfo
            .lines()
            .filter(|line| line.starts_with("flags"))
            .flat_map(str::split_whitespace)
            .any(|flag| flag == "vmx" || flag == "svm");
        if virtualises && kvm_opens { Self::Kvm } else { Self::Tcg }
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

#[cfg(test)]
mod tests {
    use super::Accel::{self, Kvm, Tcg};

    #[test]
    fn kvm_needs_the_flag_and_the_device() {
        for (cpuinfo, opens, expected) in [
            ("flags\t: fpu vmx sse\n", true, Kvm),
            ("flags\t: fpu svm sse\n", true, Kvm),
            ("flags\t: fpu svm_lock sse\n", true, Tcg),
            ("flags\t: fpu sse\n", true, Tcg),
            ("flags\t: fpu vmx\n", false, Tcg),
            ("bugs\t: vmx\n", true, Tcg),
        ] {
            assert_eq!(Accel::from_facts(cpuinfo, opens), expected, "{cpuinfo:?} {opens}");
        }
    }
}
