//! What the words of switches say about cards that lead nowhere as they are: pure, and of whatever was
//! heard so far.

use super::{Heard, Neighbor};
use crate::net::args::NicChoice;
use crate::net::layers::{Bond, BondMode, HashPolicy, MIIMON_MS, Vlan};

/// Virtual networks that are tried at once. Of more a person has to say which: each is asked for an
/// address, and most of them are not for this machine.
pub(in crate::net) const TRIED_MAX: usize = 8;

/// Aggregates that are made: machines have one or two.
const AGGREGATES_MAX: usize = 4;

/// How the names of links begin that are made because a switch said so.
pub(in crate::net) const PREFIX: &str = "lldp";

/// What could be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::net) struct Advice {
    pub(in crate::net) aggregates: Vec<Aggregate>,
    pub(in crate::net) tagged: Vec<Tagged>,
}

/// Cards that are one link for their switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct Aggregate {
    system: String,
    ports: Vec<String>,
    number: usize,
}

/// Virtual networks behind one card, or one aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct Tagged {
    system: String,
    /// The card, or the link that the aggregate would be.
    on: String,
    /// What links on it are called by, after the number of their network.
    tail: String,
    ids: Vec<u16>,
    /// How many there are beside.
    more: usize,
}

/// Aggregates by number, each a chassis and what that calls it: one keeps its number when its ports are
/// in use, and when others are heard.
#[derive(Debug, Default)]
pub(in crate::net) struct Numbers(Vec<(String, u32)>);

impl Numbers {
    fn known(&self, neighbor: &Neighbor) -> Option<usize> {
        let is_it = |(chassis, aggregate): &(String, u32)| {
            *chassis == neighbor.chassis && Some(*aggregate) == neighbor.aggregate
        };
        self.0.iter().position(is_it)
    }

    fn of(&mut self, neighbor: &Neighbor) -> Option<usize> {
        let known = self.known(neighbor);
        if known.is_some() || self.0.len() >= AGGREGATES_MAX {
            return known;
        }
        self.0.push((neighbor.chassis.clone(), neighbor.aggregate?));
        Some(self.0.len() - 1)
    }
}

