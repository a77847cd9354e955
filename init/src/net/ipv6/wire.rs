//! What routers, neighbours and DHCPv6 servers say, inside Ethernet frames: RFC 4861, 8106 and 8200, by
//! smoltcp's packet types.

use std::net::{IpAddr, Ipv6Addr};

use smoltcp::phy::{Checksum, ChecksumCapabilities};
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv6Message, Icmpv6Packet,
    Icmpv6Repr, IpAddress, IpProtocol, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscOption,
    NdiscOptionType, NdiscPrefixInfoFlags, NdiscRepr, NdiscRouterFlags, RawHardwareAddress,
    UdpPacket, UdpRepr,
};

use super::dhcp::{CLIENT_PORT, SERVER_PORT, SERVERS, addresses};
use crate::net::mac::MacAddr;
use crate::net::names::first_name;
use crate::net::{MTU_MAX, NAMESERVERS_MAX};

/// Smallest MTU that IPv6 works with (RFC 8200, 5).
pub(in crate::net) const MTU_MIN: u16 = 1280;

/// Prefixes taken of one router, and options looked at.
const PREFIXES_MAX: usize = 16;
const OPTIONS_MAX: usize = 64;

/// What is never forwarded has it (RFC 4861, 6.1.2): who sent it is on this link.
pub(in crate::net) const HOP_LIMIT: u8 = 255;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub(in crate::net) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) enum Word {
    /// A router advertises itself.
    Advert(Advert),
    /// Somebody asks who has `target`; from no address if it is about to take it.
    Solicit { target: Ipv6Addr, from: Ipv6Addr, mac: MacAddr },
    /// Somebody has `target`.
    Neighbor { target: Ipv6Addr, mac: MacAddr },
    /// A DHCPv6 server's datagram.
    Dhcp { from: Ipv6Addr, message: Vec<u8> },
}

/// What a router advertises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct Advert {
    pub(super) router: Ipv6Addr,
    /// For how long it is a default router, seconds; 0 if it is none.
    pub(super) lifetime_s: u16,
    /// Addresses are given by DHCPv6.
    pub(super) is_managed: bool,
    /// Other settings are given by DHCPv6.
    pub(super) has_other: bool,
    pub(super) prefixes: Vec<Prefix>,
    pub(super) mtu: Option<u16>,
    pub(super) nameservers: Vec<IpAddr>,
    pub(super) domain: Option<String>,
}

/// A prefix of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) address: Ipv6Addr,
    pub(super) length: u8,
    /// Its hosts are on this link.
    pub(super) is_on_link: bool,
    /// Addresses may be made of it.
    pub(super) is_autonomous: bool,
    pub(super) valid_s: u32,
    /// They may be used for what is new.
    pub(super) is_preferred: bool,
}

/// Reads a frame from the wire.
pub(in crate::net) fn parse(frame: &[u8]) -> Option<Word> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv6 {
        return None;
    }
    let mac = MacAddr(frame.src_addr().0);
    let packet = Ipv6Packet::new_checked(frame.payload()).ok()?;
    let from = packet.src_addr();
    match packet.next_header() {
        IpProtocol::Udp => datagram(packet.payload(), from),
        IpProtocol::Icmpv6 if packet.hop_limit() == HOP_LIMIT => {
            let icmp = Icmpv6Packet::new_checked(packet.payload()).ok()?;
            let is_whole = icmp.verify_checksum(&from, &packet.dst_addr()) && icmp.msg_code() == 0;
            if is_whole { said(&icmp, from, mac) } else { None }
        }
        _ => None,
    }
}

/// A server on the same host leaves the UDP checksum to a card that never sees the frame (virtio,
/// veth), so it is not looked at.
fn datagram(payload: &[u8], from: Ipv6Addr) -> Option<Word> {
    let udp = UdpPacket::new_checked(payload).ok()?;
    // Any port may be a relay's.
    let is_answer = udp.dst_port() == CLIENT_PORT && from.is_unicast_link_local();
    is_answer.then(|| Word::Dhcp { from, message: udp.payload().to_vec() })
}

fn said(icmp: &Icmpv6Packet<&[u8]>, from: Ipv6Addr, mac: MacAddr) -> Option<Word> {
    match icmp.msg_type() {
        Icmpv6Message::RouterAdvert if from.is_unicast_link_local() => {
            advert(icmp, from).map(Word::Advert)
        }
        Icmpv6Message::NeighborSolicit => {
            Some(Word::Solicit { target: icmp.target_addr(), from, mac })
        }
        Icmpv6Message::NeighborAdvert => Some(Word::Neighbor { target: icmp.target_addr(), mac }),
        _ => None,
    }
}

