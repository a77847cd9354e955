//! The kernel's rtnetlink(7), blocking: list links, raise them, give them addresses and routes, and
//! be told when a link changes.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
    RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

use super::Route;
use super::dhcp::mask;
use super::mac::MacAddr;

/// More than the kernel puts into one datagram (it stops at 32 KiB; one link with many virtual
/// functions may exceed that).
const DATAGRAM_MAX: usize = 64 * 1024;

/// Datagrams read for one answer, or in one go from the monitor: far more than machines have links.
const DATAGRAMS_MAX: usize = 1024;

/// The kernel answers within the call; this only guards against waiting for ever.
const ANSWER_TIMEOUT_MS: u16 = 5000;

/// `RTMGRP_LINK` of rtnetlink(7): notifications about links.
const GROUP_LINK: u32 = 1;

/// One network interface as the kernel describes it.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) mac: Option<MacAddr>,
    pub(super) kind: LinkKind,
    /// Administratively up.
    pub(super) up: bool,
    /// Up and the cable is live. `IFF_LOWER_UP` and not `IFF_RUNNING`, which the kernel sets up to a
    /// second later although frames pass.
    pub(super) carrier: bool,
    /// In bytes, without the Ethernet header.
    pub(super) mtu: Option<u16>,
    /// Name of the device on its bus; interfaces that are only software have none.
    pub(super) parent: Option<String>,
    /// The link that this one is a port of.
    pub(super) master: Option<u32>,
    /// A VLAN or a bond.
    pub(super) is_layer: bool,
}

/// What speaks over a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkKind {
    Ethernet,
    Loopback,
    Other,
}

