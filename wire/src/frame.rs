//! Ethernet frames read and made, by smoltcp's packet types.

use crate::station::Mac;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, TcpPacket, UdpPacket, UdpRepr,
};
use std::net::Ipv4Addr;

pub(crate) const BROADCAST: Mac = [0xff; 6];

/// Who a frame is for, and who it is from; `None` is too short to be one.
pub(crate) fn ends(frame: &[u8]) -> Option<(Mac, Mac)> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    Some((frame.dst_addr().0, frame.src_addr().0))
}

/// True if everyone is meant, or a group.
pub(crate) fn is_for_many(mac: Mac) -> bool {
    mac[0] & 1 == 1
}

/// A datagram that arrived.
#[derive(Debug)]
pub(crate) struct Datagram<'a> {
    pub(crate) to: Ipv4Addr,
    pub(crate) to_port: u16,
    pub(crate) payload: &'a [u8],
}

/// The UDP datagram in a frame. The checksum is not looked at: cards may be left to make it.
pub(crate) fn datagram(frame: &[u8]) -> Option<Datagram<'_>> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    if packet.next_header() != IpProtocol::Udp || packet.frag_offset() != 0 {
        return None;
    }
    let to = packet.dst_addr();
    let udp = UdpPacket::new_checked(packet.payload()).ok()?;
    Some(Datagram { to, to_port: udp.dst_port(), payload: udp.payload() })
}

/// Both ends of a datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) macs: (Mac, Mac),
    pub(crate) addresses: (Ipv4Addr, Ipv4Addr),
    pub(crate) ports: (u16, u16),
}

/// The frame of a datagram, checksums right.
pub(crate) fn udp(way: Way, payload: &[u8]) -> Vec<u8> {
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress(way.macs.0),
        dst_addr: EthernetAddress(way.macs.1),
        ethertype: EthernetProtocol::Ipv4,
    };
    let udp = UdpRepr { src_port: way.ports.0, dst_port: way.ports.1 };
    let ip = Ipv4Repr {
        src_addr: way.addresses.0,
        dst_addr: way.addresses.1,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; ethernet.buffer_len() + ip.buffer_len() + ip.payload_len];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    ethernet.emit(&mut frame);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet, &ChecksumCapabilities::default());
    udp.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &IpAddress::Ipv4(way.addresses.0),
        &IpAddress::Ipv4(way.addresses.1),
        payload.len(),
        |to| to.copy_from_slice(payload),
        &ChecksumCapabilities::default(),
    );
    bytes
}

/// The answer to "who has this address?", of a computer with `mac` and `addresses`.
pub(crate) fn arp_answer(frame: &[u8], mac: Mac, addresses: &[Ipv4Addr]) -> Option<Vec<u8>> {
    let (asker, asker_has, wanted) = arp_question(frame)?;
    if !addresses.contains(&wanted) {
        return None;
    }
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(mac),
        source_protocol_addr: wanted,
        target_hardware_addr: asker,
        target_protocol_addr: asker_has,
    };
    let head = EthernetRepr {
        src_addr: EthernetAddress(mac),
        dst_addr: asker,
        ethertype: EthernetProtocol::Arp,
    };
    let mut bytes = vec![0; head.buffer_len() + reply.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    head.emit(&mut frame);
    reply.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    Some(bytes)
}

/// True if somebody asks who has an address before taking it (RFC 5227).
pub(crate) fn is_arp_probe(frame: &[u8]) -> bool {
    arp_question(frame).is_some_and(|(_, asker_has, _)| asker_has.is_unspecified())
}

/// Who asks, what address that one has, and which it asks for.
fn arp_question(frame: &[u8]) -> Option<(EthernetAddress, Ipv4Addr, Ipv4Addr)> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Arp {
        return None;
    }
    let packet = ArpPacket::new_checked(frame.payload()).ok()?;
    match ArpRepr::parse(&packet).ok()? {
        ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr,
            source_protocol_addr,
            target_protocol_addr,
            ..
        } => Some((source_hardware_addr, source_protocol_addr, target_protocol_addr)),
        _ => None,
    }
}

/// Bytes of TCP's payload in a frame, 0 where it is none.
pub(crate) fn tcp_payload_bytes(frame: &mut [u8]) -> usize {
    with_tcp(frame, |tcp, _, _| tcp.payload_mut().len()).unwrap_or(0)
}

/// Flips a bit of TCP's payload and makes the checksum right again, as a broken switch does that
/// makes checksums anew.
pub(crate) fn flip_tcp_payload(frame: &mut [u8], byte: usize) {
    with_tcp(frame, |tcp, from, to| {
        if let Some(byte) = tcp.payload_mut().get_mut(byte) {
            *byte ^= 1;
        }
        tcp.fill_checksum(&IpAddress::Ipv4(from), &IpAddress::Ipv4(to));
    });
}

fn with_tcp<T>(
    frame: &mut [u8],
    what: impl FnOnce(&mut TcpPacket<&mut [u8]>, Ipv4Addr, Ipv4Addr) -> T,
) -> Option<T> {
    let mut frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let mut packet = Ipv4Packet::new_checked(frame.payload_mut()).ok()?;
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    if packet.next_header() != IpProtocol::Tcp {
        return None;
    }
    let mut tcp = TcpPacket::new_checked(packet.payload_mut()).ok()?;
    Some(what(&mut tcp, from, to))
}
