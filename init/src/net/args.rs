//! The operator's network words: `ip=`, `BOOTIF=`, `nameserver=` and the choice of a NIC.
//!
//! Follows dracut.cmdline(7), "Network", IPv4 part. What is not supported (IPv6, iBFT) is refused
//! by name instead of being taken for something else.

use std::net::Ipv4Addr;

use thiserror::Error;

use super::mac::MacAddr;
use super::{MTU_MAX, MTU_MIN};

/// A network word that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} {typed:?}: expected {expected}")]
pub struct ArgError {
    what: &'static str,
    typed: String,
    expected: &'static str,
}

impl ArgError {
    pub(super) fn new(what: &'static str, typed: &str, expected: &'static str) -> Self {
        Self { what, typed: typed.to_owned(), expected }
    }
}

/// Which NIC the operator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NicChoice {
    /// The one with this Ethernet address.
    Mac(MacAddr),
    /// The one the kernel calls this, such as `eth0`.
    Name(String),
    /// Any that this driver serves, typed as `driver=igb`.
    Driver(String),
}

impl NicChoice {
    /// A MAC address, `driver=NAME`, or a kernel name of at most 15 bytes (`IFNAMSIZ`).
    pub fn parse(text: &str) -> Result<Self, ArgError> {
        if let Ok(mac) = text.parse() {
            return Ok(Self::Mac(mac));
        }
        match text.strip_prefix("driver=") {
            Some(driver) if is_kernel_name(driver, 64) => Ok(Self::Driver(driver.to_owned())),
            None if is_kernel_name(text, 15) => Ok(Self::Name(text.to_owned())),
            _ => Err(ArgError::new(
                "NIC",
                text,
                "a MAC address, a name such as eth0, or driver=NAME",
            )),
        }
    }
}

impl std::fmt::Display for NicChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mac(mac) => mac.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Driver(driver) => write!(f, "driver={driver}"),
        }
    }
}

/// Where the machine's address comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressing {
    /// DHCPv4 on every NIC with carrier.
    Dhcp,
    /// The operator's own.
    Static(StaticAddress),
}

/// An address given by the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticAddress {
    /// The machine's address.
    pub address: Ipv4Addr,
    /// Length of the subnet's prefix, 1 to 32.
    pub prefix: u8,
    /// The far end of a point-to-point link.
    pub peer: Option<Ipv4Addr>,
    /// Next hop of the default route; it may lie outside the subnet.
    pub gateway: Option<Ipv4Addr>,
}

/// One `ip=` word, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpArg {
    /// The NIC it names, if it names one.
    pub nic: Option<NicChoice>,
    /// Where the address comes from.
    pub addressing: Addressing,
    /// MTU in bytes to set, whatever the lease says.
    pub mtu: Option<u16>,
    /// Host name to take.
    pub hostname: Option<String>,
    /// Resolvers, at most two in this syntax.
    pub nameservers: Vec<Ipv4Addr>,
}

const METHODS: &str = "none, off, static, dhcp, on or any (IPv6 and iBFT are not supported)";
const IP_FORMS: &str = "dhcp, <if>:dhcp[:<mtu>], or \
    <client>:[<peer>]:<gateway>:<netmask>:<hostname>:<if>:{none|off|static|dhcp|on|any}[:<mtu>|:<dns1>[:<dns2>]]";

/// Parses the value of `ip=`.
pub fn parse_ip(text: &str) -> Result<IpArg, ArgError> {
    let fields: Vec<&str> = text.split(':').collect();
    match fields.as_slice() {
        [method] if is_dhcp(method) => dhcp(None, None),
        [nic, method] if is_dhcp(method) => dhcp(Some(nic), None),
        [nic, method, mtu] if is_dhcp(method) => dhcp(Some(nic), Some(mtu)),
        [method] | [_, method] if is_unsupported(method) => {
            Err(ArgError::new("ip= method", method, METHODS))
        }
        [client, peer, gateway, netmask, hostname, nic, method, rest @ ..] if rest.len() <= 2 => {
            seven([client, peer, gateway, netmask], hostname, nic, method, rest)
        }
        _ => Err(ArgError::new("ip=", text, IP_FORMS)),
    }
}

/// Parses the value of `BOOTIF=`: the hardware type (01, Ethernet) and the address, as PXELINUX and
/// iPXE (`BOOTIF=01-${netX/mac:hexhyp}`) write it. The type may be missing.
pub fn parse_bootif(text: &str) -> Result<MacAddr, ArgError> {
    const TYPED_LEN: usize = "01-52-54-00-12-34-56".len();
    let typed = |prefix| text.strip_prefix(prefix).filter(|_| text.len() == TYPED_LEN);
    let address = typed("01-").or_else(|| typed("01:")).unwrap_or(text);
    // No card has a group address: 01- and five pairs is a word with its end cut off.
    let one_card = |mac: &MacAddr| mac.0[0] & 1 == 0;
    address.parse().ok().filter(one_card).ok_or_else(|| {
        ArgError::new("BOOTIF=", text, "01- and six hex pairs such as 01-52-54-00-12-34-56")
    })
}

