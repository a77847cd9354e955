//! A stick, or the image of one.

use crate::boot::TOLD;
use crate::esp::{self, Esp};
use crate::grub::{self, Reads};
use crate::place::{self, beside};
use crate::shape::{self, Needs};
use crate::staging::{Copied, Progress, Staged, Step, warnings};
use crate::{Load, MediaError, ext4, needs};
use deploy::boot::Core;
use deploy::layout::{Partition, Role, Table};
use deploy::volumes::show_partitions;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// Its size, bytes.
    pub size_bytes: u64,
    /// What its store takes, bytes.
    pub store_bytes: u64,
    /// What its boot files take, bytes.
    pub boot_bytes: u64,
    /// What tells it from others, as `inaugurator.store=medium=ID` takes it.
    pub id: String,
    /// What became of each label.
    pub labels: Vec<Copied>,
    /// What did not go as it should, and stopped nothing.
    pub warnings: Vec<String>,
}

/// Makes the image `path` of a stick of `size_bytes`, or as large as it has to be. The file is
/// replaced when the new one is whole.
pub fn image(
    path: &Path,
    load: &Load<'_>,
    size_bytes: Option<u64>,
    progress: Progress<'_>,
) -> Result<Made, MediaError> {
    place::check(path)?;
    let beside = beside(path);
    // The image has the store once more.
    let plan = Plan::new(load, (&beside, 2), size_bytes, progress)?;
    let image =
        NamedTempFile::new_in(&beside).map_err(MediaError::io("make a file in", &beside))?;
    let failed = |path: &Path| MediaError::io("write", path);
    image.as_file().set_len(plan.table.disk_bytes).map_err(failed(path))?;
    plan.write(image.path(), image.as_file(), progress)?;
    image.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(failed(path))?;
    image.as_file().sync_all().map_err(failed(path))?;
    image.persist(path).map_err(|error| failed(path)(error.error))?;
    Ok(plan.made())
}

/// Makes a stick of the block device `path`; everything on it goes. Whether it may is the caller's
/// to ask. The store gets all of it.
pub fn device(path: &Path, load: &Load<'_>, progress: Progress<'_>) -> Result<Made, MediaError> {
    let seen = place::look(path)?;
    let plan = Plan::new(load, (&std::env::temp_dir(), 1), Some(seen.size_bytes), progress)?;
    // Until it is whole nothing boots from it.
    let device = place::take(path, seen, HEAD_BYTES)?;
    plan.write(path, &device, progress)?;
    progress(Step::Phase("waiting until all is on the device"));
    device.sync_all().map_err(MediaError::io("write", path))?;
    show_partitions(&device, &path.display().to_string(), &plan.table)?;
    Ok(plan.made())
}

/// What is before the first partition of a stick, bytes.
const HEAD_BYTES: usize = deploy::layout::ALIGN_BYTES as usize;

/// All that is written, in memory and in a directory.
struct Plan {
    table: Table,
    core: Core,
    esp: Esp,
    staged: Staged,
    boot_bytes: u64,
}

impl Plan {
    /// Makes the store in a directory in `beside`, which has to have room for it so many `times`.
    fn new(
        load: &Load<'_>,
        (beside, times): (&Path, u64),
        size_bytes: Option<u64>,
        progress: Progress<'_>,
    ) -> Result<Self, MediaError> {
        let files = esp::files(load.boot)?;
        let boot_bytes = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        // What cannot be made is said before anything is copied.
        ext4::check_tools()?;
        let least = Needs { boot_bytes, store_bytes: needs::of(load)? };
        shape::table(least, size_bytes, &load.boot.digest())?;
        place::check_room(beside, least.store_bytes * times + boot_bytes)?;
        let core = grub::core(Reads::Partition(ESP_NUMBER))?;
        let boot_image = grub::boot_image()?;
        let staged = Staged::new(load, beside, progress)?;
        staged.put(TOLD, load.boot.told.encode().as_bytes())?;
        staged.normalise()?;
        let identity = staged.identity(load);
        let needs = Needs { boot_bytes, store_bytes: staged.size_bytes };
        let table = shape::table(needs, size_bytes, &identity)?;
        let bios = part(&table, Role::BiosBoot)?;
        let core = Core::place(&boot_image, core, bios.start_bytes, bios.size_bytes)?;
        let esp = part(&table, Role::Esp)?;
        let esp = Esp::plan(esp.start_bytes, esp.size_bytes, esp_id(&table), files)?;
        Ok(Self { table, core, esp, staged, boot_bytes })
    }

    /// Writes everything; the table comes last.
    fn write(&self, path: &Path, on: &File, progress: Progress<'_>) -> Result<(), MediaError> {
        let store = part(&self.table, Role::Store)?;
        progress(Step::Phase("writing the file system of the store"));
        let place = (store.start_bytes, store.size_bytes);
        ext4::make(path, place, store.guid, &self.staged)?;
        progress(Step::Phase("writing what it boots"));
        let write = || -> io::Result<()> {
            self.esp.write(on)?;
            let bios = part(&self.table, Role::BiosBoot).map_err(io::Error::other)?;
            on.write_all_at(&self.core.core, bios.start_bytes)?;
            let (at, tail) = self.table.tail();
            on.write_all_at(&tail, at)?;
            on.sync_data()?;
            on.write_all_at(&head(&self.table, &self.core), 0)
        };
        write().map_err(MediaError::io("write", path))
    }

    fn made(self) -> Made {
        Made {
            size_bytes: self.table.disk_bytes,
            store_bytes: self.staged.size_bytes,
            boot_bytes: self.boot_bytes,
            id: self.table.partition(Role::Store).map_or_else(String::new, |p| p.guid.to_string()),
            warnings: warnings(&self.staged.labels),
            labels: self.staged.labels,
        }
    }
}

/// The number of the EFI system partition, where GRUB's core looks.
pub(crate) const ESP_NUMBER: u32 = 2;

/// The start of a stick: boot code, then the table.
pub(crate) fn head(table: &Table, core: &Core) -> Vec<u8> {
    let mut head = table.head();
    head[..core.boot_code.len()].copy_from_slice(&core.boot_code);
    head
}

/// The serial number of the FAT: a part of the disk's identity.
pub(crate) fn esp_id(table: &Table) -> u32 {
    let [a, b, c, d, ..] = table.disk_guid.0;
    u32::from_le_bytes([a, b, c, d])
}

/// The partition of `role`.
pub(crate) fn part(table: &Table, role: Role) -> Result<&Partition, MediaError> {
    table.partition(role).ok_or_else(|| MediaError::NoMedium {
        path: PathBuf::new(),
        found: format!("no {role} partition"),
    })
}
