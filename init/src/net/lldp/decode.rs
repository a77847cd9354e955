//! An LLDP frame as a [`Neighbor`]: IEEE 802.1AB-2016, 8; the elements of IEEE 802.1Q-2018, annex D, and
//! of IEEE 802.3, 79.3.
//!
//! Bytes in, a value out: no socket, no clock. Elements that are not understood are passed over, as the
//! standard wants; one that is cut ends the reading, and what was read before it holds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Neighbor, VLANS_MAX};
use crate::net::mac::MacAddr;

/// The type of LLDP's frames.
pub(super) const ETHERTYPE: u16 = 0x88cc;

/// The groups that LLDP is said to: the nearest bridge, the nearest that is no two-port relay, and the
/// nearest that belongs to a customer (802.1AB, table 7-1). None of them is passed on by a switch.
const GROUPS: [u8; 3] = [0x0e, 0x03, 0x00];
const GROUP_PREFIX: [u8; 5] = [0x01, 0x80, 0xc2, 0x00, 0x00];

/// Two addresses and a type.
const HEADER: usize = 14;

/// Elements read of one frame; a switch with all its options sends some forty, and names of virtual
/// networks.
const ELEMENTS_MAX: usize = 256;

/// Longest piece kept of a switch's own words, characters.
const TEXT_MAX: usize = 48;

/// `00-80-C2`, of IEEE 802.1.
const OF_802_1: [u8; 3] = [0x00, 0x80, 0xc2];
/// `00-12-0F`, of IEEE 802.3.
const OF_802_3: [u8; 3] = [0x00, 0x12, 0x0f];

/// The neighbour that says this; `None` unless the frame is LLDP and has what must be in it.
pub(in crate::net) fn decode(frame: &[u8]) -> Option<Neighbor> {
    let (header, rest) = frame.split_at_checked(HEADER)?;
    let is_for_us = header.starts_with(&GROUP_PREFIX) && GROUPS.contains(&header[5]);
    if !is_for_us || header[12..] != ETHERTYPE.to_be_bytes() {
        return None;
    }
    let mut elements = Elements(rest).take(ELEMENTS_MAX);
    // 802.1AB, 8.2: these three, in this order, are first.
    let chassis = elements.next().filter(|(kind, _)| *kind == 1).and_then(|(_, id)| chassis(id))?;
    let port = elements.next().filter(|(kind, _)| *kind == 2).and_then(|(_, id)| port(id))?;
    let (_, ttl) = elements.next().filter(|(kind, _)| *kind == 3)?;
    let ttl_s = u16::from_be_bytes(*ttl.first_chunk()?);
    let mut neighbor = Neighbor { chassis, port, ttl_s, ..Neighbor::default() };
    for (kind, value) in elements {
        match kind {
            4 => neighbor.port_description = text(value),
            5 => neighbor.system = text(value),
            127 => neighbor.take(value),
            _ => {}
        }
    }
    Some(neighbor)
}

/// Kinds and values up to the end, or to one that is cut.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<2>()?;
        // Seven bits of kind and nine of length.
        let head = u16::from_be_bytes(*head);
        let (value, rest) = rest.split_at_checked(usize::from(head & 0x1ff))?;
        self.0 = rest;
        let kind = (head >> 9) as u8;
        (kind != 0).then_some((kind, value))
    }
}

impl Neighbor {
    /// An element of an organisation's own.
    fn take(&mut self, value: &[u8]) {
        let Some((owner, rest)) = value.split_first_chunk::<3>() else { return };
        let Some((kind, value)) = rest.split_first() else { return };
        match (*owner, kind) {
            (OF_802_1, 1) => self.port_vlan = vlan(value),
            (OF_802_1, 3) => self.take_vlan(value),
            // The second is what the first was before 2005; some say both.
            (OF_802_1, 7) | (OF_802_3, 3) => self.aggregate = self.aggregate.or(aggregate(value)),
            _ => {}
        }
    }

    fn take_vlan(&mut self, value: &[u8]) {
        let Some(id) = vlan(value).filter(|id| !self.vlans.contains(id)) else { return };
        self.vlans_named += 1;
        if self.vlans.len() < VLANS_MAX {
            self.vlans.push(id);
        }
    }
}

/// A number of a virtual network; 0 stands for none.
fn vlan(value: &[u8]) -> Option<u16> {
    let id = u16::from_be_bytes(*value.first_chunk()?);
    (1..=4094).contains(&id).then_some(id)
}

/// The number of the aggregate, where aggregation can be and is.
fn aggregate(value: &[u8]) -> Option<u32> {
    const ENABLED: u8 = 0b11;
    let (status, number) = value.split_first()?;
    let number = u32::from_be_bytes(*number.first_chunk()?);
    (status & ENABLED == ENABLED).then_some(number)
}

/// 802.1AB, table 8-2.
fn chassis(value: &[u8]) -> Option<String> {
    identity(value, 4, 5)
}

/// 802.1AB, table 8-3.
fn port(value: &[u8]) -> Option<String> {
    identity(value, 3, 4)
}

/// An identity, which begins with its kind: an Ethernet address, an address of IP, or a text.
fn identity(value: &[u8], mac_kind: u8, ip_kind: u8) -> Option<String> {
    let (kind, id) = value.split_first()?;
    if *kind == mac_kind
        && let Some(mac) = MacAddr::from_bytes(id)
    {
        return Some(mac.to_string());
    }
    match ip(id).filter(|_| *kind == ip_kind) {
        Some(ip) => Some(ip.to_string()),
        None => text(id),
    }
}

/// An address after the number of its family (IANA: 1 and 2).
fn ip(id: &[u8]) -> Option<IpAddr> {
    match id.split_first()? {
        (1, address) => Some(Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?).into()),
        (2, address) => Some(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?).into()),
        _ => None,
    }
}

/// Words of a switch, of which none steers a terminal; nothing where there are none.
fn text(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let plain = text.trim_matches(['\0', ' ']).chars().take(TEXT_MAX);
    let plain: String = plain.map(|c| if c.is_control() { '?' } else { c }).collect();
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
