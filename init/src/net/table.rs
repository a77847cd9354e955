//! Every network card of the machine in one table: what it is, what its cable brings, and why it does
//! not lead to the store. For the console, and as fields for programs.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Network;
use super::lldp::Neighbor;
use super::nic::{Nic, driverless, nics};
use crate::devices::firmware_missing;
use crate::report::wrap;

/// Columns of a screen that are written: on some consoles the last one wraps.
const WIDTH: usize = 79;

/// The table's first row.
pub(crate) const HEAD: &str =
    "name       address           driver       link       place                 ";

/// Files of firmware told of one card: drivers try some names one after the other.
const FIRMWARE_MAX: usize = 3;

/// Cards told of when another is in use.
const SHORT_MAX: usize = 12;

/// So many Mb/s or fewer are told as what is wrong: a port, a cable or what both agreed upon. Nothing
/// that is deployed is small enough for it.
const SLOW_MBPS: u32 = 100;

/// A network card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Card {
    /// What the kernel calls it; `None` where no driver serves it.
    pub name: Option<String>,
    /// Its Ethernet address.
    pub mac: Option<String>,
    /// The device on its bus; empty for a link that is made of others.
    pub bus: String,
    /// PCI vendor and device in hex.
    pub pci_id: Option<String>,
    /// The driver that serves it.
    pub driver: Option<String>,
    /// Files that its driver asked for and did not get.
    pub firmware_missing: Vec<String>,
    /// It was raised: before that nothing is known of its cable.
    pub is_up: bool,
    /// The cable is live.
    pub carrier: bool,
    /// Mb/s, where the driver knows.
    pub speed_mbps: Option<u32>,
    /// Both directions at once, where the driver knows.
    pub full_duplex: Option<bool>,
    /// What is at the other end of the cable, where that said so by LLDP.
    pub neighbor: Option<String>,
    /// The address that is in use, with its prefix.
    pub in_use: Option<String>,
    /// What it brought, or why it is not used.
    pub heard: String,
}

/// The machine's cards as they are now, of which `network` is in use. Nothing is asked on the wire.
pub fn cards(network: Option<&Network>) -> Vec<Card> {
    let mut cards: Vec<Card> = nics().unwrap_or_default().iter().map(Card::of).collect();
    if let Some(network) = network {
        let name = Some(&network.nic.name);
        let made = Card::of(&network.nic);
        if !cards.iter().any(|card| card.name.as_ref() == name) {
            cards.push(made);
        }
        let used = cards.iter_mut().find(|card| card.name.as_ref() == name);
        if let Some(card) = used {
            card.is_used_for(network);
        }
    }
    with_driverless(cards)
}

/// These cards, those that no driver serves, and the firmware that either misses.
pub(super) fn with_driverless(mut cards: Vec<Card>) -> Vec<Card> {
    cards.extend(driverless());
    let places: BTreeSet<&str> =
        cards.iter().map(|card| card.bus.as_str()).filter(|bus| !bus.is_empty()).collect();
    let missing = firmware_missing(&places);
    for card in &mut cards {
        let files = missing.iter().filter(|(place, _)| *place == card.bus);
        card.firmware_missing = files.map(|(_, file)| file.clone()).take(FIRMWARE_MAX).collect();
    }
    cards
}

impl Card {
    /// A card that has a driver.
    pub fn of(nic: &Nic) -> Self {
        Self {
            name: Some(nic.name.clone()),
            mac: Some(nic.mac.to_string()),
            bus: nic.bus.clone(),
            pci_id: nic.pci_id.clone(),
            driver: nic.driver.clone(),
            firmware_missing: Vec::new(),
            is_up: nic.is_up,
            carrier: nic.carrier,
            speed_mbps: nic.speed_mbps,
            full_duplex: nic.full_duplex,
            neighbor: nic.neighbor.as_ref().map(Neighbor::to_string),
            in_use: None,
            heard: nic.heard.clone(),
        }
    }

    /// It is the one in use.
    pub fn is_used_for(&mut self, network: &Network) {
        self.in_use = Some(format!("{}/{}", network.address, network.prefix));
        self.heard = format!("in use: {}", network.source());
        if self.neighbor.is_none() {
            self.neighbor = network.nic.neighbor.as_ref().map(Neighbor::to_string);
        }
    }

