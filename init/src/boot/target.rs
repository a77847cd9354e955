//! The disk to write: chosen, allowed, opened.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use deploy::disks::{
    DiscoverError, Disk, Places, SelectError, discover, is_same_disk, may_overwrite, select,
};
use deploy::layout::{Role, Table, TableFault};
use deploy::{Mark, Target};

use super::failure::{At, Cause, Exchanged, Failure, Stage};
use crate::config::Settings;
use crate::devices::Devices;
use crate::machine::Machine;

/// Time from start until a disk must have shown itself. Most are there when the
/// network is; one that needs longer is found by the retry.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// The first MiB, where the engine leaves its mark.
const HEAD_BYTES: u64 = 1 << 20;

/// Waits until the disks are quiet, chooses the one that is meant, and opens it
/// if it may be overwritten. Nothing is written.
pub(super) fn open(machine: &Machine, settings: &Settings) -> Result<Target, Failure> {
    let disk = choose(&machine.devices, machine.started, settings).at(Stage::Disk)?;
    machine.console.say("disk", &format!("{disk}: {}", disk.contents));
    may_overwrite(&disk, is_all_ours(&disk), settings.wipe.as_deref()).at(Stage::Disk)?;
    let target = Target::open(Path::new(&disk.path)).at(Stage::Disk)?;
    // The open descriptor pins the disk; only now is it certain which one it is.
    if is_same_disk(&Places::default(), &disk) {
        return Ok(target);
    }
    Err(Exchanged { path: disk.path, diskseq: disk.diskseq }).at(Stage::Disk)
}

/// Why no disk was chosen; more disks may cure the first kind.
enum NotChosen {
    NotYet(Cause),
    Never(Cause),
}

/// The disk that is meant, when the devices have gone quiet.
pub(super) fn choose(
    devices: &Devices,
    started: Instant,
    settings: &Settings,
) -> Result<Disk, Cause> {
    let deadline = started + DEADLINE;
    let found = devices.wait_quiet(deadline.max(Instant::now()), || match look(settings) {
        Ok(disk) => Ok(Ok(disk)),
        Err(NotChosen::Never(cause)) => Ok(Err(cause)),
        Err(NotChosen::NotYet(cause)) => Err(cause),
    });
    found?
}

fn look(settings: &Settings) -> Result<Disk, NotChosen> {
    let disks = discover(&Places::default())
        .map_err(|error: DiscoverError| NotChosen::NotYet(error.into()))?;
    // Booted over the network or from an initramfs alone there is no medium to
    // spare; media of our own are removable, or are named by `inaugurator.disk`.
    match select(&disks, &settings.disk, None) {
        Ok(disk) => Ok(disk.clone()),
        Err(error @ SelectError::Ambiguous { .. }) => Err(NotChosen::Never(error.into())),
        Err(error) => Err(NotChosen::NotYet(error.into())),
    }
}

/// True if the disk carries the engine's mark. One that cannot be read is not ours.
pub(crate) fn is_ours(disk: &Disk) -> bool {
    head(disk).is_some_and(|head| has_our_mark(&head))
}

/// True if all of it is the engine's to replace: not where it has a data partition, which was
/// promised to survive every label.
pub(crate) fn is_all_ours(disk: &Disk) -> bool {
    head(disk).is_some_and(|head| has_our_mark(&head) && !has_data(&head, disk))
}

fn has_our_mark(head: &[u8]) -> bool {
    Mark::read(head).is_some_and(|mark| mark.owns(head))
}

fn has_data(head: &[u8], disk: &Disk) -> bool {
    match Table::parse(head, disk.logical_sector_bytes, disk.size_bytes) {
        Ok(table) => table.partition(Role::Data).is_some(),
        // A table that is damaged may have had one.
        Err(fault) => matches!(fault, TableFault::Header { .. } | TableFault::Entries { .. }),
    }
}

/// The first MiB, as far as it can be read.
fn head(disk: &Disk) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(&disk.path).ok()?.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    Some(head)
}
