//! Network: from bare links to a configured NIC that reaches the store.
//!
//! Given the operator's words ([`NetConfig`]) and a way to try the store, [`bring_up`] raises every
//! NIC at once, asks for an address on each one as soon as it has carrier, and gives the kernel's
//! stack the address of the first NIC that reaches the store. A NIC wins by reaching the store, not
//! by having a lease. Nothing sleeps: link changes come from rtnetlink, answers from packet sockets.
//!
//! Follows RFC 2131, 2132, 3396 and 3442 (DHCPv4), 5227 (ARP probes), 4861, 4862, 8106 and 8415 (IPv6),
//! dracut.cmdline(7) (`ip=`), rtnetlink(7) and packet(7); IEEE 802.1AB (LLDP).
//!
//! ```text
//! args        BOOTIF=, nameserver=, NIC names    ->  NetConfig
//! ip_arg      ip=, rd.route=                     ->  the same
//! layers      vlan=, bond=                       ->  the same
//! stack       what they are made of              ->  links of the kernel
//! nic         rtnetlink and sysfs                ->  Nic
//! dhcp        frames and times                   ->  an answer; no socket, no clock
//! ipv6        the same of IPv6                   ->  the same
//! arp         an address                         ->  who else has it; the same
//! contender   one NIC: carrier, answer, attempts
//! lldp        frames of switches                 ->  neighbours; hints, and links to make
//! race        all of them                        ->  Network or NetError
//! table       all of them                        ->  what a person reads
//! reach       why a store is not reached
//! configure   Network                            ->  the kernel's stack
//! keeper      Network while it is in use         ->  the same, or another Network
//! held        one network: its lease, its link   ->  why it is lost
//! deaf        its neighbours                     ->  the same
//! release     its lease when it is left         ->  the server
//! held_v6     its address of IPv6                ->  the same
//! ```
//!
//! Deliberately absent: privacy addresses, prefix delegation, iBFT.

mod args;
mod arp;
mod configure;
mod contender;
mod conversation;
mod deaf;
mod dhcp;
mod error;
mod flaps;
mod held;
mod held_v6;
mod in_use;
mod ip_arg;
mod ipv6;
mod keeper;
mod layers;
mod lldp;
mod mac;
mod names;
mod netlink;
mod nic;
mod packet;
mod race;
mod reach;
mod release;
mod stack;
mod table;
mod virtual_link;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use args::{ArgError, NicChoice, parse_bootif, parse_host, parse_nameserver};
pub use error::{Failure, NetError};
pub use in_use::InUse;
pub use ip_arg::{Addressing, IpArg, Ipv6Mode, RouteArg, StaticAddress, parse_ip, parse_route};
pub use keeper::{Keeper, Keeping};
pub use layers::{Bond, BondMode, HashPolicy, LAYERS_MAX, Vlan, parse_bond, parse_vlan};
pub use lldp::Neighbor;
pub use mac::MacAddr;
pub use nic::{Nic, NicPolicy, nics};
pub use reach::{Reach, Unreached};
pub(crate) use table::HEAD as TABLE_HEAD;
pub use table::{Card, cards, table};

/// Raises the NICs and returns the one that reached the store, configured. NICs start without the
/// addresses and routes that an earlier call gave them.
///
/// `reach` is called with a NIC configured and the time that is left, which it must keep to, and says
/// why the store was not reached. `say` gets a line when something changes and every three seconds
/// while waiting.
pub fn bring_up(
    config: &NetConfig,
    reach: &mut Reach<'_>,
    say: &mut dyn FnMut(&str),
) -> Result<Network, NetError> {
    race::Race::new(config)?.run(reach, say)
}

/// Where resolver libraries look.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Smallest MTU taken from a lease or an operator: what every IPv4 host must receive (RFC 791).
pub const MTU_MIN: u16 = 576;

/// Largest MTU taken: the jumbo frames that common switches pass.
pub const MTU_MAX: u16 = 9216;

/// Resolvers used, `MAXNS` of resolv.conf(5).
pub const NAMESERVERS_MAX: usize = 3;

/// Routes taken from the operator, or from a server: a rack has a handful, and each is a netlink call.
pub const ROUTES_MAX: usize = 32;

/// Time from start to giving up, if the operator says nothing: spanning tree takes 30 s from carrier
/// to the first frame, a card's firmware and link about 10 s, and a DHCP server a few more.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// What the operator wants of the network.
#[derive(Debug, Clone)]
pub struct NetConfig {
    /// The NIC that the machine was booted from: first among equals.
    pub bootif: Option<MacAddr>,
    /// The only NIC or NICs to use.
    pub nic: Option<NicChoice>,
    /// Bonds to make; their ports are not asked for an address.
    pub bonds: Vec<Bond>,
    /// VLANs to make; what carries them is not asked for an address.
    pub vlans: Vec<Vlan>,
    /// VLANs are made that a switch names by LLDP where nothing else leads to the store.
    pub auto_vlan: bool,
    /// The same for cards that a switch has as one link.
    pub auto_bond: bool,
    /// A leased address is given back when the machine is left.
    pub release: bool,
    /// Where the address comes from.
    pub addressing: Addressing,
    /// MTU in bytes to set, whatever the lease says.
    pub mtu: Option<u16>,
    /// Routes beside those of the lease.
    pub routes: Vec<RouteArg>,
    /// Resolvers to use before those of the lease.
    pub nameservers: Vec<IpAddr>,
    /// Time from start to giving up.
    pub deadline: Duration,
    /// Waiting ends with [`NetError::Interrupted`] when this is readable.
    pub interrupt: Option<Arc<OwnedFd>>,
    /// Which links count as NICs.
    pub policy: NicPolicy,
    /// The resolver's file to write.
    pub resolv_conf: PathBuf,
}

