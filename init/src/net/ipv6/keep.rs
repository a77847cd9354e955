//! An address of IPv6 while it is in use, without socket or clock: asked for again before its time is
//! over (RFC 4861, 6.3.4; RFC 8415, 18.2.4 and 18.2.5).

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::ask::transaction;
use super::dhcp::{self, Kind, Question};
use super::wire::{Advert, advertised};
use crate::net::dhcp::{ASK_AGAIN_LEAST, Random, ask_again};
use crate::net::mac::MacAddr;
use crate::net::{Giver, Lease, Network, mask_v6};

/// No router shortens what is left of an address to less (RFC 4862, 5.5.3): anybody on the link could
/// say so in its name.
const NOT_SHORTENED_S: u32 = 2 * 60 * 60;

/// An address that is in use. Times are since any one moment.
#[derive(Debug)]
pub(in crate::net) struct Keep {
    mac: MacAddr,
    address: Ipv6Addr,
    gateway: Option<IpAddr>,
    lease: Lease,
    /// None where a router gives the address.
    server_id: Option<Vec<u8>>,
    random: Random,
    xid: u32,
    granted: Duration,
    next: Duration,
    asking_since: Option<Duration>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::net) enum Step {
    /// Ask the routers.
    Solicit,
    /// Send a datagram to all DHCPv6 servers.
    Ask(Vec<u8>),
    /// The address must not be used any more.
    Lost(String),
}

/// What was said.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::net) enum Said {
    /// It may be used for longer.
    Renewed(Lease),
    /// It must not, or there is no way out any more.
    Lost(String),
}

impl Keep {
    /// What `network` was given at `granted`; `None` if that is no address of IPv6 for some time.
    pub(in crate::net) fn new(network: &Network, random: u64, granted: Duration) -> Option<Self> {
        let (IpAddr::V6(address), Some(lease)) = (network.address, network.lease) else {
            return None;
        };
        Some(Self {
            mac: network.nic.mac,
            address,
            gateway: network.gateway,
            lease,
            server_id: network.server_id.clone(),
            random: Random::new(random),
            xid: 0,
            granted,
            next: granted + seconds(lease.renew_s),
            asking_since: None,
        })
    }

    /// Whether a DHCPv6 server gave the address.
    pub(in crate::net) fn is_leased(&self) -> bool {
        self.lease.by == Giver::Dhcp
    }

    /// When [`Keep::poll`] wants to be called next; `None` for an address without end.
    pub(in crate::net) fn next_at(&self) -> Option<Duration> {
        (self.lease.seconds != u32::MAX).then(|| self.next.min(self.end()))
    }

    /// What is to be done now, if anything is.
    pub(in crate::net) fn poll(&mut self, now: Duration) -> Option<Step> {
        if now < self.next_at()? {
            return None;
        }
        if now >= self.end() {
            let seconds = self.lease.seconds;
            let what = if self.is_leased() { "lease" } else { "router's word" };
            return Some(Step::Lost(format!("the {what} of {seconds} s has ended, not renewed")));
        }
        if self.asking_since.is_none() {
            self.xid = transaction(&mut self.random);
        }
        let since = *self.asking_since.get_or_insert(now);
        let rebinding = self.granted + seconds(self.lease.rebind_s);
        let is_renewing = now < rebinding;
        let until = if is_renewing { rebinding } else { self.end() };
        self.next = ask_again(&self.lease, (now, until), &mut self.random);
        if !self.is_leased() {
            return Some(Step::Solicit);
        }
        let elapsed_cs = now.saturating_sub(since).as_millis() / 10;
        let server = self.server_id.as_deref().filter(|_| is_renewing);
        let question = Question {
            kind: if server.is_some() { Kind::Renew } else { Kind::Rebind },
            xid: self.xid,
            mac: self.mac,
            elapsed_cs: u16::try_from(elapsed_cs).unwrap_or(u16::MAX),
            server,
            address: Some(self.address),
        };
        Some(Step::Ask(question.message()))
    }

    /// Asks now: the other end of the cable may be another.
    pub(in crate::net) fn ask_soon(&mut self, now: Duration) {
        self.next = self.next.min(now);
    }

    /// Takes an `ICMPv6` message whose checksum is right, of somebody on this link.
    pub(in crate::net) fn hear_icmp(
        &mut self,
        now: Duration,
        message: &[u8],
        from: Ipv6Addr,
    ) -> Option<Said> {
        let advert = advertised(message, from)?;
        let from = IpAddr::from(from);
        if self.gateway == Some(from) && advert.lifetime_s == 0 {
            return Some(Said::Lost(format!("{from} is no router any more")));
        }
        if self.is_leased() || self.lease.server != from {
            return None;
        }
        let valid_s = self.valid_s(&advert, now)?;
        let router_s = if self.gateway.is_some() { advert.lifetime_s.into() } else { u32::MAX };
        let seconds = valid_s.min(router_s);
        let (renew_s, rebind_s) = (seconds / 2, seconds - seconds / 8);
        Some(self.renewed(Lease { seconds, renew_s, rebind_s, ..self.lease }, now))
    }

    /// For how long an address of the prefix is good by now, if it is mentioned at all.
    fn valid_s(&self, advert: &Advert, now: Duration) -> Option<u32> {
        let contains = |address: Ipv6Addr, length| {
            (address.to_bits() ^ self.address.to_bits()) & mask_v6(length) == 0
        };
        let mut prefixes = advert.prefixes.iter().filter(|prefix| prefix.is_autonomous);
        let prefix = prefixes.find(|prefix| contains(prefix.address, prefix.length))?;
        let left_s = self.end().saturating_sub(now).as_secs();
        let left_s = u32::try_from(left_s).unwrap_or(u32::MAX);
        Some(prefix.valid_s.max(left_s.min(NOT_SHORTENED_S)))
    }

    /// Takes a datagram of a DHCPv6 server.
    pub(in crate::net) fn hear_dhcp(&mut self, now: Duration, datagram: &[u8]) -> Option<Said> {
        let reply = dhcp::parse(datagram, self.mac)?;
        let is_asked = self.asking_since.is_some() && reply.xid == self.xid;
        if !is_asked || reply.kind != Kind::Reply {
            return None;
        }
        let Some(granted) = reply.granted.filter(|granted| granted.address == self.address) else {
            // Without one of these it stays as it is, and is asked for again (RFC 8415, 18.2.10.1).
            let (server, why) = (self.lease.server, reply.ended?);
            return Some(Said::Lost(format!("{server} does not renew the lease: {why}")));
        };
        self.server_id = Some(reply.server);
        let (seconds, renew_s, rebind_s) = (granted.valid_s, granted.renew_s, granted.rebind_s);
        Some(self.renewed(Lease { seconds, renew_s, rebind_s, ..self.lease }, now))
    }

    fn renewed(&mut self, lease: Lease, now: Duration) -> Said {
        self.lease = lease;
        self.granted = now;
        self.next = now + seconds(lease.renew_s).max(ASK_AGAIN_LEAST);
        self.asking_since = None;
        Said::Renewed(lease)
    }

    fn end(&self) -> Duration {
        self.granted + seconds(self.lease.seconds)
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}
