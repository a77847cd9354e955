//! A stick brought to other labels in place.
//!
//! ```text
//! copy    the labels that it lacks      the old ones are whole, and boot
//! boot    core, boot files              only blocks that differ
//! remove  labels that are not named     then what no label needs
//! ```
//!
//! A cut at any moment leaves a store in which every label is whole, and the next run does the
//! rest. Only where there is no room for old and new together the old ones go first.

use crate::esp::{self, Esp, differs};
use crate::ext4::Mounted;
use crate::grub::{self, Reads};
use crate::staging::{Copied, Progress, copy};
use crate::stick::{ESP_NUMBER, esp_id, open_alone, part};
use crate::{Load, MediaError};
use deploy::boot::Core;
use deploy::layout::{ALIGN_BYTES, Role, Table};
use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;
use store::dir::{DirError, DirStore, Moment};
use store::gc::{GcOptions, gc};
use store::label::LabelName;

/// What a refresh did.
#[derive(Debug)]
pub struct Refreshed {
    /// What tells the medium from others.
    pub id: String,
    /// Its size, bytes.
    pub size_bytes: u64,
    /// What became of each label.
    pub labels: Vec<Copied>,
    /// Labels that were removed.
    pub removed: Vec<LabelName>,
    /// What was deleted because no label needs it any more, bytes.
    pub removed_bytes: u64,
    /// What was written of what machines boot, bytes.
    pub boot_bytes: u64,
}

/// Brings the stick or image at `path` to `load`. Needs root: its store is mounted, where nobody else
/// sees it.
pub fn refresh(
    path: &Path,
    load: &Load<'_>,
    progress: Progress<'_>,
) -> Result<Refreshed, MediaError> {
    let (mut medium, size_bytes) = open_alone(path)?;
    let table = table(&mut medium, path, size_bytes)?;
    let boot = Boot::plan(load, &table)?;
    let place = part(&table, Role::Store)?;
    let mounted = Mounted::new(path, (place.start_bytes, place.size_bytes))?;
    let store = DirStore::open(mounted.store())
        .map_err(|error| no_medium(path, &error))?
        .called(&path.display().to_string());
    let (labels, mut removed, mut removed_bytes) = match copy(load, &store, progress) {
        Ok(labels) => (labels, Vec::new(), 0),
        Err(error) if is_full(&error) => {
            let (removed, bytes) = remove(&store, load)?;
            (copy(load, &store, progress)?, removed, bytes)
        }
        Err(error) => return Err(error),
    };
    mounted.sync().map_err(MediaError::io("write", path))?;
    let boot_bytes = boot.write(&medium).map_err(MediaError::io("write", path))?;
    let (more, bytes) = remove(&store, load)?;
    removed.extend(more);
    removed_bytes += bytes;
    mounted.sync().map_err(MediaError::io("write", path))?;
    drop(mounted);
    medium.sync_all().map_err(MediaError::io("write", path))?;
    let id = place.guid.to_string();
    Ok(Refreshed { id, size_bytes, labels, removed, removed_bytes, boot_bytes })
}

/// The table of the medium; refuses what is none.
fn table(medium: &mut File, path: &Path, size_bytes: u64) -> Result<Table, MediaError> {
    let mut head = Vec::new();
    let read = medium.rewind().and_then(|()| medium.take(ALIGN_BYTES).read_to_end(&mut head));
    read.map_err(MediaError::io("read", path))?;
    let table = Table::parse(&head, 512, size_bytes).map_err(|fault| no_medium(path, &fault))?;
    for role in [Role::BiosBoot, Role::Esp, Role::Store] {
        if table.partition(role).is_none() {
            let found = format!("a disk without a {role} partition");
            return Err(MediaError::NoMedium { path: path.to_owned(), found });
        }
    }
    Ok(table)
}

fn no_medium(path: &Path, why: &dyn Error) -> MediaError {
    MediaError::NoMedium { path: path.to_owned(), found: why.to_string() }
}

/// Removes what is not named, and what no label needs then.
fn remove(store: &DirStore, load: &Load<'_>) -> Result<(Vec<LabelName>, u64), MediaError> {
    let mut removed = store.labels("*")?;
    removed.retain(|name| !load.labels.contains(name));
    for name in &removed {
        store.remove_label(name)?;
    }
    // Nobody reads it: it is mounted for us alone.
    let options = GcOptions {
        dry_run: false,
        max_bytes: None,
        keep: Vec::new(),
        grace_s: 0,
        wait: Duration::ZERO,
        clock: &Moment::now,
    };
    let report = gc(store, &options)?;
    Ok((removed, report.removed_bytes()))
}

/// True if it was for want of room.
fn is_full(error: &MediaError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if matches!(error.downcast_ref(), Some(DirError::Full { .. })) {
            return true;
        }
        next = error.source();
    }
    // What is passed on as it is says it of itself.
    error.to_string().starts_with("no room in the store")
}

/// What machines boot, planned before anything changes.
struct Boot {
    core: Core,
    core_at: u64,
    esp: Esp,
}

impl Boot {
    fn plan(load: &Load<'_>, table: &Table) -> Result<Self, MediaError> {
        let core = grub::core(Reads::Partition(ESP_NUMBER))?;
        let bios = part(table, Role::BiosBoot)?;
        let core = Core::place(&grub::boot_image()?, core, bios.start_bytes, bios.size_bytes)?;
        let esp = part(table, Role::Esp)?;
        let files = esp::files(load.boot)?;
        let esp = Esp::plan(esp.start_bytes, esp.size_bytes, esp_id(table), files)?;
        Ok(Self { core, core_at: bios.start_bytes, esp })
    }

    /// Writes what differs; returns how many bytes that were.
    fn write(&self, on: &File) -> io::Result<u64> {
        let mut written = self.esp.write(on)?;
        for (at, bytes) in [(self.core_at, &self.core.core[..]), (0, &self.core.boot_code)] {
            if differs(on, at, bytes)? {
                on.write_all_at(bytes, at)?;
                written += bytes.len() as u64;
            }
        }
        on.sync_data()?;
        Ok(written)
    }
}