/// A socket for requests.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// All links of the machine.
    pub(super) fn links(&mut self) -> io::Result<Vec<Link>> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let answers = self.ask(request, NLM_F_DUMP)?;
        Ok(answers.into_iter().filter_map(link_of).collect())
    }

    /// Sets a link administratively up.
    pub(super) fn raise(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.tell(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Sets a link's MTU in bytes.
    pub(super) fn set_mtu(&mut self, index: u32, mtu: u16) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes.push(LinkAttribute::Mtu(mtu.into()));
        self.tell(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Gives a link an address; the route to its subnet comes with it.
    pub(super) fn add_address(&mut self, index: u32, address: &Address) -> io::Result<()> {
        let message = RouteNetlinkMessage::NewAddress(address.message(index));
        self.tell(message, NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Takes an address from a link, and the subnet's route with it.
    pub(super) fn remove_address(&mut self, index: u32, address: &Address) -> io::Result<()> {
        self.tell(RouteNetlinkMessage::DelAddress(address.message(index)), 0)
    }

    /// Takes every address from a link but that of the link itself (`fe80::/10`), and the routes
    /// through it.
    pub(super) fn clear(&mut self, index: u32) -> io::Result<()> {
        self.remove_addresses(index)?;
        self.remove_routes_v6(index)
    }

    /// With the last IPv4 address the kernel takes its routes.
    fn remove_addresses(&mut self, index: u32) -> io::Result<()> {
        let request = AddressMessage::default();
        // The kernel answers for all links unless asked for strict checks; each one is looked at here.
        for answer in self.ask(RouteNetlinkMessage::GetAddress(request), NLM_F_DUMP)? {
            let RouteNetlinkMessage::NewAddress(message) = answer else { continue };
            if message.header.index != index || message.header.scope == AddressScope::Link {
                continue;
            }
            match self.tell(RouteNetlinkMessage::DelAddress(message), 0) {
                // A secondary address goes with its primary.
                Err(error) if error.raw_os_error() == Some(Errno::EADDRNOTAVAIL as i32) => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Routes of IPv6 stay when the addresses go.
    fn remove_routes_v6(&mut self, index: u32) -> io::Result<()> {
        let mut request = RouteMessage::default();
        request.header.address_family = AddressFamily::Inet6;
        for answer in self.ask(RouteNetlinkMessage::GetRoute(request), NLM_F_DUMP)? {
            let RouteNetlinkMessage::NewRoute(message) = answer else { continue };
            let is_ours = message.attributes.contains(&RouteAttribute::Oif(index))
                && message.header.address_family == AddressFamily::Inet6
                && message.header.table == RouteHeader::RT_TABLE_MAIN
                && message.header.protocol != RouteProtocol::Kernel;
            if !is_ours {
                continue;
            }
            match self.tell(RouteNetlinkMessage::DelRoute(message), 0) {
                // It went in between.
                Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Adds a route through a link. The gateway is taken to be on the link whatever the subnet.
    pub(super) fn add_route(&mut self, index: u32, route: &Route) -> io::Result<()> {
        let message = RouteNetlinkMessage::NewRoute(route_message(index, route));
        self.tell(message, NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Removes a route.
    pub(super) fn remove_route(&mut self, index: u32, route: &Route) -> io::Result<()> {
        self.tell(RouteNetlinkMessage::DelRoute(route_message(index, route)), 0)
    }

    pub(super) fn tell(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.ask(message, NLM_F_ACK | flags).map(drop)
    }

    /// Sends one request and gathers the answer to it.
    fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.send(message, flags)?;
        let mut answers = Vec::new();
        let mut buffer = vec![0; DATAGRAM_MAX];
        for _ in 0..DATAGRAMS_MAX {
            self.wait()?;
            let length = self.socket.recv(&mut &mut buffer[..], 0)?;
            for message in messages(&buffer[..length.min(DATAGRAM_MAX)]) {
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::Done(_) => return Ok(answers),
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok(answers),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                    _ => {}
                }
            }
        }
        Err(io::Error::other(format!(
            "rtnetlink: no end of the answer in {DATAGRAMS_MAX} datagrams"
        )))
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }

    fn wait(&self) -> io::Result<()> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, ANSWER_TIMEOUT_MS) {
            Ok(0) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "rtnetlink: the kernel does not answer",
            )),
            // A signal: the answer is there, or comes with the next call.
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A socket that becomes readable when a link appears, vanishes or changes.
pub(super) struct Monitor {
    socket: Socket,
}

impl Monitor {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, GROUP_LINK))?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket })
    }

    /// Throws away what has arrived; the links are then listed afresh, so that a notification that
    /// the kernel had to drop (ENOBUFS) costs nothing.
    pub(super) fn drain(&self) {
        let mut buffer = vec![0; DATAGRAM_MAX];
        for _ in 0..DATAGRAMS_MAX {
            match self.socket.recv(&mut &mut buffer[..], 0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// An address of a link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address {
    pub(super) local: IpAddr,
    pub(super) prefix: u8,
    pub(super) peer: Option<IpAddr>,
}

impl Address {
    fn message(&self, index: u32) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = family_of(self.local);
        message.header.prefix_len = self.prefix;
        message.header.scope = AddressScope::Universe;
        message.header.index = index;
        let far_end = self.peer.unwrap_or(self.local);
        message.attributes.push(AddressAttribute::Local(self.local));
        message.attributes.push(AddressAttribute::Address(far_end));
        match self.local {
            // A /31 or /32 has no broadcast address (RFC 3021).
            IpAddr::V4(local) if self.prefix < 31 && self.peer.is_none() => {
                let broadcast = Ipv4Addr::from_bits(local.to_bits() | !mask(self.prefix));
                message.attributes.push(AddressAttribute::Broadcast(broadcast));
            }
            IpAddr::V4(_) => {}
            // Whether others have it was asked before, in less than the kernel's second.
            IpAddr::V6(_) => message.header.flags = AddressHeaderFlags::Nodad,
        }
        message
    }
}

fn family_of(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn route_message(index: u32, route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family_of(route.destination);
    message.header.destination_prefix_length = route.prefix;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Dhcp;
    message.header.kind = RouteType::Unicast;
    message.header.scope = RouteScope::Link;
    if route.prefix > 0 {
        let destination = RouteAddress::from(route.destination);
        message.attributes.push(RouteAttribute::Destination(destination));
    }
    if let Some(gateway) = route.gateway {
        message.header.scope = RouteScope::Universe;
        message.header.flags = RouteFlags::Onlink;
        message.attributes.push(RouteAttribute::Gateway(RouteAddress::from(gateway)));
    }
    message.attributes.push(RouteAttribute::Oif(index));
    message
}

fn link_of(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mac: None,
        kind: match message.header.link_layer_type {
            LinkLayerType::Ether => LinkKind::Ethernet,
            LinkLayerType::Loopback => LinkKind::Loopback,
            _ => LinkKind::Other,
        },
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        mtu: None,
        parent: None,
        master: None,
        is_layer: false,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Address(bytes) => link.mac = MacAddr::from_bytes(&bytes),
            LinkAttribute::Mtu(mtu) => link.mtu = u16::try_from(mtu).ok(),
            LinkAttribute::ParentDevName(name) => link.parent = Some(name),
            LinkAttribute::Controller(index) => link.master = Some(index),
            LinkAttribute::LinkInfo(infos) => {
                let layer = LinkInfo::Kind(InfoKind::Vlan);
                link.is_layer =
                    infos.contains(&layer) || infos.contains(&LinkInfo::Kind(InfoKind::Bond));
            }
            _ => {}
        }
    }
    Some(link)
}

/// The messages in one datagram. One that the packet types cannot read (a newer kernel) is left out.
fn messages(datagram: &[u8]) -> impl Iterator<Item = NetlinkMessage<RouteNetlinkMessage>> {
    /// Length of `struct nlmsghdr`; `NLMSG_ALIGN` rounds up to 4 (netlink(3)).
    const HEADER_LEN: usize = 16;
    let mut rest = datagram;
    let pieces = std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*rest.first_chunk::<4>()?) as usize;
        let piece = rest.get(..length).filter(|piece| piece.len() >= HEADER_LEN)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(piece)
    });
    pieces.filter_map(|piece| NetlinkMessage::deserialize(piece).ok())
}
