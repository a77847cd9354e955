//! Makes the bonds and VLANs that the operator asked for, or a switch, as what they are made of appears.

use std::collections::BTreeSet;
use std::io;

use super::NetConfig;
use super::args::NicChoice;
use super::layers::{Bond, Vlan};
use super::lldp;
use super::netlink::{Link, Netlink};
use super::nic::Nic;

/// What was made so far.
pub(super) struct Stack<'a> {
    config: &'a NetConfig,
    /// The operator's, and those of switches.
    bonds: Vec<Bond>,
    /// The same.
    vlans: Vec<Vlan>,
    /// Names of what was made by this attempt. What an earlier one left may be made otherwise, or of
    /// other links; a kernel with bonds built in begins with one, too.
    made: BTreeSet<String>,
    /// What was tried in vain, in words, and with which link: it is neither tried nor said again.
    refused: BTreeSet<(String, u32)>,
}

type Say<'a> = &'a mut dyn FnMut(&str);

impl<'a> Stack<'a> {
    pub(super) fn new(config: &'a NetConfig) -> Self {
        let (bonds, vlans) = (config.bonds.clone(), config.vlans.clone());
        Self { config, bonds, vlans, made: BTreeSet::new(), refused: BTreeSet::new() }
    }

    /// Adds links that a switch speaks of, or ports to one of them.
    pub(super) fn add(&mut self, bonds: Vec<Bond>, vlans: impl Iterator<Item = Vlan>) {
        for bond in bonds {
            match self.bonds.iter_mut().find(|known| known.name == bond.name) {
                Some(known) => {
                    let new = bond.ports.into_iter().filter(|port| !known.ports.contains(port));
                    let new: Vec<_> = new.collect();
                    known.ports.extend(new);
                }
                None => self.bonds.push(bond),
            }
        }
        for vlan in vlans {
            let of_switch = self.vlans.iter().filter(|known| Self::is_of_switch(&known.name));
            let is_room = of_switch.count() < lldp::TRIED_MAX;
            if is_room && !self.vlans.iter().any(|known| known.name == vlan.name) {
                self.vlans.push(vlan);
            }
        }
    }

    /// Whether it was made because a switch spoke of it.
    pub(super) fn is_of_switch(name: &str) -> bool {
        name.starts_with(lldp::PREFIX)
    }

    /// Whether the link was made here, or by an earlier attempt.
    pub(super) fn is_made(&self, link: &Link) -> bool {
        link.is_layer && self.has_layer(&link.name)
    }

    /// Whether a link of this name was asked for, or is one of a switch's.
    fn has_layer(&self, name: &str) -> bool {
        self.config.has_layer(name) || Self::is_of_switch(name)
    }

    /// What the card is used for instead of asking for an address on it.
    pub(super) fn used_for(&self, nic: &Nic) -> Option<String> {
        let bond = self.bonds.iter().find(|bond| self.is_port(bond, nic));
        // On a card that a switch has VLANs on, what has no tag is asked for all the same.
        let vlan = || self.config.vlans.iter().find(|vlan| self.carries(vlan, nic));
        bond.map(|bond| format!("a port of {}", bond.name))
            .or_else(|| vlan().map(|vlan| format!("carries {}", vlan.name)))
    }

    /// Whether the card is meant as a port. What is made of a card has its address too, and is not.
    fn is_port(&self, bond: &Bond, nic: &Nic) -> bool {
        !self.has_layer(&nic.name) && bond.ports.iter().any(|port| nic.is(port))
    }

    /// Whether the link is meant to carry a VLAN: one that is made, by its name only.
    fn carries(&self, vlan: &Vlan, nic: &Nic) -> bool {
        let is_named = matches!(vlan.on, NicChoice::Name(_));
        nic.is(&vlan.on) && (is_named || !self.has_layer(&nic.name))
    }

    /// Takes away what an earlier attempt left, and what a kernel has of its own by a name that is asked
    /// for; whether `links` are others now.
    pub(super) fn clear(&mut self, netlink: &mut Netlink, links: &[Link], say: Say<'_>) -> bool {
        let mut is_changed = false;
        for old in links {
            if self.is_made(old) && !self.made.contains(&old.name) {
                let what = format!("{} of before taken away", old.name);
                is_changed |= self.attempt((&what, old.index), || netlink.unmake(old.index), say);
            }
        }
        is_changed
    }