/// Parses the value of `nameserver=`.
pub fn parse_nameserver(text: &str) -> Result<Ipv4Addr, ArgError> {
    address("nameserver=", text)
}

fn dhcp(nic: Option<&str>, mtu: Option<&str>) -> Result<IpArg, ArgError> {
    Ok(IpArg {
        nic: nic.filter(|nic| !nic.is_empty()).map(NicChoice::parse).transpose()?,
        addressing: Addressing::Dhcp,
        mtu: mtu.filter(|mtu| !mtu.is_empty()).map(parse_mtu).transpose()?,
        hostname: None,
        nameservers: Vec::new(),
    })
}

fn seven(
    [client, peer, gateway, netmask]: [&str; 4],
    hostname: &str,
    nic: &str,
    method: &str,
    rest: &[&str],
) -> Result<IpArg, ArgError> {
    let mut arg = dhcp(Some(nic), None)?;
    arg.hostname = optional(hostname).map(parse_hostname).transpose()?;
    if matches!(method, "none" | "off" | "static" | "") {
        arg.addressing = Addressing::Static(StaticAddress {
            address: address("ip= client", client)?,
            prefix: parse_netmask(netmask)?,
            peer: optional(peer).map(|peer| address("ip= peer", peer)).transpose()?,
            gateway: optional(gateway).map(|hop| address("ip= gateway", hop)).transpose()?,
        });
    } else if !is_dhcp(method) {
        return Err(ArgError::new("ip= method", method, METHODS));
    }
    // dracut tells an MTU from a resolver by what it looks like.
    match rest {
        [mtu] if !mtu.is_empty() && !mtu.contains('.') => arg.mtu = Some(parse_mtu(mtu)?),
        servers => {
            let servers = servers.iter().filter(|server| !server.is_empty());
            arg.nameservers =
                servers.map(|server| address("ip= dns", server)).collect::<Result<_, _>>()?;
        }
    }
    Ok(arg)
}

fn is_dhcp(method: &str) -> bool {
    matches!(method, "dhcp" | "on" | "any" | "single-dhcp")
}

fn is_unsupported(method: &str) -> bool {
    matches!(method, "dhcp6" | "auto6" | "either6" | "link6" | "link-local" | "ibft")
}

fn optional(field: &str) -> Option<&str> {
    Some(field).filter(|field| !field.is_empty())
}

fn address(what: &'static str, text: &str) -> Result<Ipv4Addr, ArgError> {
    text.parse()
        .ok()
        .filter(|address| is_usable(*address))
        .ok_or_else(|| ArgError::new(what, text, "an IPv4 address such as 192.0.2.7"))
}

/// Whether a host may have this address: not 0/8, loopback, multicast or broadcast.
pub(super) fn is_usable(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first < 224 && !address.is_loopback()
}

fn parse_mtu(text: &str) -> Result<u16, ArgError> {
    parse_mtu_of("ip= MTU", text)
}

/// An MTU in bytes; messages call it `what`.
pub(super) fn parse_mtu_of(what: &'static str, text: &str) -> Result<u16, ArgError> {
    text.parse()
        .ok()
        .filter(|mtu| (MTU_MIN..=MTU_MAX).contains(mtu))
        .ok_or_else(|| ArgError::new(what, text, "a number of bytes from 576 to 9216"))
}

fn parse_netmask(text: &str) -> Result<u8, ArgError> {
    let dotted = text.parse().ok().and_then(prefix_of);
    let number = || text.parse().ok().filter(|prefix| (1..=32).contains(prefix));
    dotted.or_else(number).ok_or_else(|| {
        ArgError::new("ip= netmask", text, "255.255.255.0 or a prefix length from 1 to 32")
    })
}

/// The prefix length of a contiguous, non-zero mask.
pub(super) fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let ones = bits.leading_ones();
    (ones > 0 && ones == bits.count_ones()).then_some(ones as u8)
}

fn parse_hostname(text: &str) -> Result<String, ArgError> {
    if is_host_name(text) {
        return Ok(text.to_owned());
    }
    Err(ArgError::new("ip= hostname", text, "letters, digits, '-' and '.', at most 253"))
}

/// Whether `text` may go into resolv.conf or be set as a host name (RFC 1123, and `_`, which
/// directory services use).
pub(super) fn is_host_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !text.is_empty()
        && text.len() <= 253
        && !text.starts_with(['-', '.'])
        && text.bytes().all(legal)
}

/// Whether the kernel could have given this name to a link or a driver.
pub(super) fn is_kernel_name(text: &str, longest: usize) -> bool {
    let legal = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'=');
    !text.is_empty()
        && text.len() <= longest
        && text != "."
        && text != ".."
        && text.bytes().all(legal)
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
