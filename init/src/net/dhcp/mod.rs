//! A DHCPv4 client for one NIC, without socket or clock: frames and times are arguments.
//!
//! Given the NIC's address and a random number, it says what to send and when, and turns the
//! server's ACK into an [`Answer`]. RFC 2131, states SELECTING and REQUESTING; it never gives up by
//! itself, the race's deadline does. Once the address is in use, [`Renewal`] sees to it.
//!
//! It is built on smoltcp's packet types and not on its DHCP socket, because that one
//! - takes a new transaction id for every DISCOVER, so that with short retries a server which
//!   thinks for a second or three (most ping an address before they offer it) is never heard;
//! - ignores an ACK without a mask, and a router option with two routers;
//! - does not tell what it heard, which is what the operator needs when there is no network;
//! - comes with a packet device that panics when the link goes down.
//!
//! Where the RFC is silent or strict: the first OFFER with a usable address wins, without waiting for
//! others, unless what its server gave before led nowhere; after the first DECLINEs it asks again
//! sooner than the RFC wants.

mod answer;
mod message;
mod random;
mod renewal;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use smoltcp::wire::DhcpMessageType;

pub(super) use answer::{Answer, SHORTEST_LEASE_S, mask};
pub(super) use message::{CLIENT_PORT, SERVER_PORT, release};
use message::{Question, Reply, option};
pub(super) use random::Random;
pub(super) use renewal::{ASK_AGAIN_LEAST, Renewal, Step, To, Word, ask_again};

use super::args::is_usable;
use super::mac::MacAddr;

/// Waits after each DISCOVER; the last one repeats. Fast first, because the usual loss is the frame
/// sent while the port was still opening; capped, because spanning tree opens a port 30 s after
/// carrier and the cap is what is lost then.
const DISCOVER_WAITS_MS: [u64; 4] = [500, 1000, 2000, 4000];

/// Waits after each REQUEST. The server has just answered, so its silence means it changed its mind:
/// after the last one the client asks everyone again.
const REQUEST_WAITS_MS: [u64; 4] = [500, 1000, 2000, 2000];

/// Wait after a NAK before asking again, so that a server that always says no is not flooded.
const NAK_WAIT: Duration = Duration::from_secs(1);

/// Waits after each DECLINE; the last one repeats. A server marks the address and has another, so the
/// ten seconds of RFC 2131, 3.1.5, are for one that offers it again.
const DECLINE_WAITS_MS: [u64; 4] = [100, 1000, 10_000, 10_000];

/// How long another server is waited for, if what an offer's server gave before led nowhere: what a
/// slow one takes that pings an address first.
const PATIENCE: Duration = Duration::from_secs(3);

/// From this DISCOVER on the answer is wanted by broadcast: a switch or a hypervisor may drop a
/// unicast to an address that nobody has shown yet.
const BROADCAST_FROM: u32 = 3;

/// Longest piece kept of a server's own error text.
const ERROR_TEXT_MAX: usize = 80;

/// One NIC's conversation with DHCP servers.
#[derive(Debug)]
pub(super) struct Client {
    mac: MacAddr,
    random: Random,
    xid: u32,
    started: Duration,
    next: Duration,
    phase: Phase,
    heard: Heard,
    /// Servers whose addresses led nowhere, the latest last.
    avoided: Vec<IpAddr>,
    spare: Option<Spare>,
    architecture: Option<u16>,
}

/// An offer that is taken if there is no better one until then.
#[derive(Debug, Clone, Copy)]
struct Spare {
    address: Ipv4Addr,
    server: Ipv4Addr,
    until: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Selecting { sent: u32 },
    Requesting { address: Ipv4Addr, server: Ipv4Addr, sent: u32 },
    Bound,
}

impl Client {
    /// A client that sends its first DISCOVER at once. Times are since any one moment.
    pub(super) fn new(mac: MacAddr, random: u64, now: Duration) -> Self {
        let mut client = Self {
            mac,
            random: Random::new(random),
            xid: 0,
            started: now,
            next: now,
            phase: Phase::Selecting { sent: 0 },
            heard: Heard::default(),
            avoided: Vec::new(),
            spare: None,
            architecture: None,
        };
        client.select(now);
        client
    }