    /// What is wrong with its cable, by what card and switch agreed upon.
    fn slowness(&self) -> Option<String> {
        let is_half = self.carrier && self.full_duplex == Some(false);
        let speed = self.speed_mbps.filter(|speed| self.carrier && *speed > 0);
        let is_slow = speed.is_some_and(|speed| speed <= SLOW_MBPS);
        if !is_slow && !is_half {
            return None;
        }
        let speed = speed.map_or(String::new(), |speed| format!("{speed} Mb/s"));
        let half = if is_half { "one direction at a time (half duplex)" } else { "" };
        let both = [speed.as_str(), half].into_iter().filter(|part| !part.is_empty());
        let what = both.collect::<Vec<_>>().join(", ");
        Some(format!("only {what}: look at the cable and at the switch's port"))
    }

    fn link(&self) -> String {
        match (&self.name, self.is_up, self.carrier, self.speed_mbps) {
            (None, ..) => "-".into(),
            (_, false, ..) => "not raised".into(),
            (_, true, false, _) => "no carrier".into(),
            (_, true, true, None) => "up".into(),
            (_, true, true, Some(speed)) => {
                let half = if self.full_duplex == Some(false) { " half" } else { "" };
                format!("{speed}M{half}")
            }
        }
    }

    fn row(&self) -> String {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let place = [self.bus.as_str(), self.pci_id.as_deref().unwrap_or_default()].join(" ");
        let columns = [
            column(&or_none(&self.name), 10),
            column(&or_none(&self.mac), 17),
            column(self.driver.as_deref().unwrap_or("none"), 12),
            column(&self.link(), 10),
            place.trim().to_owned(),
        ];
        columns.join(" ").trim_end().to_owned()
    }

    /// What there is to say beside the row.
    fn details(&self) -> Vec<String> {
        let is_in_row =
            matches!(self.heard.as_str(), "no carrier" | "not raised yet" | "carrier" | "");
        let heard = (!is_in_row).then(|| self.heard.clone());
        let neighbor = self.neighbor.as_ref().map(|neighbor| format!("neighbour {neighbor}"));
        let firmware = (!self.firmware_missing.is_empty())
            .then(|| format!("firmware missing: {}", self.firmware_missing.join(" ")));
        [heard, neighbor, self.slowness(), firmware].into_iter().flatten().collect()
    }
}

/// The table: a row of columns for each card, and what else there is to say indented below it.
pub fn table(cards: &[Card]) -> Vec<String> {
    let mut rows = vec![HEAD.trim_end().to_owned()];
    for card in cards {
        rows.extend(wrap(&card.row(), WIDTH));
        rows.extend(card.details().iter().flat_map(|text| wrap(&format!("  {text}"), WIDTH)));
    }
    rows
}

/// The same in the fewest words, for when one of them is in use: nothing, where there is no other and
/// nothing is wrong with it.
pub(super) fn short(cards: &[Card]) -> Vec<String> {
    let warnings = cards
        .iter()
        .filter(|card| card.in_use.is_some())
        .filter_map(|card| Some(format!("{} runs at {}", card.name.as_deref()?, card.slowness()?)));
    let others = cards.iter().filter(|card| card.in_use.is_none()).map(|card| {
        let name = card.name.as_deref().unwrap_or(&card.bus);
        let kind = card.driver.as_deref().or(card.pci_id.as_deref()).unwrap_or("made of others");
        format!("{name} ({kind}) is not used: {}", card.heard)
    });
    warnings.chain(others).take(SHORT_MAX).collect()
}

