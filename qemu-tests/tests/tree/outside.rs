//! A disk's root compared from outside with the directory that was pushed.

use anyhow::{Result, ensure};
use qemu_tests::{Difference, Disk, Partition, ROOT_TYPE, differences};
use std::fs;
use std::path::Path;

/// What a deployment makes of its own, by the beginning of its path: why it is not in the label.
const MADE: [(&str, &str); 6] = [
    ("etc/fstab", "names this disk's partitions"),
    ("etc/inaugurator/", "says which label this is"),
    ("etc/machine-id", "is this machine's"),
    ("boot/efi/", "is where the EFI system partition is mounted"),
    ("boot/grub/", "has GRUB's menu for this disk"),
    ("lost+found/", "is made with the file system"),
];

/// A failure shows so many differences: what went wrong once is mostly wrong everywhere.
const SHOWN: usize = 40;

/// The root of `disk` is `tree` to the byte, except for what a deployment makes, and what is
/// below `kept`. What is excepted is printed.
pub(crate) fn is_pristine(disk: &Disk, tree: &Path, kept: Option<&str>) -> Result<()> {
    let found = root(disk)?.mounted(|root| differences(tree, root))?;
    let reason = |difference: &Difference| {
        let path = &difference.path;
        let made = MADE.iter().find(|(made, _)| path.starts_with(made)).map(|(_, why)| *why);
        made.or_else(|| kept.filter(|kept| path.starts_with(kept)).map(|_| "kept"))
    };
    let mut wrong = Vec::new();
    for difference in &found {
        match reason(difference) {
            Some(why) => println!("          excepted: {difference} ({why})"),
            None => wrong.push(difference.to_string()),
        }
    }
    let (count, shown) = (wrong.len(), &wrong[..wrong.len().min(SHOWN)]);
    ensure!(count == 0, "{count} not as in {}:\n{}", tree.display(), shown.join("\n"));
    Ok(())
}

/// The content of a file of the disk's root.
pub(crate) fn read(disk: &Disk, path: &str) -> Result<String> {
    root(disk)?.mounted(|root| Ok(fs::read_to_string(root.join(path))?))
}

fn root(disk: &Disk) -> Result<Partition> {
    Partition::of(&disk.file, ROOT_TYPE)
}
