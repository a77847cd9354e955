//! What machines put on the wire, counted by what it is.

use crate::dhcp::Message;
use crate::frame::datagram;
use crate::lacp::is_slow_protocol;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpMessageType, EthernetFrame, EthernetProtocol, IpProtocol,
    Ipv4Packet, TcpPacket,
};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

/// A kind of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// DHCP: who gives me an address?
    Discover,
    /// DHCP: I want this address, said to everyone (also: rebinding).
    Request,
    /// DHCP: I keep my address, said to the server alone.
    Renew,
    /// DHCP: somebody has the address.
    Decline,
    /// DHCP: I am done with the address.
    Release,
    /// ARP: does somebody have the address that I am about to take (RFC 5227)?
    ArpProbe,
    /// ARP: who has this address?
    ArpRequest,
    /// ARP: I have it.
    ArpReply,
    /// The first segment of a connection.
    Syn,
    /// Any other segment.
    Tcp,
    /// A question to a resolver.
    Dns,
    /// A question to a time server.
    Ntp,
    /// What the ports of an aggregate agree upon.
    Lacp,
    /// Any IPv6.
    Ipv6,
    /// Anything else.
    Other,
}

/// How many frames of each kind each port's machine has sent, before the port's faults.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    counts: BTreeMap<(usize, Kind), u64>,
}

impl Seen {
    pub(crate) fn count(&mut self, port: usize, frame: &[u8]) {
        *self.counts.entry((port, kind(frame))).or_default() += 1;
    }

    /// Frames of a kind, over all ports.
    pub fn of(&self, kind: Kind) -> u64 {
        self.counts.iter().filter(|((_, found), _)| *found == kind).map(|(_, count)| count).sum()
    }

    /// Frames of a kind from one port, from 0.
    pub fn from(&self, port: usize, kind: Kind) -> u64 {
        self.counts.get(&(port, kind)).copied().unwrap_or(0)
    }
}

impl fmt::Display for Seen {
    /// `port 0: 2 Discover, 1 Request; port 1: ...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for ((port, kind), count) in &self.counts {
            match last {
                Some(last) if last == *port => f.write_str(", ")?,
                Some(_) => write!(f, "; port {port}: ")?,
                None => write!(f, "port {port}: ")?,
            }
            write!(f, "{count} {kind:?}")?;
            last = Some(*port);
        }
        Ok(())
    }
}

fn kind(frame: &[u8]) -> Kind {
    if is_slow_protocol(frame) {
        return Kind::Lacp;
    }
    let Ok(ethernet) = EthernetFrame::new_checked(frame) else { return Kind::Other };
    match ethernet.ethertype() {
        EthernetProtocol::Arp => arp(ethernet.payload()),
        EthernetProtocol::Ipv4 => ipv4(frame, ethernet.payload()),
        EthernetProtocol::Ipv6 => Kind::Ipv6,
        EthernetProtocol::Unknown(_) => Kind::Other,
    }
}

fn arp(payload: &[u8]) -> Kind {
    let parsed = ArpPacket::new_checked(payload).and_then(|packet| ArpRepr::parse(&packet));
    match parsed {
        Ok(ArpRepr::EthernetIpv4 { operation, source_protocol_addr, .. }) => match operation {
            ArpOperation::Request if source_protocol_addr == Ipv4Addr::UNSPECIFIED => {
                Kind::ArpProbe
            }
            ArpOperation::Request => Kind::ArpRequest,
            _ => Kind::ArpReply,
        },
        _ => Kind::Other,
    }
}

fn ipv4(frame: &[u8], payload: &[u8]) -> Kind {
    if let Some(datagram) = datagram(frame) {
        return match datagram.to_port {
            67 => dhcp(datagram.payload, datagram.to),
            53 => Kind::Dns,
            123 => Kind::Ntp,
            _ => Kind::Other,
        };
    }
    let Ok(packet) = Ipv4Packet::new_checked(payload) else { return Kind::Other };
    if packet.next_header() != IpProtocol::Tcp {
        return Kind::Other;
    }
    match TcpPacket::new_checked(packet.payload()) {
        Ok(tcp) if tcp.syn() => Kind::Syn,
        Ok(_) => Kind::Tcp,
        Err(_) => Kind::Other,
    }
}

fn dhcp(payload: &[u8], to: Ipv4Addr) -> Kind {
    let Some(message) = Message::parse(payload) else { return Kind::Other };
    match message.kind {
        DhcpMessageType::Discover => Kind::Discover,
        DhcpMessageType::Request if to.is_broadcast() => Kind::Request,
        DhcpMessageType::Request => Kind::Renew,
        DhcpMessageType::Decline => Kind::Decline,
        DhcpMessageType::Release => Kind::Release,
        _ => Kind::Other,
    }
}
