//! DHCP servers as they are met (RFC 2131): values, and how they behave.

mod message;

pub(crate) use message::Message;

use crate::frame::{self, BROADCAST, Way, datagram};
use crate::station::Mac;
use message::{Reply, option};
use smoltcp::wire::DhcpMessageType;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::Duration;

/// Machines that one server gives addresses to: those of a test.
const CLIENTS_MAX: usize = 16;

/// A DHCP server: what it says, true or not, and how it behaves.
#[derive(Clone, Debug)]
pub struct Dhcp {
    /// Its Ethernet address.
    pub mac: Mac,
    /// Its own address, which is its identifier.
    pub address: Ipv4Addr,
    /// What the first machine is offered; each further one the next.
    pub first: Ipv4Addr,
    /// Option 1.
    pub mask: Option<Ipv4Addr>,
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
    /// Option 6.
    pub resolvers: Vec<Ipv4Addr>,
    /// Option 26, bytes.
    pub mtu: Option<u16>,
    /// Option 51, seconds.
    pub lease_s: Option<u32>,
    /// More options, as they are.
    pub more: Vec<(u8, Vec<u8>)>,
    /// How it behaves.
    pub manner: Manner,
}

/// How a server behaves; the default is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// It says nothing for so long after the first DISCOVER.
    pub silent_for: Duration,
    /// It takes so long for each answer.
    pub thinks_for: Duration,
    /// What it does not answer.
    pub deaf: Deaf,
    /// It refuses so many REQUESTs.
    pub naks: u32,
    /// It refuses so many times to renew a lease.
    pub renewal_naks: u32,
    /// Its answers are those to somebody else's questions.
    pub other_xid: bool,
    /// Options stand in the fields of file and server name too (RFC 2132, option 52).
    pub overloads: bool,
    /// How its checksums are.
    pub sums: Sums,
}

/// Checksums of what a server sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sums {
    /// Right.
    #[default]
    Right,
    /// UDP's is 0: none was made.
    NoUdp,
    /// UDP's is left to a card that never saw it, as between machines of one host.
    UdpWrong,
    /// That of the IP header is wrong: no host may take it.
    IpWrong,
}

/// What a server does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deaf {
    /// It answers everything.
    #[default]
    Never,
    /// No REQUEST.
    ToRequests,
    /// Nobody who renews a lease, unless everyone is asked.
    ToRenewals,
}

impl Dhcp {
    /// A server at `address` for the /24 around it, with itself as no router: machines get
    /// addresses from .100 on.
    pub fn at(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self {
            mac: [0x02, 0xd4, a, b, c, d],
            address,
            first: Ipv4Addr::new(a, b, c, 100),
            mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            routers: Vec::new(),
            resolvers: Vec::new(),
            mtu: None,
            lease_s: Some(3600),
            more: Vec::new(),
            manner: Manner::default(),
        }
    }

    /// The same with other manners.
    #[must_use]
    pub fn behaving(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }

    fn options(&self) -> Vec<(u8, Vec<u8>)> {
        let addresses =
            |all: &[Ipv4Addr]| all.iter().flat_map(Ipv4Addr::octets).collect::<Vec<_>>();
        let mut options = vec![(option::SERVER, self.address.octets().to_vec())];
        options.extend(self.lease_s.map(|s| (option::LEASE, s.to_be_bytes().to_vec())));
        options.extend(self.mask.map(|mask| (option::MASK, mask.octets().to_vec())));
        for (kind, all) in [(option::ROUTER, &self.routers), (option::RESOLVER, &self.resolvers)] {
            if !all.is_empty() {
                options.push((kind, addresses(all)));
            }
        }
        options.extend(self.mtu.map(|mtu| (option::MTU, mtu.to_be_bytes().to_vec())));
        options.extend(self.more.iter().cloned());
        options
    }
}

/// A server that is on.
#[derive(Debug)]
pub(crate) struct Server {
    dhcp: Dhcp,
    first_heard: Option<Duration>,
    given: BTreeMap<Mac, Ipv4Addr>,
    naks_left: u32,
    renewal_naks_left: u32,
    /// Addresses that clients have given back, as others have them.
    declined: u32,
    /// What will be said, and when.
    outbox: Vec<(Duration, Vec<u8>)>,
}

impl Server {
    pub(crate) fn of(dhcp: &Dhcp) -> Self {
        Self {
            naks_left: dhcp.manner.naks,
            renewal_naks_left: dhcp.manner.renewal_naks,
            declined: 0,
            dhcp: dhcp.clone(),
            first_heard: None,
            given: BTreeMap::new(),
            outbox: Vec::new(),
        }
    }