/// Reads an `ICMPv6` message whose checksum is right: what a router on this link advertises.
pub(super) fn advertised(message: &[u8], from: Ipv6Addr) -> Option<Advert> {
    let icmp = Icmpv6Packet::new_checked(message).ok()?;
    let is_advert = icmp.msg_type() == Icmpv6Message::RouterAdvert && icmp.msg_code() == 0;
    (is_advert && from.is_unicast_link_local()).then(|| advert(&icmp, from))?
}

/// `None` if its options end early (RFC 4861, 6.1.2).
fn advert(icmp: &Icmpv6Packet<&[u8]>, router: Ipv6Addr) -> Option<Advert> {
    let flags = icmp.router_flags();
    let mut advert = Advert {
        router,
        lifetime_s: u16::try_from(icmp.router_lifetime().secs()).unwrap_or(u16::MAX),
        is_managed: flags.contains(NdiscRouterFlags::MANAGED),
        has_other: flags.contains(NdiscRouterFlags::OTHER),
        prefixes: Vec::new(),
        mtu: None,
        nameservers: Vec::new(),
        domain: None,
    };
    let mut rest = icmp.payload();
    for _ in 0..OPTIONS_MAX {
        if rest.is_empty() {
            break;
        }
        let option = NdiscOption::new_checked(rest).ok()?;
        advert.take(&option);
        rest = rest.get(usize::from(option.data_len()) * 8..)?;
    }
    Some(advert)
}

impl Advert {
    fn take(&mut self, option: &NdiscOption<&[u8]>) {
        /// RFC 8106.
        const NAME_SERVERS: u8 = 25;
        const DOMAINS: u8 = 31;
        match option.option_type() {
            NdiscOptionType::PrefixInformation if self.prefixes.len() < PREFIXES_MAX => {
                self.prefixes.extend(prefix(option));
            }
            NdiscOptionType::Mtu => {
                let mtu = u16::try_from(option.mtu()).ok();
                self.mtu = mtu.filter(|mtu| (MTU_MIN..=MTU_MAX).contains(mtu));
            }
            NdiscOptionType::Unknown(NAME_SERVERS) => {
                let servers = lasting(option.data()).unwrap_or_default();
                self.nameservers.extend(addresses(servers, NAMESERVERS_MAX));
                self.nameservers.truncate(NAMESERVERS_MAX);
            }
            NdiscOptionType::Unknown(DOMAINS) if self.domain.is_none() => {
                self.domain = lasting(option.data()).and_then(first_name);
            }
            _ => {}
        }
    }
}

fn prefix(option: &NdiscOption<&[u8]>) -> Option<Prefix> {
    let (flags, length) = (option.prefix_flags(), option.prefix_len());
    let address = option.prefix();
    let valid_s = u32::try_from(option.valid_lifetime().secs()).unwrap_or(u32::MAX);
    let is_sound = option.preferred_lifetime() <= option.valid_lifetime()
        && length <= 128
        // RFC 4862, 5.5.3: the link-local prefix is none of a router's.
        && !address.is_unicast_link_local()
        && !address.is_multicast();
    is_sound.then(|| Prefix {
        address,
        length,
        is_on_link: flags.contains(NdiscPrefixInfoFlags::ON_LINK),
        is_autonomous: flags.contains(NdiscPrefixInfoFlags::ADDRCONF),
        valid_s,
        is_preferred: option.preferred_lifetime().secs() > 0,
    })
}

/// What stands behind the lifetime of an option of RFC 8106, unless it is over.
fn lasting(data: &[u8]) -> Option<&[u8]> {
    let (_reserved, rest) = data.split_first_chunk::<2>()?;
    let (lifetime, rest) = rest.split_first_chunk::<4>()?;
    (u32::from_be_bytes(*lifetime) > 0).then_some(rest)
}

/// Asks all routers, from no address: none is looked at for a duplicate yet (RFC 4861, 4.1).
pub(super) fn router_solicit(mac: MacAddr) -> Vec<u8> {
    let ask = NdiscRepr::RouterSolicit { lladdr: None };
    icmp(mac, Ipv6Addr::UNSPECIFIED, ALL_ROUTERS, ask)
}