impl NetConfig {
    /// Modules of the kernel that make what is asked for, and that no device asks for.
    pub fn drivers(&self) -> Vec<&'static str> {
        let bonding = (self.auto_bond || !self.bonds.is_empty()).then_some("bonding");
        let tagging = (self.auto_vlan || !self.vlans.is_empty()).then_some("8021q");
        bonding.into_iter().chain(tagging).collect()
    }

    /// Whether a bond or a VLAN of this name is to be made.
    pub fn has_layer(&self, name: &str) -> bool {
        let bonds = self.bonds.iter().map(|bond| &bond.name);
        bonds.chain(self.vlans.iter().map(|vlan| &vlan.name)).any(|made| made == name)
    }
}

impl Default for NetConfig {
    /// DHCP and IPv6 on every physical NIC.
    fn default() -> Self {
        Self {
            bootif: None,
            nic: None,
            bonds: Vec::new(),
            vlans: Vec::new(),
            auto_vlan: false,
            auto_bond: false,
            release: false,
            addressing: Addressing::Any,
            mtu: None,
            routes: Vec::new(),
            nameservers: Vec::new(),
            deadline: DEADLINE,
            interrupt: None,
            policy: NicPolicy::Physical,
            resolv_conf: PathBuf::from(RESOLV_CONF),
        }
    }
}

/// A configured NIC, and what is known about the network behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The NIC.
    pub nic: Nic,
    /// The machine's address.
    pub address: IpAddr,
    /// Length of the subnet's prefix.
    pub prefix: u8,
    /// The far end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// Next hop of the default route.
    pub gateway: Option<IpAddr>,
    /// Other routes (DHCP option 121).
    pub routes: Vec<Route>,
    /// Resolvers, at most [`NAMESERVERS_MAX`], the operator's first.
    pub nameservers: Vec<IpAddr>,
    /// Search domain.
    pub domain: Option<String>,
    /// Host name given by the lease.
    pub hostname: Option<String>,
    /// Time servers given by the lease.
    pub ntp: Vec<IpAddr>,
    /// MTU in bytes that was set; `None` leaves the driver's.
    pub mtu: Option<u16>,
    /// What it was before, where it was set.
    pub mtu_before: Option<u16>,
    /// Who the DHCPv6 server of the lease is (DUID, RFC 8415, 11).
    pub server_id: Option<Vec<u8>>,
    /// The lease; `None` with a static address.
    pub lease: Option<Lease>,
    /// When that was granted, or the static address known.
    pub since: Instant,
}

impl Network {
    /// `lease 10.0.2.15/24 from 10.0.2.2`, `address 2001:db8::2/64 of router fe80::1` or `static address 10.0.2.15/24`.
    pub(crate) fn source(&self) -> String {
        let (address, prefix) = (self.address, self.prefix);
        match &self.lease {
            Some(Lease { server, by: Giver::Dhcp, .. }) => {
                format!("lease {address}/{prefix} from {server}")
            }
            Some(Lease { server, by: Giver::Router, .. }) => {
                format!("address {address}/{prefix} of router {server}")
            }
            None => format!("static address {address}/{prefix}"),
        }
    }
}

impl fmt::Display for Network {
    /// One line for the plan: NIC, address, gateway, MTU, lease.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.nic.name, self.address, self.prefix)?;
        if let Some(gateway) = self.gateway {
            write!(f, ", gateway {gateway}")?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, ", MTU {mtu}")?;
        }
        match &self.lease {
            Some(Lease { server, by: Giver::Dhcp, seconds, .. }) => {
                write!(f, ", leased by {server} for {seconds} s")
            }
            Some(Lease { server, by: Giver::Router, seconds, .. }) => {
                write!(f, ", of router {server} for {seconds} s")
            }
            None => f.write_str(", static"),
        }
    }
}

/// For how long the address may be used (RFC 2131, 4.4.5). Seconds count from the ACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Who granted it.
    pub by: Giver,
    /// Its address.
    pub server: IpAddr,
    /// Until it ends; `u32::MAX` stands for ever.
    pub seconds: u32,
    /// Until it should be renewed with that server (T1).
    pub renew_s: u32,
    /// Until any server should be asked (T2).
    pub rebind_s: u32,
}

/// Who gives an address for some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Giver {
    /// A DHCP server.
    Dhcp,
    /// A router, of whose prefix the address is made.
    Router,
}

/// A route of the kernel's main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub destination: IpAddr,
    /// Length of the destination's prefix, 0 to 32, or to 128.
    pub prefix: u8,
    /// Next hop; `None` for hosts on the link itself.
    pub gateway: Option<IpAddr>,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.destination, self.prefix)?;
        self.gateway.map_or(Ok(()), |gateway| write!(f, " via {gateway}"))
    }
}

/// The first address of a subnet.
fn network_of(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & dhcp::mask(prefix)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & mask_v6(prefix)).into(),
    }
}

/// The mask of a prefix length from 0 to 128.
fn mask_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0)
}
