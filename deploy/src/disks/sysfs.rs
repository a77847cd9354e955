//! Disks as sysfs shows them (`Documentation/ABI/stable/sysfs-block`).

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::contents::{Contents, sniff};
use super::{DeviceNumber, Disk, Transport};

/// Where to look; tests look into trees of their own.
#[derive(Debug, Clone)]
pub struct Places {
    /// sysfs.
    pub sys: PathBuf,
    /// Device nodes.
    pub dev: PathBuf,
    /// procfs, for what is mounted or swapped to.
    pub proc: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { sys: "/sys".into(), dev: "/dev".into(), proc: "/proc".into() }
    }
}

/// Why the disks could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot list the disks in {path}")]
pub struct DiscoverError {
    /// The directory.
    pub path: PathBuf,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// Block devices of these names are not disks of the machine: they are made by
/// software on top of disks, or hold no disk (optical, floppy), or are parts of
/// an eMMC that are not storage.
const NOT_DISKS: [&str; 11] =
    ["loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd", "mtdblock", "drbd", "rbd"];

/// A machine with more disks than this is beyond what a person can choose from;
/// it bounds the time spent reading their heads.
const MAX_DISKS: usize = 256;

/// Every disk of the machine by name, as far as the kernel knows it without asking the disk: without
/// its serial number and what it holds, which [`ask`] adds. Never waits for a disk. Disks that vanish
/// while being listed are left out.
pub fn list(places: &Places) -> Result<Vec<Disk>, DiscoverError> {
    let path = places.sys.join("block");
    let wrong = |source| DiscoverError { path: path.clone(), source };
    let entries = fs::read_dir(&path).map_err(wrong)?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| is_disk(&path.join(name), name));
    names.sort();
    names.truncate(MAX_DISKS);
    let used = used_numbers(places);
    Ok(names.iter().filter_map(|name| glance(places, name, &used)).collect())
}

/// A listed disk with what only it can say: its serial number, and what it holds now. Blocks for as
/// long as the disk does not answer, which may be for ever.
pub fn ask(places: &Places, listed: &Disk) -> Disk {
    let Disk { size_bytes, logical_sector_bytes, .. } = *listed;
    // virtio-blk asks the disk whenever this is read.
    let serial = serial(&places.sys.join("block").join(&listed.name));
    let mut contents = Contents::default();
    if size_bytes > 0 {
        contents = match File::open(places.dev.join(&listed.name)) {
            Ok(device) => sniff(&device, size_bytes, logical_sector_bytes),
            Err(error) => Contents { unreadable: Some(error.to_string()), ..contents },
        };
    }
    Disk { serial, contents, ..listed.clone() }
}

/// One block device by its kernel name (`vda`), whatever its kind. Blocks as [`ask`] does.
pub fn inspect(places: &Places, name: &str) -> Option<Disk> {
    glance(places, name, &used_numbers(places)).map(|listed| ask(places, &listed))
}

/// True if the device `disk` was found as is still the same disk: to be asked
/// before writing, because a name is given again when a disk is unplugged.
pub fn is_same_disk(places: &Places, disk: &Disk) -> bool {
    let dir = places.sys.join("block").join(&disk.name);
    device_number(&dir) == Some(disk.number)
        && number(&dir, "diskseq").unwrap_or(0) == disk.diskseq
        && number(&dir, "size").map(|sectors| sectors.saturating_mul(512)) == Some(disk.size_bytes)
}

fn is_disk(dir: &Path, name: &str) -> bool {
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_emmc_part =
        name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"));
    // A path of a multipath NVMe namespace is hidden: the namespace itself is the disk.
    !NOT_DISKS.contains(&kind) && !is_emmc_part && number(dir, "hidden") != Some(1)
}

