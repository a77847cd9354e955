//! A lease while it is in use: RFC 2131, 4.4.5, states BOUND, RENEWING and REBINDING, without socket
//! or clock.
//!
//! The server that granted it is asked from T1 on, any server from T2 on, each time after half of
//! what is left. Where nobody grants it, it ends, and with it the right to the address.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use smoltcp::wire::DhcpMessageType;

use super::answer::{Answer, addresses};
use super::message::{self, Question, option};
use super::{Random, error_text};
use crate::net::Lease;
use crate::net::mac::MacAddr;

/// Time between two questions at least, if the lease is no short one.
const ASK_AGAIN: Duration = Duration::from_mins(1);

/// The same as a part of a short lease: one of so many.
const ASK_AGAIN_SHARE: u32 = 16;

/// The same for any lease.
pub(in crate::net) const ASK_AGAIN_LEAST: Duration = Duration::from_secs(1);

/// When a question of `now` is asked again that is to be answered `until`, at half of what is left
/// (RFC 2131, 4.4.5). Addresses of IPv6 are kept alike.
pub(in crate::net) fn ask_again(
    lease: &Lease,
    (now, until): (Duration, Duration),
    random: &mut Random,
) -> Duration {
    let shortest = (seconds(lease.seconds) / ASK_AGAIN_SHARE).min(ASK_AGAIN).max(ASK_AGAIN_LEAST);
    let wait = (until.saturating_sub(now) / 2).max(shortest);
    (now + random.jittered(wait)).min(until)
}

/// A lease that is in use. Times are since any one moment.
#[derive(Debug)]
pub(in crate::net) struct Renewal {
    mac: MacAddr,
    address: Ipv4Addr,
    lease: Lease,
    random: Random,
    xid: u32,
    /// When it was granted.
    granted: Duration,
    /// When the next question is due.
    next: Duration,
    /// When the first question since then was sent.
    asking_since: Option<Duration>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::net) enum Step {
    /// Send a UDP datagram.
    Ask(To, Vec<u8>),
    /// The address must not be used any more.
    Lost(String),
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum To {
    /// The server that granted the lease.
    Server(IpAddr),
    /// Every server in reach.
    All,
}

/// What a server said.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::net) enum Word {
    /// It is granted for longer.
    Renewed(Box<Answer>),
    /// It is not, and the address must not be used any more.
    Lost(String),
}

impl Renewal {
    /// `address`, which was leased to `mac` at `granted`.
    pub(in crate::net) fn new(
        (mac, address): (MacAddr, Ipv4Addr),
        lease: Lease,
        random: u64,
        granted: Duration,
    ) -> Self {
        let random = Random::new(random);
        let next = granted + seconds(lease.renew_s);
        Self { mac, address, lease, random, xid: 0, granted, next, asking_since: None }
    }

