//! All NICs at once, in one thread and one poll(2): who reaches the store first wins.

mod advised;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::configure::apply;
use super::contender::{Contender, Family};
use super::error::{Failure, NetError};
use super::ipv6;
use super::lldp::{Ears, Numbers};
use super::netlink::{Link, LinkKind, Monitor, Netlink};
use super::nic::Nic;
use super::reach::{Reach, Unreached, smaller};
use super::stack::Stack;
use super::table::{Card, short, with_driverless};
use super::{NetConfig, Network};
use crate::console::wait_for;
use waiting::waiting;

/// How long others wait for the NIC that the machine was booted from, once they are ready and as long
/// as it has carrier: its server answered a moment ago, so it is about to.
const BOOTIF_GRACE: Duration = Duration::from_secs(2);

/// Between two lines that say what is waited for.
const TELL_EVERY: Duration = Duration::from_secs(3);

/// NICs that take part, and vanished ones that are remembered. Servers have about ten; more would be
/// virtual functions, which are not to be booted from by the hundred.
const NICS_MAX: usize = 64;

/// Each of them has one for each family.
const CONTENDERS_MAX: usize = 2 * NICS_MAX;

pub(super) struct Race<'a> {
    config: &'a NetConfig,
    netlink: Netlink,
    monitor: Monitor,
    stack: Stack<'a>,
    ears: Ears,
    /// What switches advised, in words, and was said or done already.
    advised: BTreeSet<String>,
    numbers: Numbers,
    began: Instant,
    /// By the link's number.
    contenders: BTreeMap<(u32, Family), Contender>,
    gone: Vec<Nic>,
    /// When the first NIC became ready, for the grace of BOOTIF's.
    first_ready: Option<Duration>,
    next_tell: Duration,
}

type Say<'a> = &'a mut dyn FnMut(&str);

impl<'a> Race<'a> {
    pub(super) fn new(config: &'a NetConfig) -> Result<Self, NetError> {
        // A link that has no such file is asked again for itself.
        let _ = ipv6::ignore_routers(ipv6::LATER_LINKS);
        Ok(Self {
            config,
            // Before the links are listed for the first time, so that none is missed.
            monitor: Monitor::open().map_err(NetError::kernel("watch links by rtnetlink"))?,
            netlink: Netlink::open().map_err(NetError::kernel("open rtnetlink"))?,
            stack: Stack::new(config),
            ears: Ears::default(),
            advised: BTreeSet::new(),
            numbers: Numbers::default(),
            began: Instant::now(),
            contenders: BTreeMap::new(),
            gone: Vec::new(),
            first_ready: None,
            next_tell: TELL_EVERY,
        })
    }

    /// Runs until a NIC reaches the store or the deadline has passed.
    pub(super) fn run(mut self, reach: &mut Reach<'_>, say: Say<'_>) -> Result<Network, NetError> {
        self.list(say)?;
        loop {
            self.drive();
            self.hear(say)?;
            if self.now() >= self.config.deadline {
                return Err(NetError::NoNetwork(Box::new(self.failure())));
            }
            if self.is_interrupted() {
                return Err(NetError::Interrupted);
            }
            if let Some(index) = self.candidate()
                && let Some(network) = self.attempt(index, reach, say)
            {
                self.tell_others(&network, say);
                return Ok(network);
            }
            self.tell(say);
            if self.wait()? {
                self.list(say)?;
            }
        }
    }