    /// The same, with servers whose addresses led nowhere, the latest last: other servers come first.
    pub(super) fn avoiding(self, servers: &[IpAddr]) -> Self {
        Self { avoided: servers.to_vec(), ..self }
    }

    /// The same of a machine that boots by `architecture` (RFC 4578, 2.1): servers may tell by it.
    pub(super) fn of_architecture(self, architecture: Option<u16>) -> Self {
        Self { architecture, ..self }
    }

    /// When [`Client::poll`] wants to be called next; `None` once there is an answer.
    pub(super) fn next_at(&self) -> Option<Duration> {
        let spare = self.spare.map(|spare| spare.until);
        let next = spare.map_or(self.next, |until| until.min(self.next));
        (!matches!(self.phase, Phase::Bound)).then_some(next)
    }

    /// The frame to send now, if one is due.
    pub(super) fn poll(&mut self, now: Duration) -> Option<Vec<u8>> {
        if let Some(spare) = self.spare.filter(|spare| spare.until <= now) {
            self.take(spare.address, spare.server, now);
        }
        if now < self.next {
            return None;
        }
        if let Phase::Requesting { sent, .. } = self.phase
            && sent as usize >= REQUEST_WAITS_MS.len()
        {
            self.select(now);
        }
        let question = match &mut self.phase {
            Phase::Bound => return None,
            Phase::Selecting { sent } => {
                *sent += 1;
                self.heard.discovers += 1;
                let (wait, broadcast) = (wait(&DISCOVER_WAITS_MS, *sent), *sent >= BROADCAST_FROM);
                self.next = now + self.random.jittered(wait);
                self.question(DhcpMessageType::Discover, now, broadcast)
            }
            Phase::Requesting { address, server, sent } => {
                *sent += 1;
                self.heard.requests += 1;
                let (wait, address, server) = (wait(&REQUEST_WAITS_MS, *sent), *address, *server);
                let broadcast = *sent >= BROADCAST_FROM;
                self.next = now + self.random.jittered(wait);
                let question = self.question(DhcpMessageType::Request, now, broadcast);
                Question { requested: Some(address), server: Some(server), ..question }
            }
        };
        // Cannot fail: the buffer has the length the message asked for.
        question.frame().ok()
    }

    /// Takes a frame from the wire. An answer ends the conversation.
    pub(super) fn receive(&mut self, now: Duration, frame: &[u8]) -> Option<Answer> {
        let reply = message::parse(frame)?;
        if reply.xid != self.xid || reply.mac != self.mac {
            return None;
        }
        let server = answer::addresses(&reply.options, option::SERVER).next();
        match (self.phase, reply.kind) {
            (Phase::Selecting { .. }, DhcpMessageType::Offer) => self.offered(now, &reply, server),
            (Phase::Requesting { server: chosen, .. }, DhcpMessageType::Ack)
                if server.is_none_or(|server| server == chosen) =>
            {
                return self.acknowledged(&reply, chosen);
            }
            (Phase::Requesting { server: chosen, .. }, DhcpMessageType::Nak)
                if server.is_none_or(|server| server == chosen) =>
            {
                self.heard.refused = Some(format!("NAK from {chosen}{}", error_text(&reply)));
                self.select(now + NAK_WAIT);
            }
            _ => {}
        }
        None
    }

    /// The frame that gives `answer` back, which `other` has; then it starts over.
    pub(super) fn decline(
        &mut self,
        answer: &Answer,
        other: MacAddr,
        now: Duration,
    ) -> Option<Vec<u8>> {
        let (IpAddr::V4(address), IpAddr::V4(server)) = (answer.address, answer.lease.server)
        else {
            return None;
        };
        self.heard.declines += 1;
        self.heard.refused = Some(format!("{address} of {server} declined: {other} has it"));
        let question = self.question(DhcpMessageType::Decline, now, false);
        let question =
            Question { secs: 0, requested: Some(address), server: Some(server), ..question };
        self.select(now + wait(&DECLINE_WAITS_MS, self.heard.declines));
        question.frame().ok()
    }