fn glance(places: &Places, name: &str, used: &[DeviceNumber]) -> Option<Disk> {
    let dir = places.sys.join("block").join(name);
    let real = fs::canonicalize(&dir).ok()?;
    let bus_path = bus_path(&real);
    // sysfs counts in units of 512 bytes whatever the disk's sector size.
    let size_bytes = number(&dir, "size")?.saturating_mul(512);
    let logical_sector_bytes =
        number(&dir, "queue/logical_block_size").and_then(|n| n.try_into().ok()).unwrap_or(512);
    let parts = partitions(&dir);
    let mut disk = Disk {
        path: format!("/dev/{name}"),
        name: name.into(),
        number: device_number(&dir)?,
        size_bytes,
        logical_sector_bytes,
        model: text(&dir, "device/model"),
        vendor: text(&dir, "device/vendor"),
        serial: String::new(),
        wwn: first_text(&dir, &["wwid", "device/wwid"]),
        transport: transport(name, &bus_path),
        rotational: number(&dir, "queue/rotational") == Some(1),
        removable: number(&dir, "removable") == Some(1),
        read_only: number(&dir, "ro") == Some(1),
        diskseq: number(&dir, "diskseq").unwrap_or(0),
        holders: [&dir]
            .into_iter()
            .chain(&parts)
            .flat_map(|part| names_in(&part.join("holders")))
            .collect(),
        mounted: [&dir]
            .into_iter()
            .chain(&parts)
            .filter_map(|part| device_number(part))
            .any(|n| used.contains(&n)),
        bus_path,
        contents: Contents::default(),
    };
    // virtio-blk's `vendor` is the PCI number, which names nobody.
    if disk.vendor.starts_with("0x") {
        disk.vendor.clear();
    }
    Some(disk)
}

/// Directories of the disk's partitions.
fn partitions(dir: &Path) -> Vec<PathBuf> {
    let paths = names_in(dir).into_iter().map(|name| dir.join(name));
    paths.filter(|path| path.join("partition").exists()).collect()
}

/// The device's directory below `/sys/devices`, without `block/<name>`.
fn bus_path(real: &Path) -> String {
    let text = real.to_string_lossy();
    let inside = text.split_once("/devices/").map_or(&*text, |(_, inside)| inside);
    inside.rsplit_once("/block/").map_or(inside, |(device, _)| device).to_string()
}

/// How a disk of that name and place is attached.
fn transport(name: &str, bus_path: &str) -> Transport {
    let by_name = [
        ("nvme", Transport::Nvme),
        ("vd", Transport::Virtio),
        ("mmcblk", Transport::Mmc),
        ("xvd", Transport::Xen),
    ];
    // Order matters: a USB bridge to a SATA disk is USB.
    let by_place = [
        ("/usb", Transport::Usb),
        ("/end_device-", Transport::Sas),
        ("/ata", Transport::Sata),
        ("/virtio", Transport::Virtio),
    ];
    let named = by_name.iter().find(|(prefix, _)| name.starts_with(prefix));
    let placed = by_place.iter().find(|(part, _)| bus_path.contains(part));
    let otherwise = if name.starts_with("sd") { Transport::Scsi } else { Transport::Other };
    named.or(placed).map_or(otherwise, |(_, transport)| *transport)
}

/// The serial number: an attribute of NVMe and virtio disks, page 80 of SCSI's
/// vital product data for the others (SPC-4, 7.8.15: four bytes of header).
fn serial(dir: &Path) -> String {
    let plain = first_text(dir, &["serial", "device/serial"]);
    if !plain.is_empty() {
        return plain;
    }
    let page = read_bounded(&dir.join("device/vpd_pg80")).unwrap_or_default();
    clean(page.get(4..).unwrap_or_default())
}

/// Numbers of devices that are mounted (`proc_pid_mountinfo(5)`, third field,
/// and the source for file systems such as btrfs whose number is their own) or
/// swapped to (`/proc/swaps`).
fn used_numbers(places: &Places) -> Vec<DeviceNumber> {
    let mounts = fs::read_to_string(places.proc.join("self/mountinfo")).unwrap_or_default();
    let swaps = fs::read_to_string(places.proc.join("swaps")).unwrap_or_default();
    let by_number = mounts.lines().filter_map(|line| parse_number(line.split(' ').nth(2)?));
    let sources = mounts.lines().filter_map(|line| line.split_once(" - ")?.1.split(' ').nth(1));
    let swapped = swaps.lines().filter_map(|line| line.split([' ', '\t']).next());
    let names = sources.chain(swapped).filter_map(|path| path.strip_prefix("/dev/"));
    let by_name =
        names.filter_map(|name| device_number(&places.sys.join("class/block").join(name)));
    by_number.chain(by_name).collect()
}

