//! One NIC in the race: waiting for carrier, asking for an address, or ready to try the store.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use rustix::net::eth;

use super::args::StaticAddress;
use super::arp::Probe;
use super::dhcp::{Answer, Client};
use super::mac::MacAddr;
use super::netlink::Link;
use super::nic::Nic;
use super::packet::PacketSocket;
use super::{Addressing, NAMESERVERS_MAX, NetConfig, Network};

/// Notes kept for one NIC; the oldest go first. A flapping link writes one per change.
const NOTES_MAX: usize = 6;

/// Frames read from one NIC before the others have their turn.
const FRAMES_PER_TURN: usize = 64;

/// Waits after a failed attempt at the store; the last one repeats. The store, or a route to it, may
/// come up later than the machine.
const RETRY_WAITS_S: [u64; 4] = [1, 2, 5, 10];

/// Before a packet socket that failed is opened again: a link that goes down and up by itself, as
/// drivers do it to reset a card, takes it along.
const SOCKET_WAIT: Duration = Duration::from_secs(1);

/// Failed attempts after which the address is asked for anew: the answer may have come from a server
/// that has no business on this network.
const ATTEMPTS_PER_LEASE: u32 = 3;

/// DHCP servers remembered that led nowhere; a network has two or three.
const NOWHERE_MAX: usize = 8;

/// One NIC in the race. Times are since the race began.
pub(super) struct Contender {
    pub(super) nic: Nic,
    carrier_since: Option<Duration>,
    notes: VecDeque<String>,
    /// Servers whose addresses did not lead to the store, the latest last.
    nowhere: VecDeque<Ipv4Addr>,
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

struct Asking {
    client: Client,
    socket: PacketSocket,
}

struct Probing {
    asking: Asking,
    answer: Answer,
    probe: Probe,
    socket: PacketSocket,
}

struct Ready {
    network: Network,
    not_before: Duration,
    attempts: u32,
}

impl Contender {
    pub(super) fn new(nic: Nic) -> Self {
        let (notes, nowhere) = (VecDeque::new(), VecDeque::new());
        Self { nic, carrier_since: None, notes, nowhere, state: State::Idle }
    }

    /// A NIC that is only listed, and why.
    pub(super) fn unwanted(nic: Nic, why: String) -> Self {
        Self { state: State::Unwanted(why), ..Self::new(nic) }
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
        match PacketSocket::open(&self.nic.name, eth::ARP) {
            Ok(socket) => {
                let probe = Probe::new(self.nic.mac, answer.address, now);
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
                self.note(asking.client.heard().to_string());
                State::Asking(Box::new(asking))
            }
            Ok(None) if probing.probe.is_over(now) => self.settled(probing.answer, config, now),
            Ok(None) => State::Probing(Box::new(probing)),
        };
    }

    fn settled(&mut self, answer: Answer, config: &NetConfig, now: Duration) -> State {
        if answer.mask_assumed {
            self.note(format!("no usable mask given, /{} assumed", answer.prefix));
        }
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
        let server = ready.network.lease.map(|lease| lease.server);
        self.note(note);
        if again && config.addressing == Addressing::Dhcp {
            if let Some(server) = server {
                self.led_nowhere(server);
            }
            self.start(config, now);
        }
    }

    fn led_nowhere(&mut self, server: Ipv4Addr) {
        self.nowhere.retain(|known| *known != server);
        if self.nowhere.len() >= NOWHERE_MAX {
            self.nowhere.pop_front();
        }
        self.nowhere.push_back(server);
    }

