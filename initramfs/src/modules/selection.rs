//! Which modules each choice packs. Lists with reasons; what they need comes by itself.

use std::collections::BTreeSet;

use super::Modules;
use super::index::Index;
use crate::table::Table;

/// [`Modules::Thin`]: names, and what each is there for.
const THIN: &[(&str, &str)] = &[
    ("virtio_pci", "transport of every QEMU and cloud virtio device"),
    ("virtio_mmio", "transport in microVMs"),
    ("virtio_blk", "disk of QEMU and clouds"),
    ("virtio_scsi", "disk of QEMU and clouds, many per controller"),
    ("virtio_net", "NIC of QEMU and clouds"),
    ("virtio_rng", "entropy for TLS in a guest without RDRAND"),
    ("nvme", "disk of current servers"),
    ("vmd", "NVMe behind Intel's volume management device"),
    ("ahci", "SATA on every chipset"),
    ("ata_piix", "IDE of QEMU's `pc` machine"),
    ("sd_mod", "disks behind SCSI, SATA, SAS and USB"),
    ("megaraid_sas", "RAID of Dell, Lenovo and Supermicro servers"),
    ("mpt3sas", "SAS host adapters of most other servers"),
    ("e1000", "QEMU's emulated NIC"),
    ("e1000e", "NIC on Intel boards, and of QEMU's q35"),
    ("igb", "Intel 1 Gbit/s server NICs"),
    ("igc", "Intel 2.5 Gbit/s NICs on boards"),
    ("ixgbe", "Intel 10 Gbit/s server NICs"),
    ("i40e", "Intel 10 to 40 Gbit/s server NICs"),
    ("r8169", "Realtek, on most small boards"),
    ("tg3", "Broadcom 1 Gbit/s, on Dell and HPE servers"),
    ("af_packet", "packet sockets, which DHCP runs on"),
    ("bonding", "bonded ports"),
    ("8021q", "tagged ports"),
    ("qemu_fw_cfg", "configuration handed over by QEMU"),
    ("efivarfs", "boot entries of EFI machines"),
    ("ext4", "the root of a tree, and the store of a stick"),
    ("sr_mod", "CD-ROMs, also of QEMU and clouds"),
    ("isofs", "the store of a CD-ROM"),
];

/// [`Modules::Fat`]: prefixes of paths below the kernel's directory, and why.
const FAT: &[(&str, &str)] = &[
    ("kernel/drivers/net/ethernet/", "every wired NIC"),
    ("kernel/drivers/net/phy/", "their transceivers, found by their own bus"),
    ("kernel/drivers/net/mdio/", "the buses of those"),
    ("kernel/drivers/net/hyperv/", "NIC of Hyper-V and Azure"),
    ("kernel/drivers/net/vmxnet3/", "NIC of VMware"),
    ("kernel/drivers/net/bonding/", "bonded ports"),
    ("kernel/net/8021q/", "tagged ports"),
    ("kernel/drivers/block/", "virtio-blk, Xen and others"),
    ("kernel/drivers/ata/", "SATA and IDE"),
    ("kernel/drivers/nvme/host/", "NVMe"),
    ("kernel/drivers/scsi/", "SAS, RAID and virtual SCSI"),
    ("kernel/drivers/message/", "older LSI SAS, emulated by VMware"),
    ("kernel/drivers/mmc/", "soldered flash of small boards"),
    ("kernel/drivers/virtio/", "virtio transports"),
    ("kernel/drivers/hv/", "bus of Hyper-V"),
    ("kernel/drivers/pci/", "buses behind buses: VMD, Hyper-V"),
    ("kernel/drivers/usb/host/", "USB, for sticks and virtual media"),
    ("kernel/drivers/usb/storage/", "sticks and virtual media"),
    ("kernel/drivers/hid/usbhid/", "keyboards, also those of BMCs"),
    ("kernel/drivers/hid/hid-generic", "the driver behind usbhid"),
    ("kernel/drivers/watchdog/", "a machine that hangs must come back"),
    ("kernel/drivers/cdrom/", "CD-ROMs, also those of BMCs"),
    ("kernel/fs/isofs/", "the store of a CD-ROM"),
];

/// What [`Modules::Fat`] leaves out although a prefix covers it.
const FAT_NOT: &[(&str, &str)] = &[
    ("kernel/drivers/block/drbd/", "replication, not a disk of this machine"),
    ("kernel/drivers/block/rbd.ko", "network block device, drags in Ceph"),
    ("kernel/drivers/block/rnbd/", "network block device, drags in InfiniBand"),
    ("kernel/drivers/block/null_blk/", "a test disk would be offered as a target"),
    ("kernel/drivers/block/zram/", "memory, not a disk"),
    ("kernel/drivers/scsi/scsi_debug.ko", "a test disk would be offered as a target"),
    ("kernel/drivers/net/ethernet/mellanox/mlxsw/", "switch chips, not NICs"),
];

/// Loaded on every machine before any driver: nothing in sysfs asks for them.
const ALWAYS: &[(&str, &str)] = &[
    ("af_packet", "a socket family has no device; modprobe would load it on demand"),
    ("virtio_pci", "transports first, so that their devices appear together"),
    ("virtio_mmio", "devices given on the kernel's command line have no modalias"),
];

/// Loaded on every machine after all drivers: nothing on the way to the store needs them, and
/// they take longer than a NIC's driver.
const LAST: &[(&str, &str)] = &[
    ("ext4", "the same as with sockets: mount(2) would have modprobe load it"),
    ("isofs", "the same; of a CD-ROM"),
];

/// The chosen modules, before their dependencies.
#[derive(Debug, Default)]
pub(super) struct Selected {
    pub(super) names: BTreeSet<String>,
    /// Names of [`THIN`] that this kernel does not have in any form.
    pub(super) absent: Vec<String>,
}

/// What `modules` means for this kernel.
pub(super) fn select(modules: Modules, index: &Index) -> Selected {
    let mut selected = Selected::default();
    if modules == Modules::None {
        return selected;
    }
    for (name, _) in THIN {
        if index.paths.contains_key(*name) {
            selected.names.insert((*name).to_owned());
        } else if !index.builtin.contains(*name) {
            selected.absent.push((*name).to_owned());
        }
    }
    if modules == Modules::Fat {
        let fat = index.paths.iter().filter(|(_, path)| is_fat(path));
        selected.names.extend(fat.map(|(name, _)| name.clone()));
    }
    selected
}

/// The packed ones of [`ALWAYS`], in its order.
pub(super) fn always(table: &Table) -> Vec<String> {
    packed(ALWAYS, table)
}

/// The packed ones of [`LAST`], in its order.
pub(super) fn last(table: &Table) -> Vec<String> {
    packed(LAST, table)
}

fn packed(list: &[(&str, &str)], table: &Table) -> Vec<String> {
    let names = list.iter().map(|(name, _)| (*name).to_owned());
    names.filter(|name| table.modules.contains_key(name)).collect()
}

fn is_fat(path: &str) -> bool {
    let covered = |list: &[(&str, &str)]| list.iter().any(|(prefix, _)| path.starts_with(prefix));
    covered(FAT) && !covered(FAT_NOT)
}
