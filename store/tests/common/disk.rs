//! File systems with little room.

use std::path::Path;
use std::process::{Command, Stdio};

/// A file system in memory; unmounted when dropped.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// One of `kib`; `None`: mounting needs root.
    pub fn mount(kib: u64) -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        disk.run(&format!("size={kib}k")).then_some(disk)
    }

    /// Gives it another size.
    pub fn resize(&self, kib: u64) {
        assert!(self.run(&format!("remount,size={kib}k")));
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(self.path()).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg(self.path()).stderr(Stdio::null()).status().unwrap();
    }
}
