//! DHCPv6 messages (RFC 8415), without socket, clock or randomness.
//!
//! Of all that the RFC has, a machine that is deployed needs one address and the names of resolvers
//! and time servers: relays, prefixes, authentication and reconfiguration are not here.

use std::net::{IpAddr, Ipv6Addr};

use crate::net::NAMESERVERS_MAX;
use crate::net::args::is_usable_v6;
use crate::net::dhcp::SHORTEST_LEASE_S;
use crate::net::mac::MacAddr;
use crate::net::names::first_name;

/// Where servers and relays listen.
pub(in crate::net) const SERVER_PORT: u16 = 547;
/// Where clients listen.
pub(in crate::net) const CLIENT_PORT: u16 = 546;

/// `All_DHCP_Relay_Agents_and_Servers`.
pub(in crate::net) const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// Longest identifier of a server that is kept (RFC 8415, 11.1: type and at most 128 bytes).
const DUID_MAX: usize = 130;

/// Time servers kept.
const NTP_MAX: usize = 4;

/// Longest piece kept of a server's own error text.
const ERROR_TEXT_MAX: usize = 80;

/// Options in one message, more than any server sends.
const OPTIONS_MAX: usize = 128;

/// Kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Solicit = 1,
    Advertise = 2,
    Request = 3,
    Renew = 5,
    Rebind = 6,
    Reply = 7,
    Release = 8,
    Decline = 9,
    InformationRequest = 11,
}

/// Option numbers, RFC 8415 unless said otherwise.
mod option {
    pub(super) const CLIENT: u16 = 1;
    pub(super) const SERVER: u16 = 2;
    pub(super) const ADDRESSES: u16 = 3;
    pub(super) const ADDRESS: u16 = 5;
    pub(super) const WANTED: u16 = 6;
    pub(super) const ELAPSED: u16 = 8;
    pub(super) const STATUS: u16 = 13;
    pub(super) const RAPID_COMMIT: u16 = 14;
    /// RFC 3646.
    pub(super) const NAME_SERVERS: u16 = 23;
    /// RFC 3646.
    pub(super) const DOMAINS: u16 = 24;
    /// RFC 4075.
    pub(super) const SNTP: u16 = 31;
    /// RFC 5908.
    pub(super) const NTP: u16 = 56;
}

const WANTED: [u16; 4] = [option::NAME_SERVERS, option::DOMAINS, option::SNTP, option::NTP];

/// What the client says.
#[derive(Debug, Clone)]
pub(super) struct Question<'a> {
    pub(super) kind: Kind,
    /// 24 bits.
    pub(super) xid: u32,
    pub(super) mac: MacAddr,
    /// Since the first question of the same kind, hundredths of a second.
    pub(super) elapsed_cs: u16,
    pub(super) server: Option<&'a [u8]>,
    pub(super) address: Option<Ipv6Addr>,
}

impl Question<'_> {
    /// What a UDP datagram with it carries.
    pub(super) fn message(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind as u8];
        bytes.extend_from_slice(&self.xid.to_be_bytes()[1..]);
        put(&mut bytes, option::CLIENT, &duid(self.mac));
        if let Some(server) = self.server {
            put(&mut bytes, option::SERVER, server);
        }
        put(&mut bytes, option::ELAPSED, &self.elapsed_cs.to_be_bytes());
        if self.kind != Kind::InformationRequest {
            put(&mut bytes, option::ADDRESSES, &self.addresses());
        }
        if self.kind == Kind::Solicit {
            put(&mut bytes, option::RAPID_COMMIT, &[]);
        }
        if !matches!(self.kind, Kind::Decline | Kind::Release) {
            let wanted: Vec<u8> = WANTED.iter().flat_map(|option| option.to_be_bytes()).collect();
            put(&mut bytes, option::WANTED, &wanted);
        }
        bytes
    }

    /// `IA_NA`: times are the server's to choose.
    fn addresses(&self) -> Vec<u8> {
        let mut bytes = iaid(self.mac).to_vec();
        bytes.extend_from_slice(&[0; 8]);
        if let Some(address) = self.address {
            let data = [&address.octets()[..], &[0; 8]].concat();
            put(&mut bytes, option::ADDRESS, &data);
        }
        bytes
    }
}

