//! Whether somebody has an address already: duplicate address detection (RFC 4862, 5.4), without
//! socket or clock.
//!
//! Asked here and not by the kernel, whose answer takes a second: every boot waits for it. The waits
//! are those of the ARP probes, for the same reasons.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::wire::{Word, parse, probe};
use crate::net::arp::{PROBE_WAIT, PROBES};
use crate::net::mac::MacAddr;

/// The probing of one address. Times are since any one moment.
#[derive(Debug)]
pub(in crate::net) struct Probe {
    mac: MacAddr,
    address: Ipv6Addr,
    sent: u32,
    next: Duration,
}

impl Probe {
    /// Whether another than `mac` has `address`.
    pub(in crate::net) fn new(mac: MacAddr, address: Ipv6Addr, now: Duration) -> Self {
        Self { mac, address, sent: 0, next: now }
    }

    /// When it wants to be looked at next.
    pub(in crate::net) fn next_at(&self) -> Duration {
        self.next
    }

    /// Whether nobody answered for long enough.
    pub(in crate::net) fn is_over(&self, now: Duration) -> bool {
        self.sent >= PROBES && now >= self.next
    }

    /// The frame to send now, if one is due.
    pub(in crate::net) fn poll(&mut self, now: Duration) -> Option<Vec<u8>> {
        if now < self.next || self.sent >= PROBES {
            return None;
        }
        self.sent += 1;
        self.next = now + PROBE_WAIT;
        Some(probe(self.mac, self.address))
    }

    /// Who has the address, or is about to take it too, by a frame from the wire.
    pub(in crate::net) fn conflict(&self, frame: &[u8]) -> Option<MacAddr> {
        let (target, other) = match parse(frame)? {
            Word::Neighbor { target, mac } => (target, mac),
            Word::Solicit { target, from, mac } if from.is_unspecified() => (target, mac),
            _ => return None,
        };
        // A switch with a loop sends our own frames back.
        (target == self.address && other != self.mac).then_some(other)
    }
}
