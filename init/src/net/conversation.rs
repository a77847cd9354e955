//! What one NIC asks for an address: DHCPv4, or routers and DHCPv6; and whether others have it.

use std::net::IpAddr;
use std::time::Duration;

use rustix::net::{Protocol, eth};

use super::arp;
use super::dhcp::{self, Answer};
use super::ipv6;
use super::mac::MacAddr;

/// A conversation with servers or routers. Times are since any one moment.
pub(super) enum Conversation {
    V4(dhcp::Client),
    V6(Box<ipv6::Client>),
}

impl Conversation {
    /// When it wants to be looked at next; `None` once there is an answer.
    pub(super) fn next_at(&self) -> Option<Duration> {
        match self {
            Self::V4(client) => client.next_at(),
            Self::V6(client) => client.next_at(),
        }
    }

    /// The frame to send now, if one is due.
    pub(super) fn poll(&mut self, now: Duration) -> Option<Vec<u8>> {
        match self {
            Self::V4(client) => client.poll(now),
            Self::V6(client) => client.poll(now),
        }
    }

    /// Takes a frame from the wire. An answer ends the conversation.
    pub(super) fn receive(&mut self, now: Duration, frame: &[u8]) -> Option<Answer> {
        match self {
            Self::V4(client) => client.receive(now, frame),
            Self::V6(client) => {
                client.receive(now, frame);
                client.answer(now)
            }
        }
    }

    /// The answer that was complete but for what did not come in time.
    pub(super) fn late_answer(&mut self, now: Duration) -> Option<Answer> {
        match self {
            Self::V4(_) => None,
            Self::V6(client) => client.answer(now),
        }
    }

    /// The frame that gives `answer` back, which `other` has; then it starts over.
    pub(super) fn decline(
        &mut self,
        answer: &Answer,
        other: MacAddr,
        now: Duration,
    ) -> Option<Vec<u8>> {
        match self {
            Self::V4(client) => client.decline(answer, other, now),
            Self::V6(client) => client.decline(answer, other, now),
        }
    }

    /// What was sent and heard so far, for the operator.
    pub(super) fn heard(&self) -> String {
        match self {
            Self::V4(client) => client.heard().to_string(),
            Self::V6(client) => client.heard().to_string(),
        }
    }
}

/// The question whether others have an address.
pub(super) enum AddressProbe {
    V4(arp::Probe),
    V6(ipv6::Probe),
}

impl AddressProbe {
    /// Whether another than `mac` has `address`.
    pub(super) fn new(mac: MacAddr, address: IpAddr, now: Duration) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(arp::Probe::new(mac, address, now)),
            IpAddr::V6(address) => Self::V6(ipv6::Probe::new(mac, address, now)),
        }
    }

    /// The frames in which it is answered.
    pub(super) fn protocol(&self) -> Protocol {
        match self {
            Self::V4(_) => eth::ARP,
            Self::V6(_) => eth::IPV6,
        }
    }

    /// When it wants to be looked at next.
    pub(super) fn next_at(&self) -> Duration {
        match self {
            Self::V4(probe) => probe.next_at(),
            Self::V6(probe) => probe.next_at(),
        }
    }

    /// Whether nobody answered for long enough.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        match self {
            Self::V4(probe) => probe.is_over(now),
            Self::V6(probe) => probe.is_over(now),
        }
    }

    /// The frame to send now, if one is due.
    pub(super) fn poll(&mut self, now: Duration) -> Option<Vec<u8>> {
        match self {
            Self::V4(probe) => probe.poll(now),
            Self::V6(probe) => probe.poll(now),
        }
    }

    /// Who has the address, or is about to take it too, by a frame from the wire.
    pub(super) fn conflict(&self, frame: &[u8]) -> Option<MacAddr> {
        match self {
            Self::V4(probe) => probe.conflict(frame),
            Self::V6(probe) => probe.conflict(frame),
        }
    }
}
