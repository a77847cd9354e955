//! DHCP messages as bytes (RFC 2131 section 2, RFC 2132): written by hand, since a server that lies
//! says what no library lets it say.

use crate::station::Mac;
use smoltcp::wire::{DhcpMessageType, DhcpPacket};
use std::net::Ipv4Addr;

/// Option numbers (RFC 2132).
pub(super) mod option {
    pub(crate) const MASK: u8 = 1;
    pub(crate) const ROUTER: u8 = 3;
    pub(crate) const RESOLVER: u8 = 6;
    pub(crate) const MTU: u8 = 26;
    pub(crate) const LEASE: u8 = 51;
    pub(crate) const OVERLOAD: u8 = 52;
    pub(crate) const KIND: u8 = 53;
    pub(crate) const SERVER: u8 = 54;
    pub(crate) const TEXT: u8 = 56;
    pub(crate) const END: u8 = 255;
}

/// Where the fixed fields stand, bytes.
mod field {
    use std::ops::Range;
    pub(super) const XID: Range<usize> = 4..8;
    pub(super) const CLIENT: Range<usize> = 12..16;
    pub(super) const YOURS: Range<usize> = 16..20;
    pub(super) const HARDWARE: Range<usize> = 28..34;
    pub(super) const SERVER_NAME: Range<usize> = 44..108;
    pub(super) const FILE: Range<usize> = 108..236;
    pub(super) const MAGIC: Range<usize> = 236..240;
}

/// The shortest message that old clients and relays take (RFC 1542, 2.1), bytes.
const SHORTEST: usize = 300;

/// What a client says, as far as servers here look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: DhcpMessageType,
    pub(crate) xid: u32,
    pub(crate) mac: Mac,
    pub(crate) broadcast: bool,
    pub(crate) client: Ipv4Addr,
    pub(crate) server: Option<Ipv4Addr>,
}

impl Message {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let packet = DhcpPacket::new_checked(bytes).ok()?;
        let find = |kind| packet.options().find(|found| found.kind == kind).map(|found| found.data);
        let server = find(option::SERVER).and_then(<[u8]>::first_chunk::<4>);
        Some(Self {
            kind: DhcpMessageType::from(*find(option::KIND)?.first()?),
            xid: packet.transaction_id(),
            mac: packet.client_hardware_address().0,
            broadcast: bytes.get(10).is_some_and(|flags| flags & 0x80 != 0),
            client: packet.client_ip(),
            server: server.map(|octets| Ipv4Addr::from(*octets)),
        })
    }
}

/// What a server says.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) kind: DhcpMessageType,
    pub(super) xid: u32,
    pub(super) mac: Mac,
    pub(super) address: Ipv4Addr,
    pub(super) client: Ipv4Addr,
    pub(super) options: Vec<(u8, Vec<u8>)>,
    /// The first option goes to the file field, the second to the server's name, the rest to its place.
    pub(super) overloads: bool,
}

impl Reply {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; field::MAGIC.end];
        // A reply, over Ethernet, whose addresses have six bytes.
        bytes[..3].copy_from_slice(&[2, 1, 6]);
        bytes[field::XID].copy_from_slice(&self.xid.to_be_bytes());
        bytes[field::CLIENT].copy_from_slice(&self.client.octets());
        bytes[field::YOURS].copy_from_slice(&self.address.octets());
        bytes[field::HARDWARE].copy_from_slice(&self.mac);
        bytes[field::MAGIC].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        push(&mut bytes, option::KIND, &[u8::from(self.kind)]);
        let mut options = &self.options[..];
        if self.overloads
            && let [file, name, rest @ ..] = options
        {
            push(&mut bytes, option::OVERLOAD, &[3]);
            put(&mut bytes[field::FILE], file);
            put(&mut bytes[field::SERVER_NAME], name);
            options = rest;
        }
        for (kind, data) in options {
            push(&mut bytes, *kind, data);
        }
        bytes.push(option::END);
        bytes.resize(bytes.len().max(SHORTEST), 0);
        bytes
    }
}

fn push(bytes: &mut Vec<u8>, kind: u8, data: &[u8]) {
    bytes.extend([kind, data.len() as u8]);
    bytes.extend(data);
}

/// One option alone in a field.
fn put(field: &mut [u8], (kind, data): &(u8, Vec<u8>)) {
    let mut bytes = Vec::new();
    push(&mut bytes, *kind, data);
    bytes.push(option::END);
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}
