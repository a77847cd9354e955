//! Block devices over files.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A loop device; gone when dropped.
pub(crate) struct Loop(PathBuf);

impl Loop {
    /// Over all of `file`, with partitions.
    pub(crate) fn over(file: &Path, sector_bytes: u32) -> Self {
        let mut command = Command::new("losetup");
        command.args(["--find", "--show", "--partscan", "--direct-io=on", "--sector-size"]);
        let output = command.arg(sector_bytes.to_string()).arg(file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()))
    }

    /// Its node.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.0).status();
    }
}
