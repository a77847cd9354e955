//! One network while it is in use, until it is lost.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, bind, setsockopt, socket, sockopt,
};

use super::contender::random;
use super::deaf::{Neighbors, ROUNDS, SILENCE, ask_neighbors};
use super::dhcp::{Answer, CLIENT_PORT, Renewal, SERVER_PORT, Step, To, Word};
use super::flaps::Flaps;
use super::held_v6::HeldV6;
use super::in_use::InUse;
use super::netlink::{Link, Monitor, Netlink};
use super::{Giver, MTU_MAX, Network};

/// A link that is lost may come back for so long: switches and cards negotiate anew in some 3 s.
const CARRIER_GRACE: Duration = Duration::from_secs(5);

/// Between two looks whether anything comes at least.
const LOOK_LEAST: Duration = Duration::from_secs(2);

/// The same at most, where a store is silent and its neighbours are not.
const LOOK_MOST: Duration = Duration::from_mins(1);

/// Longest datagram of a DHCP server: one frame.
pub(super) const DATAGRAM_MAX: usize = MTU_MAX as usize;

/// Datagrams taken at a time; others have their turn then.
pub(super) const DATAGRAMS_PER_TURN: usize = 16;

/// What is said of a card whose link the kernel does not have any more.
pub(super) const GONE: &str = "the network card is gone";

/// Why a network is not kept any longer.
pub(super) enum End {
    /// It is not wanted any more.
    Stopped,
    /// It cannot be used any more.
    Lost(String),
}

/// A network that is in use.
pub(super) struct Held<'a> {
    network: &'a mut Network,
    in_use: &'a InUse,
    netlink: Netlink,
    monitor: Monitor,
    /// Times are since the lease was granted.
    began: Instant,
    /// None where there is no lease, or one without end.
    lease: Option<(Renewal, UdpSocket)>,
    /// The same for an address of IPv6.
    v6: Option<HeldV6>,
    was_renewed: bool,
    down_since: Option<Duration>,
    flaps: Flaps,
    /// When it is looked at next whether anything comes; none where neighbours do not tell that.
    next_look: Option<Duration>,
    /// Until the look after that: neighbours that answer are asked less and less.
    patience: Duration,
}

type Say<'a> = &'a mut dyn FnMut(&str);

impl<'a> Held<'a> {
    /// `network`, which is configured; `in_use` is told of changes.
    pub(super) fn new(network: &'a mut Network, in_use: &'a InUse) -> io::Result<Self> {
        let began = network.since;
        let (monitor, netlink) = (Monitor::open()?, Netlink::open()?);
        let renewal = match (network.address, network.lease) {
            (IpAddr::V4(address), Some(lease)) => {
                let who = (network.nic.mac, address);
                Some(Renewal::new(who, lease, random(), Duration::ZERO))
            }
            _ => None,
        };
        let lease = match renewal.filter(|renewal| renewal.next_at().is_some()) {
            Some(renewal) => Some((renewal, client_socket(&network.nic.name)?)),
            None => None,
        };
        let v6 = HeldV6::new(network)?;
        let (was_renewed, down_since) = (false, None);
        let flaps = Flaps::default();
        Ok(Self {
            network,
            in_use,
            netlink,
            monitor,
            began,
            lease,
            v6,
            was_renewed,
            down_since,
            flaps,
            next_look: None,
            patience: SILENCE,
        })
    }

    /// Keeps it until it is lost, or `stop` is readable.
    pub(super) fn keep(mut self, stop: &OwnedFd, say: Say<'_>) -> io::Result<End> {
        // Some answer no such question, and their silence would say nothing. A link over which nothing
        // can be asked is told by the kernel.
        if matches!(ask_neighbors(self.network, 1, stop), Ok(Neighbors::Answer)) {
            self.next_look = Some(self.now() + SILENCE);
        }
        loop {
            // What changes while it is looked at is looked at again.
            self.monitor.drain();
            let lost = self.watch_link(say)?.or_else(|| self.ask()).or_else(|| self.hear(say));
            let lost = lost.or_else(|| self.keep_v6(say));
            let lost = lost.or_else(|| self.listen(stop, say));
            if let Some(why) = lost {
                return Ok(End::Lost(format!("{}: {why}", self.network.nic.name)));
            }
            if self.wait(stop)? {
                return Ok(End::Stopped);
            }
        }
    }

