//! What would be done, as a value. The refusals come first, before any content is fetched.

use super::archive::{Names, measure, names, records};
use super::boot::{command_line, init};
use super::memory::{Memory, PAGE_BYTES, Takes};
use super::refusal::LiveRefusal;
use crate::install::{CONSOLE, Own, shadow};
use crate::meter::Meter;
use crate::tree::{Drawn, Rights};
use crate::{Error, Label};
use std::sync::Arc;
use store::manifest::{Boot, Payload, Place};

/// By this file systemd takes a root in memory for an initrd (`in_initrd` of systemd).
const INITRD_RELEASE: &str = "etc/initrd-release";

/// Where a root says what is mounted.
const FSTAB: &str = "etc/fstab";

/// An fstab(5) of hundreds of file systems is far shorter, bytes.
const FSTAB_MAX_BYTES: u64 = 1 << 20;

/// The longest image that kexec takes, bytes: `KEXEC_FILE_SIZE_MAX` of Linux.
const ARCHIVE_MAX_BYTES: u64 = (4 << 30) - 1;

/// How a label is run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the machine has of its own.
    pub own: Own,
    /// Words for the next kernel's command line.
    pub append: String,
    /// The command line of the running kernel, whose consoles are handed on.
    pub running: String,
}

/// Labels that fit into memory as far as can be told without their content.
pub struct Draft {
    drawn: Drawn,
    memory: Option<Memory>,
    boot: Boot,
    kernel_path: String,
}

/// What would be done.
pub struct Plan {
    pub(super) drawn: Drawn,
    pub(super) names: Names,
    pub(super) takes: Takes,
    pub(super) memory: Option<Memory>,
    pub(super) boot: Boot,
    pub(super) kernel_path: String,
    pub(super) command_line: String,
    /// What of disks the label's own fstab(5) would mount, were it not for us.
    pub(super) mounts: Vec<String>,
}

/// Looks whether `labels` joined can be run from `memory`, where that is known.
pub fn look(labels: Vec<Label>, memory: Option<Memory>, meter: Arc<Meter>) -> Result<Draft, Error> {
    let is_image = |label: &&Label| label.manifest.image().is_some();
    if let Some(label) = labels.iter().find(is_image) {
        let label = label.record.name.to_string();
        return Err(Error::Kind { label, expected: "tree, to be run live", found: "image" });
    }
    let drawn = Drawn::of(labels, Rights::Root, meter)?;
    let label = || drawn.name().to_owned();
    let boot = drawn.labels().iter().find_map(|label| label.manifest.boot.clone());
    let boot = boot.ok_or_else(|| LiveRefusal::NoKernel { label: label() })?;
    if drawn.has(INITRD_RELEASE.as_bytes()) {
        return Err(LiveRefusal::IsInitrd { label: label() }.into());
    }
    let kernel_path = kernel_path(&boot.kernel)?;
    takes(&drawn, &names(drawn.wanted()), &boot, memory.as_ref())?;
    Ok(Draft { drawn, memory, boot, kernel_path })
}

impl Draft {
    /// The labels with what the machine has of its own. Reads a file or two of the label.
    pub fn plan(self, options: &Options) -> Result<Plan, Error> {
        let Self { drawn, memory, boot, kernel_path } = self;
        let fstab = drawn.read(FSTAB.as_bytes(), FSTAB_MAX_BYTES, None)?;
        let (fstab, mounts) = without_disks(&fstab.unwrap_or_default());
        let fstab = (!mounts.is_empty()).then_some(fstab);
        let shadow = shadow(&drawn, &options.own, None)?;
        let has = (drawn.has_file(b"etc/machine-id"), drawn.has(CONSOLE.as_bytes()));
        let overlay = options.own.live_overlay(drawn.labels(), has, shadow.as_ref(), fstab);
        let drawn = drawn.under(&overlay)?;
        let init = init(&boot.cmdline, &options.append);
        if !drawn.leads_to_program(init.trim_start_matches('/').as_bytes()) {
            let (label, path) = (drawn.name().to_owned(), init.to_owned());
            return Err(LiveRefusal::NoInit { label, path }.into());
        }
        let names = names(drawn.wanted());
        let takes = takes(&drawn, &names, &boot, memory.as_ref())?;
        let command_line = command_line(&boot.cmdline, &options.append, &options.running);
        Ok(Plan { drawn, names, takes, memory, boot, kernel_path, command_line, mounts })
    }
}

