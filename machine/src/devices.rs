//! Disks and network cards as values, and how QEMU is told of them.

use crate::ailment::Ailment;
use crate::arguments::escaped;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};

/// How a disk is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// `/dev/vdX`
    VirtioBlk,
    /// `/dev/nvmeXn1`
    Nvme,
    /// `/dev/sdX` on an ICH9 AHCI controller. 512-byte sectors only.
    Ahci,
    /// `/dev/sdX` on a virtio SCSI controller.
    VirtioScsi,
    /// `/dev/sdX`: a stick on an xHCI controller, which can be taken out.
    Usb,
    /// `/dev/srX` on an ICH9 AHCI controller. Always read-only.
    AhciCd,
    /// `/dev/srX` on a virtio SCSI controller. Always read-only.
    ScsiCd,
}

impl Bus {
    fn is_cd(self) -> bool {
        matches!(self, Self::AhciCd | Self::ScsiCd)
    }

    /// What it is plugged into, where that is told to QEMU: its device, and the buses on it.
    fn controller(self) -> Option<&'static str> {
        match self {
            Self::VirtioBlk | Self::Nvme => None,
            Self::Ahci | Self::AhciCd => Some("ich9-ahci,id=ahci"),
            Self::VirtioScsi | Self::ScsiCd => Some("virtio-scsi-pci,id=scsi"),
            Self::Usb => Some("qemu-xhci,id=usb"),
        }
    }
}

/// How a disk's bytes are kept on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As they are.
    Raw,
    /// QEMU's own, with copy-on-write.
    Qcow2,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// A disk of a machine.
#[derive(Clone, Debug)]
pub struct Disk {
    /// How it is attached.
    pub bus: Bus,
    /// Where its bytes are on the host.
    pub file: PathBuf,
    /// How they are kept there.
    pub format: Format,
    /// What the disk says its serial number is (20 bytes at most).
    pub serial: String,
    /// Logical and physical sector size in bytes: 512 or 4096.
    pub sector_size: u32,
    /// Writes are refused by the disk. QEMU has no read-only AHCI or NVMe disk.
    pub read_only: bool,
    /// A write error of the host is reported to the machine as a bad sector.
    /// QEMU's own default pauses the machine on a full disk. NVMe has no choice.
    pub report_errors: bool,
    /// The disk takes discards and "write zeroes"; without them a machine has to write
    /// zeroes. Only virtio-blk can be without.
    pub discards: bool,
    /// Where every write and flush is recorded, for [`crash`](crate::crash); raw disks only.
    pub log: Option<PathBuf>,
    /// What is wrong with it; raw disks without a log only.
    pub ailment: Option<Ailment>,
    /// When the firmware tries to boot from it, the smallest first; without one it decides by
    /// itself.
    pub boot_index: Option<u32>,
}

impl Disk {
    /// A raw virtio-blk disk with 512-byte sectors.
    pub fn at(file: impl AsRef<Path>) -> Self {
        Self {
            bus: Bus::VirtioBlk,
            file: file.as_ref().to_owned(),
            format: Format::Raw,
            serial: String::new(),
            sector_size: 512,
            read_only: false,
            report_errors: true,
            discards: true,
            log: None,
            ailment: None,
            boot_index: None,
        }
    }

    /// The same on a new file of `size` bytes, all zero and all holes.
    pub fn empty(file: impl AsRef<Path>, size: u64) -> Result<Self> {
        let path = file.as_ref();
        File::create(path)
            .and_then(|file| file.set_len(size))
            .with_context(|| format!("making the empty disk {}", path.display()))?;
        Ok(Self::at(path))
    }

    /// The name of the disk's device in QEMU's monitor.
    pub(crate) fn device_id(index: usize) -> String {
        format!("disk{index}-device")
    }

    /// `port` counts the disks before it on the same controller.
    fn arguments(&self, index: usize, port: usize) -> Vec<String> {
        let objects = self.ailment.iter().flat_map(|ailment| ailment.objects(index));
        let own =
            ["-blockdev".into(), self.node(index), "-device".into(), self.device(index, port)];
        objects.chain(own).collect()
    }

    fn node(&self, index: usize) -> String {
        let read_only = if self.read_only || self.bus.is_cd() { "on" } else { "off" };
        let node = format!("node-name=disk{index},read-only={read_only},discard=unmap");
        let driver = self.format.name();
        let path = escaped(&self.file);
        let file =
            |below: &str| format!("{below}driver=file,{below}filename={path},{below}discard=unmap");
        match (&self.log, &self.ailment) {
            (None, None) => format!("driver={driver},{node},{}", file("file.")),
            (None, Some(ailment)) => {
                format!("driver={driver},{node},{},{}", ailment.node(index), file(ailment.child()))
            }
            (Some(log), _) => format!(
                "driver=blklogwrites,{node},{},log-sector-size=512,log.driver=file,\
                 log.filename={}",
                file("file."),
                escaped(log),
            ),
        }
    }

