//! Makes the bonds and VLANs that the operator asked for, as what they are made of appears.

use std::collections::BTreeSet;
use std::io;

use super::NetConfig;
use super::args::NicChoice;
use super::layers::{Bond, Vlan};
use super::netlink::{Link, Netlink};
use super::nic::Nic;

/// What was made so far.
pub(super) struct Stack<'a> {
    config: &'a NetConfig,
    /// Names of what was made by this attempt. What an earlier one left may be made otherwise, or of
    /// other links; a kernel with bonds built in begins with one, too.
    made: BTreeSet<String>,
    /// What was tried in vain, in words: it is neither tried nor said again.
    refused: BTreeSet<String>,
}

type Say<'a> = &'a mut dyn FnMut(&str);

impl<'a> Stack<'a> {
    pub(super) fn new(config: &'a NetConfig) -> Self {
        Self { config, made: BTreeSet::new(), refused: BTreeSet::new() }
    }

    /// Whether the link was made here, or by an earlier attempt.
    pub(super) fn is_made(&self, link: &Link) -> bool {
        link.is_layer && self.config.has_layer(&link.name)
    }

    /// What the card is used for instead of asking for an address on it.
    pub(super) fn used_for(&self, nic: &Nic) -> Option<String> {
        let bond = self.config.bonds.iter().find(|bond| self.is_port(bond, nic));
        let vlan = || self.config.vlans.iter().find(|vlan| self.carries(vlan, nic));
        bond.map(|bond| format!("a port of {}", bond.name))
            .or_else(|| vlan().map(|vlan| format!("carries {}", vlan.name)))
    }

    /// Whether the card is meant as a port. What is made of a card has its address too, and is not.
    fn is_port(&self, bond: &Bond, nic: &Nic) -> bool {
        !self.config.has_layer(&nic.name) && bond.ports.iter().any(|port| nic.is(port))
    }

    /// Whether the link is meant to carry a VLAN: one that is made, by its name only.
    fn carries(&self, vlan: &Vlan, nic: &Nic) -> bool {
        let is_named = matches!(vlan.on, NicChoice::Name(_));
        nic.is(&vlan.on) && (is_named || !self.config.has_layer(&nic.name))
    }

    /// Takes away what an earlier attempt left, and what a kernel has of its own by a name that is asked
    /// for; whether `links` are others now.
    pub(super) fn clear(&mut self, netlink: &mut Netlink, links: &[Link], say: Say<'_>) -> bool {
        let mut is_changed = false;
        for old in links {
            if self.is_made(old) && !self.made.contains(&old.name) {
                let what = format!("{} of before taken away", old.name);
                is_changed |= self.attempt(&what, || netlink.unmake(old.index), say);
            }
        }
        is_changed
    }

    /// Makes what can be made now. What is made is told by the kernel as a change of the links.
    pub(super) fn build(&mut self, netlink: &mut Netlink, links: &[Link], say: Say<'_>) {
        for bond in &self.config.bonds {
            self.bond(bond, netlink, links, say);
        }
        for vlan in &self.config.vlans {
            self.vlan(vlan, netlink, links, say);
        }
    }

    fn bond(&mut self, bond: &Bond, netlink: &mut Netlink, links: &[Link], say: Say<'_>) {
        let name = &bond.name;
        let Some(made) = links.iter().find(|link| link.name == *name && link.is_layer) else {
            let make = || netlink.add_bond(bond);
            if self.attempt(&format!("bond {name} made"), make, say) {
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
            let join = || {
                // Only a link that is down may become a port.
                netlink.lower(link.index)?;
                netlink.enslave(link.index, made.index)
            };
            self.attempt(&format!("{} is a port of {name}", link.name), join, say);
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
        if self.attempt(&text, make, say) {
            self.made.insert(name.clone());
        }
    }

    /// Does something once, and says so; whether it was done. What failed is not tried again.
    fn attempt(&mut self, what: &str, work: impl FnOnce() -> io::Result<()>, say: Say<'_>) -> bool {
        if self.refused.contains(what) {
            return false;
        }
        match work() {
            Ok(()) => say(&format!("network: {what}")),
            Err(error) => {
                say(&format!("network: not done: {what}: {}", reason(&error)));
                self.refused.insert(what.to_owned());
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