/// The message by which `mac` gives `address` back to the server that is `server`.
pub(in crate::net) fn release(
    mac: MacAddr,
    address: Ipv6Addr,
    server: &[u8],
    random: u64,
) -> Vec<u8> {
    let xid = random as u32 & 0x00ff_ffff;
    let (server, address) = (Some(server), Some(address));
    Question { kind: Kind::Release, xid, mac, elapsed_cs: 0, server, address }.message()
}

/// Who the client is: DUID-LL, by its Ethernet address. A machine that is deployed has nowhere to keep
/// another.
fn duid(mac: MacAddr) -> [u8; 10] {
    let mut duid = [0, 3, 0, 1, 0, 0, 0, 0, 0, 0];
    duid[4..].copy_from_slice(&mac.0);
    duid
}

/// Which of the client's interfaces it is.
fn iaid(mac: MacAddr) -> [u8; 4] {
    let [_, _, c, d, e, f] = mac.0;
    [c, d, e, f]
}

fn put(bytes: &mut Vec<u8>, option: u16, data: &[u8]) {
    bytes.extend_from_slice(&option.to_be_bytes());
    // Everything put is some hundred bytes at most.
    bytes.extend_from_slice(&u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(data);
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) kind: Kind,
    pub(super) xid: u32,
    /// Who the server is.
    pub(super) server: Vec<u8>,
    /// The address that is granted.
    pub(super) granted: Option<Granted>,
    /// What is refused, in words.
    pub(super) refused: Option<String>,
    /// Why an address that was had is not any more: the server knows nothing of it, or takes it back.
    pub(super) ended: Option<String>,
    pub(super) nameservers: Vec<IpAddr>,
    pub(super) domain: Option<String>,
    pub(super) ntp: Vec<IpAddr>,
}

/// An address for some time, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) address: Ipv6Addr,
    pub(super) valid_s: u32,
    /// T1.
    pub(super) renew_s: u32,
    /// T2.
    pub(super) rebind_s: u32,
}

/// Reads what a UDP datagram carried: `None` unless it is a server's word to `mac`.
pub(super) fn parse(bytes: &[u8], mac: MacAddr) -> Option<Reply> {
    let ([kind, x, y, z], rest) = bytes.split_first_chunk::<4>()?;
    let kind = match kind {
        2 => Kind::Advertise,
        7 => Kind::Reply,
        _ => return None,
    };
    let mut reply = Reply {
        kind,
        xid: u32::from_be_bytes([0, *x, *y, *z]),
        server: Vec::new(),
        granted: None,
        refused: None,
        ended: None,
        nameservers: Vec::new(),
        domain: None,
        ntp: Vec::new(),
    };
    let mut is_ours = false;
    for (option, data) in options(rest)? {
        match option {
            option::CLIENT => is_ours = data == duid(mac),
            option::SERVER if data.len() <= DUID_MAX => reply.server = data.to_vec(),
            option::ADDRESSES => reply.take_addresses(data, mac)?,
            option::STATUS => reply.take_status(data),
            option::NAME_SERVERS => reply.nameservers = addresses(data, NAMESERVERS_MAX),
            option::DOMAINS => reply.domain = first_name(data),
            option::SNTP if reply.ntp.is_empty() => reply.ntp = addresses(data, NTP_MAX),
            option::NTP => reply.ntp = time_servers(data)?,
            _ => {}
        }
    }
    (is_ours && !reply.server.is_empty()).then_some(reply)
}

impl Reply {
    /// Reads a status code (RFC 8415, 21.13).
    fn take_status(&mut self, data: &[u8]) {
        const NO_BINDING: [u8; 2] = [0, 3];
        const NOT_ON_LINK: [u8; 2] = [0, 4];
        let refused = refusal(data);
        if data.starts_with(&NO_BINDING) || data.starts_with(&NOT_ON_LINK) {
            self.ended = self.ended.take().or_else(|| refused.clone());
        }
        self.refused = self.refused.take().or(refused);
    }

