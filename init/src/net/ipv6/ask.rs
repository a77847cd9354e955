//! A DHCPv6 client's questions and when they are asked (RFC 8415, 18.2), without socket or clock.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::dhcp::{Kind, Question, Reply};
use crate::net::dhcp::Random;
use crate::net::mac::MacAddr;

/// Waits after each question; the last one repeats. RFC 8415, 7.6, begins with one second and goes up
/// to an hour: machines that boot have less time.
const WAITS_MS: [u64; 4] = [500, 1000, 2000, 4000];

/// Requests to one server; then all are asked again.
const REQUESTS_MAX: u32 = 4;

/// Wait after a refusal before asking again, so that a server that always says no is not flooded.
const REFUSED_WAIT: Duration = Duration::from_secs(1);

/// What is asked until it is answered. Times are since any one moment.
#[derive(Debug)]
pub(super) struct Ask {
    /// What it began with.
    first: Kind,
    kind: Kind,
    xid: u32,
    /// The server that is asked, and the address it offered.
    offer: Option<(Vec<u8>, Ipv6Addr)>,
    sent: u32,
    since: Duration,
    next: Duration,
}

impl Ask {
    /// Asks at `now`: a SOLICIT for an address, an INFORMATION-REQUEST for the rest.
    pub(super) fn new(kind: Kind, random: &mut Random, now: Duration) -> Self {
        let xid = transaction(random);
        Self { first: kind, kind, xid, offer: None, sent: 0, since: now, next: now }
    }

    /// When it wants to be looked at next.
    pub(super) fn next_at(&self) -> Duration {
        self.next
    }

    /// The message to send now, if one is due.
    pub(super) fn poll(
        &mut self,
        mac: MacAddr,
        random: &mut Random,
        now: Duration,
    ) -> Option<Vec<u8>> {
        if now < self.next {
            return None;
        }
        if self.kind == Kind::Request && self.sent >= REQUESTS_MAX {
            *self = Self::new(self.first, random, now);
        }
        let at = (self.sent as usize).min(WAITS_MS.len() - 1);
        self.next = now + random.jittered(Duration::from_millis(WAITS_MS[at]));
        self.sent += 1;
        let elapsed_cs = now.saturating_sub(self.since).as_millis() / 10;
        let question = Question {
            kind: self.kind,
            xid: self.xid,
            mac,
            elapsed_cs: u16::try_from(elapsed_cs).unwrap_or(u16::MAX),
            server: self.offer.as_ref().map(|(server, _)| &server[..]),
            address: self.offer.as_ref().map(|(_, address)| *address),
        };
        Some(question.message())
    }

    /// Takes a server's word: what it grants at last, or why it does not.
    pub(super) fn receive(
        &mut self,
        reply: Reply,
        random: &mut Random,
        now: Duration,
    ) -> Option<Result<Reply, String>> {
        if reply.xid != self.xid || self.sent == 0 {
            return None;
        }
        let of_other = self.offer.as_ref().is_some_and(|(server, _)| *server != reply.server);
        match (self.kind, reply.kind, &reply.granted) {
            // The first one wins, as with DHCPv4: preference would cost a second.
            (Kind::Solicit, Kind::Advertise, Some(granted)) => {
                let offer = Some((reply.server, granted.address));
                *self = Self { kind: Kind::Request, offer, ..Self::new(self.first, random, now) };
                None
            }
            (Kind::Request, Kind::Reply, _) if of_other => None,
            // RFC 8415, 18.2.10: a server may commit itself at once.
            (Kind::InformationRequest, Kind::Reply, _)
            | (Kind::Solicit | Kind::Request, Kind::Reply, Some(_)) => Some(Ok(reply)),
            (Kind::Request, Kind::Reply, None) => {
                *self = Self::new(self.first, random, now + REFUSED_WAIT);
                Some(Err(why(reply)))
            }
            (Kind::Solicit, _, None) => Some(Err(why(reply))),
            _ => None,
        }
    }

    /// The message that gives back what was granted.
    pub(super) fn decline(reply: &Reply, mac: MacAddr, random: &mut Random) -> Option<Vec<u8>> {
        let question = Question {
            kind: Kind::Decline,
            xid: transaction(random),
            mac,
            elapsed_cs: 0,
            server: Some(&reply.server),
            address: Some(reply.granted?.address),
        };
        Some(question.message())
    }
}

fn why(reply: Reply) -> String {
    reply.refused.unwrap_or_else(|| "nothing of an address".into())
}

/// 24 bits.
pub(super) fn transaction(random: &mut Random) -> u32 {
    random.next() as u32 & 0x00ff_ffff
}
