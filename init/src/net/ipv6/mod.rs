//! An IPv6 address for one NIC, as routers and DHCPv6 servers say, without socket or clock: frames and
//! times are arguments.
//!
//! Follows RFC 4861 and 4862 (routers, addresses made of prefixes), 8106 (resolvers and domains) and
//! 8415 (DHCPv6, both kinds).
//!
//! Not by the kernel's own `accept_ra`, which is turned off: it would put the default routes of every
//! NIC side by side while each is tried for itself, take a second to look for duplicates, and tell of
//! resolvers by netlink messages that come when they come. As with DHCPv4, the kernel is told what was
//! chosen, and nothing before.
//!
//! Where the RFCs leave it open: the first advertisement that an address can be had by wins, unless
//! what its router gave before led nowhere; addresses are made of the card's own (EUI-64), so that the
//! machine has the same one at each boot; and where a router gives a prefix and points to DHCPv6 as
//! well, DHCPv6 has a second to answer.

mod ask;
mod dhcp;
mod keep;
#[cfg(test)]
mod keep_tests;
mod kernel;
mod probe;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ask::Ask;
pub(super) use dhcp::{CLIENT_PORT, SERVER_PORT, SERVERS, release};
use dhcp::{Kind, Reply};
pub(super) use keep::{Keep, Said, Step};
pub(super) use kernel::{LATER_LINKS, ignore_routers, is_there};
pub(super) use probe::Probe;
pub(super) use wire::{ALL_ROUTERS, HOP_LIMIT, MTU_MIN, link_local};
use wire::{Advert, Prefix, Word};

use super::dhcp::{Answer, Random, SHORTEST_LEASE_S};
use super::mac::MacAddr;
use super::{Giver, Ipv6Mode, Lease, Route};

/// Waits after each router solicitation; the last one repeats. RFC 4861, 6.3.7, asks three times in 12
/// s; fast first, because the usual loss is the frame sent while the port was still opening, and on
/// and on (RFC 7559), because spanning tree opens a port 30 s after carrier.
const SOLICIT_WAITS_MS: [u64; 4] = [500, 1000, 2000, 4000];

/// How long another router is waited for, if what an advertisement's router gave before led nowhere.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long DHCPv6 is waited for where there is an address without it, and a router where there is one
/// by DHCPv6.
const OTHER_WAIT: Duration = Duration::from_secs(1);

/// The same, where all that is missing is what a router seldom leaves out.
const DETAILS_WAIT: Duration = Duration::from_millis(300);

/// A prefix that is on the link is not taken to be shorter: all the world would be.
const ON_LINK_LEAST: u8 = 32;

/// Length of the prefix that an address of a DHCPv6 server is taken to have where no router says so:
/// that of every usual network.
const ASSUMED_PREFIX: u8 = 64;

/// Length of a prefix that addresses are made of: what the interface's half leaves (RFC 4291, 2.5.1).
pub(super) const SUBNET_PREFIX: u8 = 64;

/// One NIC's conversation with routers and servers.
#[derive(Debug)]
pub(super) struct Client {
    mac: MacAddr,
    mode: Ipv6Mode,
    random: Random,
    /// The last half of its addresses.
    interface: u64,
    next: Duration,
    heard: Heard,
    /// Routers whose addresses led nowhere, the latest last.
    avoided: Vec<IpAddr>,
    spare: Option<(Advert, Duration)>,
    router: Option<Advert>,
    ask: Option<Ask>,
    reply: Option<(Reply, Ipv6Addr)>,
    /// How long what is there waits for what else may come.
    until: Duration,
    /// An answer to a neighbour, to be sent at once.
    owed: Option<Vec<u8>>,
    is_done: bool,
}

impl Client {
    /// A client that asks at once. Times are since any one moment.
    pub(super) fn new(mac: MacAddr, mode: Ipv6Mode, random: u64, now: Duration) -> Self {
        let mut random = Random::new(random);
        let ask = (mode == Ipv6Mode::Dhcp).then(|| Ask::new(Kind::Solicit, &mut random, now));
        Self {
            mac,
            mode,
            random,
            interface: wire::interface_id(mac),
            next: now,
            heard: Heard::default(),
            avoided: Vec::new(),
            spare: None,
            router: None,
            ask,
            reply: None,
            until: now,
            owed: None,
            is_done: false,
        }
    }

