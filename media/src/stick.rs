//! A stick, or the image of one.

use crate::esp::{self, Esp};
use crate::grub::{self, Reads};
use crate::shape::{self, Needs};
use crate::staging::{Copied, Progress, Staged};
use crate::{Load, MediaError, ext4};
use deploy::boot::Core;
use deploy::layout::{Partition, Role, Table};
use deploy::volumes::show_partitions;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::{File, Permissions};
use std::io::{self, Seek, SeekFrom};
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
}

/// Makes the image `path` of a stick of `size_bytes`, or as large as it has to be. The file is
/// replaced when the new one is whole.
pub fn image(
    path: &Path,
    load: &Load<'_>,
    size_bytes: Option<u64>,
    progress: Progress<'_>,
) -> Result<Made, MediaError> {
    let beside = beside(path);
    let plan = Plan::new(load, &beside, size_bytes, progress)?;
    let image =
        NamedTempFile::new_in(&beside).map_err(MediaError::io("make a file in", &beside))?;
    let failed = |path: &Path| MediaError::io("write", path);
    image.as_file().set_len(plan.table.disk_bytes).map_err(failed(path))?;
    plan.write(image.path(), image.as_file())?;
    image.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(failed(path))?;
    image.as_file().sync_all().map_err(failed(path))?;
    image.persist(path).map_err(|error| failed(path)(error.error))?;
    Ok(plan.made())
}

/// Makes a stick of the block device `path`; everything on it goes. Whether it may is the caller's
/// to ask. The store gets all of it.
pub fn device(path: &Path, load: &Load<'_>, progress: Progress<'_>) -> Result<Made, MediaError> {
    let (device, size_bytes) = open_alone(path)?;
    let plan = Plan::new(load, &std::env::temp_dir(), Some(size_bytes), progress)?;
    let head = vec![0; deploy::layout::ALIGN_BYTES as usize];
    let failed = || MediaError::io("write", path);
    // Until it is whole nothing boots from it, and nobody mounts anything of it.
    device.write_all_at(&head, 0).map_err(failed())?;
    device.sync_data().map_err(failed())?;
    plan.write(path, &device)?;
    device.sync_all().map_err(failed())?;
    show_partitions(&device, &path.display().to_string(), &plan.table)?;
    Ok(plan.made())
}

/// The directory that `path` is in.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// The file or device at `path`, which nobody else has, and its size.
pub(crate) fn open_alone(path: &Path) -> Result<(File, u64), MediaError> {
    let failed = |error: Errno| match error {
        Errno::BUSY | Errno::WOULDBLOCK => MediaError::Busy { path: path.to_owned() },
        error => MediaError::io("open", path)(error.into()),
    };
    let open = |flags| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
    let metadata = std::fs::metadata(path).map_err(MediaError::io("open", path))?;
    if !metadata.is_file() {
        // Fails where somebody has it mounted (open(2)); the programs that are run want it
        // themselves after that.
        drop(open(OFlags::RDONLY | OFlags::EXCL).map_err(failed)?);
    }
    let mut file = File::from(open(OFlags::RDWR).map_err(failed)?);
    // Keeps udev from looking at it meanwhile, and another of us.
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(failed)?;
    let size = file.seek(SeekFrom::End(0)).map_err(MediaError::io("open", path))?;
    Ok((file, size))
}

/// All that is written, in memory and in a directory.
struct Plan {
    table: Table,
    core: Core,
    esp: Esp,
    staged: Staged,
    boot_bytes: u64,
}

impl Plan {
    fn new(
        load: &Load<'_>,
        beside: &Path,
        size_bytes: Option<u64>,
        progress: Progress<'_>,
    ) -> Result<Self, MediaError> {
        let files = esp::files(load.boot)?;
        let boot_bytes = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        // What cannot be made is said before anything is copied.
        let core = grub::core(Reads::Partition(ESP_NUMBER))?;
        let boot_image = grub::boot_image()?;
        let staged = Staged::new(load, beside, progress)?;
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
    fn write(&self, path: &Path, on: &File) -> Result<(), MediaError> {
        let store = part(&self.table, Role::Store)?;
        let place = (store.start_bytes, store.size_bytes);
        ext4::make(path, place, store.guid, self.staged.path())?;
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
