//! One NIC in the race: waiting for carrier, asking for an address, or ready to try the store.
//!
//! ```text
//! asking   what goes over its packet sockets
//! given    an answer, or the operator's words   ->  Network
//! told     what is said of it
//! ```

mod asking;
mod given;
mod told;

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use rustix::net::{Protocol, eth};

use super::conversation::{AddressProbe, Conversation};
use super::dhcp::{self, Answer};
use super::ipv6;
use super::netlink::Link;
use super::nic::Nic;
use super::packet::PacketSocket;
use super::{Addressing, Ipv6Mode, NetConfig, Network, StaticAddress};
use asking::{Asking, Probing, converse};
use given::{from_answer, from_static};

/// Waits after a failed attempt at the store; the last one repeats. The store, or a route to it, may
/// come up later than the machine.
const RETRY_WAITS_S: [u64; 4] = [1, 2, 5, 10];

/// Before a packet socket that failed is opened again: a link that goes down and up by itself, as
/// drivers do it to reset a card, takes it along.
const SOCKET_WAIT: Duration = Duration::from_secs(1);

/// After so long without an answer a switch's advice is heard: servers that think for long take 3 s.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Failed attempts after which the address is asked for anew: the answer may have come from a server
/// that has no business on this network.
const ATTEMPTS_PER_LEASE: u32 = 3;

/// DHCP servers remembered that led nowhere; a network has two or three.
const NOWHERE_MAX: usize = 8;

/// What a NIC asks for: of each it has one contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    fn protocol(self) -> Protocol {
        match self {
            Self::V4 => eth::IP,
            Self::V6 => eth::IPV6,
        }
    }

    /// Those that are asked for.
    pub(super) fn wanted(addressing: &Addressing) -> &'static [Self] {
        match addressing {
            Addressing::Any if ipv6::is_there() => &[Self::V4, Self::V6],
            Addressing::Ipv6(_) => &[Self::V6],
            Addressing::Static(fixed) if fixed.address.is_ipv6() => &[Self::V6],
            Addressing::Any | Addressing::Dhcp | Addressing::Static(_) => &[Self::V4],
        }
    }
}

/// One NIC in the race, and one family. Times are since the race began.
pub(super) struct Contender {
    pub(super) nic: Nic,
    family: Family,
    carrier_since: Option<Duration>,
    notes: VecDeque<String>,
    /// What is wrong with the answer, to be said once.
    remarks: Vec<String>,
    /// Servers whose addresses did not lead to the store, the latest last.
    nowhere: VecDeque<IpAddr>,
    state: State,
}

enum State {
    /// It takes no part, and why.
    Unwanted(String),
    /// Without carrier: costs nothing.
    Idle,
    /// With carrier, but without a socket until then.
    Broken {
        until: Duration,
    },
    Asking(Box<Asking>),
    /// With an answer, as long as others may have the address.
    Probing(Box<Probing>),
    Ready(Box<Ready>),
}

struct Ready {
    network: Network,
    not_before: Duration,
    attempts: u32,
}

impl Contender {
    pub(super) fn new(nic: Nic, family: Family) -> Self {
        let (notes, remarks, nowhere) = (VecDeque::new(), Vec::new(), VecDeque::new());
        Self { nic, family, carrier_since: None, notes, remarks, nowhere, state: State::Idle }
    }

    /// A NIC that is only listed, and why.
    pub(super) fn unwanted(nic: Nic, family: Family, why: String) -> Self {
        Self { state: State::Unwanted(why), ..Self::new(nic, family) }
    }

    /// Takes over a change of the link, and starts or stops asking with the carrier. Returns whether
    /// the carrier changed.
    pub(super) fn update(&mut self, link: &Link, config: &NetConfig, now: Duration) -> bool {
        self.nic.update(link);
        if matches!(self.state, State::Unwanted(_)) {
            return false;
        }
        match (self.carrier_since, link.carrier) {
            (None, true) => {
                self.carrier_since = Some(now);
                self.start(config, now);
                true
            }
            (Some(since), false) => {
                let was = format!("{}, then carrier lost", self.progress(now));
                self.note(if now > since { was } else { "carrier lost".to_owned() });
                self.carrier_since = None;
                self.state = State::Idle;
                true
            }
            _ => false,
        }
    }