    /// The same, with routers whose addresses led nowhere, the latest last: other routers come first.
    pub(super) fn avoiding(self, routers: &[IpAddr]) -> Self {
        Self { avoided: routers.to_vec(), ..self }
    }

    /// When it wants to be looked at next; `None` once there is an answer.
    pub(super) fn next_at(&self) -> Option<Duration> {
        if self.is_done {
            return None;
        }
        let waits = self.has_something().then_some(self.until);
        let spare = self.spare.as_ref().map(|(_, until)| *until);
        let solicit = self.solicits().then_some(self.next);
        let ask = self.ask.as_ref().map(Ask::next_at);
        [waits, spare, solicit, ask].into_iter().flatten().min()
    }

    /// The frame to send now, if one is due.
    pub(super) fn poll(&mut self, now: Duration) -> Option<Vec<u8>> {
        if let Some(frame) = self.owed.take() {
            return Some(frame);
        }
        if self.is_done {
            return None;
        }
        if let Some((advert, _)) = self.spare.take_if(|(_, until)| *until <= now) {
            self.adopt(advert, now);
        }
        if self.solicits() && self.next <= now {
            let at = (self.heard.solicits as usize).min(SOLICIT_WAITS_MS.len() - 1);
            self.next = now + self.random.jittered(Duration::from_millis(SOLICIT_WAITS_MS[at]));
            self.heard.solicits += 1;
            return Some(wire::router_solicit(self.mac));
        }
        let message = self.ask.as_mut()?.poll(self.mac, &mut self.random, now)?;
        self.heard.questions += 1;
        Some(wire::to_servers(self.mac, link_local(self.mac), &message))
    }

    /// Takes a frame from the wire.
    pub(super) fn receive(&mut self, now: Duration, frame: &[u8]) {
        match wire::parse(frame) {
            Some(Word::Advert(advert)) => self.advertised(advert, now),
            // The kernel answers for this address as well, but not in its first second.
            Some(Word::Solicit { target, from, mac })
                if target == link_local(self.mac) && mac != self.mac =>
            {
                self.owed = Some(wire::neighbor_advert(self.mac, target, from));
            }
            Some(Word::Dhcp { from, message }) => self.told(&message, from, now),
            _ => {}
        }
    }

    /// The answer, once there is one. It ends the conversation.
    pub(super) fn answer(&mut self, now: Duration) -> Option<Answer> {
        let waits = now < self.until;
        let answer = match (&self.router, &self.reply) {
            (router, Some((reply, server))) if reply.granted.is_some() => {
                // Where a router may still say what the network is, it is waited for.
                if router.is_none() && waits { None } else { self.leased(reply, *server) }
            }
            (Some(router), reply) if reply.is_some() || self.ask.is_none() || !waits => {
                self.made_of(router)
            }
            _ => None,
        }?;
        self.is_done = true;
        Some(answer)
    }

    /// Gives `answer` back, which `other` has, and starts over with another address; the frame that
    /// says so.
    pub(super) fn decline(
        &mut self,
        answer: &Answer,
        other: MacAddr,
        now: Duration,
    ) -> Option<Vec<u8>> {
        // What a server only told beside stays true.
        let leased = self.reply.take_if(|(reply, _)| reply.granted.is_some());
        let declined = leased.and_then(|(reply, _)| {
            let message = Ask::decline(&reply, self.mac, &mut self.random)?;
            Some(wire::to_servers(self.mac, link_local(self.mac), &message))
        });
        self.heard.refused = Some(format!("{} declined: {other} has it", answer.address));
        // Neither universal nor of a group (RFC 4291, 2.5.1): nobody's card has it.
        self.interface = self.random.next() & !(3 << 56);
        (self.is_done, self.until) = (false, now);
        let is_asked = self.mode == Ipv6Mode::Dhcp || declined.is_some();
        if is_asked {
            self.ask = Some(Ask::new(Kind::Solicit, &mut self.random, now + OTHER_WAIT));
            self.until = now + OTHER_WAIT * 2;
        }
        declined
    }

    /// What was sent and heard so far, for the operator.
    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Whether routers are still asked.
    fn solicits(&self) -> bool {
        self.router.is_none()
    }

