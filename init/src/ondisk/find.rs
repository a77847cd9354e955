//! What each disk could be booted by.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};

use bootfacts::Listing;
use deploy::disks::{DeviceNumber, Disk};
use deploy::{Unproven, unproven};

use super::{Entry, NotBootable, OnDisk};
use crate::report;

/// The first MiB, where gate and mark are.
const HEAD_BYTES: u64 = 1 << 20;

/// Looks at each of `disks` that has a medium, but for the one that this machine was booted from if
/// that is told. Reads only.
pub fn find(disks: &[Disk], booted_from: Option<DeviceNumber>) -> Vec<OnDisk> {
    let is_meant = |disk: &&Disk| disk.size_bytes > 0 && Some(disk.number) != booted_from;
    disks.iter().filter(is_meant).map(look).collect()
}

fn look(disk: &Disk) -> OnDisk {
    let unreadable = |error: &dyn Error| NotBootable::Unreadable(report::causes(error).join(": "));
    let listed = File::open(&disk.path).map_err(|error| unreadable(&error)).and_then(|device| {
        let listing = bootfacts::list(&device).map_err(|error| unreadable(&error))?;
        let gate = gate(&device, &listing).map_err(|error| unreadable(&error))?;
        gate.map_or(Ok(listing), |unproven| Err(unproven.into()))
    });
    let disk = disk.clone();
    match listed {
        Err(why) => OnDisk { disk, entries: Err(why), notes: Vec::new() },
        Ok(Listing { entries, notes }) if entries.is_empty() => {
            OnDisk { disk, entries: Err(NotBootable::Nothing(notes)), notes: Vec::new() }
        }
        Ok(Listing { entries, notes }) => {
            let entry = |facts| Entry { disk: disk.clone(), facts };
            let entries = Ok(entries.into_iter().map(entry).collect());
            OnDisk { disk, entries, notes }
        }
    }
}

/// Why the disk may not be booted, if so.
fn gate(device: &File, listing: &Listing) -> io::Result<Option<Unproven>> {
    let has_partitions = listing.entries.iter().any(|facts| facts.found.partition.is_some());
    is_unproven(device, has_partitions)
}

/// Asks gate and mark of the disk that is `device`.
pub(super) fn is_unproven(mut device: &File, has_partitions: bool) -> io::Result<Option<Unproven>> {
    let mut head = Vec::new();
    io::Seek::rewind(&mut device)?;
    device.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(unproven(&head, has_partitions))
}
