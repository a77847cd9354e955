//! The operator's network words: `BOOTIF=`, `nameserver=` and the choice of a NIC; `ip=` and
//! `rd.route=` are in `ip_arg`.
//!
//! Follows dracut.cmdline(7), "Network".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// Parses the value of `nameserver=`: an address, one of IPv6 in brackets or without.
pub fn parse_nameserver(text: &str) -> Result<IpAddr, ArgError> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    address("nameserver=", bare)
}

/// An address of either family that a host may have; messages call it `what`.
pub(super) fn address(what: &'static str, text: &str) -> Result<IpAddr, ArgError> {
    text.parse()
        .ok()
        .filter(|address| match address {
            IpAddr::V4(address) => is_usable(*address),
            IpAddr::V6(address) => is_usable_v6(*address),
        })
        .ok_or_else(|| {
            ArgError::new(what, text, "an IPv4 address such as 192.0.2.7, or an IPv6 address")
        })
}

/// Whether a host may have this IPv6 address: not unspecified, loopback, multicast or an IPv4 one.
pub(super) fn is_usable_v6(address: Ipv6Addr) -> bool {
    let is_one_hosts = !address.is_unspecified() && !address.is_loopback();
    is_one_hosts && !address.is_multicast() && address.to_ipv4_mapped().is_none()
}

/// Whether a host may have this address: not 0/8, loopback, multicast or broadcast.
pub(super) fn is_usable(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first < 224 && !address.is_loopback()
}

/// An MTU in bytes; messages call it `what`.
pub(super) fn parse_mtu_of(what: &'static str, text: &str) -> Result<u16, ArgError> {
    text.parse()
        .ok()
        .filter(|mtu| (MTU_MIN..=MTU_MAX).contains(mtu))
        .ok_or_else(|| ArgError::new(what, text, "a number of bytes from 576 to 9216"))
}

/// The prefix length of a contiguous, non-zero mask.
pub(super) fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let ones = bits.leading_ones();
    (ones > 0 && ones == bits.count_ones()).then_some(ones as u8)
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

/// A host's name or address.
pub fn parse_host(text: &str) -> Result<String, String> {
    let is_host = is_host_name(text) || text.parse::<IpAddr>().is_ok();
    is_host.then(|| text.to_owned()).ok_or_else(|| format!("a name or an address, not {text:?}"))
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