    fn has_something(&self) -> bool {
        let has_lease = self.reply.as_ref().is_some_and(|(reply, _)| reply.granted.is_some());
        let has_prefix = self.router.as_ref().is_some_and(|router| self.prefix(router).is_some());
        has_lease || has_prefix
    }

    fn advertised(&mut self, advert: Advert, now: Duration) {
        self.heard.adverts += 1;
        self.heard.last_router = Some(advert.router);
        let leads_anywhere = match self.mode {
            Ipv6Mode::Auto => self.prefix(&advert).is_some(),
            Ipv6Mode::Either => self.prefix(&advert).is_some() || advert.is_managed,
            Ipv6Mode::Dhcp | Ipv6Mode::LinkLocal => true,
        };
        if self.is_done || !self.is_wanted(&advert, now) {
            return;
        }
        if !leads_anywhere {
            let way = if self.mode == Ipv6Mode::Either { " and without DHCPv6" } else { "" };
            self.heard.refused = Some(format!("no prefix to make an address of{way}"));
            return;
        }
        match self.rank(&advert) {
            None => self.adopt(advert, now),
            Some(rank) => self.spare(rank, advert, now),
        }
    }

    /// Whether a router's word is to be taken after another's: where that one gave no address in time, or
    /// is no way out.
    fn is_wanted(&self, advert: &Advert, now: Duration) -> bool {
        let Some(router) = &self.router else { return true };
        if self.prefix(router).is_some() {
            return false;
        }
        let gives_address = now >= self.until && !self.has_something();
        gives_address && self.prefix(advert).is_some()
            || router.lifetime_s == 0 && advert.lifetime_s > 0
    }

    /// Keeps the advertisement of a router that led nowhere, or a better one: that of the router which
    /// led nowhere the longest time ago.
    fn spare(&mut self, rank: usize, advert: Advert, now: Duration) {
        let kept = self.spare.as_ref();
        let until = kept.map_or(now + PATIENCE, |(_, until)| *until);
        if kept.and_then(|(kept, _)| self.rank(kept)).is_none_or(|other| rank < other) {
            self.spare = Some((advert, until));
        }
    }

    /// Where a router stands among those that led nowhere.
    fn rank(&self, advert: &Advert) -> Option<usize> {
        self.avoided.iter().position(|avoided| *avoided == advert.router)
    }

    /// Takes a router's word.
    fn adopt(&mut self, advert: Advert, now: Duration) {
        self.spare = None;
        let kind = match self.mode {
            Ipv6Mode::Either if advert.is_managed => Some(Kind::Solicit),
            Ipv6Mode::Auto | Ipv6Mode::Either if advert.has_other => Some(Kind::InformationRequest),
            _ => None,
        };
        if let Some(kind) = kind {
            self.ask = Some(Ask::new(kind, &mut self.random, now));
            let is_detail = kind == Kind::InformationRequest && !advert.nameservers.is_empty();
            self.until = now + if is_detail { DETAILS_WAIT } else { OTHER_WAIT };
        }
        self.router = Some(advert);
    }

    /// Takes a DHCPv6 server's word.
    fn told(&mut self, message: &[u8], from: Ipv6Addr, now: Duration) {
        let Some(ask) = &mut self.ask else { return };
        let Some(reply) = dhcp::parse(message, self.mac) else { return };
        let Some(end) = ask.receive(reply, &mut self.random, now) else { return };
        match end {
            Ok(reply) => {
                self.heard.replies += 1;
                (self.reply, self.ask) = (Some((reply, from)), None);
                if self.router.is_none() {
                    self.until = now + OTHER_WAIT;
                }
            }
            Err(why) => self.heard.refused = Some(format!("{from} says {why}")),
        }
    }

    /// The prefix to make an address of.
    fn prefix(&self, advert: &Advert) -> Option<Prefix> {
        let is_usable = |prefix: &Prefix| {
            prefix.is_autonomous && prefix.length == SUBNET_PREFIX && prefix.valid_s > 0
        };
        let wanted = matches!(self.mode, Ipv6Mode::Auto | Ipv6Mode::Either);
        let mut usable = advert.prefixes.iter().filter(|prefix| is_usable(prefix));
        // One that is on its way out is for who has nothing else (RFC 4862, 5.5.4).
        let preferred = usable.clone().find(|prefix| prefix.is_preferred);
        preferred.or_else(|| usable.next()).filter(|_| wanted).copied()
    }

