//! The machine's network cards, with what an operator needs to find one in the rack.

use std::fmt;
use std::fs;
use std::path::Path;

use super::args::NicChoice;
use super::error::NetError;
use super::lldp::Neighbor;
use super::mac::MacAddr;
use super::netlink::{Link, LinkKind, Netlink};
use super::table::Card;

const SYSFS_NET: &str = "/sys/class/net";

const SYSFS_PCI: &str = "/sys/bus/pci/devices";

/// How the class of a PCI function that is a network card begins.
const CLASS_NETWORK: &str = "0x02";

/// Devices without a driver that are told of: servers have about ten cards.
const DRIVERLESS_MAX: usize = 16;

/// Directories between a NIC's device and its PCI function: one for virtio, a few behind bridges of
/// other buses.
const PARENTS_MAX: usize = 8;

/// Which links count as network cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NicPolicy {
    /// Those with a device behind them: what a machine has in its slots.
    Physical,
    /// Every Ethernet link, for tests with virtual ones.
    AnyEthernet,
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// The kernel's name, such as `eth0`.
    pub name: String,
    /// The kernel's interface number.
    pub index: u32,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// The device on its bus, such as `0000:00:03.0` or `virtio0`; empty for a virtual link.
    pub bus: String,
    /// PCI vendor and device in hex, such as `8086:100e`; `None` on another bus.
    pub pci_id: Option<String>,
    /// The driver that serves it.
    pub driver: Option<String>,
    /// It was raised: before that nothing is known of its cable.
    pub is_up: bool,
    /// The cable is live.
    pub carrier: bool,
    /// Mb/s, where the driver knows.
    pub speed_mbps: Option<u32>,
    /// Both directions at once, where the driver knows.
    pub full_duplex: Option<bool>,
    /// What is at the other end of the cable, where that said so by LLDP.
    pub neighbor: Option<Neighbor>,
    /// What it brought so far, in words.
    pub heard: String,
}

/// The machine's physical NICs as they are now. Nothing was asked on the wire, so `heard` only says
/// whether there is carrier.
pub fn nics() -> Result<Vec<Nic>, NetError> {
    let mut netlink = Netlink::open().map_err(NetError::kernel("open rtnetlink"))?;
    let links = netlink.links().map_err(NetError::kernel("list links"))?;
    Ok(links.iter().filter_map(|link| Nic::new(link, NicPolicy::Physical)).collect())
}

/// PCI network cards that no driver serves.
pub(super) fn driverless() -> Vec<Card> {
    let Ok(devices) = fs::read_dir(SYSFS_PCI) else { return Vec::new() };
    let devices = devices.filter_map(|device| Some(device.ok()?.path()));
    let mut cards: Vec<Card> = devices.filter_map(|device| driverless_card(&device)).collect();
    cards.sort_by(|one, other| one.bus.cmp(&other.bus));
    cards.truncate(DRIVERLESS_MAX);
    cards
}

fn driverless_card(device: &Path) -> Option<Card> {
    let is_card = read(&device.join("class"))?.starts_with(CLASS_NETWORK);
    if !is_card || device.join("driver").exists() {
        return None;
    }
    let (vendor, model) = (read(&device.join("vendor"))?, read(&device.join("device"))?);
    Some(Card {
        bus: device.file_name()?.to_str()?.to_owned(),
        pci_id: Some(format!("{}:{}", hex_digits(&vendor), hex_digits(&model))),
        heard: "has no driver in this kernel or image".into(),
        ..Card::default()
    })
}

impl Nic {
    /// Describes a link, if the policy takes it for a network card.
    pub(super) fn new(link: &Link, policy: NicPolicy) -> Option<Self> {
        Self::of(link, policy, false)
    }

    /// The same; a link that `is_made` of others is one whatever the policy.
    pub(super) fn of(link: &Link, policy: NicPolicy, is_made: bool) -> Option<Self> {
        let mac = link.mac.filter(|_| link.kind == LinkKind::Ethernet)?;
        let device = Path::new(SYSFS_NET).join(&link.name).join("device");
        let physical = link.parent.is_some() || device.exists();
        if policy == NicPolicy::Physical && !physical && !is_made {
            return None;
        }
        let mut nic = Self {
            name: link.name.clone(),
            index: link.index,
            mac,
            bus: link.parent.clone().or_else(|| target_name(&device)).unwrap_or_default(),
            pci_id: pci_id(&device),
            driver: target_name(&device.join("driver")),
            is_up: false,
            carrier: false,
            speed_mbps: None,
            full_duplex: None,
            neighbor: None,
            heard: match (link.up, link.carrier) {
                (false, _) => "not raised yet",
                (true, false) => "no carrier",
                (true, true) => "carrier",
            }
            .to_owned(),
        };
        nic.update(link);
        Some(nic)
    }

    /// Takes over what changes while a link lives.
    pub(super) fn update(&mut self, link: &Link) {
        (self.is_up, self.carrier) = (link.up, link.carrier);
        // A bond takes that of its first port.
        self.mac = link.mac.unwrap_or(self.mac);
        // Without carrier a driver gives an error, -1 or what it once was; virtual ones always -1.
        let known = |what| read(&Path::new(SYSFS_NET).join(&self.name).join(what));
        let known = |what| known(what).filter(|_| link.carrier);
        self.speed_mbps = known("speed").and_then(|text| text.parse().ok());
        self.full_duplex = match known("duplex").as_deref() {
            Some("full") => Some(true),
            Some("half") => Some(false),
            _ => None,
        };
    }

    /// Whether this is the NIC, or one of those, that the operator asked for.
    pub fn is(&self, choice: &NicChoice) -> bool {
        match choice {
            NicChoice::Mac(mac) => self.mac == *mac,
            NicChoice::Name(name) => self.name == *name,
            NicChoice::Driver(driver) => self.driver.as_ref() == Some(driver),
        }
    }
}

impl fmt::Display for Nic {
    /// `eth0 52:54:00:12:34:56 virtio0 1af4:1000 virtio_net carrier 10000 Mb/s: what was heard`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.mac)?;
        let bus = Some(&self.bus).filter(|bus| !bus.is_empty());
        for word in [bus, self.pci_id.as_ref(), self.driver.as_ref()].into_iter().flatten() {
            write!(f, " {word}")?;
        }
        f.write_str(match (self.is_up, self.carrier) {
            (false, _) => " not-raised",
            (true, false) => " no-carrier",
            (true, true) => " carrier",
        })?;
        if let Some(speed) = self.speed_mbps {
            write!(f, " {speed} Mb/s")?;
        }
        if let Some(neighbor) = &self.neighbor {
            write!(f, " neighbour {neighbor}")?;
        }
        write!(f, ": {}", self.heard)
    }
}

/// The PCI function that the device is or sits on: a virtio device is a child of one. A USB card is
/// on a PCI controller too, whose id would say nothing about the card.
fn pci_id(device: &Path) -> Option<String> {
    let device = fs::canonicalize(device).ok()?;
    for ancestor in device.ancestors().take(PARENTS_MAX) {
        match target_name(&ancestor.join("subsystem")).as_deref() {
            Some("pci") => {
                let vendor = read(&ancestor.join("vendor"))?;
                let device = read(&ancestor.join("device"))?;
                return Some(format!("{}:{}", hex_digits(&vendor), hex_digits(&device)));
            }
            Some("usb") => return None,
            _ => {}
        }
    }
    None
}

fn hex_digits(number: &str) -> &str {
    number.strip_prefix("0x").unwrap_or(number)
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The last component of what a symbolic link in sysfs points to.
fn target_name(link: &Path) -> Option<String> {
    Some(fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned())
}