    /// Asks the neighbours where all that is asked of stores is silent; why the network is lost, if
    /// these are, too.
    fn listen(&mut self, stop: &OwnedFd, say: Say<'_>) -> Option<String> {
        let now = self.now();
        if self.look_at().is_none_or(|at| now < at) {
            return None;
        }
        let silence = self.in_use.silent_for().unwrap_or_default();
        if silence < SILENCE {
            self.patience = SILENCE;
            self.next_look = Some(now + SILENCE.saturating_sub(silence).max(LOOK_LEAST));
            return None;
        }
        let (name, seconds) = (&self.network.nic.name, silence.as_secs());
        say(&format!(
            "{name} nothing came for {seconds} s; asking its neighbours, for {ROUNDS} s at most"
        ));
        let neighbors = ask_neighbors(self.network, ROUNDS, stop);
        self.next_look = Some(self.now() + self.patience);
        self.patience = (self.patience * 2).min(LOOK_MOST);
        let Ok(Neighbors::Silent(silent)) = neighbors else { return None };
        let silent: Vec<String> = silent.iter().map(ToString::to_string).collect();
        Some(format!(
            "it has carrier and hears nothing: neither the store nor {} answers",
            silent.join(", ")
        ))
    }

    /// When it is looked at whether anything comes: not while the link is down.
    fn look_at(&self) -> Option<Duration> {
        self.next_look.filter(|_| self.down_since.is_none())
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Why the link is lost, if it is.
    fn watch_link(&mut self, say: Say<'_>) -> io::Result<Option<String>> {
        let (now, name) = (self.now(), &self.network.nic.name);
        let links = self.netlink.links()?;
        let is_ours = |link: &&Link| link.index == self.network.nic.index;
        let Some(link) = links.iter().find(is_ours) else {
            return Ok(Some(GONE.into()));
        };
        match (self.down_since, link.carrier) {
            (None, false) => {
                let seconds = CARRIER_GRACE.as_secs();
                say(&format!("{name} carrier lost; it may come back for {seconds} s"));
                self.down_since = Some(now);
                return Ok(self.flaps.lost(now));
            }
            (Some(_), true) => {
                say(&format!("{name} carrier up"));
                self.down_since = None;
                // The other end of the cable may be another.
                if let Some((renewal, _)) = &mut self.lease {
                    renewal.ask_soon(now);
                }
                if let Some(held) = &mut self.v6 {
                    held.ask_soon(now);
                }
            }
            (Some(since), false) if now >= since + CARRIER_GRACE => {
                return Ok(Some(format!(
                    "no carrier for {} s",
                    now.saturating_sub(since).as_secs()
                )));
            }
            _ => {}
        }
        Ok(None)
    }

    /// Sends what is due; why the lease is lost, if it is.
    fn ask(&mut self) -> Option<String> {
        let now = self.now();
        let (renewal, socket) = self.lease.as_mut()?;
        match renewal.poll(now)? {
            Step::Lost(why) => Some(why),
            Step::Ask(to, message) => {
                let to = match to {
                    To::Server(server) => server,
                    To::All => Ipv4Addr::BROADCAST.into(),
                };
                // One that is lost is asked again: the link may be down, or nobody there.
                let _ = socket.send_to(&message, SocketAddr::new(to, SERVER_PORT));
                None
            }
        }
    }

    /// Takes what has arrived; why the lease is lost, if it is.
    fn hear(&mut self, say: Say<'_>) -> Option<String> {
        let mut datagram = vec![0; DATAGRAM_MAX];
        for _ in 0..DATAGRAMS_PER_TURN {
            let now = self.now();
            let (renewal, socket) = self.lease.as_mut()?;
            // Nothing, or an ICMP error for what was sent: it is asked again.
            let Ok((length, _)) = socket.recv_from(&mut datagram) else { return None };
            match renewal.receive(now, &datagram[..length]) {
                None => {}
                Some(Word::Lost(why)) => return Some(why),
                Some(Word::Renewed(answer)) => self.renewed(&answer, say),
            }
        }
        None
    }

    /// Sends what is due and takes what has arrived for an address of IPv6; why it is lost, if it is.
    fn keep_v6(&mut self, say: Say<'_>) -> Option<String> {
        let now = self.now();
        let held = self.v6.as_mut()?;
        if let Some(why) = held.ask(now) {
            return Some(why);
        }
        match held.hear(now)? {
            Err(why) => Some(why),
            Ok(lease) => {
                let name = &self.network.nic.name;
                let how = match lease.by {
                    Giver::Dhcp => format!("lease renewed by {}", lease.server),
                    Giver::Router => format!("address is still of router {}", lease.server),
                };
                say_renewed(&mut self.was_renewed, &format!("{name} {how}"), lease.seconds, say);
                self.network.lease = Some(lease);
                self.in_use.set(self.network.clone());
                None
            }
        }
    }

    /// The lease is good for longer. What else the server says by now is left for the next boot:
    /// routes and names that change under a fetch break it.
    fn renewed(&mut self, answer: &Answer, say: Say<'_>) {
        let (server, seconds) = (answer.lease.server, answer.lease.seconds);
        let how = format!("{} lease renewed by {server}", self.network.nic.name);
        say_renewed(&mut self.was_renewed, &how, seconds, say);
        self.network.lease = Some(answer.lease);
        self.in_use.set(self.network.clone());
    }

    /// Sleeps until something is due, or happens; whether it is to end.
    fn wait(&self, stop: &OwnedFd) -> io::Result<bool> {
        let due = self.lease.as_ref().and_then(|(renewal, _)| renewal.next_at());
        let due = due.into_iter().chain(self.v6.as_ref().and_then(HeldV6::next_at));
        let grace = self.down_since.map(|since| since + CARRIER_GRACE);
        let next = due.chain(grace).chain(self.look_at()).min();
        // Rounded up, or the loop would spin through the last millisecond.
        let left = next.map(|next| next.saturating_sub(self.now()) + Duration::from_millis(1));
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = vec![
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.monitor.as_fd(), PollFlags::POLLIN),
        ];
        let socket = self.lease.as_ref().map(|(_, socket)| socket.as_fd());
        let sockets = socket.into_iter().chain(self.v6.iter().flat_map(HeldV6::fds));
        fds.extend(sockets.map(|socket| PollFd::new(socket, PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(fds[0].any() == Some(true)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Once is enough: every few seconds the same line would help nobody.
fn say_renewed(was_renewed: &mut bool, how: &str, seconds: u32, say: Say<'_>) {
    if !std::mem::replace(was_renewed, true) {
        let seconds = if seconds == u32::MAX { "ever".into() } else { format!("{seconds} s") };
        say(&format!("{how} for {seconds}, and will be from now on"));
    }
}

/// A socket for a DHCP client that has an address (`socket(7)`, `ip(7)`): what is sent takes the way
/// through the NIC called `name`, whatever the routes say.
pub(super) fn client_socket(name: &str) -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet, SockType::Datagram, flags, SockProtocol::Udp)?;
    setsockopt(&fd, sockopt::BindToDevice, &name.into())?;
    setsockopt(&fd, sockopt::Broadcast, &true)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
    bind(fd.as_raw_fd(), &SockaddrIn::from(any))?;
    Ok(fd.into())
}