pub(super) fn device_number(dir: &Path) -> Option<DeviceNumber> {
    parse_number(&text(dir, "dev"))
}

fn parse_number(text: &str) -> Option<DeviceNumber> {
    let (major, minor) = text.split_once(':')?;
    Some(DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn first_text(dir: &Path, attributes: &[&str]) -> String {
    let texts = attributes.iter().map(|attribute| text(dir, attribute));
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
}

pub(super) fn number(dir: &Path, attribute: &str) -> Option<u64> {
    text(dir, attribute).parse().ok()
}

/// An attribute as trimmed text; empty if it is not there.
pub(super) fn text(dir: &Path, attribute: &str) -> String {
    clean(&read_bounded(&dir.join(attribute)).unwrap_or_default())
}

/// A disk's own words, fit for a screen.
fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let printable: String = text.trim_matches(['\0', '\n', ' ']).chars().collect();
    printable
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect::<String>()
        .trim()
        .into()
}

/// An attribute of sysfs is at most a page.
const MAX_ATTRIBUTE_BYTES: u64 = 4096;

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_ATTRIBUTE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A tree of sysfs, /dev and /proc: each disk is `(name, bus path, attributes)`.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for dir in ["sys/block", "sys/class/block", "dev", "proc/self"] {
                fs::create_dir_all(tree.0.path().join(dir)).unwrap();
            }
            tree
        }

        fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }

        fn disk(&self, name: &str, bus: &str, attributes: &[(&str, &str)]) {
            let dir = format!("sys/devices/{bus}/block/{name}");
            for (attribute, value) in attributes {
                self.put(&format!("{dir}/{attribute}"), format!("{value}\n"));
            }
            let real = self.0.path().join(&dir);
            symlink(&real, self.0.path().join("sys/block").join(name)).unwrap();
            symlink(&real, self.0.path().join("sys/class/block").join(name)).unwrap();
            self.put(&format!("dev/{name}"), vec![0; 1 << 20]);
        }

        fn places(&self) -> Places {
            let at = |dir: &str| self.0.path().join(dir);
            Places { sys: at("sys"), dev: at("dev"), proc: at("proc") }
        }
    }

    #[test]
    fn disks_of_every_transport_are_read() {
        let tree = Tree::new();
        let pci = "pci0000:00/0000:00";
        let plain = [("dev", "8:0"), ("size", "2048")];
        tree.disk(
            "sda",
            &format!("{pci}:1f.2/ata1/host0/target0:0:0/0:0:0:0"),
            &[
                ("dev", "8:0"),
                ("size", "2048"),
                ("device/model", "QEMU HARDDISK   "),
                ("device/vendor", "ATA     "),
                ("device/wwid", "naa.5000c500a1b2c3d4"),
                ("queue/rotational", "1"),
                ("queue/logical_block_size", "4096"),
                ("diskseq", "7"),
            ],
        );
        tree.put(
            &format!(
                "sys/devices/{pci}:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda/device/vpd_pg80"
            ),
            b"\0\x80\0\x14   QM00001\0",
        );
        tree.disk("sdb", &format!("{pci}:14.0/usb1/1-1/host1"), &plain);
        tree.disk("sdc", &format!("{pci}:02.0/host2/port-2:0/end_device-2:0"), &plain);
        tree.disk("sdd", &format!("{pci}:05.0/virtio2/host3"), &plain);
        tree.disk("sde", &format!("{pci}:06.0/host4"), &plain);
        tree.disk(
            "nvme0n1",
            &format!("{pci}:07.0/nvme/nvme0"),
            &[
                ("dev", "259:0"),
                ("size", "2048"),
                ("wwid", "eui.0025"),
                ("device/serial", "S1 "),
                ("device/model", "Fast"),
                ("removable", "0"),
                ("ro", "1"),
            ],
        );
        tree.disk(
            "vda",
            &format!("{pci}:04.0/virtio1"),
            &[("dev", "254:0"), ("size", "2048"), ("serial", "ABC"), ("device/vendor", "0x1af4")],
        );
        for name in ["loop0", "ram0", "zram0", "sr0", "dm-0", "md127", "mmcblk0boot0"] {
            tree.disk(name, &format!("virtual/{name}"), &plain);
        }
        tree.disk(
            "nvme0c0n1",
            "virtual/nvme",
            &[("dev", "259:9"), ("size", "2048"), ("hidden", "1")],
        );

        let places = tree.places();
        let disks: Vec<Disk> =
            list(&places).unwrap().iter().map(|disk| ask(&places, disk)).collect();
        let lines: Vec<String> = disks.iter().map(|d| format!("{d} {:?}", d.vendor)).collect();
        assert_eq!(
            lines,
            [
                "/dev/nvme0n1 1.0 MB nvme Fast serial S1 \"\"",
                "/dev/sda 1.0 MB sata QEMU HARDDISK serial QM00001 \"ATA\"",
                "/dev/sdb 1.0 MB usb \"\"",
                "/dev/sdc 1.0 MB sas \"\"",
                "/dev/sdd 1.0 MB virtio \"\"",
                "/dev/sde 1.0 MB scsi \"\"",
                "/dev/vda 1.0 MB virtio serial ABC \"\"",
            ]
        );
        let sda = &disks[1];
        assert_eq!(
            (sda.wwn.as_str(), sda.rotational, sda.logical_sector_bytes, sda.diskseq),
            ("naa.5000c500a1b2c3d4", true, 4096, 7)
        );
        assert_eq!(sda.bus_path, "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0");
        assert!(disks[0].read_only && disks.iter().all(|disk| disk.contents.is_blank()));
    }

    #[test]
    fn partitions_make_a_disk_held_and_mounted() {
        let tree = Tree::new();
        let attributes = [
            ("dev", "8:0"),
            ("size", "2048"),
            ("sda1/partition", "1"),
            ("sda1/dev", "8:1"),
            ("sda1/holders/dm-0/x", ""),
        ];
        tree.disk("sda", "host0", &attributes);
        let disk = || inspect(&tree.places(), "sda").unwrap();
        assert_eq!((disk().holders, disk().mounted), (vec!["dm-0".to_string()], false));
        tree.put("proc/self/mountinfo", "21 1 8:1 / /mnt rw - ext4 /dev/sda1 rw\n");
        assert!(disk().mounted);
        tree.put("proc/self/mountinfo", "21 1 0:33 / /mnt rw - btrfs /dev/sda rw\n");
        assert!(disk().mounted);
        tree.put("proc/self/mountinfo", "");
        tree.put("proc/swaps", "Filename Type\n/dev/sda partition 1 2 3\n");
        assert!(disk().mounted);
    }

    #[test]
    fn another_disk_under_the_same_name_is_noticed() {
        let tree = Tree::new();
        tree.disk("sda", "host0", &[("dev", "8:0"), ("size", "2048"), ("diskseq", "3")]);
        let disk = inspect(&tree.places(), "sda").unwrap();
        assert!(is_same_disk(&tree.places(), &disk));
        tree.put("sys/devices/host0/block/sda/diskseq", "4\n");
        assert!(!is_same_disk(&tree.places(), &disk));
    }

    #[test]
    fn a_list_asks_no_disk() {
        let tree = Tree::new();
        tree.disk("vda", "host0", &[("dev", "8:0"), ("size", "2048"), ("serial", "S1")]);
        let listed = &list(&tree.places()).unwrap()[0];
        assert_eq!((listed.serial.as_str(), &listed.contents), ("", &Contents::default()));
        let asked = ask(&tree.places(), listed);
        assert_eq!((asked.serial.as_str(), asked.contents.is_blank()), ("S1", true));
    }

    #[test]
    fn an_unreadable_or_absent_device_is_not_blank() {
        let tree = Tree::new();
        tree.disk("sda", "host0", &[("dev", "8:0"), ("size", "2048")]);
        fs::remove_file(tree.0.path().join("dev/sda")).unwrap();
        assert!(!inspect(&tree.places(), "sda").unwrap().contents.is_blank());
    }

    #[test]
    fn no_sysfs_is_an_error_that_names_it() {
        let places = Places { sys: "/nowhere".into(), ..Places::default() };
        let error = list(&places).unwrap_err();
        assert_eq!(error.to_string(), "cannot list the disks in /nowhere/block");
    }
}