    /// What was sent and heard so far, for the operator.
    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    fn offered(&mut self, now: Duration, reply: &Reply, server: Option<Ipv4Addr>) {
        let address = reply.your_ip;
        self.heard.offers += 1;
        match server {
            // A ProxyDHCP server of a PXE network offers boot files and no address.
            _ if !is_usable(address) => {
                self.heard.refused = Some(format!("OFFER of the unusable address {address}"));
            }
            None => self.heard.refused = Some("OFFER without a server identifier".to_owned()),
            Some(server) => {
                self.heard.last_offer = Some((address, server));
                match self.rank(server) {
                    None => self.take(address, server, now),
                    Some(rank) => self.spare(rank, address, server, now),
                }
            }
        }
    }

    /// Keeps the offer of a server that led nowhere, or a better one: that of the server which led
    /// nowhere the longest time ago.
    fn spare(&mut self, rank: usize, address: Ipv4Addr, server: Ipv4Addr, now: Duration) {
        let until = self.spare.map_or(now + PATIENCE, |spare| spare.until);
        if self.spare.and_then(|spare| self.rank(spare.server)).is_none_or(|other| rank < other) {
            self.spare = Some(Spare { address, server, until });
        }
    }

    /// Where a server stands among those that led nowhere.
    fn rank(&self, server: Ipv4Addr) -> Option<usize> {
        self.avoided.iter().position(|avoided| *avoided == server)
    }

    /// Takes an offer.
    fn take(&mut self, address: Ipv4Addr, server: Ipv4Addr, now: Duration) {
        self.phase = Phase::Requesting { address, server, sent: 0 };
        self.spare = None;
        self.next = now;
    }

    fn acknowledged(&mut self, reply: &Reply, server: Ipv4Addr) -> Option<Answer> {
        if !is_usable(reply.your_ip) {
            self.heard.refused = Some(format!("ACK of the unusable address {}", reply.your_ip));
            return None;
        }
        self.heard.acks += 1;
        self.phase = Phase::Bound;
        Some(Answer::new(reply, server.into()))
    }

    /// Starts over with a new transaction; one lasts for all its DISCOVERs.
    fn select(&mut self, at: Duration) {
        self.xid = self.random.next() as u32;
        self.phase = Phase::Selecting { sent: 0 };
        self.spare = None;
        self.next = at;
    }

    fn question(&self, kind: DhcpMessageType, now: Duration, broadcast: bool) -> Question {
        let secs = now.saturating_sub(self.started).as_secs();
        Question {
            kind,
            xid: self.xid,
            mac: self.mac,
            secs: u16::try_from(secs).unwrap_or(u16::MAX),
            broadcast,
            client: Ipv4Addr::UNSPECIFIED,
            requested: None,
            server: None,
            architecture: self.architecture,
        }
    }
}

fn wait(table_ms: &[u64; 4], sent: u32) -> Duration {
    let at = (sent.saturating_sub(1) as usize).min(table_ms.len() - 1);
    Duration::from_millis(table_ms[at])
}

/// RFC 2132 option 56, printable part only.
fn error_text(reply: &Reply) -> String {
    let text = reply.options.get(&option::ERROR_TEXT).map_or(&[][..], Vec::as_slice);
    let printable = |byte: &&u8| byte.is_ascii_graphic() || **byte == b' ';
    let text: String =
        text.iter().take(ERROR_TEXT_MAX).filter(printable).map(|byte| char::from(*byte)).collect();
    if text.is_empty() { text } else { format!(" ({text})") }
}

/// What was sent and what came back.
#[derive(Debug, Default, Clone)]
pub(super) struct Heard {
    discovers: u32,
    offers: u32,
    requests: u32,
    acks: u32,
    declines: u32,
    last_offer: Option<(Ipv4Addr, Ipv4Addr)>,
    refused: Option<String>,
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} DISCOVER sent", self.discovers)?;
        if let Some((address, server)) = self.last_offer {
            write!(f, ", {} OFFER (last {address} from {server})", self.offers)?;
            write!(f, ", {} REQUEST sent, ", self.requests)?;
            match self.acks {
                0 => f.write_str("no ACK")?,
                acks => write!(f, "{acks} ACK")?,
            }
        } else if self.offers == 0 {
            f.write_str(", no answer")?;
        }
        self.refused.as_ref().map_or(Ok(()), |refused| write!(f, ", {refused}"))
    }
}