    /// When [`Renewal::poll`] wants to be called next; `None` for a lease without end.
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
            return Some(Step::Lost(format!("the lease of {seconds} s has ended, not renewed")));
        }
        if self.asking_since.is_none() {
            self.xid = self.random.next() as u32;
        }
        let since = *self.asking_since.get_or_insert(now);
        let rebinding = self.granted + seconds(self.lease.rebind_s);
        let (to, until) = if now < rebinding {
            (To::Server(self.lease.server), rebinding)
        } else {
            (To::All, self.end())
        };
        self.next = ask_again(&self.lease, (now, until), &mut self.random);
        let question = Question {
            kind: DhcpMessageType::Request,
            xid: self.xid,
            mac: self.mac,
            secs: u16::try_from(now.saturating_sub(since).as_secs()).unwrap_or(u16::MAX),
            broadcast: false,
            client: self.address,
            // RFC 2131, table 4: neither goes with an address that is in use.
            requested: None,
            server: None,
            architecture: None,
        };
        // Cannot fail: the buffer has the length the message asked for.
        question.message().ok().map(|message| Step::Ask(to, message))
    }

    /// Asks soon, if it does not do so already: the other end of the cable may be another.
    pub(in crate::net) fn ask_soon(&mut self, now: Duration) {
        if self.lease.seconds != u32::MAX {
            self.next = self.next.min(now);
        }
    }

    /// Takes a datagram from the wire.
    pub(in crate::net) fn receive(&mut self, now: Duration, datagram: &[u8]) -> Option<Word> {
        let reply = message::message(datagram)?;
        if self.asking_since.is_none() || reply.xid != self.xid || reply.mac != self.mac {
            return None;
        }
        let server = addresses(&reply.options, option::SERVER).next();
        let server = server.map_or(self.lease.server, IpAddr::from);
        match reply.kind {
            DhcpMessageType::Ack if reply.your_ip == self.address => {
                let answer = Answer::new(&reply, server);
                self.lease = answer.lease;
                self.granted = now;
                self.next = now + seconds(self.lease.renew_s).max(ASK_AGAIN_LEAST);
                self.asking_since = None;
                Some(Word::Renewed(Box::new(answer)))
            }
            DhcpMessageType::Nak => {
                let why = error_text(&reply);
                Some(Word::Lost(format!("{server} does not renew the lease: NAK{why}")))
            }
            _ => None,
        }
    }

    fn end(&self) -> Duration {
        self.granted + seconds(self.lease.seconds)
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

#[cfg(test)]
mod tests {
    use smoltcp::wire::DhcpPacket;

    use super::super::tests::{ACK, MAC, NAK, OFFERED, SERVER, datagram};
    use super::*;
    use crate::net::Giver;

    fn lease(seconds: u32) -> Lease {
        Lease {
            server: SERVER.into(),
            by: Giver::Dhcp,
            seconds,
            renew_s: seconds / 2,
            rebind_s: seconds / 8 * 7,
        }
    }

    fn renewal(seconds: u32) -> Renewal {
        Renewal::new((MAC, OFFERED), lease(seconds), 7, Duration::ZERO)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The transaction of the question that is due, and who is asked.
    fn asked(renewal: &mut Renewal, now: Duration) -> (To, u32) {
        let Some(Step::Ask(to, message)) = renewal.poll(now) else { panic!("nothing is asked") };
        let packet = DhcpPacket::new_checked(&message[..]).unwrap();
        assert_eq!(packet.client_ip(), OFFERED);
        let options: Vec<u8> = packet.options().map(|option| option.kind).collect();
        assert!(!options.contains(&50) && !options.contains(&54), "{options:?}");
        (to, packet.transaction_id())
    }

    fn granted(seconds: u32) -> Vec<(u8, Vec<u8>)> {
        vec![(54, SERVER.octets().to_vec()), (51, seconds.to_be_bytes().to_vec())]
    }

    #[test]
    fn it_is_renewed_at_half_of_its_time_again_and_again() {
        let mut renewal = renewal(80);
        for round in 0..3 {
            let due = at(40 + round * 41);
            assert_eq!(renewal.poll(due.saturating_sub(Duration::from_millis(1))), None);
            let (to, xid) = asked(&mut renewal, due);
            assert_eq!(to, To::Server(SERVER.into()));
            let ack = datagram(ACK, xid, OFFERED, &granted(80));
            assert_eq!(renewal.receive(due, &datagram(ACK, xid ^ 1, OFFERED, &granted(80))), None);
            let Some(Word::Renewed(answer)) = renewal.receive(due + at(1), &ack) else {
                panic!("not renewed")
            };
            assert_eq!(answer.lease.seconds, 80);
            assert_eq!(renewal.receive(due + at(1), &ack), None, "it is said once");
        }
    }

    #[test]
    fn all_are_asked_before_it_ends() {
        let mut renewal = renewal(800);
        let (mut asked_at, mut ended) = (Vec::new(), None);
        while ended.is_none() {
            let due = renewal.next_at().unwrap();
            match renewal.poll(due) {
                Some(Step::Ask(to, _)) => asked_at.push((to, due)),
                Some(Step::Lost(why)) => ended = Some((due, why)),
                None => panic!("nothing was due at {due:?}"),
            }
        }
        let expected = (at(800), "the lease of 800 s has ended, not renewed".to_owned());
        assert_eq!(ended, Some(expected));
        let (one, all): (Vec<_>, Vec<_>) = asked_at.iter().partition(|(to, _)| *to != To::All);
        assert!(one.len() >= 3 && all.len() >= 2, "{asked_at:?}");
        assert!(one.iter().all(|(_, when)| (at(400)..at(700)).contains(when)), "{asked_at:?}");
        assert_eq!(all[0].1, at(700));
        let waits = asked_at.windows(2).map(|pair| pair[1].1.saturating_sub(pair[0].1));
        assert!(waits.max() <= Some(at(190)), "{asked_at:?}");
    }

    #[test]
    fn what_is_refused_is_lost_and_what_never_ends_is_left_alone() {
        let mut one = renewal(80);
        let (_, xid) = asked(&mut one, at(40));
        let nak = datagram(NAK, xid, Ipv4Addr::UNSPECIFIED, &[(56, b"moved".to_vec())]);
        let lost = "10.0.2.2 does not renew the lease: NAK (moved)".to_owned();
        assert_eq!(one.receive(at(41), &nak), Some(Word::Lost(lost)));
        let mut for_ever = renewal(u32::MAX);
        assert_eq!((for_ever.next_at(), for_ever.poll(at(1 << 33))), (None, None));
    }
}
