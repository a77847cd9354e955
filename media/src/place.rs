//! Where a medium is made: a new file, a file that is replaced, or a disk that nobody else has.

use crate::MediaError;
use rustix::fs::{FlockOperation, Mode, OFlags, major, minor};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The directory of device nodes.
const DEVICES: &str = "/dev";

/// What a medium's sectors have, bytes: other disks have their table elsewhere, and no BIOS boots
/// from them.
pub(crate) const SECTOR_BYTES: u32 = 512;

/// Refuses an output that is neither a file, a disk nor new, and a new file among device nodes: what
/// was meant there is not plugged in.
pub fn check(path: &Path) -> Result<(), MediaError> {
    let refused =
        |found: &str| Err(MediaError::Place { path: path.to_owned(), found: found.to_owned() });
    match fs::metadata(path) {
        Ok(there) if there.is_file() || there.file_type().is_block_device() => Ok(()),
        Ok(there) if there.is_dir() => refused("a directory"),
        Ok(there) if there.file_type().is_char_device() => refused("a character device"),
        Ok(_) => refused("a pipe or socket"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if is_among_devices(path) {
                return refused("no such device: is it plugged in?");
            }
            Ok(())
        }
        Err(error) => Err(MediaError::io("look at", path)(error)),
    }
}

/// Whether a new file at `path` would lie in the file system of the device nodes.
fn is_among_devices(path: &Path) -> bool {
    let devices = fs::metadata(DEVICES).map(|devices| devices.dev());
    let directory = fs::canonicalize(beside(path));
    directory.is_ok_and(|directory| {
        let inside = fs::metadata(&directory).map(|directory| directory.dev());
        directory.starts_with(DEVICES) && inside.ok() == devices.ok()
    })
}

/// The directory that `path` is in.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// Refuses a directory whose file system has not so many bytes free.
pub(crate) fn check_room(directory: &Path, needs_bytes: u64) -> Result<(), MediaError> {
    let found = rustix::fs::statvfs(directory).map_err(io::Error::from);
    let found = found.map_err(MediaError::io("look at", directory))?;
    let has_bytes = found.f_bavail.saturating_mul(found.f_frsize);
    if has_bytes >= needs_bytes {
        return Ok(());
    }
    Err(MediaError::Room { path: directory.to_owned(), needs_bytes, has_bytes })
}

/// A disk as it was when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) size_bytes: u64,
    /// The kernel's number of it, never given twice in one boot.
    diskseq: Option<u64>,
}

/// Looks at the disk at `path`, which nobody may use. Nothing is kept open, and nobody is told of a
/// change, as udev is by who opened it for writing.
pub(crate) fn look(path: &Path) -> Result<Seen, MediaError> {
    let mut alone = alone(path)?;
    check_sectors(path, &alone)?;
    seen(path, &mut alone)
}

/// Takes the disk at `path` from everybody else, provided that it still is the one that was seen:
/// the kernel forgets its partitions, and what its first `head_bytes` hold goes. From then on nobody
/// mounts anything of it.
pub(crate) fn take(path: &Path, before: Seen, head_bytes: usize) -> Result<File, MediaError> {
    let (mut file, _) = open_alone(path)?;
    // Held until there is nothing that somebody could mount.
    let alone = alone(path)?;
    if seen(path, &mut file)? != before {
        return Err(MediaError::Swapped { path: path.to_owned() });
    }
    deploy::volumes::forget_partitions(&file, &path.display().to_string())?;
    let write = || {
        std::os::unix::fs::FileExt::write_all_at(&file, &vec![0; head_bytes], 0)?;
        file.sync_data()
    };
    write().map_err(MediaError::io("write", path))?;
    drop(alone);
    Ok(file)
}

/// The file or disk at `path`, which nobody else has, and its size.
pub(crate) fn open_alone(path: &Path) -> Result<(File, u64), MediaError> {
    let metadata = fs::metadata(path).map_err(MediaError::io("open", path))?;
    if metadata.file_type().is_block_device() {
        // The programs that are run want it themselves after that.
        check_sectors(path, &alone(path)?)?;
    }
    let mut file = open(path, OFlags::RDWR)?;
    // Keeps udev from looking at it meanwhile, and another of us.
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    locked.map_err(|error| refused(path, error))?;
    let size = file.seek(SeekFrom::End(0)).map_err(MediaError::io("open", path))?;
    Ok((file, size))
}

/// The disk at `path`; fails where somebody has it, or anything of it, mounted (open(2)).
fn alone(path: &Path) -> Result<File, MediaError> {
    open(path, OFlags::RDONLY | OFlags::EXCL)
}

fn open(path: &Path, flags: OFlags) -> Result<File, MediaError> {
    let opened = rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
    opened.map(File::from).map_err(|error| refused(path, error))
}