    /// Adds to what is told about this NIC; a repetition is not told twice.
    pub(super) fn note(&mut self, note: String) {
        if self.notes.back() == Some(&note) {
            return;
        }
        if self.notes.len() >= NOTES_MAX {
            self.notes.pop_front();
        }
        self.notes.push_back(note);
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

    /// The NIC with everything that was heard.
    pub(super) fn report(&self, now: Duration) -> Nic {
        let mut parts: Vec<String> = self.notes.iter().cloned().collect();
        let told = !parts.is_empty();
        match (&self.state, self.carrier_since) {
            (State::Unwanted(why), _) => parts.push(why.clone()),
            (State::Ready(ready), _) if ready.attempts > 0 => {}
            (State::Broken { .. }, _) if told => {}
            (_, None) if told => parts.push("no carrier now".to_owned()),
            (_, None) => parts.push("no carrier".to_owned()),
            _ => parts.push(self.progress(now)),
        }
        Nic { heard: parts.join("; "), ..self.nic.clone() }
    }

    fn progress(&self, now: Duration) -> String {
        let up = now.saturating_sub(self.carrier_since.unwrap_or(now)).as_secs_f32();
        match &self.state {
            State::Unwanted(_) | State::Idle | State::Broken { .. } => {
                format!("carrier up {up:.1} s")
            }
            State::Asking(asking) => {
                format!("carrier up {up:.1} s, {}", asking.client.heard())
            }
            State::Probing(probing) => {
                let address = probing.answer.address;
                format!("carrier up {up:.1} s, looking whether others have {address}")
            }
            State::Ready(ready) => format!("carrier up {up:.1} s, {}", ready.network.source()),
        }
    }

    fn start(&mut self, config: &NetConfig, now: Duration) {
        self.state = match &config.addressing {
            Addressing::Static(fixed) => State::ready(from_static(&self.nic, fixed, config), now),
            Addressing::Dhcp => match PacketSocket::open(&self.nic.name, eth::IP) {
                Ok(socket) => {
                    let client = Client::new(self.nic.mac, random(), now);
                    let client = client.avoiding(self.nowhere.make_contiguous());
                    State::Asking(Box::new(Asking { client, socket }))
                }
                Err(error) => {
                    self.note(format!("cannot open a packet socket: {error}"));
                    State::Broken { until: now + SOCKET_WAIT }
                }
            },
        };
    }
}

impl State {
    fn ready(network: Network, now: Duration) -> Self {
        Self::Ready(Box::new(Ready { network, not_before: now, attempts: 0 }))
    }
}

impl Probing {
    /// One turn: who else has the address, if anybody says so.
    fn probe(&mut self, now: Duration) -> io::Result<Option<MacAddr>> {
        if let Some(frame) = self.probe.poll(now) {
            send(&self.socket, &frame)?;
        }
        for _ in 0..FRAMES_PER_TURN {
            let Some(frame) = self.socket.receive()? else { return Ok(None) };
            if let Some(other) = self.probe.conflict(&frame) {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }
}

/// One turn of the conversation: what is due goes out, what has arrived comes in.
fn converse(asking: &mut Asking, now: Duration) -> io::Result<Option<Answer>> {
    let Asking { client, socket } = asking;
    for _ in 0..FRAMES_PER_TURN {
        if let Some(question) = client.poll(now) {
            send(socket, &question)?;
        }
        match socket.receive()? {
            None => return Ok(None),
            Some(frame) => {
                if let Some(answer) = client.receive(now, &frame) {
                    return Ok(Some(answer));
                }
            }
        }
    }
    Ok(None)
}

/// Sends a frame. A full queue loses it; the next one is due soon.
fn send(socket: &PacketSocket, frame: &[u8]) -> io::Result<()> {
    match socket.send(frame) {
        Err(error) if is_passing(&error) => Ok(()),
        sent => sent,
    }
}

fn is_passing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32)
}

/// What a NIC is given by a DHCP server, and by the operator.
pub(super) fn from_answer(nic: &Nic, answer: Answer, config: &NetConfig) -> Network {
    Network {
        nic: nic.clone(),
        address: answer.address,
        prefix: answer.prefix,
        peer: None,
        gateway: answer.gateway,
        routes: answer.routes,
        nameservers: nameservers(&config.nameservers, &answer.nameservers),
        domain: answer.domain,
        hostname: answer.hostname,
        ntp: answer.ntp,
        mtu: config.mtu.or(answer.mtu),
        lease: Some(answer.lease),
        since: Instant::now(),
    }
}

fn from_static(nic: &Nic, fixed: &StaticAddress, config: &NetConfig) -> Network {
    Network {
        nic: nic.clone(),
        address: fixed.address,
        prefix: fixed.prefix,
        peer: fixed.peer,
        gateway: fixed.gateway,
        routes: Vec::new(),
        nameservers: nameservers(&config.nameservers, &[]),
        domain: None,
        hostname: None,
        ntp: Vec::new(),
        mtu: config.mtu,
        lease: None,
        since: Instant::now(),
    }
}

/// The operator's resolvers before the lease's, as many as are used.
fn nameservers(typed: &[Ipv4Addr], leased: &[Ipv4Addr]) -> Vec<Ipv4Addr> {
    let mut servers: Vec<Ipv4Addr> = Vec::new();
    for server in typed.iter().chain(leased) {
        if servers.len() < NAMESERVERS_MAX && !servers.contains(server) {
            servers.push(*server);
        }
    }
    servers
}

/// A number for transaction ids and jitter. The seeds of the standard library's hash maps come from
/// getrandom(2) without waiting for the pool, which early in the boot would take seconds.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
