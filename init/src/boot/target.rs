//! The disk to write: chosen, allowed, opened.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use deploy::disks::{Disk, Places, SelectError, is_same_disk, may_overwrite, select};
use deploy::layout::{Role, Table, TableFault};
use deploy::{Mark, Target};

use super::failure::{At, Cause, Exchanged, Failure, Stage};
use crate::config::Settings;
use crate::devices::Devices;
use crate::disks::Disks;
use crate::machine::Machine;
use crate::report::ANSWER;

/// Time from start until a disk must have shown itself. Most are there when the
/// network is; one that needs longer is found by the retry.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// The first MiB, where the engine leaves its mark.
const HEAD_BYTES: u64 = 1 << 20;

/// Waits until the disks are quiet, chooses the one that is meant, and opens it
/// if it may be overwritten. Nothing is written.
pub(super) fn open(machine: &Machine, settings: &Settings) -> Result<Target, Failure> {
    let disk = choose(machine, settings).at(Stage::Disk)?;
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
pub(super) fn choose(machine: &Machine, settings: &Settings) -> Result<Disk, Cause> {
    choose_among(&machine.devices, &machine.disks, machine.started, settings)
}

/// The same with what of the machine it takes.
pub(super) fn choose_among(
    devices: &Devices,
    disks: &Disks,
    started: Instant,
    settings: &Settings,
) -> Result<Disk, Cause> {
    let deadline = started + DEADLINE;
    let found = devices.wait_quiet(deadline.max(Instant::now()), || {
        match look(disks, settings, (ANSWER, DEADLINE)) {
            Ok(disk) => Ok(Ok(disk)),
            Err(NotChosen::Never(cause)) => Ok(Err(cause)),
            Err(NotChosen::NotYet(cause)) => Err(cause),
        }
    });
    found?
}

/// The one among those that answer soon; where that will not do, among those that answer at all. A
/// dead disk costs ten seconds once if the one that is meant can be told without it.
fn look(
    disks: &Disks,
    settings: &Settings,
    (soon, late): (Duration, Duration),
) -> Result<Disk, NotChosen> {
    let find = |patience| disks.find(patience).map_err(|error| NotChosen::NotYet(error.into()));
    let soon = find(soon)?;
    let chosen = select_one(&soon, settings);
    if chosen.is_ok() || !soon.iter().any(|disk| disk.contents.is_silent) {
        return chosen;
    }
    select_one(&find(late)?, settings)
}

fn select_one(disks: &[Disk], settings: &Settings) -> Result<Disk, NotChosen> {
    // Booted over the network or from an initramfs alone there is no medium to
    // spare; media of our own are removable, or are named by `inaugurator.disk`.
    match select(disks, &settings.disk, None) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disks::tests::with_a_dead_one;

    #[test]
    fn a_dead_disk_keeps_nobody_from_another_that_is_named() {
        let (_root, release, disks) = with_a_dead_one();
        let (soon, late) = (Duration::from_secs(2), Duration::from_secs(3));
        let look = |line: &str| {
            let settings = Settings::parse(line).unwrap();
            look(&disks, &settings, (soon, late)).map(|disk| disk.path)
        };
        assert!(matches!(look("inaugurator.disk=/dev/vdb").as_deref(), Ok("/dev/vdb")));
        // It could be the one that is meant, and no other is written in its place.
        assert!(matches!(look("inaugurator.disk=/dev/vda"), Err(NotChosen::NotYet(_))));
        assert!(matches!(look(""), Err(NotChosen::Never(_))));
        drop(release);
    }
}
