//! Hosts on the switch with a stack of their own, which is smoltcp's: they answer ARP and ping, and
//! have a store, a resolver or a clock where the value says so.

mod card;
mod names;
mod time;
mod tls;
mod web;

use crate::frame::{arp_answer, is_arp_probe};
use crate::http::{Cuts, Misbehaviour, Served};
use crate::station::Mac;
use card::Card;
use names::Names;
use rustls::ServerConfig;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Cidr};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Moment, SystemTime, UNIX_EPOCH};
use time::Time;
use web::{Speech, Web};

/// A host. Addresses beyond the first make it a router with hosts behind it: what is sent to its
/// Ethernet address is answered whichever of them it is for.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its Ethernet address.
    pub mac: Mac,
    /// Its addresses, at most two, each with the length of its prefix.
    pub addresses: Vec<(Ipv4Addr, u8)>,
    /// A store on port 80.
    pub shelf: Option<Shelf>,
    /// The same store on port 443 too, with this certificate.
    pub tls: Option<Arc<ServerConfig>>,
    /// A proxy on port 3128: it has the store that it is asked for itself, also behind TLS.
    pub proxy: Option<Proxy>,
    /// Names it knows as a resolver; `None` is no resolver.
    pub names: Option<Vec<(String, Ipv4Addr)>>,
    /// It is a time server, and its clock showed this at the start: seconds since 1970.
    pub clock_s: Option<u64>,
    /// So many SYNs get no answer.
    pub deaf_to_syns: u32,
}

impl Host {
    /// A host of the /24 around `address`, without services.
    pub fn at(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self {
            mac: [0x02, 0x05, a, b, c, d],
            addresses: vec![(address, 24)],
            shelf: None,
            tls: None,
            proxy: None,
            names: None,
            clock_s: None,
            deaf_to_syns: 0,
        }
    }

    /// The same with that store over TLS.
    #[must_use]
    pub fn with_tls(self, tls: Arc<ServerConfig>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// The same with the static store in `directory`.
    #[must_use]
    pub fn serving(self, store: Shelf) -> Self {
        Self { shelf: Some(store), ..self }
    }
}

/// A proxy, and what is behind it.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Answers for every host.
    pub shelf: Shelf,
    /// In a tunnel.
    pub tls: Arc<ServerConfig>,
}

/// A static store, its faults, and what was asked of it: shared with the test.
#[derive(Clone, Debug)]
pub struct Shelf {
    directory: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Misbehaviour>,
    cuts: Cuts,
    served: Vec<Served>,
    /// What its clock shows, if not the time: seconds since 1970.
    clock_s: Option<u64>,
    restart: Option<Restart>,
    /// What clients have to show.
    token: Option<String>,
    /// When it first answered.
    answered: Option<Moment>,
}

/// A store that is switched off and on again: connections are torn, new ones refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Requests that are answered before it.
    pub after_requests: usize,
    /// It is off for so long.
    pub off_for: Duration,
}

impl State {
    fn clock_s(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.clock_s.unwrap_or(now.as_secs())
    }
}

impl Shelf {
    /// The files below `directory`, with faults of which the first that fits a path strikes.
    pub fn of(directory: impl AsRef<Path>, faults: Vec<Misbehaviour>) -> Self {
        let state = State { faults, ..State::default() };
        Self { directory: directory.as_ref().to_owned(), state: Arc::new(Mutex::new(state)) }
    }

    /// Every request so far, in the order in which their replies began.
    pub fn served(&self) -> Vec<Served> {
        self.state().served.clone()
    }

    /// Replaces the faults.
    pub fn misbehave(&self, faults: Vec<Misbehaviour>) {
        self.state().faults = faults;
    }

    /// Connections end there, whatever else is wrong.
    pub fn cut(&self, cuts: Cuts) {
        self.state().cuts = cuts;
    }

    /// Cuts that have not struck.
    pub fn cuts_left(&self) -> usize {
        self.state().cuts.left()
    }

    /// Its clock shows this, seconds since 1970, and stands still.
    pub fn set_clock(&self, unix_s: u64) {
        self.state().clock_s = Some(unix_s);
    }

