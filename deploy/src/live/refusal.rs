//! Why a label is not run from memory. Nothing was fetched by then.

use crate::plan::human;

/// Why a label is not run from memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LiveRefusal {
    /// There is too little of it.
    #[error(
        "{label} needs {} of RAM to run live, this machine has {}",
        human(*.needs_bytes),
        human(*.has_bytes)
    )]
    Memory {
        /// The label.
        label: String,
        /// What is needed, bytes.
        needs_bytes: u64,
        /// What there is, bytes.
        has_bytes: u64,
    },
    /// The archive has no way to say it.
    #[error("{label} cannot run live: {path}: expected {expected}, found {found}")]
    Entry {
        /// The label.
        label: String,
        /// The node.
        path: String,
        /// What would be right.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// kexec takes no longer one.
    #[error(
        "{label} cannot run live: its root is {} as an initramfs, kernels take less than 4 GiB",
        human(*.found_bytes)
    )]
    TooLong {
        /// The label.
        label: String,
        /// Its length, bytes.
        found_bytes: u64,
    },
    /// There is nothing to start.
    #[error("{label} cannot run live: it names no kernel")]
    NoKernel {
        /// The label.
        label: String,
    },
    /// The kernel would find no PID 1.
    #[error("{label} cannot run live: expected a program at {path}, found none")]
    NoInit {
        /// The label.
        label: String,
        /// Where it is looked for.
        path: String,
    },
    /// systemd would look for another root.
    #[error(
        "{label} cannot run live: it has /etc/initrd-release, by which systemd takes it for an \
         initrd"
    )]
    IsInitrd {
        /// The label.
        label: String,
    },
}