impl Plan {
    /// Length of the archive, bytes.
    pub fn archive_bytes(&self) -> u64 {
        self.takes.archive_bytes
    }

    /// The labels, in the order in which they were given.
    pub fn labels(&self) -> &[Label] {
        self.drawn.labels()
    }
}

/// The kernel is taken out of the root: it is proven like all of it.
fn kernel_path(kernel: &Payload) -> Result<String, Error> {
    let found = match &kernel.place {
        Place::Path(path) => match std::str::from_utf8(path) {
            Ok(path) => return Ok(path.to_owned()),
            Err(_) => path.escape_ascii().to_string(),
        },
        _ => "no file of the tree".to_owned(),
    };
    Err(Error::BootPath { file: "kernel", found })
}

fn takes(
    drawn: &Drawn,
    names: &Names,
    boot: &Boot,
    memory: Option<&Memory>,
) -> Result<Takes, LiveRefusal> {
    let (wanted, label) = (drawn.wanted(), || drawn.name().to_owned());
    let archive_bytes = measure(drawn.name(), records(wanted, names))?;
    if archive_bytes > ARCHIVE_MAX_BYTES {
        return Err(LiveRefusal::TooLong { label: label(), found_bytes: archive_bytes });
    }
    let pages = wanted.files.iter().map(|file| file.size_bytes.next_multiple_of(PAGE_BYTES));
    let takes = Takes {
        archive_bytes,
        kernel_bytes: boot.kernel.size_bytes,
        pages_bytes: pages.sum(),
        nodes: u64::from(wanted.nodes.len()),
    };
    let Some(memory) = memory else { return Ok(takes) };
    let (needs_bytes, has_bytes) = (takes.needs_bytes(memory), memory.total_bytes);
    if needs_bytes > has_bytes {
        return Err(LiveRefusal::Memory { label: label(), needs_bytes, has_bytes });
    }
    Ok(takes)
}

/// What stands before a line of an fstab(5) that is left out.
const LEFT_OUT: &[u8] = b"# not while this runs from memory: ";

/// An fstab(5) without what it has of disks, and what that is, each as `DEVICE at PLACE`. Whoever
/// runs a label from memory is promised that the disks of this machine stay as they are, and those
/// that a label means may well be here.
fn without_disks(fstab: &[u8]) -> (Vec<u8>, Vec<String>) {
    let (mut text, mut mounts) = (Vec::new(), Vec::new());
    for line in fstab.split_inclusive(|byte| *byte == b'\n') {
        if let Some(mount) = mount_of_disk(&String::from_utf8_lossy(line)) {
            mounts.push(mount);
            text.extend_from_slice(LEFT_OUT);
        }
        text.extend_from_slice(line);
    }
    (text, mounts)
}

fn mount_of_disk(line: &str) -> Option<String> {
    const DISKS: [&str; 6] = ["/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", "ID="];
    let mut fields = line.split_whitespace();
    let (device, place) = (fields.next()?, fields.next()?);
    let is_disk = DISKS.iter().any(|disk| device.trim_start_matches('"').starts_with(disk));
    is_disk.then(|| format!("{device} at {place}"))
}

#[cfg(test)]
mod tests {
    use super::without_disks;

    #[test]
    fn what_is_of_disks_is_left_out_and_told() {
        let (text, mounts) = without_disks(
            b"# UUID=1 / ext4\n\nUUID=2 / ext4 defaults 0 1\ntmpfs /tmp tmpfs\n \
              LABEL=data\t/srv auto nofail\nproc /proc proc \xff\n/dev/x\n/dev/sda3 none swap",
        );
        assert_eq!(mounts, ["UUID=2 at /", "LABEL=data at /srv", "/dev/sda3 at none"]);
        let expected = b"# UUID=1 / ext4\n\n# not while this runs from memory: UUID=2 / ext4 \
              defaults 0 1\ntmpfs /tmp tmpfs\n# not while this runs from memory:  LABEL=data\t/srv \
              auto nofail\nproc /proc proc \xff\n/dev/x\n# not while this runs from memory: \
              /dev/sda3 none swap";
        assert_eq!(text.escape_ascii().to_string(), expected.escape_ascii().to_string());
        assert_eq!(without_disks(b""), (Vec::new(), Vec::new()));
    }
}
