//! Whether somebody has an address already: ARP probes (RFC 5227), without socket or clock.
//!
//! A server may offer an address that a machine has which it knows nothing of. Two machines with one
//! address lose frames now and then, which looks like anything but what it is.

use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr,
};

use super::mac::MacAddr;

/// Probes sent: one may be lost.
pub(super) const PROBES: u32 = 2;

/// After each of them an answer is waited for. RFC 5227 waits for seconds, since a host may be asleep;
/// one that is in use answers within a millisecond, and every boot waits for this.
pub(super) const PROBE_WAIT: Duration = Duration::from_millis(50);

/// The probing of one address. Times are since any one moment.
#[derive(Debug)]
pub(super) struct Probe {
    mac: MacAddr,
    address: Ipv4Addr,
    sent: u32,
    next: Duration,
}

impl Probe {
    /// Whether another than `mac` has `address`.
    pub(super) fn new(mac: MacAddr, address: Ipv4Addr, now: Duration) -> Self {
        Self { mac, address, sent: 0, next: now }
    }

    /// When it wants to be looked at next.
    pub(super) fn next_at(&self) -> Duration {
        self.next
    }

    /// Whether nobody answered for long enough.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.sent >= PROBES && now >= self.next
    }

    /// The frame to send now, if one is due.
    pub(super) fn poll(&mut self, now: Duration) -> Option<Vec<u8>> {
        if now < self.next || self.sent >= PROBES {
            return None;
        }
        self.sent += 1;
        self.next = now + PROBE_WAIT;
        let ethernet = EthernetRepr {
            src_addr: EthernetAddress(self.mac.0),
            dst_addr: EthernetAddress::BROADCAST,
            ethertype: EthernetProtocol::Arp,
        };
        let probe = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: EthernetAddress(self.mac.0),
            // What others remember of the address stays as it is.
            source_protocol_addr: Ipv4Addr::UNSPECIFIED,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: self.address,
        };
        let mut bytes = vec![0; ethernet.buffer_len() + probe.buffer_len()];
        let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
        ethernet.emit(&mut frame);
        probe.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
        Some(bytes)
    }

    /// Who has the address, or is about to take it too, by a frame from the wire.
    pub(super) fn conflict(&self, frame: &[u8]) -> Option<MacAddr> {
        let frame = EthernetFrame::new_checked(frame).ok()?;
        let packet = ArpPacket::new_checked(frame.payload()).ok()?;
        if frame.ethertype() != EthernetProtocol::Arp {
            return None;
        }
        let ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: EthernetAddress(other),
            source_protocol_addr: has,
            target_protocol_addr: wants,
            ..
        } = ArpRepr::parse(&packet).ok()?
        else {
            return None;
        };
        let is_probe = operation == ArpOperation::Request && has.is_unspecified();
        let is_same = has == self.address || (is_probe && wants == self.address);
        // A switch with a loop sends our own frames back.
        (is_same && other != self.mac.0).then_some(MacAddr(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    const OTHER: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x57]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn an_address_that_nobody_answers_for_is_free_after_two_probes() {
        let mut probe = Probe::new(MAC, ADDRESS, at(7));
        for due in [7, 57] {
            assert!(!probe.is_over(at(due)) && probe.next_at() == at(due));
            let frame = probe.poll(at(due)).unwrap();
            assert_eq!(&frame[..14], [&[0xff; 6][..], &MAC.0, &[8, 6]].concat());
            let body =
                [&[0, 1, 8, 0, 6, 4, 0, 1][..], &MAC.0, &[0; 10], &ADDRESS.octets()].concat();
            assert_eq!(frame[14..], body);
            assert_eq!(probe.poll(at(due)), None);
            assert_eq!(probe.conflict(&frame), None, "it came back");
        }
        assert!(!probe.is_over(at(106)) && probe.is_over(at(107)));
    }

    #[test]
    fn who_has_the_address_is_told_from_others() {
        let probe = Probe::new(MAC, ADDRESS, at(0));
        let frame = |operation, from: MacAddr, has, wants| {
            let packet = ArpRepr::EthernetIpv4 {
                operation,
                source_hardware_addr: EthernetAddress(from.0),
                source_protocol_addr: has,
                target_hardware_addr: EthernetAddress(MAC.0),
                target_protocol_addr: wants,
            };
            let mut bytes = [&MAC.0[..], &from.0, &[8, 6], &[0; 28]].concat();
            packet.emit(&mut ArpPacket::new_unchecked(&mut bytes[14..]));
            bytes
        };
        let (none, another) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(10, 0, 2, 16));
        let (ask, tell) = (ArpOperation::Request, ArpOperation::Reply);
        let table = [
            (frame(tell, OTHER, ADDRESS, none), Some(OTHER)),
            (frame(ask, OTHER, ADDRESS, another), Some(OTHER)),
            (frame(ask, OTHER, none, ADDRESS), Some(OTHER)),
            (frame(ask, MAC, none, ADDRESS), None),
            (frame(ask, OTHER, another, ADDRESS), None),
            (frame(tell, OTHER, another, none), None),
            (frame(tell, OTHER, ADDRESS, none)[..30].to_vec(), None),
            (Vec::new(), None),
        ];
        for (frame, expected) in table {
            assert_eq!(probe.conflict(&frame), expected, "{frame:02x?}");
        }
    }
}
