//! A stick brought to other labels in place.
//!
//! ```text
//! copy    the labels that it lacks      the old ones are whole, and boot
//! boot    core, boot files              only blocks that differ
//! remove  labels that are not named     then what no label needs
//! ```
//!
//! A cut at any moment leaves a store in which every label is whole, and the next run does the
//! rest. Only where there is no room for old and new together the old ones go first, and not where
//! the new ones would not fit even then.

use crate::boot::{TOLD, TOLD_MAX_BYTES, Told};
use crate::esp::{self, Esp, differs};
use crate::ext4::Mounted;
use crate::grub::{self, Reads};
use crate::place::{SECTOR_BYTES, open_alone};
use crate::staging::{Copied, Progress, Step, copy, warnings};
use crate::stick::{ESP_NUMBER, esp_id, part};
use crate::{Load, MediaError, needs};
use deploy::boot::Core;
use deploy::layout::{ALIGN_BYTES, Role, Table};
use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::TakeError;
use store::copy::CopyError;
use store::dir::{DirError, DirStore, Moment};
use store::gc::{GcOptions, GcReport, gc};
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
    /// What did not go as it should, and stopped nothing.
    pub warnings: Vec<String>,
}

/// What becomes of labels that are not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// There must be none.
    Refuse,
    /// They are removed.
    Remove,
}

/// A stick of ours, or the image of one, to be refreshed. Its store is mounted, where nobody else
/// sees it.
pub struct Stick {
    path: PathBuf,
    medium: File,
    size_bytes: u64,
    table: Table,
    mounted: Mounted,
    store: DirStore,
}

impl Stick {
    /// Opens what is at `path`. Needs root.
    pub fn open(path: &Path) -> Result<Self, MediaError> {
        if !rustix::process::geteuid().is_root() {
            return Err(MediaError::Root { path: path.to_owned() });
        }
        let (mut medium, size_bytes) = open_alone(path)?;
        let table = table(&mut medium, path, size_bytes)?;
        let place = part(&table, Role::Store)?;
        let mounted = Mounted::new(path, (place.start_bytes, place.size_bytes))?;
        let store = DirStore::open(mounted.store())
            .map_err(|error| no_medium(path, &error))?
            .called(&path.display().to_string());
        Ok(Self { path: path.to_owned(), medium, size_bytes, table, mounted, store })
    }

    /// What was told when it was made, or refreshed for the last time.
    pub fn told(&self) -> Result<Told, MediaError> {
        let text = self.mounted.beside(TOLD, TOLD_MAX_BYTES).map_err(self.io("read"))?;
        Ok(text.map_or_else(Told::default, |text| Told::decode(&text)))
    }

    /// Brings it to `load`.
    pub fn refresh(
        self,
        load: &Load<'_>,
        others: Others,
        progress: Progress<'_>,
    ) -> Result<Refreshed, MediaError> {
        let id = part(&self.table, Role::Store)?.guid.to_string();
        let boot = Boot::plan(load, &self.table)?;
        let labels = unnamed(&self.store, load)?;
        if others == Others::Refuse && !labels.is_empty() {
            return Err(MediaError::Others { path: self.path, id, labels });
        }
        self.check_room(load)?;
        let mut removed = Removed::default();
        let labels = match copy(load, &self.store, progress) {
            Err(error) if is_full(&error) => {
                self.check_sound()?;
                progress(Step::Phase("no room for old and new together: the old labels go first"));
                removed.add(remove(&self.store, load)?);
                copy(load, &self.store, progress)?
            }
            other => other?,
        };
        self.mounted.sync().map_err(self.io("write"))?;
        progress(Step::Phase("writing what it boots"));
        self.mounted.put_beside(TOLD, &load.boot.told.encode()).map_err(self.io("write"))?;
        let boot_bytes = boot.write(&self.medium).map_err(self.io("write"))?;
        progress(Step::Phase("removing what no label needs"));
        removed.add(remove(&self.store, load)?);
        self.mounted.sync().map_err(self.io("write"))?;
        drop(self.mounted);
        self.medium.sync_all().map_err(MediaError::io("write", &self.path))?;
        let mut warnings = warnings(&labels);
        warnings.extend(removed.warnings);
        Ok(Refreshed {
            id,
            size_bytes: self.size_bytes,
            labels,
            removed: removed.labels,
            removed_bytes: removed.bytes,
            boot_bytes,
            warnings,
        })
    }

    fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> MediaError + use<> {
        MediaError::io(action, &self.path)
    }

    /// Refuses what could not fit even if nothing else were there.
    fn check_room(&self, load: &Load<'_>) -> Result<(), MediaError> {
        let needs_bytes = needs::on(&self.store, load)?;
        let has_bytes = self.mounted.capacity_bytes().map_err(self.io("read"))?;
        if needs_bytes > has_bytes {
            return Err(MediaError::Small { what: "the medium's store", needs_bytes, has_bytes });
        }
        Ok(())
    }

    /// Refuses a store of which nothing would be deleted: its labels would go for nothing.
    fn check_sound(&self) -> Result<(), MediaError> {
        let report = gc(&self.store, &collecting(true))?;
        if report.damaged.is_empty() {
            return Ok(());
        }
        Err(MediaError::Damaged { path: self.path.clone(), faults: faults(&report) })
    }
}

/// What was removed.
#[derive(Default)]
struct Removed {
    labels: Vec<LabelName>,
    bytes: u64,
    warnings: Vec<String>,
}

impl Removed {
    fn add(&mut self, (labels, report): (Vec<LabelName>, GcReport)) {
        self.labels.extend(labels);
        self.bytes += report.removed_bytes();
        let faults = faults(&report);
        if report.is_refused {
            let text = "nothing was deleted of what no label needs, because of damage: make the \
                        medium anew";
            self.warnings.push(text.to_owned());
        }
        self.warnings.extend(faults);
        let index = report.index_failure.map(|why| format!("the medium's index is old: {why}"));
        self.warnings.extend(index);
    }
}

/// What is damaged, each with why.
fn faults(report: &GcReport) -> Vec<String> {
    report.damaged.iter().map(|(pack, why)| format!("pack {}: {why}", pack.short())).collect()
}

/// The labels of the store that are not named.
fn unnamed(store: &DirStore, load: &Load<'_>) -> Result<Vec<LabelName>, MediaError> {
    let mut labels = store.labels("*")?;
    labels.retain(|name| !load.labels.contains(name));
    Ok(labels)
}

/// The table of the medium; refuses what is none.
fn table(medium: &mut File, path: &Path, size_bytes: u64) -> Result<Table, MediaError> {
    let mut head = Vec::new();
    let read = medium.rewind().and_then(|()| medium.take(ALIGN_BYTES).read_to_end(&mut head));
    read.map_err(MediaError::io("read", path))?;
    let table =
        Table::parse(&head, SECTOR_BYTES, size_bytes).map_err(|fault| no_medium(path, &fault))?;
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
fn remove(store: &DirStore, load: &Load<'_>) -> Result<(Vec<LabelName>, GcReport), MediaError> {
    let removed = unnamed(store, load)?;
    for name in &removed {
        store.remove_label(name)?;
    }
    Ok((removed, gc(store, &collecting(false))?))
}

/// Nobody reads it meanwhile: it is mounted for us alone.
fn collecting(dry_run: bool) -> GcOptions<'static> {
    GcOptions {
        dry_run,
        max_bytes: None,
        keep: Vec::new(),
        grace_s: 0,
        wait: Duration::ZERO,
        clock: &Moment::now,
    }
}

/// True if it was for want of room.
fn is_full(error: &MediaError) -> bool {
    matches!(
        error,
        MediaError::Store(DirError::Full { .. })
            | MediaError::Copy(
                CopyError::Store(DirError::Full { .. })
                    | CopyError::Take(TakeError::Store(DirError::Full { .. }))
            )
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use store::Digest;

    #[test]
    fn what_was_not_deleted_is_said_with_why() {
        let mut removed = Removed::default();
        removed.add((Vec::new(), GcReport::default()));
        assert_eq!(removed.warnings, Vec::<String>::new());
        let pack = Digest::of(b"pack");
        let report = GcReport {
            damaged: vec![(pack, "it is cut".to_owned())],
            is_refused: true,
            index_failure: Some("no room".to_owned()),
            ..GcReport::default()
        };
        removed.add((Vec::new(), report));
        let expected = [
            "nothing was deleted of what no label needs, because of damage: make the medium anew",
            &format!("pack {}: it is cut", pack.short()),
            "the medium's index is old: no room",
        ];
        assert_eq!(removed.warnings, expected);
    }
}
