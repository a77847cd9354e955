//! DHCPv4 messages inside Ethernet frames (RFC 2131, RFC 2132), by smoltcp's packet types.
//!
//! Bytes in, values out: no socket, clock or randomness. Replies are read option by option and not
//! through `smoltcp::wire::DhcpRepr`, which drops a router list of more than one and knows neither
//! MTU, domain nor classless routes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Range;

use smoltcp::phy::{Checksum, ChecksumCapabilities};
use smoltcp::wire::{
    DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame,
    EthernetProtocol, EthernetRepr, IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket,
    UdpRepr,
};

use crate::net::mac::MacAddr;

/// Option numbers, RFC 2132 unless said otherwise.
pub(super) mod option {
    pub(in super::super) const SUBNET_MASK: u8 = 1;
    pub(in super::super) const ROUTER: u8 = 3;
    pub(in super::super) const NAME_SERVER: u8 = 6;
    pub(in super::super) const HOST_NAME: u8 = 12;
    pub(in super::super) const DOMAIN: u8 = 15;
    pub(in super::super) const MTU: u8 = 26;
    pub(in super::super) const NTP: u8 = 42;
    pub(in super::super) const LEASE_TIME: u8 = 51;
    pub(in super::super) const OVERLOAD: u8 = 52;
    pub(in super::super) const MESSAGE_TYPE: u8 = 53;
    pub(in super::super) const SERVER: u8 = 54;
    pub(in super::super) const ERROR_TEXT: u8 = 56;
    pub(in super::super) const RENEWAL_TIME: u8 = 58;
    pub(in super::super) const REBINDING_TIME: u8 = 59;
    pub(in super::super) const VENDOR_CLASS: u8 = 60;
    /// RFC 4578, 2.1.
    pub(in super::super) const ARCHITECTURE: u8 = 93;
    /// RFC 3397.
    pub(in super::super) const DOMAIN_SEARCH: u8 = 119;
    /// RFC 3442.
    pub(in super::super) const CLASSLESS_ROUTES: u8 = 121;
}

/// What is asked for. 121 comes before 3, as RFC 3442 wants from clients that prefer it.
const WANTED: &[u8] = &[
    option::SUBNET_MASK,
    option::CLASSLESS_ROUTES,
    option::ROUTER,
    option::NAME_SERVER,
    option::HOST_NAME,
    option::DOMAIN,
    option::DOMAIN_SEARCH,
    option::MTU,
    option::NTP,
];

/// How servers recognise this client, for example to hand out a pool of its own.
const VENDOR: DhcpOption<'static> = DhcpOption { kind: option::VENDOR_CLASS, data: b"inaugurator" };

/// Where servers and relays listen.
pub(in crate::net) const SERVER_PORT: u16 = 67;
/// Where clients listen.
pub(in crate::net) const CLIENT_PORT: u16 = 68;

/// RFC 1542, 2.1: relays and old servers drop anything shorter than a BOOTP message.
const BOOTP_MIN: usize = 300;

/// The longest message taken, announced to the server: one frame at the MTU every Ethernet has.
const MESSAGE_MAX: u16 = 1500 - 20 - 8;

/// Where a message has the name of a boot file and that of its server (RFC 2131, figure 1); a server
/// that has more to say than fits puts options there.
const FILE_FIELD: Range<usize> = 108..236;
const NAME_FIELD: Range<usize> = 44..108;

/// What the client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) kind: DhcpMessageType,
    pub(super) xid: u32,
    pub(super) mac: MacAddr,
    /// Seconds since the client began; relays use it to step in for a silent server.
    pub(super) secs: u16,
    /// Asks for the answer by broadcast.
    pub(super) broadcast: bool,
    /// The address that the client has and answers to; unspecified where it has none.
    pub(super) client: Ipv4Addr,
    pub(super) requested: Option<Ipv4Addr>,
    pub(super) server: Option<Ipv4Addr>,
    /// How the machine boots, where that is to be said.
    pub(super) architecture: Option<u16>,
}

impl Question {
    /// The whole Ethernet frame, sent from no address to everyone.
    pub(super) fn frame(&self) -> Result<Vec<u8>, smoltcp::wire::Error> {
        let message = self.message()?;
        let (from, to) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
        let ethernet = EthernetRepr {
            src_addr: EthernetAddress(self.mac.0),
            dst_addr: EthernetAddress::BROADCAST,
            ethertype: EthernetProtocol::Ipv4,
        };
        let udp = UdpRepr { src_port: CLIENT_PORT, dst_port: SERVER_PORT };
        let ip = Ipv4Repr {
            src_addr: from,
            dst_addr: to,
            next_header: IpProtocol::Udp,
            payload_len: udp.header_len() + message.len(),
            hop_limit: 64,
        };
        let mut bytes = vec![0; ethernet.buffer_len() + ip.buffer_len() + ip.payload_len];
        let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
        ethernet.emit(&mut frame);
        let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
        ip.emit(&mut packet, &ChecksumCapabilities::default());
        udp.emit(
            &mut UdpPacket::new_unchecked(packet.payload_mut()),
            &IpAddress::Ipv4(from),
            &IpAddress::Ipv4(to),
            message.len(),
            |payload| payload.copy_from_slice(&message),
            &ChecksumCapabilities::default(),
        );
        Ok(bytes)
    }