    pub(crate) fn hear(&mut self, now: Duration, frame: &[u8]) {
        if let Some(answer) = frame::arp_answer(frame, self.dhcp.mac, &[self.dhcp.address]) {
            self.outbox.push((now, answer));
            return;
        }
        let Some(datagram) = datagram(frame).filter(|datagram| datagram.to_port == 67) else {
            return;
        };
        let Some(message) = Message::parse(datagram.payload) else { return };
        let began = *self.first_heard.get_or_insert(now);
        if now < began + self.dhcp.manner.silent_for {
            return;
        }
        if message.kind == DhcpMessageType::Decline && self.given.remove(&message.mac).is_some() {
            self.declined += 1;
        }
        if let Some(kind) = self.answer_to(&message, datagram.to)
            && let Some(address) = self.address_of(message.mac)
        {
            let answer = self.reply(kind, &message, address);
            self.outbox.push((now + self.dhcp.manner.thinks_for, answer));
        }
    }

    pub(crate) fn drive(&mut self, now: Duration) -> Vec<Vec<u8>> {
        let (due, later) = self.outbox.drain(..).partition(|(at, _)| *at <= now);
        self.outbox = later;
        let due: Vec<(Duration, Vec<u8>)> = due;
        due.into_iter().map(|(_, frame)| frame).collect()
    }

    pub(crate) fn due(&self) -> Option<Duration> {
        self.outbox.iter().map(|(at, _)| *at).min()
    }

    /// What this server says to a message, if anything.
    fn answer_to(&mut self, message: &Message, to: Ipv4Addr) -> Option<DhcpMessageType> {
        let renews = !message.client.is_unspecified();
        match message.kind {
            DhcpMessageType::Discover => Some(DhcpMessageType::Offer),
            // Somebody else's offer was taken.
            DhcpMessageType::Request
                if message.server.is_some_and(|server| server != self.dhcp.address) =>
            {
                None
            }
            DhcpMessageType::Request if self.dhcp.manner.deaf == Deaf::ToRequests => None,
            DhcpMessageType::Request
                if renews && !to.is_broadcast() && self.dhcp.manner.deaf == Deaf::ToRenewals =>
            {
                None
            }
            DhcpMessageType::Request if renews && self.renewal_naks_left > 0 => {
                self.renewal_naks_left -= 1;
                Some(DhcpMessageType::Nak)
            }
            DhcpMessageType::Request if self.naks_left > 0 => {
                self.naks_left -= 1;
                Some(DhcpMessageType::Nak)
            }
            DhcpMessageType::Request => Some(DhcpMessageType::Ack),
            _ => None,
        }
    }

    fn address_of(&mut self, mac: Mac) -> Option<Ipv4Addr> {
        if !self.given.contains_key(&mac) && self.given.len() >= CLIENTS_MAX {
            return None;
        }
        let used = self.given.len() as u32 + self.declined;
        let next = Ipv4Addr::from_bits(self.dhcp.first.to_bits() + used);
        Some(*self.given.entry(mac).or_insert(next))
    }

    fn reply(&self, kind: DhcpMessageType, message: &Message, address: Ipv4Addr) -> Vec<u8> {
        let is_nak = kind == DhcpMessageType::Nak;
        let options = if is_nak {
            vec![
                (option::SERVER, self.dhcp.address.octets().to_vec()),
                (option::TEXT, b"not here".to_vec()),
            ]
        } else {
            self.dhcp.options()
        };
        let reply = Reply {
            kind,
            xid: if self.dhcp.manner.other_xid { !message.xid } else { message.xid },
            mac: message.mac,
            address: if is_nak { Ipv4Addr::UNSPECIFIED } else { address },
            client: message.client,
            options,
            overloads: self.dhcp.manner.overloads,
        };
        // A NAK goes to everyone (RFC 2131, 4.3.2), as does what was asked for by broadcast.
        let (mac, to) = if is_nak || message.broadcast {
            (BROADCAST, Ipv4Addr::BROADCAST)
        } else {
            (message.mac, address)
        };
        let way =
            Way { macs: (self.dhcp.mac, mac), addresses: (self.dhcp.address, to), ports: (67, 68) };
        let mut frame = frame::udp(way, &reply.bytes());
        spoil(&mut frame, self.dhcp.manner.sums);
        frame
    }
}

/// Changes the checksums of a UDP frame without IP options.
fn spoil(frame: &mut [u8], sums: Sums) {
    const IP_SUM: Range<usize> = 24..26;
    const UDP_SUM: Range<usize> = 40..42;
    match sums {
        Sums::Right => {}
        Sums::NoUdp => frame[UDP_SUM].fill(0),
        Sums::UdpWrong => frame[UDP_SUM].copy_from_slice(&[0x12, 0x34]),
        Sums::IpWrong => frame[IP_SUM].iter_mut().for_each(|byte| *byte = !*byte),
    }
}

#[cfg(test)]
mod tests;
