//! rtnetlink(7) for links that are made of others: VLANs and bonds.

use std::io;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    BondLacpRate, BondMode as Mode, BondXmitHashPolicy, InfoBond, InfoData, InfoKind, InfoVlan,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use super::layers::{Bond, BondMode, HashPolicy, Vlan};
use super::netlink::Netlink;

impl Netlink {
    /// Makes a VLAN on the link number `below`.
    pub(super) fn add_vlan(&mut self, vlan: &Vlan, below: u32) -> io::Result<()> {
        let mut message =
            made(&vlan.name, InfoKind::Vlan, InfoData::Vlan(vec![InfoVlan::Id(vlan.id)]));
        message.attributes.push(LinkAttribute::Link(below));
        self.make(message)
    }

    /// Makes a bond without ports.
    pub(super) fn add_bond(&mut self, bond: &Bond) -> io::Result<()> {
        let mut data = match bond.mode {
            BondMode::ActiveBackup => vec![InfoBond::Mode(Mode::ActiveBackup)],
            BondMode::Lacp { fast, hash } => vec![
                // The kernel takes the others only in this mode: it is first.
                InfoBond::Mode(Mode::Ieee8023Ad),
                InfoBond::AdLacpRate(if fast { BondLacpRate::Fast } else { BondLacpRate::Slow }),
                InfoBond::XmitHashPolicy(match hash {
                    HashPolicy::Layer2 => BondXmitHashPolicy::Layer2,
                    HashPolicy::Layer23 => BondXmitHashPolicy::Layer23,
                    HashPolicy::Layer34 => BondXmitHashPolicy::Layer34,
                }),
            ],
        };
        data.push(InfoBond::MiiMon(bond.miimon_ms));
        let mut message = made(&bond.name, InfoKind::Bond, InfoData::Bond(data));
        message.attributes.extend(bond.mtu.map(|mtu| LinkAttribute::Mtu(mtu.into())));
        self.make(message)
    }

    /// Makes the link number `index`, which is down, a port of the bond number `bond`; the kernel
    /// raises it.
    pub(super) fn enslave(&mut self, index: u32, bond: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes.push(LinkAttribute::Controller(bond));
        self.tell(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Takes a link that was made of others away.
    pub(super) fn unmake(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.tell(RouteNetlinkMessage::DelLink(message), 0)
    }

    /// Sets a link administratively down.
    pub(super) fn lower(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.change_mask = LinkFlags::Up;
        self.tell(RouteNetlinkMessage::SetLink(message), 0)
    }

    fn make(&mut self, message: LinkMessage) -> io::Result<()> {
        self.tell(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }
}

fn made(name: &str, kind: InfoKind, data: InfoData) -> LinkMessage {
    let mut message = LinkMessage::default();
    let info = vec![LinkInfo::Kind(kind), LinkInfo::Data(data)];
    message.attributes =
        vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::LinkInfo(info)];
    message
}
