//! Media that carry a store: volumes on partitions, whole disks and CD-ROMs, known by the label of
//! their file system.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::sysfs::{self, Places};
use super::{DeviceNumber, DiscoverError, Disk, Signature, magic};

/// The label of the file system that has the store of a medium: 11 bytes, so that it fits all that
/// a medium may be made of.
pub const STORE_LABEL: &str = "INAUG-STORE";

/// The directory of that file system where the store is.
pub const STORE_DIRECTORY: &str = "store";

/// More volumes than this are not looked at: a machine has 256 disks at most here, of a few
/// partitions each.
const MAX_VOLUMES: usize = 1024;

/// Block devices of these names are made by software, and are no medium that somebody put in.
const NOT_MEDIA: [&str; 7] = ["loop", "ram", "zram", "md", "nbd", "drbd", "rbd"];

/// A volume that carries a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    /// The device node, for example `/dev/sdb3` or `/dev/sr0`.
    pub path: String,
    /// Its number.
    pub number: DeviceNumber,
    /// The number of the disk that it is on, which may be itself.
    pub disk: DeviceNumber,
    /// The kernel's number of that disk, never given twice in one boot; 0 if unknown.
    pub diskseq: u64,
    /// The kind of file system: `ext4` or `iso9660`.
    pub kind: &'static str,
    /// What tells it from others: the file system's UUID in lower case, with the hyphens that
    /// blkid(8) writes; of a CD-ROM when it was made.
    pub id: String,
    /// What the disk says of itself: vendor and model; empty if it does not say.
    pub model: String,
}

/// A volume that may carry a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The kernel's name, for example `sdb3` or `sr0`.
    pub name: String,
    /// The kernel's number of its disk, never given twice in one boot; 0 if unknown.
    pub diskseq: u64,
}

/// Every volume that somebody may have put in, by name. Never waits for one.
pub fn volumes(places: &Places) -> Result<Vec<Volume>, DiscoverError> {
    let path = places.sys.join("class/block");
    let wrong = |source| DiscoverError { path: path.clone(), source };
    let entries = fs::read_dir(&path).map_err(wrong)?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| is_medium(name));
    names.sort();
    names.truncate(MAX_VOLUMES);
    let volume = |name: String| {
        let (_, _, diskseq, _) = read_carrier(places, &name)?;
        Some(Volume { name, diskseq })
    };
    Ok(names.into_iter().filter_map(volume).collect())
}

/// What the volume carries, if its file system has the label [`STORE_LABEL`]. None where it cannot be
/// read: an empty drive, a disk that vanished meanwhile. Reads 136 KiB, and blocks for as long as the
/// disk does not answer, which may be for ever.
pub fn carrier(places: &Places, volume: &Volume) -> Option<Carrier> {
    look(places, &volume.name)
}

/// True if a file system like this carries a store.
pub(super) fn is_store(signature: &Signature) -> bool {
    signature.label == STORE_LABEL && matches!(signature.kind, "ext4" | "iso9660")
}

/// True if the disk is a medium that carries a store, as far as its own table shows.
pub(super) fn carries_store(disk: &Disk) -> bool {
    let partitions = disk.contents.partitions.iter().filter_map(|part| part.signature.as_ref());
    partitions.chain(&disk.contents.whole).any(is_store)
}

impl Carrier {
    /// True as long as the medium is there: its disk was not taken out, nor another put in.
    pub fn is_there(&self, places: &Places) -> bool {
        let name = self.path.trim_start_matches("/dev/");
        read_carrier(places, name).is_some_and(|(number, disk, diskseq, _)| {
            (number, disk, diskseq) == (self.number, self.disk, self.diskseq)
        })
    }
}

fn is_medium(name: &str) -> bool {
    !NOT_MEDIA.iter().any(|kind| name.starts_with(kind))
}

fn look(places: &Places, name: &str) -> Option<Carrier> {
    let (number, disk, diskseq, model) = read_carrier(places, name)?;
    let head = head(&places.dev.join(name)).ok()?;
    let signature = magic::recognise(&head).filter(is_store)?;
    let id = match signature.kind {
        "iso9660" => magic::iso_made(&head),
        _ => hyphenated(&signature.id),
    };
    let (kind, path) = (signature.kind, format!("/dev/{name}"));
    Some(Carrier { path, number, disk, diskseq, kind, id, model })
}

