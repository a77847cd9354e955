//! What must be mounted and set before anything else, as tables.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

/// A file system that init itself needs.
struct Mount {
    kind: &'static str,
    at: &'static str,
    flags: MountFlags,
    options: &'static std::ffi::CStr,
    /// There are kernels and machines without it.
    optional: bool,
}

impl Mount {
    const fn needed(
        kind: &'static str,
        at: &'static str,
        flags: MountFlags,
        options: &'static std::ffi::CStr,
    ) -> Self {
        Self { kind, at, flags, options, optional: false }
    }

    const fn optional(kind: &'static str, at: &'static str) -> Self {
        Self { kind, at, flags: SAFE, options: c"", optional: true }
    }
}

const SAFE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

const MOUNTS: [Mount; 7] = [
    // Disks and consoles. Often there already: CONFIG_DEVTMPFS_MOUNT, for what
    // it is worth in an initramfs.
    Mount::needed("devtmpfs", "/dev", MountFlags::NOSUID, c"mode=0755"),
    // The command line, mounts, kernel settings.
    Mount::needed("proc", "/proc", SAFE, c""),
    // Disks, NICs, consoles, modaliases.
    Mount::needed("sysfs", "/sys", SAFE, c""),
    // resolv.conf and what stages hand to each other. Bounded, so that a bug
    // cannot eat the memory of the machine.
    Mount::needed("tmpfs", "/run", SAFE, c"mode=0755,size=16m"),
    Mount::needed("tmpfs", "/tmp", SAFE, c"mode=1777,size=16m"),
    // Where the next boot finds what this one could not tell. Absent without EFI.
    Mount::optional("efivarfs", "/sys/firmware/efi/efivars"),
    // Whether the kernel is locked down, which is why a kexec may be refused.
    Mount::optional("securityfs", "/sys/kernel/security"),
];

/// A kernel setting of `/proc/sys` and the words of the command line that, if
/// given, mean the operator has decided it.
struct Setting {
    path: &'static str,
    value: &'static str,
    unless: &'static [&'static str],
}

const SETTINGS: [Setting; 3] = [
    // A kernel panic must not leave a machine hanging that nobody sits at; a
    // minute is enough to photograph it.
    Setting { path: "/proc/sys/kernel/panic", value: "60", unless: &["panic"] },
    // After an oops the kernel may have lost locks that writing needs.
    Setting { path: "/proc/sys/kernel/panic_on_oops", value: "1", unless: &["oops"] },
    // Errors and warnings of the kernel between init's lines, not its chatter.
    Setting {
        path: "/proc/sys/kernel/printk",
        value: "5",
        unless: &["loglevel", "debug", "quiet", "ignore_loglevel"],
    },
];

/// A mount that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot mount {kind} at {at}")]
pub struct MountError {
    /// The file system's kind.
    pub kind: &'static str,
    /// Where.
    pub at: &'static str,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// Mounts all of the table. Failures are returned, not fatal: the console that
/// could tell them is opened after.
pub fn mount_all() -> Vec<MountError> {
    MOUNTS.iter().filter_map(|entry| mount_one(entry).err()).collect()
}

fn mount_one(entry: &Mount) -> Result<(), MountError> {
    let wrong = |source| MountError { kind: entry.kind, at: entry.at, source };
    if entry.optional && !Path::new(entry.at).exists() {
        return Ok(());
    }
    fs::create_dir_all(entry.at).map_err(wrong)?;
    match mount(entry.kind, entry.at, entry.kind, entry.flags, entry.options) {
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        // Such as a kernel without support for EFI variables, on a machine that has them.
        Err(Errno::NODEV) if entry.optional => Ok(()),
        Err(errno) => Err(wrong(errno.into())),
    }
}

/// Applies the settings that the command line leaves to init. What this kernel
/// does not have is left alone.
pub fn apply_settings(command_line: &str) {
    for setting in SETTINGS.iter().filter(|setting| !is_decided(setting, command_line)) {
        let _ = fs::write(setting.path, setting.value);
    }
}

fn is_decided(setting: &Setting, command_line: &str) -> bool {
    let keys = command_line.split_whitespace().map(|word| word.split('=').next().unwrap_or(word));
    keys.into_iter().any(|key| setting.unless.contains(&key))
}

/// Makes `/dev/console` file descriptors 0, 1 and 2. An initramfs without that
/// node starts init with none of them (or with what the runtime put there), and
/// the next three files opened would become them.
pub fn open_standard_fds() {
    let console = OpenOptions::new().read(true).write(true).open("/dev/console");
    // With neither there is nothing that could be done or said.
    let Ok(console) = console.or_else(|_| File::open("/dev/null")) else { return };
    let _ = rustix::stdio::dup2_stdin(&console);
    let _ = rustix::stdio::dup2_stdout(&console);
    let _ = rustix::stdio::dup2_stderr(&console);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_decided_is_left_alone() {
        let line = "console=ttyS0 panic=5 quiet inaugurator.append=loglevel=3";
        let decided: Vec<bool> = SETTINGS.iter().map(|s| is_decided(s, line)).collect();
        assert_eq!(decided, [true, false, true]);
        assert!(SETTINGS.iter().all(|setting| !is_decided(setting, "console=ttyS0")));
    }
}