    /// Whoever does not show this token gets nothing (401).
    pub fn require_token(&self, token: &str) {
        self.state().token = Some(format!("Bearer {token}"));
    }

    /// It restarts, once.
    pub fn restarts(&self, restart: Restart) {
        self.state().restart = Some(restart);
    }

    /// When it first answered somebody.
    pub fn answered(&self) -> Option<Moment> {
        self.state().answered
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time passes so many times faster for a host: smoltcp sends again after a second at least, a
/// kernel in a machine room after 200 ms. A network that loses frames is the machine's test.
const HASTE: u32 = 10;

/// A host that is on.
pub(crate) struct Stack {
    interface: Interface,
    card: Card,
    sockets: SocketSet<'static>,
    mac: Mac,
    addresses: Vec<Ipv4Addr>,
    web: Vec<Web>,
    names: Option<Names>,
    time: Option<Time>,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stack").field(&self.interface.ip_addrs()).finish()
    }
}

impl Stack {
    pub(crate) fn of(host: &Host) -> Self {
        let mut card = Card::deaf(host.deaf_to_syns);
        let config = Config::new(EthernetAddress(host.mac).into());
        let mut interface = Interface::new(config, &mut card, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            for (address, prefix) in &host.addresses {
                // There is room for two; a third would be a mistake in the test, and is not there.
                let _ = addresses.push(IpCidr::Ipv4(Ipv4Cidr::new(*address, *prefix)));
            }
        });
        let mut sockets = SocketSet::new(Vec::new());
        let web = web(host, &mut sockets);
        let names = host.names.as_ref().map(|names| Names::new(names.clone(), &mut sockets));
        let time = host.clock_s.map(|clock_s| Time::new(clock_s, &mut sockets));
        let addresses = host.addresses.iter().map(|(address, _)| *address).collect();
        Self { interface, card, sockets, mac: host.mac, addresses, web, names, time }
    }

    pub(crate) fn hear(&mut self, frame: &[u8]) {
        // smoltcp does not answer who has no address yet; every other stack does.
        let to_probe = is_arp_probe(frame).then(|| arp_answer(frame, self.mac, &self.addresses));
        self.card.sends(to_probe.flatten());
        self.card.arrived(frame);
    }

    pub(crate) fn drive(&mut self, now: Duration) -> Vec<Vec<u8>> {
        let at = instant(now);
        self.interface.poll(at, &mut self.card, &mut self.sockets);
        for web in &mut self.web {
            web.drive(now, &mut self.sockets);
        }
        if let Some(names) = &self.names {
            names.drive(&mut self.sockets);
        }
        if let Some(time) = &self.time {
            time.drive(now, &mut self.sockets);
        }
        self.interface.poll(at, &mut self.card, &mut self.sockets);
        self.card.sent()
    }

    pub(crate) fn due(&mut self, now: Duration) -> Option<Duration> {
        let stack = self.interface.poll_at(instant(now), &self.sockets);
        let stack = stack.map(|at| Duration::from_micros(at.total_micros().unsigned_abs()) / HASTE);
        let web = self.web.iter().filter_map(|web| web.due(now));
        stack.into_iter().chain(web).min()
    }
}

/// Everything on a host that speaks HTTP.
fn web(host: &Host, sockets: &mut SocketSet<'static>) -> Vec<Web> {
    let store = host.shelf.as_ref();
    let plain = store.map(|shelf| (shelf, Speech::Plain));
    let tls = store.zip(host.tls.clone()).map(|(shelf, tls)| (shelf, Speech::Tls(tls)));
    let proxy = host.proxy.as_ref();
    let proxy = proxy.map(|proxy| (&proxy.shelf, Speech::Proxy(Arc::clone(&proxy.tls))));
    let all = plain.into_iter().chain(tls).chain(proxy);
    all.map(|(shelf, speech)| Web::new(shelf.clone(), speech, sockets)).collect()
}

/// What a host's clock shows.
fn instant(now: Duration) -> Instant {
    // A test does not take the 292,000 years that this holds.
    Instant::from_micros(i64::try_from((now * HASTE).as_micros()).unwrap_or(i64::MAX))
}