    /// Makes what can be made now. What is made is told by the kernel as a change of the links.
    pub(super) fn build(&mut self, netlink: &mut Netlink, links: &[Link], say: Say<'_>) {
        for bond in &self.bonds.clone() {
            self.bond(bond, netlink, links, say);
        }
        for vlan in &self.vlans.clone() {
            self.vlan(vlan, netlink, links, say);
        }
    }

    fn bond(&mut self, bond: &Bond, netlink: &mut Netlink, links: &[Link], say: Say<'_>) {
        let name = &bond.name;
        let Some(made) = links.iter().find(|link| link.name == *name && link.is_layer) else {
            let make = || netlink.add_bond(bond);
            if self.attempt((&format!("bond {name} made"), 0), make, say) {
                self.made.insert(name.clone());
            }
            return;
        };
        if !self.made.contains(name) {
            return;
        }
        for link in links.iter().filter(|link| link.master.is_none() && link.index != made.index) {
            let nic = Nic::new(link, self.config.policy);
            if !nic.is_some_and(|nic| self.is_port(bond, &nic)) {
                continue;
            }
            self.clear_port(&link.name, netlink, links, say);
            let join = || {
                // Only a link that is down may become a port.
                netlink.lower(link.index)?;
                let joined = netlink.enslave(link.index, made.index);
                if joined.is_err() {
                    // It is a card like others then.
                    let _ = netlink.raise(link.index);
                }
                joined
            };
            let text = format!("{} is a port of {name}", link.name);
            self.attempt((&text, link.index), join, say);
        }
    }

    /// Takes away what a switch had made on a card before more of it was heard: the card becomes a port,
    /// on which nothing is asked for.
    fn clear_port(&mut self, port: &str, netlink: &mut Netlink, links: &[Link], say: Say<'_>) {
        let port = NicChoice::Name(port.to_owned());
        let is_left = |vlan: &&Vlan| vlan.on == port && Self::is_of_switch(&vlan.name);
        let left: Vec<String> =
            self.vlans.iter().filter(is_left).map(|vlan| vlan.name.clone()).collect();
        self.vlans.retain(|vlan| !left.contains(&vlan.name));
        for link in links.iter().filter(|link| left.contains(&link.name)) {
            let what = format!("{} taken away", link.name);
            self.attempt((&what, link.index), || netlink.unmake(link.index), say);
        }
    }

    fn vlan(&mut self, vlan: &Vlan, netlink: &mut Netlink, links: &[Link], say: Say<'_>) {
        let name = &vlan.name;
        if links.iter().any(|link| link.name == *name && link.is_layer) {
            return;
        }
        let carries = |link: &&Link| {
            let nic = Nic::of(link, self.config.policy, self.is_made(link));
            nic.is_some_and(|nic| self.carries(vlan, &nic))
        };
        let Some(below) = links.iter().find(carries) else { return };
        let text = format!("VLAN {} made on {}, called {name}", vlan.id, below.name);
        let make = || {
            if !below.up {
                netlink.raise(below.index)?;
            }
            netlink.add_vlan(vlan, below.index)
        };
        if self.attempt((&text, below.index), make, say) {
            self.made.insert(name.clone());
        }
    }

    /// Does something once, and says so; whether it was done. What failed is not tried again with this
    /// link.
    fn attempt(
        &mut self,
        (what, link): (&str, u32),
        work: impl FnOnce() -> io::Result<()>,
        say: Say<'_>,
    ) -> bool {
        if self.refused.contains(&(what.to_owned(), link)) {
            return false;
        }
        match work() {
            Ok(()) => say(&format!("network: {what}")),
            Err(error) => {
                say(&format!("network: not done: {what}: {}", reason(&error)));
                self.refused.insert((what.to_owned(), link));
                return false;
            }
        }
        true
    }
}

/// The kernel's answer; the one for a kind of link that it does not know says too little.
fn reason(error: &io::Error) -> String {
    if error.raw_os_error() == Some(nix::errno::Errno::EOPNOTSUPP as i32) {
        return "this kernel, or this image, has no driver for it".into();
    }
    error.to_string()
}
