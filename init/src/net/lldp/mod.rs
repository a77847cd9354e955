//! What the switch at the other end of a cable says of itself: LLDP (IEEE 802.1AB), heard and never
//! said.
//!
//! A switch says every 30 s what it is called, which of its ports this is, and which virtual networks
//! and aggregates that port belongs to. It is believed for what is printed, and acted upon only where
//! the operator says `vlan=auto` or `bond=auto`: anybody on the cable may say anything.
//!
//! ```text
//! decode   a frame                    ->  Neighbor; no socket, no clock
//! ear      a NIC with carrier         ->  frames
//! advice   what all NICs heard        ->  hints, and links to make
//! ```

mod advice;
mod decode;
mod ear;

use std::fmt;

pub(super) use advice::{Advice, Aggregate, Numbers, PREFIX, TRIED_MAX, Tagged, advice};
pub(super) use ear::Ears;

/// Virtual networks kept of one neighbour; a port that carries all of them says thousands.
pub(super) const VLANS_MAX: usize = 64;

/// Virtual networks that are told of one neighbour.
const VLANS_SHOWN: usize = 4;

/// What is at the other end of a NIC's cable, in its own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbor {
    /// Which device it is: an address or a name.
    pub chassis: String,
    /// Which of its ports, as it calls it.
    pub port: String,
    /// What a person called that port.
    pub port_description: Option<String>,
    /// What the device is called.
    pub system: Option<String>,
    /// For how long this holds, seconds; 0 takes it back.
    pub ttl_s: u16,
    /// The virtual network of frames without a tag.
    pub port_vlan: Option<u16>,
    /// The virtual networks that have a name there, each once, at most 64.
    pub vlans: Vec<u16>,
    /// How many it named.
    pub vlans_named: usize,
    /// The aggregate that this port is part of; `None` where aggregation is not enabled.
    pub aggregate: Option<u32>,
}

impl Neighbor {
    /// What a person calls the device.
    pub fn name(&self) -> &str {
        self.system.as_deref().unwrap_or(&self.chassis)
    }

    /// What a person calls the port: some say an address or a number, and the name as its description.
    pub fn port_name(&self) -> &str {
        let is_name = self.port.chars().any(char::is_alphabetic) && !self.port.contains(':');
        self.port_description.as_deref().filter(|_| !is_name).unwrap_or(&self.port)
    }

    /// The virtual networks that may be had by a tag, that of frames without one last: some switches say
    /// one there that they want to see tagged. The first of all, in which new switches have everything,
    /// is none of them.
    pub(super) fn tagged(&self) -> Vec<u16> {
        const OF_NEW_SWITCHES: u16 = 1;
        let named = self.vlans.iter().copied().filter(|id| Some(*id) != self.port_vlan);
        named.chain(self.port_vlan).filter(|id| *id != OF_NEW_SWITCHES).collect()
    }
}

impl fmt::Display for Neighbor {
    /// `tor1 port Ethernet7, VLAN 20, tagged VLANs 30 40, aggregated`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.name(), self.port_name())?;
        if let Some(id) = self.port_vlan {
            write!(f, ", VLAN {id}")?;
        }
        let tagged: Vec<u16> =
            self.vlans.iter().copied().filter(|id| Some(*id) != self.port_vlan).collect();
        if !tagged.is_empty() {
            f.write_str(if tagged.len() == 1 { ", tagged VLAN" } else { ", tagged VLANs" })?;
            tagged.iter().take(VLANS_SHOWN).try_for_each(|id| write!(f, " {id}"))?;
            let own = usize::from(tagged.len() < self.vlans.len());
            let more = self.vlans_named.saturating_sub(own + VLANS_SHOWN.min(tagged.len()));
            if more > 0 {
                write!(f, " and {more} more")?;
            }
        }
        if self.aggregate.is_some() {
            f.write_str(", aggregated")?;
        }
        Ok(())
    }
}

/// A NIC that heard its neighbour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard<'a> {
    /// The kernel's number of it.
    pub(super) index: u32,
    /// The kernel's name.
    pub(super) name: &'a str,
    pub(super) neighbor: &'a Neighbor,
    /// It has carrier for long enough, and no address that may lead to the store.
    pub(super) leads_nowhere: bool,
}