    /// Sends what is due and takes what has arrived.
    pub(super) fn drive(&mut self, config: &NetConfig, now: Duration) {
        if matches!(self.state, State::Broken { until } if until <= now) {
            self.start(config, now);
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Asking(asking) => self.ask(*asking, config, now),
            State::Probing(probing) => self.probe(*probing, config, now),
            other => self.state = other,
        }
    }

    fn ask(&mut self, mut asking: Asking, config: &NetConfig, now: Duration) {
        self.state = match converse(&mut asking, now) {
            Ok(None) => State::Asking(Box::new(asking)),
            Ok(Some(answer)) => self.answered(asking, answer, config, now),
            Err(error) => self.broken(&asking, &error, now),
        };
    }

    /// The address is looked at before it is used.
    fn answered(
        &mut self,
        asking: Asking,
        answer: Answer,
        config: &NetConfig,
        now: Duration,
    ) -> State {
        let probe = AddressProbe::new(self.nic.mac, answer.address, now);
        match PacketSocket::open(&self.nic.name, probe.protocol()) {
            Ok(socket) => {
                let mut probing = Probing { asking, answer, probe, socket };
                match probing.probe(now) {
                    Ok(_) => State::Probing(Box::new(probing)),
                    Err(error) => self.broken(&probing.asking, &error, now),
                }
            }
            Err(error) => {
                self.note(format!("not asked whether others have its address: {error}"));
                self.settled(answer, config, now)
            }
        }
    }

    fn probe(&mut self, mut probing: Probing, config: &NetConfig, now: Duration) {
        self.state = match probing.probe(now) {
            Err(error) => self.broken(&probing.asking, &error, now),
            Ok(Some(other)) => {
                let Probing { mut asking, answer, .. } = probing;
                let declined = asking.client.decline(&answer, other, now);
                // One that is lost is no harm: the server finds out by itself.
                let _ = declined.map(|frame| asking.socket.send(&frame));
                self.note(asking.client.heard());
                State::Asking(Box::new(asking))
            }
            Ok(None) if probing.probe.is_over(now) => self.settled(probing.answer, config, now),
            Ok(None) => State::Probing(Box::new(probing)),
        };
    }

    fn settled(&mut self, answer: Answer, config: &NetConfig, now: Duration) -> State {
        for remark in &answer.remarks {
            self.note(remark.clone());
        }
        self.remarks.clone_from(&answer.remarks);
        State::ready(from_answer(&self.nic, answer, config), now)
    }

    fn broken(&mut self, asking: &Asking, error: &io::Error, now: Duration) -> State {
        let heard = asking.client.heard();
        self.note(format!("{heard}, then the packet socket failed: {error}"));
        State::Broken { until: now + SOCKET_WAIT }
    }

    /// Notes that the store was not reached, and when to try again.
    pub(super) fn failed(&mut self, why: &str, config: &NetConfig, now: Duration) {
        let State::Ready(ready) = &mut self.state else { return };
        ready.attempts += 1;
        let at = (ready.attempts as usize - 1).min(RETRY_WAITS_S.len() - 1);
        ready.not_before = now + Duration::from_secs(RETRY_WAITS_S[at]);
        let again = ready.attempts >= ATTEMPTS_PER_LEASE;
        let note = format!("{} but store not reachable: {why}", ready.network.source());
        // Whoever gives the address, an IPv6 router leads the way.
        let router = ready.network.gateway.filter(IpAddr::is_ipv6);
        let server = ready.network.lease.map(|lease| router.unwrap_or(lease.server));
        self.note(note);
        if let Some(server) = server.filter(|_| again) {
            self.led_nowhere(server);
            self.start(config, now);
        }
    }

    fn led_nowhere(&mut self, server: IpAddr) {
        self.nowhere.retain(|known| *known != server);
        if self.nowhere.len() >= NOWHERE_MAX {
            self.nowhere.pop_front();
        }
        self.nowhere.push_back(server);
    }

