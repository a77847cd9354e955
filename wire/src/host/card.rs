//! The network card of a host: two queues.

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket};
use std::collections::VecDeque;

/// With Ethernet's header: an IP MTU of 1500.
const FRAME_BYTES: usize = 1514;

/// Frames that wait for the stack, which takes them at every turn: a flood beyond that is lost.
const QUEUE_MAX: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Card {
    arrived: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
    deaf_to_syns: u32,
}

impl Card {
    pub(super) fn deaf(deaf_to_syns: u32) -> Self {
        Self { deaf_to_syns, ..Self::default() }
    }

    pub(super) fn arrived(&mut self, frame: &[u8]) {
        if self.deaf_to_syns > 0 && is_syn(frame) {
            self.deaf_to_syns -= 1;
        } else if self.arrived.len() < QUEUE_MAX {
            self.arrived.push_back(frame.to_vec());
        }
    }

    /// Sends frames past the stack.
    pub(super) fn sends(&mut self, frames: impl IntoIterator<Item = Vec<u8>>) {
        self.sent.extend(frames);
    }

    pub(super) fn sent(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.sent)
    }
}

fn is_syn(frame: &[u8]) -> bool {
    let Ok(frame) = EthernetFrame::new_checked(frame) else { return false };
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return false;
    }
    let Ok(packet) = Ipv4Packet::new_checked(frame.payload()) else { return false };
    packet.next_header() == IpProtocol::Tcp
        && TcpPacket::new_checked(packet.payload()).is_ok_and(|tcp| tcp.syn())
}

impl Device for Card {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Arrived, Sending<'_>)> {
        let frame = self.arrived.pop_front()?;
        Some((Arrived(frame), Sending(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        (self.sent.len() < QUEUE_MAX).then_some(Sending(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = FRAME_BYTES;
        capabilities.medium = Medium::Ethernet;
        capabilities
    }
}

#[derive(Debug)]
pub(super) struct Arrived(Vec<u8>);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

#[derive(Debug)]
pub(super) struct Sending<'a>(&'a mut Vec<Vec<u8>>);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}