    fn is_interrupted(&self) -> bool {
        let interrupt = self.config.interrupt.as_ref();
        interrupt
            .is_some_and(|fd| wait_for(fd.as_fd(), rustix::event::PollFlags::IN, Duration::ZERO))
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Brings the contenders in line with the kernel's links.
    fn list(&mut self, say: Say<'_>) -> Result<(), NetError> {
        self.monitor.drain();
        let mut links = all_links(&mut self.netlink)?;
        if self.stack.clear(&mut self.netlink, &links, say) {
            links = all_links(&mut self.netlink)?;
        }
        self.stack.build(&mut self.netlink, &links, say);
        let lost = self.links();
        for index in lost.into_iter().filter(|index| !links.iter().any(|link| link.index == *index))
        {
            self.lose(index, say);
        }
        for link in &links {
            if link.kind == LinkKind::Loopback {
                self.raise_loopback(link);
            } else if self.of_link(link.index).next().is_some() {
                let now = self.began.elapsed();
                let mut has_changed = false;
                for (_, contender) in self.contenders.range_mut(families(link.index)) {
                    has_changed |= contender.update(link, self.config, now);
                    // One that became a port because a switch said so; until then it may win by itself.
                    let used_for = link.master.and_then(|_| self.stack.used_for(&contender.nic));
                    if let Some(why) = used_for {
                        contender.retire(why);
                    }
                }
                if has_changed {
                    let state = if link.carrier { "carrier up" } else { "carrier lost" };
                    say(&format!("network: {} {state}", link.name));
                }
            } else if self.contenders.len() < CONTENDERS_MAX {
                self.meet(link, say);
            }
            let is_card = self.of_link(link.index).next().is_some() && !self.stack.is_made(link);
            if is_card && let Some(why) = self.ears.follow(link) {
                say(&format!("network: {why}"));
            }
        }
        Ok(())
    }

    /// A link seen for the first time: raised if it is a NIC that may take part.
    fn meet(&mut self, link: &Link, say: Say<'_>) {
        let is_made = self.stack.is_made(link);
        let Some(nic) = Nic::of(link, self.config.policy, is_made) else { return };
        let now = self.now();
        let unwanted = self.why_unwanted(&nic);
        let id = nic.pci_id.as_deref().unwrap_or("no PCI id");
        let driver = nic.driver.as_deref().unwrap_or("no driver name");
        say(&format!("network: {} is {} ({id}, {driver})", nic.name, nic.mac));
        // An attempt before this one may have left an address and a default route, which would
        // carry the traffic of whichever NIC is tried first.
        let cleared = self.netlink.clear(link.index);
        let mut notes = Vec::new();
        notes.extend(cleared.err().map(|error| format!("keeps an old address: {error}")));
        if let Err(error) = ipv6::ignore_routers(&nic.name) {
            notes.push(format!("may take routes by itself: {error}"));
        }
        if unwanted.is_none()
            && let Err(error) = self.raise(link)
        {
            // ENOENT is how drivers report firmware that was not found.
            notes.push(format!("cannot be raised: {error}"));
        }
        for family in Family::wanted(&self.config.addressing) {
            let mut contender = match &unwanted {
                None => Contender::new(nic.clone(), *family),
                Some(why) => Contender::unwanted(nic.clone(), *family, why.clone()),
            };
            for note in &notes {
                contender.note(note.clone());
            }
            contender.update(link, self.config, now);
            self.contenders.insert((link.index, *family), contender);
        }
    }

    /// The contenders of one link.
    fn of_link(&self, index: u32) -> impl Iterator<Item = &Contender> {
        self.contenders.range(families(index)).map(|(_, contender)| contender)
    }

    /// A NIC with everything that its contenders heard.
    fn report(&self, index: u32) -> Option<Nic> {
        let now = self.now();
        let mut reports = self.of_link(index).map(|contender| contender.report(now));
        let neighbor = self.ears.neighbor(index).cloned();
        let first = Nic { neighbor, ..reports.next()? };
        Some(reports.fold(first, |first, other| {
            if first.heard == other.heard {
                return first;
            }
            // How long there has been carrier is said once.
            let carrier = other.heard.strip_prefix("carrier up ");
            let rest = carrier.and_then(|text| text.split_once(", ")).map(|(_, rest)| rest);
            let heard = format!("{}; {}", first.heard, rest.unwrap_or(&other.heard));
            Nic { heard, ..first }
        }))
    }

    /// The numbers of all links, once each.
    fn links(&self) -> Vec<u32> {
        let mut links: Vec<u32> = self.contenders.keys().map(|(index, _)| *index).collect();
        links.dedup();
        links
    }

    fn why_unwanted(&self, nic: &Nic) -> Option<String> {
        let not_asked_for = || "not the NIC that was asked for".to_owned();
        let other = || (!self.is_wanted(nic)).then(not_asked_for);
        self.stack.used_for(nic).or_else(other)
    }

    /// What switches speak of is made on wanted cards only, whatever it is called.
    fn is_wanted(&self, nic: &Nic) -> bool {
        self.config.nic.as_ref().is_none_or(|choice| nic.is(choice))
            || Stack::is_of_switch(&nic.name)
    }

    fn raise(&mut self, link: &Link) -> std::io::Result<()> {
        if link.up { Ok(()) } else { self.netlink.raise(link.index) }
    }

    /// Programs that talk to themselves expect 127.0.0.1; none of ours does, so a refusal is no
    /// reason to stop.
    fn raise_loopback(&mut self, link: &Link) {
        let _ = self.raise(link);
    }

    fn lose(&mut self, index: u32, say: Say<'_>) {
        for (_, contender) in self.contenders.range_mut(families(index)) {
            contender.note("gone again".to_owned());
        }
        let Some(nic) = self.report(index) else { return };
        self.contenders.retain(|(of, _), _| *of != index);
        self.ears.forget(index);
        say(&format!("network: {} is gone", nic.name));
        if self.gone.len() < NICS_MAX {
            self.gone.push(nic);
        }
    }

    fn drive(&mut self) {
        let now = self.now();
        for contender in self.contenders.values_mut() {
            contender.drive(self.config, now);
        }
        if self.contenders.values().any(|contender| contender.ready(now).is_some()) {
            self.first_ready.get_or_insert(now);
        }
    }

    /// The ready NIC to try now: BOOTIF's before others, untried before tried.
    fn candidate(&self) -> Option<(u32, Family)> {
        let now = self.now();
        let ready = self.contenders.iter().filter_map(|(key, contender)| {
            let (_, attempts) = contender.ready(now)?;
            Some((attempts, !self.is_boot_nic(contender), *key))
        });
        let (_, other, key) = ready.min()?;
        (!other || !self.waits_for_boot_nic(now)).then_some(key)
    }

    fn is_boot_nic(&self, contender: &Contender) -> bool {
        self.config.bootif == Some(contender.nic.mac)
    }

    fn waits_for_boot_nic(&self, now: Duration) -> bool {
        let mut of_boot_nic =
            self.contenders.values().filter(|nic| self.is_boot_nic(nic)).peekable();
        // One that was ready in one family does not wait for the other.
        self.grace_end().is_some_and(|end| now < end)
            && of_boot_nic.peek().is_some()
            && of_boot_nic.all(Contender::is_asking)
    }

    fn grace_end(&self) -> Option<Duration> {
        self.first_ready.filter(|_| self.config.bootif.is_some()).map(|at| at + BOOTIF_GRACE)
    }

    /// Configures one NIC and lets it try the store; with smaller packets where long ones vanish.
    fn attempt(
        &mut self,
        key: (u32, Family),
        reach: &mut Reach<'_>,
        say: Say<'_>,
    ) -> Option<Network> {
        let now = self.now();
        let nic = self.report(key.0)?;
        let contender = self.contenders.get_mut(&key)?;
        let first = Network { nic, ..contender.ready(now)?.0.clone() };
        let name = &first.nic.name;
        say(&format!("network: {name} has {}, trying the store", first.source()));
        for remark in contender.take_remarks() {
            say(&format!("network: {name}: {remark}"));
        }
        let mut network = first.clone();
        let why = loop {
            match self.try_out(key, &network, reach, say) {
                Ok(mtu_before) => return Some(Network { mtu_before, ..network }),
                Err(Unreached::Silent(why)) => break why,
                Err(Unreached::LongOnesVanish(why)) => match smaller(&network) {
                    Some(mtu) => {
                        say(&format!("network: {name}: {why}; trying with an MTU of {mtu}"));
                        network.mtu = Some(mtu);
                    }
                    None if self.has_untried() => break why,
                    // Whatever it is, it is not this; who needs the answers says it better.
                    None => match apply(&mut self.netlink, &first, &self.config.resolv_conf) {
                        Ok(applied) => {
                            say(&format!("network: {name}: it is not the MTU, which stays"));
                            return Some(Network { mtu_before: applied.mtu_before, ..first });
                        }
                        Err(error) => break error.to_string(),
                    },
                },
            }
        };
        say(&format!("network: {name} does not reach the store: {why}"));
        let now = self.now();
        self.contenders.get_mut(&key)?.failed(&why, self.config, now);
        None
    }

    /// Whether a NIC has an address and was not tried yet.
    fn has_untried(&self) -> bool {
        let now = self.now();
        self.contenders.values().any(|other| matches!(other.ready(now), Some((_, 0))))
    }

    /// Configures a NIC and tries the store; where that fails nothing stays configured. Returns the MTU
    /// that it had, where it has another now.
    fn try_out(
        &mut self,
        key: (u32, Family),
        network: &Network,
        reach: &mut Reach<'_>,
        say: Say<'_>,
    ) -> Result<Option<u16>, Unreached> {
        let applied = apply(&mut self.netlink, network, &self.config.resolv_conf)
            .map_err(|error| error.to_string())?;
        for refused in &applied.refused {
            say(&format!("network: {} {refused}", network.nic.name));
            if let Some(contender) = self.contenders.get_mut(&key) {
                contender.note(refused.clone());
            }
        }
        let left = self.config.deadline.saturating_sub(self.now());
        let mtu_before = applied.mtu_before;
        reach(network, left).map(|()| mtu_before).inspect_err(|_| applied.undo(&mut self.netlink))
    }

    /// Says now and then what is waited for, and how long it still will be.
    fn tell(&mut self, say: Say<'_>) {
        let now = self.now();
        if now < self.next_tell {
            return;
        }
        self.next_tell = now + TELL_EVERY;
        let all = self.links().into_iter().filter_map(|index| self.report(index));
        let all: Vec<Nic> = all.filter(|nic| self.is_wanted(nic)).collect();
        let left = self.config.deadline.saturating_sub(now);
        say(&format!("network: {}", waiting(&all, left)));
    }

    /// Sleeps until a link changes, a frame arrives or something is due. Returns whether a link
    /// changed.
    fn wait(&self) -> Result<bool, NetError> {
        let mut fds = vec![PollFd::new(self.monitor.as_fd(), PollFlags::POLLIN)];
        let sockets = self.contenders.values().filter_map(Contender::socket);
        let sockets = sockets.map(AsFd::as_fd).chain(self.ears.fds());
        fds.extend(
            self.config.interrupt.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)),
        );
        fds.extend(sockets.map(|socket| PollFd::new(socket, PollFlags::POLLIN)));
        match poll(&mut fds, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => Ok(fds.first().is_some_and(|fd| fd.any() == Some(true))),
            Err(error) => Err(NetError::kernel("wait for the network by poll")(error.into())),
        }
    }

    fn timeout(&self) -> PollTimeout {
        let now = self.now();
        let grace = self.grace_end().filter(|end| *end > now);
        let due = self.contenders.values().filter_map(Contender::next_at);
        // Whoever is ready but held back by the grace has nothing due before it ends.
        let due = due.map(|at| if at <= now { grace.unwrap_or(at) } else { at });
        let next = due.chain(grace).chain([self.next_tell, self.config.deadline]).min();
        // Rounded up, or the loop would spin through the last millisecond.
        let wait = next.unwrap_or(now).saturating_sub(now) + Duration::from_millis(1);
        PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
    }

    fn failure(&self) -> Failure {
        let now = self.now();
        let nics = self.nics();
        let cards = with_driverless(nics.iter().map(Card::of).collect());
        Failure { waited: now, wanted: self.config.nic.clone(), nics, cards }
    }

    /// All NICs with what they heard, those that are gone too.
    fn nics(&self) -> Vec<Nic> {
        let here = self.links().into_iter().filter_map(|index| self.report(index));
        here.chain(self.gone.iter().cloned()).collect()
    }

    /// Says what else there is when one NIC has won.
    fn tell_others(&self, network: &Network, say: Say<'_>) {
        let mut cards: Vec<Card> = self.nics().iter().map(Card::of).collect();
        let is_used = |card: &&mut Card| card.name.as_ref() == Some(&network.nic.name);
        if let Some(used) = cards.iter_mut().find(is_used) {
            used.is_used_for(network);
        }
        for line in short(&cards) {
            say(&format!("network: {line}"));
        }
    }
}

/// The keys of one link's contenders.
fn families(index: u32) -> RangeInclusive<(u32, Family)> {
    (index, Family::V4)..=(index, Family::V6)
}

fn all_links(netlink: &mut Netlink) -> Result<Vec<Link>, NetError> {
    netlink.links().map_err(NetError::kernel("list links"))
}
