//! The smallest initramfs: PID 1, and the programs it runs.
//!
//! newc as in the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`. The product's
//! own writer is in `initramfs`; this one is independent of what is tested.

use anyhow::{Context, Result};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An initramfs with this program as `/init` and the console as its output.
pub fn newc(init: &[u8]) -> Result<Vec<u8>> {
    newc_of(&[("init", init)])
}

/// An initramfs with these programs, each with its name in `/`, and the console as the output
/// of the one that is `init`.
pub fn newc_of(programs: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    entry(&mut archive, "dev", DIRECTORY, (0, 0), &[])?;
    entry(&mut archive, "dev/console", CHARACTER_DEVICE, (5, 1), &[])?;
    for (name, program) in programs {
        entry(&mut archive, name, PROGRAM, (0, 0), program)?;
    }
    entry(&mut archive, "TRAILER!!!", 0, (0, 0), &[])?;
    Ok(archive)
}

fn entry(
    archive: &mut Vec<u8>,
    name: &str,
    mode: u32,
    device: (u32, u32),
    data: &[u8],
) -> Result<()> {
    let size = u32::try_from(data.len()).with_context(|| format!("{name} is over 4 GiB"))?;
    let name_size = u32::try_from(name.len() + 1).context("a long name")?;
    let inode = u32::try_from(archive.len()).context("an archive over 4 GiB")?;
    archive.extend_from_slice(b"070701");
    for field in [inode, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0] {
        archive.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend_from_slice(data);
    pad(archive);
    Ok(())
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::newc;
    use std::fs::File;
    use std::process::Command;

    #[test]
    fn cpio_reads_it() {
        let archive = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(archive.path(), newc(b"#!program").unwrap()).unwrap();
        let list = Command::new("cpio")
            .args(["--list", "--verbose", "--numeric-uid-gid", "--quiet"])
            .stdin(File::open(archive.path()).unwrap())
            .output()
            .unwrap();
        let list = String::from_utf8(list.stdout).unwrap();
        let found: Vec<Vec<&str>> =
            list.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(found.len(), 3, "{list}");
        assert_eq!((found[1][0], found[1][4], found[1][5]), ("crw-------", "5,", "1"), "{list}");
        assert_eq!((found[2][0], found[2][4]), ("-rwxr-xr-x", "9"), "{list}");
    }
}