/// What to do about those NICs of `heard` that lead nowhere.
pub(in crate::net) fn advice(heard: &[Heard<'_>], numbers: &mut Numbers) -> Advice {
    let lost: Vec<&Heard<'_>> = heard.iter().filter(|nic| nic.leads_nowhere).collect();
    let mut advice = Advice::default();
    let mut left = TRIED_MAX;
    let mut in_aggregate: Vec<u32> = Vec::new();
    for first in &lost {
        let same: Vec<_> = lost.iter().filter(|nic| is_one_link(first, nic)).collect();
        let is_new_port = numbers.known(first.neighbor).is_some() && !same.is_empty();
        if in_aggregate.contains(&first.index) || same.len() < 2 && !is_new_port {
            continue;
        }
        let Some(number) = numbers.of(first.neighbor) else { continue };
        in_aggregate.extend(same.iter().map(|nic| nic.index));
        let system = first.neighbor.name().to_owned();
        let ports = same.iter().map(|nic| nic.name.to_owned()).collect();
        let aggregate = Aggregate { system, ports, number };
        let (on, tail) = (aggregate.link(), format!("b{}", aggregate.number));
        advice.tagged.extend(Tagged::of(first.neighbor, on, tail, &mut left));
        advice.aggregates.push(aggregate);
    }
    // Those whose aggregate has another card that may still lead somewhere are left until it is known.
    let is_alone =
        |nic: &Heard<'_>| heard.iter().filter(|other| is_one_link(nic, other)).count() < 2;
    for nic in lost.iter().filter(|nic| is_alone(nic)) {
        let (on, tail) = (nic.name.to_owned(), nic.index.to_string());
        advice.tagged.extend(Tagged::of(nic.neighbor, on, tail, &mut left));
    }
    advice
}

/// Whether the switch has both cards in one aggregate; each card is with itself.
fn is_one_link(one: &Heard<'_>, other: &Heard<'_>) -> bool {
    let (one, other) = (one.neighbor, other.neighbor);
    one.aggregate.is_some() && one.aggregate == other.aggregate && one.chassis == other.chassis
}

impl Aggregate {
    /// What the link would be called.
    fn link(&self) -> String {
        format!("{PREFIX}-bond{}", self.number)
    }

    /// The link as the operator would ask for it.
    pub(in crate::net) fn bond(&self) -> Bond {
        let ports = self.ports.iter().cloned().map(NicChoice::Name).collect();
        let mode = BondMode::Lacp { fast: true, hash: HashPolicy::Layer2 };
        Bond { name: self.link(), ports, mode, miimon_ms: MIIMON_MS, mtu: None }
    }

    /// What would help, for a person.
    pub(in crate::net) fn hint(&self) -> String {
        let Self { system, ports, .. } = self;
        format!(
            "hint: {system} has {} as one link: bond=bond0:{}:mode=802.3ad would make them one, or \
             bond=auto",
            ports.join(" and "),
            ports.join(",")
        )
    }

    /// What is done, for a person.
    pub(in crate::net) fn said(&self) -> String {
        let Self { system, ports, .. } = self;
        format!("{system} has {} as one link, and so will this machine", ports.join(" and "))
    }
}

impl Tagged {
    fn of(neighbor: &Neighbor, on: String, tail: String, left: &mut usize) -> Option<Self> {
        let mut ids = neighbor.tagged();
        let named = ids.len().max(neighbor.vlans_named);
        ids.truncate(*left);
        *left -= ids.len();
        let (system, more) = (neighbor.name().to_owned(), named - ids.len());
        (!ids.is_empty()).then_some(Self { system, on, tail, ids, more })
    }

    /// Whether what carries them is there already.
    pub(in crate::net) fn is_on_a_card(&self) -> bool {
        !self.on.starts_with(PREFIX)
    }

    /// The links as the operator would ask for them.
    pub(in crate::net) fn vlans(&self) -> impl Iterator<Item = Vlan> {
        self.ids.iter().map(|id| Vlan {
            // Short whatever the card is called, and told from what others made.
            name: format!("{PREFIX}{id}.{}", self.tail),
            id: *id,
            on: NicChoice::Name(self.on.clone()),
        })
    }

    /// What would help, for a person.
    pub(in crate::net) fn hint(&self) -> String {
        let Self { system, on, ids, .. } = self;
        let first = ids.first().copied().unwrap_or_default();
        let on = if self.is_on_a_card() { on } else { "bond0" };
        format!(
            "hint: {system} names {} on {on}, where nothing led to the store: vlan=vlan{first}:{on} \
             would ask in one of them, vlan=auto in each",
            self.numbers()
        )
    }

    /// What is done, for a person.
    pub(in crate::net) fn said(&self) -> String {
        let more = match self.more {
            0 => String::new(),
            more => format!("; {more} more are not tried, vlan= says which"),
        };
        format!("{} names {} on {}, which are tried{more}", self.system, self.numbers(), self.on)
    }

    fn numbers(&self) -> String {
        let ids: Vec<String> = self.ids.iter().map(u16::to_string).collect();
        format!("{} {}", if ids.len() == 1 { "VLAN" } else { "the VLANs" }, ids.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(heard: &[Heard<'_>]) -> Advice {
        super::advice(heard, &mut Numbers::default())
    }

    fn neighbor(chassis: &str, vlans: &[u16], aggregate: Option<u32>) -> Neighbor {
        Neighbor {
            chassis: chassis.into(),
            system: Some(format!("tor-{chassis}")),
            vlans: vlans.into(),
            vlans_named: vlans.len(),
            aggregate,
            ..Neighbor::default()
        }
    }

    fn heard<'a>(index: u32, name: &'a str, neighbor: &'a Neighbor) -> Heard<'a> {
        Heard { index, name, neighbor, leads_nowhere: true }
    }

    #[test]
    fn aggregates_are_cards_of_one_switch_that_it_has_as_one() {
        let one = neighbor("a", &[], Some(7));
        let other = neighbor("b", &[], Some(7));
        let second = neighbor("a", &[], Some(8));
        let none = neighbor("a", &[], None);
        let table: [(&[&Neighbor], &[&str]); 6] = [
            (&[&one, &one], &["lldp-bond0 eth0 eth1"]),
            (&[&one, &other], &[]),
            (&[&one, &second], &[]),
            (&[&none, &none], &[]),
            (&[&one], &[]),
            (&[&one, &second, &one, &second], &["lldp-bond0 eth0 eth2", "lldp-bond1 eth1 eth3"]),
        ];
        let names = ["eth0", "eth1", "eth2", "eth3"];
        for (neighbors, expected) in table {
            let all = neighbors.iter().zip(names).zip(2..);
            let all: Vec<_> = all.map(|((of, name), index)| heard(index, name, of)).collect();
            let bonds = advice(&all).aggregates.iter().map(Aggregate::bond).collect::<Vec<_>>();
            let text = |bond: &Bond| {
                let ports = bond.ports.iter().map(ToString::to_string);
                [bond.name.clone()].into_iter().chain(ports).collect::<Vec<_>>().join(" ")
            };
            assert_eq!(bonds.iter().map(text).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn an_aggregate_keeps_its_number() {
        let (one, other) = (neighbor("a", &[], Some(7)), neighbor("a", &[], Some(8)));
        let in_use = |index, name, of| Heard { leads_nowhere: false, ..heard(index, name, of) };
        let mut numbers = Numbers::default();
        let mut names = |all: &[Heard<'_>]| -> Vec<String> {
            let found = super::advice(all, &mut numbers);
            found.aggregates.iter().map(|one| one.bond().name).collect()
        };
        assert_eq!(names(&[heard(2, "eth0", &one), heard(3, "eth1", &one)]), ["lldp-bond0"]);
        let later = [
            in_use(2, "eth0", &one),
            in_use(3, "eth1", &one),
            heard(4, "eth2", &other),
            heard(5, "eth3", &other),
            heard(6, "eth4", &one),
        ];
        assert_eq!(names(&later), ["lldp-bond1", "lldp-bond0"]);
    }

    #[test]
    fn what_leads_somewhere_is_left_alone() {
        let of = neighbor("a", &[20], Some(7));
        let well = |index, name| Heard { leads_nowhere: false, ..heard(index, name, &of) };
        assert_eq!(advice(&[well(2, "eth0"), well(3, "eth1")]), Advice::default());
        let found = advice(&[well(2, "eth0"), heard(3, "eth1", &of)]);
        assert_eq!(found, Advice::default(), "the aggregate may lead somewhere yet");
        let elsewhere = neighbor("b", &[20], Some(7));
        let found = advice(&[well(2, "eth0"), heard(3, "eth1", &elsewhere)]);
        assert!(found.aggregates.is_empty());
        let vlans: Vec<_> = found.tagged[0].vlans().collect();
        let on = NicChoice::Name("eth1".into());
        assert_eq!(vlans, [Vlan { name: "lldp20.3".into(), id: 20, on }]);
    }

    #[test]
    fn virtual_networks_are_tried_up_to_a_bound_and_on_the_aggregate() {
        let many: Vec<u16> = (100..110).collect();
        let of = neighbor("a", &many, None);
        let [found] = &advice(&[heard(2, "eth0", &of)]).tagged[..] else { panic!("one card") };
        assert_eq!(found.vlans().count(), TRIED_MAX);
        assert_eq!(
            found.said(),
            "tor-a names the VLANs 100 101 102 103 104 105 106 107 on eth0, which are tried; 2 more \
             are not tried, vlan= says which"
        );
        let of = neighbor("a", &[20, 30], Some(7));
        let both = advice(&[heard(2, "eth0", &of), heard(3, "eth1", &of)]);
        let on = |vlan: Vlan| format!("{} {}", vlan.name, vlan.on);
        let vlans: Vec<_> = both.tagged.iter().flat_map(Tagged::vlans).map(on).collect();
        assert_eq!(vlans, ["lldp20.b0 lldp-bond0", "lldp30.b0 lldp-bond0"]);
        assert_eq!(
            both.aggregates[0].hint(),
            "hint: tor-a has eth0 and eth1 as one link: bond=bond0:eth0,eth1:mode=802.3ad would make \
             them one, or bond=auto"
        );
        assert_eq!(
            both.tagged[0].hint(),
            "hint: tor-a names the VLANs 20 30 on bond0, where nothing led to the store: \
             vlan=vlan20:bond0 would ask in one of them, vlan=auto in each"
        );
    }

    #[test]
    fn the_network_without_a_tag_is_tried_last_unless_it_is_the_one_of_new_switches() {
        let of = |port_vlan, vlans: &[u16]| Neighbor { port_vlan, ..neighbor("a", vlans, None) };
        let table: [(Option<u16>, &[u16], &[u16]); 4] = [
            (Some(20), &[20, 30], &[30, 20]),
            (Some(20), &[], &[20]),
            (Some(1), &[], &[]),
            (None, &[1, 5], &[5]),
        ];
        for (port_vlan, vlans, expected) in table {
            assert_eq!(of(port_vlan, vlans).tagged(), expected);
        }
    }
}