/// A text in a column of so many characters, with a mark where something is cut off.
fn column(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:width$}");
    }
    let cut: String = text.chars().take(width - 1).collect();
    format!("{cut}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(name: &str) -> Card {
        Card {
            name: Some(name.into()),
            mac: Some("52:54:00:12:34:56".into()),
            bus: "0000:02:00.0".into(),
            pci_id: Some("8086:1533".into()),
            driver: Some("igb".into()),
            is_up: true,
            carrier: true,
            speed_mbps: Some(1000),
            full_duplex: Some(true),
            heard: "carrier up 6.0 s, DISCOVER sent, no answer".into(),
            ..Card::default()
        }
    }

    fn at(speed_mbps: u32, full_duplex: bool) -> Card {
        Card { speed_mbps: Some(speed_mbps), full_duplex: Some(full_duplex), ..card("eth0") }
    }

    #[test]
    fn all_cards_in_one_table() {
        let cards = [
            Card { neighbor: Some("tor1 port Ethernet7, VLAN 20".into()), ..card("eth0") },
            Card { carrier: false, heard: "no carrier".into(), ..card("eth1") },
            Card { speed_mbps: None, full_duplex: None, ..card("lldp4094.12345") },
            Card {
                firmware_missing: vec!["bnx2/a.fw".into(), "bnx2/b.fw".into()],
                heard: "cannot be raised: No such file or directory".into(),
                is_up: false,
                driver: Some("a_driver_with_a_long_name".into()),
                ..card("eth3")
            },
            Card {
                bus: "0000:03:00.0".into(),
                pci_id: Some("14e4:1657".into()),
                heard: "has no driver in this kernel or image".into(),
                ..Card::default()
            },
        ];
        let expected = "\
name       address           driver       link       place
eth0       52:54:00:12:34:56 igb          1000M      0000:02:00.0 8086:1533
  carrier up 6.0 s, DISCOVER sent, no answer
  neighbour tor1 port Ethernet7, VLAN 20
eth1       52:54:00:12:34:56 igb          no carrier 0000:02:00.0 8086:1533
lldp4094.> 52:54:00:12:34:56 igb          up         0000:02:00.0 8086:1533
  carrier up 6.0 s, DISCOVER sent, no answer
eth3       52:54:00:12:34:56 a_driver_wi> not raised 0000:02:00.0 8086:1533
  cannot be raised: No such file or directory
  firmware missing: bnx2/a.fw bnx2/b.fw
-          -                 none         -          0000:03:00.0 14e4:1657
  has no driver in this kernel or image";
        assert_eq!(table(&cards).join("\n"), expected);
    }

    #[test]
    fn whatever_is_heard_fits_a_screen() {
        let cards = [
            Card { heard: "heard this and that, ".repeat(20), ..card("eth0") },
            Card {
                neighbor: Some("a switch ".repeat(30)),
                bus: "virtio".repeat(9),
                ..card("eth1")
            },
        ];
        let rows = table(&cards);
        assert!(rows.iter().all(|row| row.chars().count() <= WIDTH), "{rows:#?}");
    }

    #[test]
    fn slow_cables_are_told() {
        let look = "look at the cable and at the switch's port";
        let table = [
            (at(1000, true), None),
            (at(100, true), Some("only 100 Mb/s")),
            (at(10, false), Some("only 10 Mb/s, one direction at a time (half duplex)")),
            (at(1000, false), Some("only 1000 Mb/s, one direction at a time (half duplex)")),
            (Card { carrier: false, ..at(100, false) }, None),
            (Card { speed_mbps: None, ..at(0, true) }, None),
        ];
        for (card, expected) in table {
            assert_eq!(card.slowness(), expected.map(|what| format!("{what}: {look}")), "{card:?}");
        }
        assert_eq!(
            (at(100, false).link().as_str(), at(1000, true).link().as_str()),
            ("100M half", "1000M")
        );
    }

    #[test]
    fn little_is_said_where_all_is_well() {
        let used = |card| Card { in_use: Some("10.0.0.5/24".into()), ..card };
        assert_eq!(short(&[used(card("eth0"))]), Vec::<String>::new());
        let other = Card { heard: "no carrier".into(), ..card("eth1") };
        let expected = [
            "eth0 runs at only 100 Mb/s: look at the cable and at the switch's port",
            "eth1 (igb) is not used: no carrier",
        ];
        assert_eq!(short(&[other, used(at(100, true))]), expected);
        let many: Vec<Card> = (0..100).map(|_| card("eth9")).collect();
        assert_eq!(short(&many).len(), SHORT_MAX);
    }
}