/// Asks whether somebody has `target` (RFC 4862, 5.4.2).
pub(super) fn probe(mac: MacAddr, target: Ipv6Addr) -> Vec<u8> {
    let ask = NdiscRepr::NeighborSolicit { target_addr: target, lladdr: None };
    icmp(mac, Ipv6Addr::UNSPECIFIED, solicited_node(target), ask)
}

/// Tells `asker` that `mac` has `target`.
pub(super) fn neighbor_advert(mac: MacAddr, target: Ipv6Addr, asker: Ipv6Addr) -> Vec<u8> {
    let is_known = !asker.is_unspecified();
    let solicited =
        if is_known { NdiscNeighborFlags::SOLICITED } else { NdiscNeighborFlags::empty() };
    let tell = NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::OVERRIDE | solicited,
        target_addr: target,
        lladdr: Some(RawHardwareAddress::from_bytes(&mac.0)),
    };
    icmp(mac, target, if is_known { asker } else { ALL_NODES }, tell)
}

/// A datagram to all DHCPv6 servers.
pub(super) fn to_servers(mac: MacAddr, from: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let udp = UdpRepr { src_port: CLIENT_PORT, dst_port: SERVER_PORT };
    let length = udp.header_len() + message.len();
    packet(mac, (from, SERVERS), (IpProtocol::Udp, 1, length), |payload| {
        udp.emit(
            &mut UdpPacket::new_unchecked(payload),
            &IpAddress::Ipv6(from),
            &IpAddress::Ipv6(SERVERS),
            message.len(),
            |bytes| bytes.copy_from_slice(message),
            &ChecksumCapabilities::default(),
        );
    })
}

fn icmp(mac: MacAddr, from: Ipv6Addr, to: Ipv6Addr, repr: NdiscRepr<'_>) -> Vec<u8> {
    let repr = Icmpv6Repr::Ndisc(repr);
    let mut capabilities = ChecksumCapabilities::default();
    capabilities.icmpv6 = Checksum::Both;
    packet(mac, (from, to), (IpProtocol::Icmpv6, HOP_LIMIT, repr.buffer_len()), |payload| {
        repr.emit(&from, &to, &mut Icmpv6Packet::new_unchecked(payload), &capabilities);
    })
}

fn packet(
    mac: MacAddr,
    (from, to): (Ipv6Addr, Ipv6Addr),
    (next_header, hop_limit, payload_len): (IpProtocol, u8, usize),
    fill: impl FnOnce(&mut [u8]),
) -> Vec<u8> {
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress(mac.0),
        dst_addr: group(to),
        ethertype: EthernetProtocol::Ipv6,
    };
    let ip = Ipv6Repr { src_addr: from, dst_addr: to, next_header, payload_len, hop_limit };
    let mut bytes = vec![0; ethernet.buffer_len() + ip.buffer_len() + payload_len];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    ethernet.emit(&mut frame);
    let mut packet = Ipv6Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet);
    fill(packet.payload_mut());
    bytes
}

/// The Ethernet group of an IPv6 one (RFC 2464, 7). A single host is told by all nodes' group: its own
/// Ethernet address may be unknown.
fn group(to: Ipv6Addr) -> EthernetAddress {
    let to = if to.is_multicast() { to } else { ALL_NODES };
    let [.., a, b, c, d] = to.octets();
    EthernetAddress([0x33, 0x33, a, b, c, d])
}

/// Where whoever has `address` is asked (RFC 4291, 2.7.1).
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let low = address.to_bits() & 0x00ff_ffff;
    Ipv6Addr::from_bits(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).to_bits() | low)
}

/// The last half of an address that is made of a card's own (RFC 4291, appendix A).
pub(super) fn interface_id(mac: MacAddr) -> u64 {
    let mut id = [0, 0, 0, 0xff, 0xfe, 0, 0, 0];
    id[..3].copy_from_slice(&mac.0[..3]);
    id[5..].copy_from_slice(&mac.0[3..]);
    id[0] ^= 2;
    u64::from_be_bytes(id)
}

/// The address of a card on its link.
pub(in crate::net) fn link_local(mac: MacAddr) -> Ipv6Addr {
    let prefix = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
    Ipv6Addr::from_bits(prefix.to_bits() | u128::from(interface_id(mac)))
}