/// Number of the volume and of its disk, the disk's sequence number, and what it is.
fn read_carrier(places: &Places, name: &str) -> Option<(DeviceNumber, DeviceNumber, u64, String)> {
    let dir = fs::canonicalize(places.sys.join("class/block").join(name)).ok()?;
    let is_part = dir.join("partition").exists();
    let whole = if is_part { dir.parent()? } else { &dir };
    let (number, disk) = (sysfs::device_number(&dir)?, sysfs::device_number(whole)?);
    let diskseq = sysfs::number(whole, "diskseq").unwrap_or(0);
    let words = [sysfs::text(whole, "device/vendor"), sysfs::text(whole, "device/model")];
    let model = words.iter().filter(|word| !word.is_empty() && !word.starts_with("0x"));
    Some((number, disk, diskseq, model.cloned().collect::<Vec<_>>().join(" ")))
}

/// The first bytes of a volume, as many as there are.
fn head(node: &Path) -> io::Result<Vec<u8>> {
    let volume = File::open(node)?;
    let mut head = vec![0; magic::HEAD_BYTES];
    let mut done = 0;
    while done < head.len() {
        match volume.read_at(&mut head[done..], done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            // A CD-ROM that ends before has no more to say.
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    head.truncate(done);
    Ok(head)
}

/// A UUID of 32 digits as people write it.
fn hyphenated(id: &str) -> String {
    if id.len() != 32 || !id.is_ascii() {
        return id.to_owned();
    }
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The first bytes of an ext4 and of a CD-ROM with this label.
    fn ext4(label: &str) -> Vec<u8> {
        let mut head = vec![0; magic::HEAD_BYTES];
        head[1080..1082].copy_from_slice(b"\x53\xef");
        head[1128..1144].copy_from_slice(&[0x1a; 16]);
        head[1144..1144 + label.len()].copy_from_slice(label.as_bytes());
        head
    }

    fn iso(label: &str) -> Vec<u8> {
        let mut head = vec![0; 40_000];
        head[32769..32774].copy_from_slice(b"CD001");
        head[32808..32840].fill(b' ');
        head[32808..32808 + label.len()].copy_from_slice(label.as_bytes());
        head[33598..33614].copy_from_slice(b"2026112213141516");
        head
    }

    /// sysfs with a stick of three partitions, a drive, and what is no medium.
    fn machine(volumes: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Places) {
        let root = tempfile::tempdir().unwrap();
        for dir in ["sys/class/block", "dev", "proc"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        for (number, (name, head)) in volumes.iter().enumerate() {
            let disk = name.trim_end_matches(|c: char| c.is_ascii_digit());
            let is_part = name.starts_with("sd") && disk.len() < name.len();
            let place = if is_part { format!("{disk}/{name}") } else { (*name).to_owned() };
            let dir = root.path().join("sys/devices").join(place);
            fs::create_dir_all(dir.join("device")).unwrap();
            fs::write(dir.join("dev"), format!("8:{number}\n")).unwrap();
            if is_part {
                fs::write(dir.join("partition"), "3\n").unwrap();
            } else {
                fs::write(dir.join("diskseq"), "5\n").unwrap();
                fs::write(dir.join("device/model"), "Stick\n").unwrap();
            }
            symlink(&dir, root.path().join("sys/class/block").join(name)).unwrap();
            fs::write(root.path().join("dev").join(name), head).unwrap();
        }
        let at = |dir: &str| root.path().join(dir);
        let places = Places { sys: at("sys"), dev: at("dev"), proc: at("proc") };
        (root, places)
    }

    #[test]
    fn stores_are_found_by_their_label_on_whatever_carries_them() {
        let (_root, places) = machine(&[
            ("sda", vec![0; 512]),
            ("sda3", ext4(STORE_LABEL)),
            ("sda4", ext4("INAUG-STORE2")),
            ("sr0", iso(STORE_LABEL)),
            ("sr1", vec![]),
            ("loop0", ext4(STORE_LABEL)),
        ]);
        let all = volumes(&places).unwrap();
        let names: Vec<&str> = all.iter().map(|volume| volume.name.as_str()).collect();
        assert_eq!(names, ["sda", "sda3", "sda4", "sr0", "sr1"]);
        let found: Vec<Carrier> =
            all.iter().filter_map(|volume| carrier(&places, volume)).collect();
        let lines: Vec<String> = found
            .iter()
            .map(|c| {
                format!("{} {} on {} {} {} {}", c.path, c.number, c.disk, c.kind, c.id, c.model)
            })
            .collect();
        assert_eq!(
            lines,
            [
                "/dev/sda3 8:1 on 8:0 ext4 1a1a1a1a-1a1a-1a1a-1a1a-1a1a1a1a1a1a Stick",
                "/dev/sr0 8:3 on 8:3 iso9660 2026-11-22-13-14-15-16 Stick",
            ]
        );
        assert!(found[0].is_there(&places));
        fs::write(places.sys.join("class/block/sda/diskseq"), "6\n").unwrap();
        assert!(!found[0].is_there(&places), "another stick in the same place");
    }
}