    /// The address that is made of the router's prefix.
    fn made_of(&self, router: &Advert) -> Option<Answer> {
        let prefix = self.prefix(router)?;
        let subnet = prefix.address.to_bits() & super::mask_v6(prefix.length);
        let address = Ipv6Addr::from_bits(subnet | u128::from(self.interface));
        let router_s = if router.lifetime_s == 0 { u32::MAX } else { router.lifetime_s.into() };
        let seconds = prefix.valid_s.min(router_s).max(SHORTEST_LEASE_S);
        let lease = Lease {
            server: router.router.into(),
            by: Giver::Router,
            seconds,
            renew_s: seconds / 2,
            rebind_s: seconds - seconds / 8,
        };
        Some(self.with(address, lease))
    }

    /// The address that a DHCPv6 server leases.
    fn leased(&self, reply: &Reply, server: Ipv6Addr) -> Option<Answer> {
        let granted = reply.granted?;
        let lease = Lease {
            server: server.into(),
            by: Giver::Dhcp,
            seconds: granted.valid_s,
            renew_s: granted.renew_s,
            rebind_s: granted.rebind_s,
        };
        let answer = self.with(granted.address, lease);
        Some(Answer { server_id: Some(reply.server.clone()), ..answer })
    }

    /// An address with all that was said beside.
    fn with(&self, address: Ipv6Addr, lease: Lease) -> Answer {
        let router = self.router.as_ref();
        let reply = self.reply.as_ref().map(|(reply, _)| reply);
        let prefixes = router.map_or(&[][..], |router| &router.prefixes);
        let is_sound = |prefix: &&Prefix| prefix.valid_s > 0 && prefix.length >= ON_LINK_LEAST;
        let on_link = prefixes.iter().filter(|prefix| prefix.is_on_link && is_sound(prefix));
        let contains = |prefix: &&Prefix| {
            (address.to_bits() ^ prefix.address.to_bits()) & super::mask_v6(prefix.length) == 0
        };
        let lengths = on_link.clone().filter(contains).map(|prefix| prefix.length);
        let own = lengths.max();
        let others = on_link.filter(|prefix| !contains(prefix)).map(|prefix| Route {
            destination: super::network_of(prefix.address.into(), prefix.length),
            prefix: prefix.length,
            gateway: None,
        });
        let unheard =
            router.is_none().then(|| format!("no router heard, /{ASSUMED_PREFIX} assumed"));
        let of_router = router.map_or(&[][..], |router| &router.nameservers);
        let of_server = reply.map_or(&[][..], |reply| &reply.nameservers);
        Answer {
            address: address.into(),
            // Who is not said to be on the link is reached by the router.
            prefix: own.unwrap_or(if router.is_some() { 128 } else { ASSUMED_PREFIX }),
            gateway: router
                .filter(|router| router.lifetime_s > 0)
                .map(|router| router.router.into()),
            routes: others.collect(),
            nameservers: of_router.iter().chain(of_server).copied().collect(),
            domain: router
                .and_then(|router| router.domain.clone())
                .or_else(|| reply?.domain.clone()),
            hostname: None,
            ntp: reply.map(|reply| reply.ntp.clone()).unwrap_or_default(),
            mtu: router.and_then(|router| router.mtu),
            lease,
            remarks: unheard.into_iter().collect(),
            server_id: None,
        }
    }
}

/// What was sent and what came back.
#[derive(Debug, Default, Clone)]
pub(super) struct Heard {
    solicits: u32,
    adverts: u32,
    last_router: Option<Ipv6Addr>,
    questions: u32,
    replies: u32,
    refused: Option<String>,
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} router solicitations sent, ", self.solicits)?;
        match self.last_router {
            None => f.write_str("no answer")?,
            Some(router) => write!(f, "{} advertisements (last of {router})", self.adverts)?,
        }
        if self.questions > 0 {
            write!(f, ", {} DHCPv6 questions sent, ", self.questions)?;
            match self.replies {
                0 => f.write_str("no answer")?,
                replies => write!(f, "{replies} answers")?,
            }
        }
        self.refused.as_ref().map_or(Ok(()), |refused| write!(f, ", {refused}"))
    }
}