    /// The configuration to try at `now`, if this NIC has one, and how often it was tried.
    pub(super) fn ready(&self, now: Duration) -> Option<(&Network, u32)> {
        match &self.state {
            State::Ready(ready) if ready.not_before <= now => {
                Some((&ready.network, ready.attempts))
            }
            _ => None,
        }
    }

    /// Whether it may still become ready for the first time.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.state, State::Asking(_) | State::Probing(_))
    }

    /// Whether it has carrier for long enough, and neither an address to try the store with nor one to
    /// come.
    pub(super) fn leads_nowhere(&self, now: Duration) -> bool {
        let is_hopeless = match &self.state {
            State::Ready(ready) => ready.attempts > 0,
            State::Asking(_) | State::Broken { .. } => true,
            State::Unwanted(_) | State::Idle | State::Probing(_) => false,
        };
        is_hopeless && self.carrier_since.is_some_and(|since| now >= since + ANSWER_TIME)
    }

    /// It takes no part from here on, and why.
    pub(super) fn retire(&mut self, why: String) {
        if !matches!(self.state, State::Unwanted(_)) {
            self.state = State::Unwanted(why);
        }
    }

    /// When it next has something to do by itself.
    pub(super) fn next_at(&self) -> Option<Duration> {
        match &self.state {
            State::Unwanted(_) | State::Idle => None,
            State::Broken { until } => Some(*until),
            State::Asking(asking) => asking.client.next_at(),
            State::Probing(probing) => Some(probing.probe.next_at()),
            State::Ready(ready) => Some(ready.not_before),
        }
    }

    pub(super) fn socket(&self) -> Option<&PacketSocket> {
        match &self.state {
            State::Asking(asking) => Some(&asking.socket),
            State::Probing(probing) => Some(&probing.socket),
            _ => None,
        }
    }

    fn start(&mut self, config: &NetConfig, now: Duration) {
        let mode = match &config.addressing {
            Addressing::Static(fixed) => {
                self.state = State::ready(from_static(&self.nic, fixed, config), now);
                return;
            }
            Addressing::Ipv6(Ipv6Mode::LinkLocal) => {
                let address = ipv6::link_local(self.nic.mac).into();
                let prefix = ipv6::SUBNET_PREFIX;
                let fixed = StaticAddress { address, prefix, peer: None, gateway: None };
                self.state = State::ready(from_static(&self.nic, &fixed, config), now);
                return;
            }
            Addressing::Ipv6(mode) => *mode,
            Addressing::Any | Addressing::Dhcp => Ipv6Mode::Either,
        };
        self.state = match PacketSocket::open(&self.nic.name, self.family.protocol()) {
            Ok(socket) => {
                let client = self.conversation(mode, now);
                State::Asking(Box::new(Asking { client, socket }))
            }
            Err(error) => {
                self.note(format!("cannot open a packet socket: {error}"));
                State::Broken { until: now + SOCKET_WAIT }
            }
        };
    }

    fn conversation(&mut self, mode: Ipv6Mode, now: Duration) -> Conversation {
        let nowhere = self.nowhere.make_contiguous();
        match self.family {
            Family::V4 => {
                let client = dhcp::Client::new(self.nic.mac, random(), now);
                Conversation::V4(client.avoiding(nowhere).of_architecture(architecture()))
            }
            Family::V6 => {
                let client = ipv6::Client::new(self.nic.mac, mode, random(), now);
                Conversation::V6(Box::new(client.avoiding(nowhere)))
            }
        }
    }
}

impl State {
    fn ready(network: Network, now: Duration) -> Self {
        Self::Ready(Box::new(Ready { network, not_before: now, attempts: 0 }))
    }
}

/// A number for transaction ids and jitter. The seeds of the standard library's hash maps come from
/// getrandom(2) without waiting for the pool, which early in the boot would take seconds.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// How this machine boots, as DHCP says it (RFC 4578, 2.1); none of others than x86.
fn architecture() -> Option<u16> {
    const BIOS: u16 = 0;
    const UEFI: u16 = 7;
    let is_uefi = Path::new("/sys/firmware/efi").exists();
    cfg!(target_arch = "x86_64").then_some(if is_uefi { UEFI } else { BIOS })
}