    fn device(&self, index: usize, port: usize) -> String {
        let model = match self.bus {
            Bus::VirtioBlk => "virtio-blk-pci".into(),
            Bus::Nvme => "nvme".into(),
            Bus::Ahci => format!("ide-hd,bus=ahci.{port}"),
            Bus::VirtioScsi => "scsi-hd,bus=scsi.0".into(),
            Bus::Usb => "usb-storage,bus=usb.0,removable=on".into(),
            Bus::AhciCd => format!("ide-cd,bus=ahci.{port}"),
            Bus::ScsiCd => "scsi-cd,bus=scsi.0".into(),
        };
        let serial = match (self.serial.as_str(), self.bus) {
            // NVMe does not start without one.
            ("", Bus::Nvme) => format!("nvme{index}"),
            (serial, _) => serial.to_owned(),
        };
        let size = self.sector_size;
        let mut device =
            vec![model, format!("id={}", Self::device_id(index)), format!("drive=disk{index}")];
        // A CD-ROM has sectors of its own.
        if !self.bus.is_cd() {
            device.push(format!("logical_block_size={size},physical_block_size={size}"));
        }
        if let Some(boot_index) = self.boot_index {
            device.push(format!("bootindex={boot_index}"));
        }
        if !serial.is_empty() {
            device.push(format!("serial={serial}"));
        }
        if self.bus == Bus::VirtioBlk && !self.discards {
            device.push("discard=off,write-zeroes=off".into());
        }
        if self.report_errors && self.bus != Bus::Nvme && !self.bus.is_cd() {
            device.push("werror=report,rerror=report".into());
        }
        device.join(",")
    }
}

/// All disks, after their controllers.
pub(crate) fn disk_arguments(disks: &[Disk]) -> Vec<String> {
    let each = disks.iter().enumerate().flat_map(|(index, disk)| {
        let controller = disk.bus.controller();
        let port =
            disks[..index].iter().filter(|before| before.bus.controller() == controller).count();
        disk.arguments(index, port)
    });
    controllers(disks).into_iter().chain(each).collect()
}

/// The controllers that the disks' buses need, each once.
fn controllers(disks: &[Disk]) -> Vec<String> {
    let controllers: BTreeSet<&str> =
        disks.iter().filter_map(|disk| disk.bus.controller()).collect();
    controllers.into_iter().flat_map(|device| ["-device".into(), device.to_owned()]).collect()
}

/// The kind of a network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicModel {
    /// virtio-net
    VirtioNet,
    /// Intel 82540EM, driver e1000
    E1000,
    /// Intel 82574L, driver e1000e
    E1000e,
    /// Realtek 8139, which our own kernel has no driver for
    Rtl8139,
}

impl NicModel {
    fn device(self) -> &'static str {
        match self {
            Self::VirtioNet => "virtio-net-pci",
            Self::E1000 => "e1000",
            Self::E1000e => "e1000e",
            Self::Rtl8139 => "rtl8139",
        }
    }
}

/// A network card of a machine, on QEMU's user network: DHCP gives 10.0.2.15,
/// the host is 10.0.2.2, the resolver 10.0.2.3.
#[derive(Clone, Debug)]
pub struct Nic {
    /// The kind of card.
    pub model: NicModel,
    /// Its address; empty is 52:54:00:1a:06:NN with the card's number.
    pub mac: String,
    /// The machine reaches neither the host nor anything beyond it.
    pub restrict: bool,
    /// More of `-netdev user`, such as `net=10.9.0.0/24` or `dhcpstart=10.0.2.99`.
    pub options: String,
    /// `None` is a user network; otherwise a whole `-netdev` without its id,
    /// such as `stream,addr.type=unix,addr.path=...` where the test is the wire.
    pub netdev: Option<String>,
    /// The card has QEMU's option ROM, which is iPXE: a BIOS boots from the
    /// network with nothing else.
    pub rom: bool,
    /// Where it stands among what the firmware boots from; QEMU's `bootindex`.
    pub boots: Option<u32>,
}

impl Default for Nic {
    fn default() -> Self {
        Self {
            model: NicModel::VirtioNet,
            mac: String::new(),
            restrict: false,
            options: String::new(),
            netdev: None,
            rom: false,
            boots: None,
        }
    }
}

impl Nic {
    /// A card of this kind with an address of its own.
    pub fn of(model: NicModel) -> Self {
        Self { model, ..Self::default() }
    }

    /// A card on the host's tap device of this name, which must be there.
    pub fn on_tap(name: &str) -> Self {
        let netdev = format!("tap,ifname={name},script=no,downscript=no");
        Self { netdev: Some(netdev), ..Self::default() }
    }

    /// A card whose cable leads to the Unix socket at `path`, where every frame comes after its length,
    /// 32 bits, big endian: who listens there is the network.
    pub fn on_socket(path: impl AsRef<Path>) -> Self {
        let path = escaped(path.as_ref());
        let netdev = format!("stream,server=off,addr.type=unix,addr.path={path}");
        Self { netdev: Some(netdev), ..Self::default() }
    }

    /// The name of card `index` in QEMU's monitor, as `set_link` takes it.
    pub(crate) fn id(index: usize) -> String {
        format!("nic{index}")
    }

    pub(crate) fn arguments(&self, index: usize) -> Vec<String> {
        let id = Self::id(index);
        let mut netdev = vec![self.netdev.clone().unwrap_or_else(|| "user".into())];
        netdev.push(format!("id={id}-net"));
        if self.netdev.is_none() && self.restrict {
            netdev.push("restrict=on".into());
        }
        if !self.options.is_empty() {
            netdev.push(self.options.clone());
        }
        let mac = match self.mac.as_str() {
            "" => format!("52:54:00:1a:06:{index:02x}"),
            mac => mac.to_owned(),
        };
        let mut device = format!("{},id={id},netdev={id}-net,mac={mac}", self.model.device());
        // Without the option ROM a BIOS does not try to boot from the network.
        if !self.rom {
            device.push_str(",romfile=");
        }
        if let Some(order) = self.boots {
            let _ = write!(device, ",bootindex={order}");
        }
        vec!["-netdev".into(), netdev.join(","), "-device".into(), device]
    }
}