    /// Reads an `IA_NA`.
    fn take_addresses(&mut self, data: &[u8], mac: MacAddr) -> Option<()> {
        let (id, rest) = data.split_first_chunk::<4>()?;
        let (renew, rest) = rest.split_first_chunk::<4>()?;
        let (rebind, rest) = rest.split_first_chunk::<4>()?;
        if *id != iaid(mac) {
            return Some(());
        }
        let (renew_s, rebind_s) = (u32::from_be_bytes(*renew), u32::from_be_bytes(*rebind));
        for (option, data) in options(rest)? {
            match option {
                option::ADDRESS if self.granted.is_none() => {
                    self.granted = granted(data, renew_s, rebind_s);
                    let is_over = data.get(20..24) == Some(&[0; 4]);
                    self.ended = is_over.then(|| "its time is over".to_owned());
                }
                option::STATUS => self.take_status(data),
                _ => {}
            }
        }
        Some(())
    }
}

/// Reads an `IAADDR`.
fn granted(data: &[u8], renew_s: u32, rebind_s: u32) -> Option<Granted> {
    let (address, rest) = data.split_first_chunk::<16>()?;
    let (preferred, rest) = rest.split_first_chunk::<4>()?;
    let (valid, rest) = rest.split_first_chunk::<4>()?;
    let mut inner = options(rest)?.into_iter();
    if inner.any(|(option, data)| option == option::STATUS && refusal(data).is_some()) {
        return None;
    }
    let address = Ipv6Addr::from(*address);
    let (preferred_s, valid_s) = (u32::from_be_bytes(*preferred), u32::from_be_bytes(*valid));
    if !is_usable_v6(address) || valid_s == 0 || preferred_s > valid_s {
        return None;
    }
    let valid_s = valid_s.max(SHORTEST_LEASE_S);
    // RFC 8415, 14.2 and 21.4: where the server leaves them to the client, half and four fifths of the
    // time for which the address is preferred.
    let preferred_s = if preferred_s > 0 { preferred_s.max(SHORTEST_LEASE_S) } else { valid_s };
    let own_rebind_s = preferred_s - preferred_s.div_ceil(5);
    let rebind_s = if (1..valid_s).contains(&rebind_s) { rebind_s } else { own_rebind_s };
    let renew_s =
        if (1..=rebind_s).contains(&renew_s) { renew_s } else { rebind_s - rebind_s * 3 / 8 };
    Some(Granted { address, valid_s, renew_s, rebind_s })
}

/// A status other than success, in words.
fn refusal(data: &[u8]) -> Option<String> {
    let (code, text) = data.split_first_chunk::<2>()?;
    let name = match u16::from_be_bytes(*code) {
        0 => return None,
        1 => "it failed".to_owned(),
        2 => "no addresses available".to_owned(),
        3 => "it knows no such lease".to_owned(),
        4 => "the address is not of this link".to_owned(),
        5 => "it wants to be asked directly".to_owned(),
        other => format!("status {other}"),
    };
    let printable = |byte: &&u8| byte.is_ascii_graphic() || **byte == b' ';
    let text: String =
        text.iter().take(ERROR_TEXT_MAX).filter(printable).map(|byte| char::from(*byte)).collect();
    Some(if text.is_empty() { name } else { format!("{name} ({text})") })
}

/// RFC 5908: addresses of servers among other things.
fn time_servers(data: &[u8]) -> Option<Vec<IpAddr>> {
    const SERVER_ADDRESS: u16 = 1;
    let all = options(data)?.into_iter().filter(|(kind, _)| *kind == SERVER_ADDRESS);
    Some(all.flat_map(|(_, data)| addresses(data, 1)).take(NTP_MAX).collect())
}

/// Addresses of hosts, at most so many.
pub(super) fn addresses(data: &[u8], most: usize) -> Vec<IpAddr> {
    let all = data.chunks_exact(16).filter_map(|chunk| chunk.first_chunk::<16>());
    let all = all.map(|octets| Ipv6Addr::from(*octets)).filter(|address| is_usable_v6(*address));
    all.take(most).map(IpAddr::from).collect()
}

/// Options with their numbers; `None` if they end early, which makes every byte of them doubtful.
fn options(mut bytes: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut options = Vec::new();
    while !bytes.is_empty() && options.len() < OPTIONS_MAX {
        let (option, rest) = bytes.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (data, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        options.push((u16::from_be_bytes(*option), data));
        bytes = rest;
    }
    Some(options)
}