    /// What a UDP datagram with it carries.
    pub(super) fn message(&self) -> Result<Vec<u8>, smoltcp::wire::Error> {
        // RFC 2131, table 5: these say who gives what back to whom, and nothing else.
        let is_asking = !matches!(self.kind, DhcpMessageType::Decline | DhcpMessageType::Release);
        let architecture = self.architecture.unwrap_or_default().to_be_bytes();
        let options = [VENDOR, DhcpOption { kind: option::ARCHITECTURE, data: &architecture }];
        let count = usize::from(is_asking) + usize::from(is_asking && self.architecture.is_some());
        let repr = DhcpRepr {
            message_type: self.kind,
            transaction_id: self.xid,
            secs: self.secs,
            client_hardware_address: EthernetAddress(self.mac.0),
            client_ip: self.client,
            your_ip: Ipv4Addr::UNSPECIFIED,
            server_ip: Ipv4Addr::UNSPECIFIED,
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: self.broadcast,
            requested_ip: self.requested,
            // The same identifier as iPXE sends, so the server knows the machine from its boot.
            client_identifier: Some(EthernetAddress(self.mac.0)),
            server_identifier: self.server,
            parameter_request_list: is_asking.then_some(WANTED),
            max_size: is_asking.then_some(MESSAGE_MAX),
            router: None,
            subnet_mask: None,
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            dns_servers: None,
            additional_options: &options[..count],
        };
        let mut bytes = vec![0; repr.buffer_len().max(BOOTP_MIN)];
        repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..]))?;
        Ok(bytes)
    }
}

/// The message by which `mac` gives `address` back to `server`; `None` if it cannot be made.
pub(in crate::net) fn release(
    mac: MacAddr,
    address: Ipv4Addr,
    server: Ipv4Addr,
    random: u64,
) -> Option<Vec<u8>> {
    let question = Question {
        kind: DhcpMessageType::Release,
        xid: random as u32,
        mac,
        secs: 0,
        broadcast: false,
        client: address,
        requested: None,
        server: Some(server),
        architecture: None,
    };
    question.message().ok()
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) kind: DhcpMessageType,
    pub(super) xid: u32,
    pub(super) mac: MacAddr,
    pub(super) your_ip: Ipv4Addr,
    pub(super) options: Options,
}

/// Options by number; the parts of one that occurs several times are joined (RFC 3396). Bounded by
/// the frame they came in.
pub(super) type Options = BTreeMap<u8, Vec<u8>>;

/// Reads a frame from the wire: `None` unless it is a DHCP server's reply.
pub(super) fn parse(frame: &[u8]) -> Option<Reply> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    let ip = Ipv4Repr::parse(&packet, &unverified_udp()).ok()?;
    // Fragments are refused here, whatever features smoltcp was built with.
    if ip.next_header != IpProtocol::Udp || packet.more_frags() || packet.frag_offset() != 0 {
        return None;
    }
    let udp = UdpPacket::new_checked(packet.payload()).ok()?;
    if (udp.src_port(), udp.dst_port()) != (SERVER_PORT, CLIENT_PORT) {
        return None;
    }
    message(udp.payload())
}

/// A server on the same host leaves the UDP checksum to a card that never sees the frame (virtio,
/// veth), so on the packet socket it is partial. The IPv4 header's own is always whole.
fn unverified_udp() -> ChecksumCapabilities {
    let mut capabilities = ChecksumCapabilities::default();
    capabilities.udp = Checksum::Tx;
    capabilities
}

/// Reads what a UDP datagram carried.
pub(super) fn message(bytes: &[u8]) -> Option<Reply> {
    const MAGIC: u32 = 0x6382_5363;
    const BOOTREPLY: u8 = 2;
    let packet = DhcpPacket::new_checked(bytes).ok()?;
    let ethernet = bytes.get(1) == Some(&1) && packet.hardware_len() == 6;
    if bytes.first() != Some(&BOOTREPLY) || packet.magic_number() != MAGIC || !ethernet {
        return None;
    }
    let mut options = Options::new();
    for found in packet.options() {
        options.entry(found.kind).or_default().extend_from_slice(found.data);
    }
    // RFC 2131, 4.1: the file's field is read before the server's name.
    let overload = options.get(&option::OVERLOAD).and_then(|data| data.first()).copied();
    for (bit, field) in [(1, FILE_FIELD), (2, NAME_FIELD)] {
        if overload.is_some_and(|overload| overload & bit != 0) {
            read_field(bytes.get(field)?, &mut options);
        }
    }
    let kind = *options.get(&option::MESSAGE_TYPE)?.first()?;
    Some(Reply {
        kind: DhcpMessageType::from(kind),
        xid: packet.transaction_id(),
        mac: MacAddr(packet.client_hardware_address().0),
        your_ip: packet.your_ip(),
        options,
    })
}

/// Reads the options in a field that was not made for them (RFC 2132, 9.3), up to the first that is
/// cut.
fn read_field(mut field: &[u8], options: &mut Options) {
    const PAD: u8 = 0;
    const END: u8 = 255;
    while let Some((&kind, rest)) = field.split_first() {
        if kind == END {
            return;
        }
        let length =
            if kind == PAD { None } else { rest.first().map(|length| usize::from(*length)) };
        let Some(length) = length else {
            field = rest;
            continue;
        };
        let Some((data, after)) = rest[1..].split_at_checked(length) else { return };
        options.entry(kind).or_default().extend_from_slice(data);
        field = after;
    }
}
