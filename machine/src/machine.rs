//! A machine as a value.

use crate::accel::Accel;
use crate::arguments::arguments;
use crate::devices::{Disk, Nic};
use crate::firmware::Build;
use crate::running::Running;
use anyhow::{Context, Result};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A machine that is off. Fill in what the test is about, leave the rest to
/// `..Machine::default()` or `..Machine::direct(...)`.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What failures call it.
    pub name: String,
    /// RAM in MiB.
    pub memory_mib: u32,
    /// Processors.
    pub cpus: u32,
    /// In the order the machine finds them.
    pub disks: Vec<Disk>,
    /// One virtio card unless said otherwise.
    pub nics: Vec<Nic>,
    /// What it boots with.
    pub firmware: Firmware,
    /// A reset boots it again; otherwise a reset is the end of QEMU.
    pub reboots: bool,
    /// What the clock says at power-on, as `-rtc base=` takes it; `None` is now.
    pub clock: Option<String>,
    /// Where `console.log` (as it came, with escapes, its first 64 MiB) is kept; with `None` it is
    /// not written.
    pub directory: Option<PathBuf>,
    /// Where its own files are, which end with it; `None` is the host's directory for such things.
    pub scratch: Option<PathBuf>,
    /// How its instructions are run; `None` is the best that this host has.
    pub accel: Option<Accel>,
    /// virtio-serial ports by name: the machine has each as `/dev/virtio-ports/NAME`, the host
    /// as a socket, see [`Running::take_port`].
    pub ports: Vec<String>,
    /// More of QEMU's command line.
    pub extra: Vec<String>,
}

/// What a machine boots with.
#[derive(Clone, Debug)]
pub enum Firmware {
    /// PC BIOS, from the first disk.
    SeaBios,
    /// UEFI, from the first disk's ESP. Needs Debian's `ovmf`.
    Ovmf,
    /// The same with Secure Boot: it starts what Debian's snakeoil key signed
    /// (`/usr/share/ovmf/PkKek-1-snakeoil.key`), and nothing else.
    SecureBoot,
    /// No boot loader: QEMU has the firmware start these.
    Direct {
        /// The firmware is UEFI (Debian's `ovmf`), not a BIOS.
        uefi: bool,
        /// A bzImage.
        kernel: PathBuf,
        /// An initramfs.
        initrd: PathBuf,
        /// The kernel's command line.
        cmdline: String,
    },
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            name: "machine".into(),
            memory_mib: 512,
            cpus: 1,
            disks: Vec::new(),
            nics: vec![Nic::default()],
            firmware: Firmware::SeaBios,
            reboots: false,
            clock: None,
            directory: None,
            scratch: None,
            accel: None,
            ports: Vec::new(),
            extra: Vec::new(),
        }
    }
}

impl Machine {
    /// A machine booted from these files. The serial console is asked for, and
    /// a kernel that panics resets, which ends QEMU. Timers are not checked: on a busy host
    /// their interrupts come late, and a kernel that sees none panics.
    pub fn direct(kernel: impl AsRef<Path>, initrd: impl AsRef<Path>, cmdline: &str) -> Self {
        Self {
            firmware: Firmware::Direct {
                uefi: false,
                kernel: kernel.as_ref().to_owned(),
                initrd: initrd.as_ref().to_owned(),
                cmdline: format!("console=ttyS0 panic=-1 no_timer_check {cmdline}"),
            },
            ..Self::default()
        }
    }

    /// A machine whose UEFI fetches `url` itself and starts it: an address of the user network's,
    /// as the host is 10.0.2.2 there.
    pub fn by_http(url: &str) -> Self {
        // It would try PXE by both protocols first, a minute each.
        let without = |protocol| format!("name=opt/org.tianocore/{protocol}PXESupport,string=n");
        let nic = Nic { options: format!("bootfile={url}"), ..Nic::default() };
        Self {
            firmware: Firmware::Ovmf,
            nics: vec![nic],
            extra: ["IPv4", "IPv6"]
                .into_iter()
                .flat_map(|p| ["-fw_cfg".into(), without(p)])
                .collect(),
            ..Self::default()
        }
    }

    /// The same machine with UEFI instead of a BIOS.
    #[must_use]
    pub fn on_uefi(mut self) -> Self {
        match &mut self.firmware {
            Firmware::Direct { uefi, .. } => *uefi = true,
            firmware => *firmware = Firmware::Ovmf,
        }
        self
    }

    /// The kernel's command line, where QEMU gives it one.
    pub fn command_line(&self) -> Option<&str> {
        match &self.firmware {
            Firmware::Direct { cmdline, .. } => Some(cmdline),
            _ => None,
        }
    }

    /// Turns it on. The machine dies with the thread that calls this. When it is on, QEMU has all
    /// of its files open.
    pub fn start(&self) -> Result<Running> {
        let scratch = self.scratch.clone().unwrap_or_else(env::temp_dir);
        let scratch = TempDir::with_prefix_in("machine-", scratch);
        let scratch = scratch.context("a directory for the machine")?;
        if let Some(directory) = &self.directory {
            fs::create_dir_all(directory)
                .with_context(|| format!("making {}", directory.display()))?;
        }
        let variables = scratch.path().join("efi-variables");
        if let Some(Build { variables: from, .. }) = Build::of(&self.firmware) {
            fs::copy(from, &variables)
                .with_context(|| format!("copying {from}; is ovmf installed?"))?;
        }
        let accel = self.accel.unwrap_or_else(Accel::of_this_host);
        let arguments = arguments(self, accel, &variables);
        let log = self.directory.as_ref().map(|directory| directory.join("console.log"));
        Running::spawn(&self.name, accel, &arguments, &self.ports, log.as_deref(), scratch)
    }
}
