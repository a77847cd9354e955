//! `network`: each NIC with what was heard on it, and raising it.

use std::net::IpAddr;
use std::time::Instant;

use deploy::disks::size_text;
use store::label::LabelName;

use super::screen::{fact, titled};
use super::{Halt, Session};
use crate::boot;
use crate::config::Settings;
use crate::console::{Wanted, Watch};
use crate::net::{self, Card, Giver, Network};
use crate::report::{ANSWER, answer, look};
use crate::stop::Stop;

/// Ctrl-C.
const CANCEL: Wanted = Wanted { keys: b"\x03", said: "giving up" };

impl Session<'_> {
    pub(super) fn network(&mut self, rest: &str) -> Result<(), Halt> {
        if rest == "up" {
            let settings = self.settings()?;
            self.raise(&settings, settings.labels.first())?;
        }
        let network = self.machine.network();
        let used = network.clone();
        let seen = look("cards", move || net::cards(used.as_ref()));
        let cards = answer(&seen, Instant::now() + ANSWER).unwrap_or_default();
        let cards: Vec<Card> = cards.into_iter().map(|card| self.with_heard(card)).collect();
        self.show(&screen(&cards, network.as_ref()));
        Ok(())
    }

    /// Adds what was heard when the network was raised in vain.
    fn with_heard(&self, card: Card) -> Card {
        let is_same = |heard: &&Card| heard.name.is_some() && heard.name == card.name;
        match self.heard.iter().find(is_same).filter(|_| card.in_use.is_none()) {
            Some(Card { heard, neighbor, .. }) => {
                Card { heard: heard.clone(), neighbor: neighbor.clone(), ..card }
            }
            None => card,
        }
    }

    /// Sees to it that a store is reached, if one needs a network: once, and it stays. Ctrl-C ends
    /// the wait.
    pub(super) fn reach(
        &mut self,
        settings: &Settings,
        label: Option<&LabelName>,
    ) -> Result<(), Halt> {
        if !boot::needs_network(settings) {
            return Ok(());
        }
        if let Some(network) = self.machine.network() {
            let asked = settings.clone();
            if self.ask_store(move |_| boot::reaches(&asked, &network))? {
                return Ok(());
            }
        }
        self.raise(settings, label)
    }

    /// Asks the store, unless Ctrl-C is pressed while it does not answer.
    pub(super) fn ask_store<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Stop) -> T + Send + 'static,
    ) -> Result<T, Halt> {
        let watch = self.watch();
        let stop = stop_of(watch.as_ref());
        let asked = stop.clone();
        stop.unless(&self.machine.console, move || ask(&asked)).ok_or(Halt::GivenUp)
    }

    /// Watches for Ctrl-C, while nothing is asked.
    pub(super) fn watch(&self) -> Option<Watch> {
        Watch::begin(&self.machine.console, &CANCEL).ok()
    }

    fn raise(&mut self, settings: &Settings, label: Option<&LabelName>) -> Result<(), Halt> {
        self.show("raising the network; Ctrl-C gives up\n");
        let watch = self.watch();
        let signal = watch.as_ref().map(Watch::signal);
        boot::raise(self.machine, settings, label, signal).map_err(Halt::Failed)?;
        self.heard.clear();
        Ok(())
    }
}

/// Said once the key of `watch` was pressed.
pub(super) fn stop_of(watch: Option<&Watch>) -> Stop {
    Stop::when(watch.map(Watch::signal), "Ctrl-C")
}

/// The screen: the table of all cards, and the network.
fn screen(cards: &[Card], network: Option<&Network>) -> String {
    let mut rows = net::table(cards);
    if cards.is_empty() {
        rows = vec!["no network card: no driver in this image, or none in this machine".into()];
    }
    rows.push(String::new());
    rows.extend(
        network.map_or_else(|| vec!["not up; network up raises it".to_string()], addresses),
    );
    titled("network", rows)
}

fn addresses(network: &Network) -> Vec<String> {
    let all = |addresses: &[IpAddr]| {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let mut rows =
        fact("address", &format!("{}/{} on {}", network.address, network.prefix, network.nic.name));
    rows.extend(fact("gateway", &network.gateway.map_or("none".into(), |at| at.to_string())));
    rows.extend(fact("resolver", &all(&network.nameservers)));
    rows.extend(fact("time", &all(&network.ntp)));
    let mtu = network.mtu.map(|mtu| size_text(u64::from(mtu)));
    rows.extend(fact("MTU", &mtu.unwrap_or_default()));
    if let Some(lease) = &network.lease {
        let seconds = match lease.seconds {
            u32::MAX => "for ever".into(),
            seconds => format!("for {seconds} s"),
        };
        let title = if lease.by == Giver::Router { "router" } else { "lease" };
        rows.extend(fact(title, &format!("by {} {seconds}", lease.server)));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::super::screen::fits;
    use super::*;
    use crate::net::{Lease, Nic};

    fn nic(name: &str, heard: &str) -> Nic {
        Nic {
            name: name.into(),
            index: 2,
            mac: "52:54:00:12:34:56".parse().unwrap(),
            bus: "virtio0".into(),
            pci_id: Some("1af4:1000".into()),
            driver: Some("virtio_net".into()),
            is_up: true,
            carrier: true,
            speed_mbps: Some(10_000),
            full_duplex: None,
            neighbor: None,
            heard: heard.into(),
        }
    }

    #[test]
    fn cards_and_what_was_heard() {
        let other = Nic {
            mac: "52:54:00:12:34:57".parse().unwrap(),
            carrier: false,
            speed_mbps: None,
            full_duplex: None,
            neighbor: None,
            ..nic("eth1", "no carrier")
        };
        let down = Nic {
            mac: "52:54:00:12:34:58".parse().unwrap(),
            is_up: false,
            ..Nic { heard: "not raised yet".into(), name: "eth2".into(), ..other.clone() }
        };
        let server = [10, 0, 2, 2].into();
        let network = Network {
            nic: nic("eth0", ""),
            address: [10, 0, 2, 15].into(),
            prefix: 24,
            peer: None,
            gateway: Some(server),
            routes: Vec::new(),
            nameservers: vec![[10, 0, 2, 3].into()],
            domain: None,
            hostname: None,
            ntp: Vec::new(),
            mtu: None,
            mtu_before: None,
            since: Instant::now(),
            server_id: None,
            lease: Some(Lease {
                server,
                by: Giver::Dhcp,
                seconds: 86_400,
                renew_s: 1,
                rebind_s: 2,
            }),
        };
        let expected = "\
== network ====================================================================
name       address           driver       link       place
eth0       52:54:00:12:34:56 virtio_net   10000M     virtio0 1af4:1000
  in use: lease 10.0.2.15/24 from 10.0.2.2
eth1       52:54:00:12:34:57 virtio_net   no carrier virtio0 1af4:1000
eth2       52:54:00:12:34:58 virtio_net   not raised virtio0 1af4:1000

address   10.0.2.15/24 on eth0
gateway   10.0.2.2
resolver  10.0.2.3
lease     by 10.0.2.2 for 86400 s
";
        let mut cards = [nic("eth0", ""), other, down].map(|nic| Card::of(&nic));
        cards[0].is_used_for(&network);
        assert_eq!(screen(&cards, Some(&network)), expected);
        assert!(screen(&[], None).contains("no network card"));
        let long = nic("a-very-long-name", &"heard this and that, ".repeat(20));
        assert!(fits(&screen(&[Card::of(&long)], None)));
    }
}