fn refused(path: &Path, error: Errno) -> MediaError {
    match error {
        Errno::BUSY | Errno::WOULDBLOCK => MediaError::Busy { path: path.to_owned() },
        error => MediaError::io("open", path)(error.into()),
    }
}

fn seen(path: &Path, disk: &mut File) -> Result<Seen, MediaError> {
    let size_bytes = disk.seek(SeekFrom::End(0)).map_err(MediaError::io("open", path))?;
    Ok(Seen { size_bytes, diskseq: fact(disk, "diskseq") })
}

fn check_sectors(path: &Path, disk: &File) -> Result<(), MediaError> {
    match fact(disk, "queue/logical_block_size") {
        Some(found_bytes) if found_bytes != u64::from(SECTOR_BYTES) => {
            Err(MediaError::Sectors { path: path.to_owned(), found_bytes })
        }
        _ => Ok(()),
    }
}

/// A number that sysfs has of a disk (`Documentation/ABI/stable/sysfs-block`).
fn fact(disk: &File, name: &str) -> Option<u64> {
    let number = disk.metadata().ok()?.rdev();
    let directory = format!("/sys/dev/block/{}:{}", major(number), minor(number));
    fs::read_to_string(Path::new(&directory).join(name)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_and_disks_are_made_media_of() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.img");
        fs::write(&file, "").unwrap();
        for path in [&file, &directory.path().join("new.img"), Path::new("new.img")] {
            check(path).unwrap();
        }
        let table = [
            ("/dev/null", "expected a disk, a file or a new one, found a character device"),
            ("/dev", "found a directory"),
            ("/dev/no-such-disk", "found no such device: is it plugged in?"),
        ];
        for (path, words) in table {
            let text = check(Path::new(path)).unwrap_err().to_string();
            assert!(text.starts_with(path) && text.contains(words), "{text}");
        }
        // Shared memory is another file system.
        if fs::metadata("/dev/shm")
            .is_ok_and(|shm| shm.dev() != fs::metadata("/dev").unwrap().dev())
        {
            check(Path::new("/dev/shm/usb.img")).unwrap();
        }
    }

    /// Runs losetup(8), which wants root as the product does.
    fn losetup(arguments: &[&str]) -> String {
        let said = deploy::tools::Tool::named("losetup").unwrap().args(arguments).run().unwrap();
        String::from_utf8(said).unwrap().trim().to_owned()
    }

    #[test]
    fn a_disk_is_looked_at_again_before_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("disk");
        fs::write(&file, vec![7; 8 << 20]).unwrap();
        let file = file.to_str().unwrap();
        let node = losetup(&["--find", "--show", file]);
        let path = Path::new(&node);
        let seen = look(path).unwrap();
        let taken = |seen| take(path, seen, 4096).map(drop).map_err(|error| error.to_string());
        let mounted = alone(path).unwrap();
        assert_eq!(taken(seen), Err(format!("{node} is in use")));
        drop(mounted);
        let swapped = format!("{node} is another disk than it was when this began");
        assert_eq!(taken(Seen { diskseq: Some(0), ..seen }), Err(swapped));
        assert!(fs::read(file).unwrap().iter().all(|byte| *byte == 7));
        assert_eq!(taken(look(path).unwrap()), Ok(()));
        assert_eq!(fs::read(file).unwrap()[..8192], [[0; 4096], [7; 4096]].concat());
        losetup(&["-d", &node]);
    }

    #[test]
    fn the_kernel_forgets_the_partitions_of_a_disk_that_is_taken() {
        use deploy::layout::{Partition, Role, Table};
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("disk");
        fs::write(&file, vec![7; 8 << 20]).unwrap();
        let node = losetup(&["--find", "--show", file.to_str().unwrap()]);
        let path = Path::new(&node);
        let guid = crate::shape::guid(&store::Digest::of(b"1"), "disk");
        let (start_bytes, size_bytes) = (1 << 20, 1 << 20);
        let part = Partition { number: 1, role: Some(Role::Store), guid, start_bytes, size_bytes };
        let partitions = vec![part];
        let table = Table { disk_guid: guid, sector_bytes: 512, disk_bytes: 8 << 20, partitions };
        let disk = open(path, OFlags::RDWR).unwrap();
        deploy::volumes::show_partitions(&disk, &node, &table).unwrap();
        let name = node.trim_start_matches("/dev/");
        let known = Path::new("/sys/block").join(name).join(format!("{name}p1"));
        assert!(known.exists());
        take(path, look(path).unwrap(), 4096).unwrap();
        assert!(!known.exists());
        drop(disk);
        losetup(&["-d", &node]);
    }

    #[test]
    fn a_directory_without_room_says_how_much_it_has() {
        let directory = tempfile::tempdir().unwrap();
        check_room(directory.path(), 1).unwrap();
        let text = check_room(directory.path(), u64::MAX).unwrap_err().to_string();
        assert!(text.contains("needs 18446744073709551615 bytes"), "{text}");
    }
}
