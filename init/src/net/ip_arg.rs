//! `ip=` and `rd.route=`, as dracut.cmdline(7) writes them: IPv6 addresses in brackets.
//!
//! What is not supported (iBFT, another MAC address) is refused by name instead of being taken for
//! something else.

use std::net::{IpAddr, Ipv4Addr};

use super::args::{ArgError, NicChoice, address, is_host_name, parse_mtu_of, prefix_of};
use super::{Route, network_of};

/// Where the machine's address comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressing {
    /// DHCPv4, and IPv6 as the routers say, at once on every NIC with carrier.
    Any,
    /// DHCPv4 on every NIC with carrier.
    Dhcp,
    /// IPv6 on every NIC with carrier.
    Ipv6(Ipv6Mode),
    /// The operator's own.
    Static(StaticAddress),
}

/// Where an IPv6 address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6Mode {
    /// `auto6`: made of a router's prefix (SLAAC, RFC 4862).
    Auto,
    /// `dhcp6`: from a DHCPv6 server.
    Dhcp,
    /// `either6`: what the routers say.
    Either,
    /// `link6`: that of the link, which reaches nobody behind a router.
    LinkLocal,
}

/// An address given by the operator. All of it is of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticAddress {
    /// The machine's address.
    pub address: IpAddr,
    /// Length of the subnet's prefix, 1 to 32, or to 128.
    pub prefix: u8,
    /// The far end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// Next hop of the default route; it may lie outside the subnet.
    pub gateway: Option<IpAddr>,
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
    pub nameservers: Vec<IpAddr>,
}

/// One `rd.route=` word, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteArg {
    /// The route; its gateway is given.
    pub route: Route,
    /// The NIC it leads through, if the word names one: whichever is used otherwise.
    pub nic: Option<NicChoice>,
}

const METHODS: &str =
    "none, off, static, dhcp, on, any, auto6, dhcp6, either6 or link6 (iBFT is not supported)";
const IP_FORMS: &str = "dhcp, <if>:dhcp[:<mtu>], or \
    <client>:[<peer>]:<gateway>:<netmask>:<hostname>:<if>:\
    {none|off|static|dhcp|on|any|auto6|dhcp6|either6|link6}[:<mtu>|:<dns1>[:<dns2>]], \
    IPv6 addresses in brackets";
const ROUTE_FORM: &str = "<net>/<netmask>:<gateway>[:<if>], IPv6 in brackets";

/// Parses the value of `ip=`.
pub fn parse_ip(text: &str) -> Result<IpArg, ArgError> {
    let fields = fields(text).ok_or_else(|| ArgError::new("ip=", text, IP_FORMS))?;
    match fields.as_slice() {
        [method] if asked(method).is_some() => automatic(None, method, None),
        [nic, method] if asked(method).is_some() => automatic(Some(nic), method, None),
        [nic, method, mtu] if asked(method).is_some() => automatic(Some(nic), method, Some(mtu)),
        [method] | [_, method] if *method == "ibft" => {
            Err(ArgError::new("ip= method", method, METHODS))
        }
        [client, peer, gateway, netmask, hostname, nic, method, rest @ ..] if rest.len() <= 2 => {
            seven([client, peer, gateway, netmask], hostname, nic, method, rest)
        }
        _ => Err(ArgError::new("ip=", text, IP_FORMS)),
    }
}

/// Parses the value of `rd.route=`.
pub fn parse_route(text: &str) -> Result<RouteArg, ArgError> {
    let wrong = || ArgError::new("rd.route=", text, ROUTE_FORM);
    let fields = fields(text).ok_or_else(wrong)?;
    let (network, gateway, nic) = match fields.as_slice() {
        [network, gateway] => (network, gateway, None),
        [network, gateway, nic] => (network, gateway, optional(nic)),
        _ => return Err(wrong()),
    };
    let (destination, netmask) = network.split_once('/').ok_or_else(wrong)?;
    let destination: IpAddr = destination.parse().ok().ok_or_else(wrong)?;
    let prefix = match netmask {
        "0" => 0,
        _ => parse_netmask("rd.route= netmask", netmask, &destination)?,
    };
    let gateway = alike("rd.route= gateway", gateway, &destination)?;
    Ok(RouteArg {
        route: Route {
            destination: network_of(destination, prefix),
            prefix,
            gateway: Some(gateway),
        },
        nic: nic.map(NicChoice::parse).transpose()?,
    })
}

/// What stands between colons that are not in brackets; the brackets are left out. `None` where they
/// do not stand around a field.
fn fields(text: &str) -> Option<Vec<&str>> {
    let (mut fields, mut rest) = (Vec::new(), text);
    loop {
        let (field, after) = match rest.strip_prefix('[') {
            Some(inside) => inside.split_once(']')?,
            None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
        };
        fields.push(field);
        match after.strip_prefix(':') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(fields),
        }
    }
}

/// What a method other than a static one asks for.
fn asked(method: &str) -> Option<Addressing> {
    Some(match method {
        // Documentation/admin-guide/nfs/nfsroot.rst of the kernel: any protocol that there is.
        "on" | "any" => Addressing::Any,
        "dhcp" | "single-dhcp" => Addressing::Dhcp,
        "auto6" => Addressing::Ipv6(Ipv6Mode::Auto),
        "dhcp6" => Addressing::Ipv6(Ipv6Mode::Dhcp),
        "either6" => Addressing::Ipv6(Ipv6Mode::Either),
        "link6" | "link-local" => Addressing::Ipv6(Ipv6Mode::LinkLocal),
        _ => return None,
    })
}

fn automatic(nic: Option<&str>, method: &str, mtu: Option<&str>) -> Result<IpArg, ArgError> {
    Ok(IpArg {
        nic: nic.and_then(optional).map(NicChoice::parse).transpose()?,
        addressing: asked(method).ok_or_else(|| ArgError::new("ip= method", method, METHODS))?,
        mtu: mtu.and_then(optional).map(parse_mtu).transpose()?,
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
    let is_static = matches!(method, "none" | "off" | "static" | "");
    let mut arg = automatic(Some(nic), if is_static { "any" } else { method }, None)?;
    arg.hostname = optional(hostname).map(parse_hostname).transpose()?;
    if is_static {
        let client = address("ip= client", client)?;
        arg.addressing = Addressing::Static(StaticAddress {
            address: client,
            prefix: parse_netmask("ip= netmask", netmask, &client)?,
            peer: optional(peer).map(|peer| alike("ip= peer", peer, &client)).transpose()?,
            gateway: optional(gateway).map(|hop| alike("ip= gateway", hop, &client)).transpose()?,
        });
    }
    // dracut tells an MTU from a resolver by what it looks like.
    match rest {
        [mtu] if !mtu.is_empty() && !mtu.contains(['.', ':']) => arg.mtu = Some(parse_mtu(mtu)?),
        servers => {
            let servers = servers.iter().filter(|server| !server.is_empty());
            arg.nameservers =
                servers.map(|server| address("ip= dns", server)).collect::<Result<_, _>>()?;
        }
    }
    Ok(arg)
}

fn optional(field: &str) -> Option<&str> {
    Some(field).filter(|field| !field.is_empty())
}

/// An address of the same family as `other`.
fn alike(what: &'static str, text: &str, other: &IpAddr) -> Result<IpAddr, ArgError> {
    let found = address(what, text)?;
    match (found.is_ipv6(), other.is_ipv6()) {
        (true, false) => Err(ArgError::new(what, text, "an IPv4 address, as the others are")),
        (false, true) => Err(ArgError::new(what, text, "an IPv6 address, as the others are")),
        _ => Ok(found),
    }
}

fn parse_mtu(text: &str) -> Result<u16, ArgError> {
    parse_mtu_of("ip= MTU", text)
}

/// The prefix length that stands beside `address`.
fn parse_netmask(what: &'static str, text: &str, address: &IpAddr) -> Result<u8, ArgError> {
    let number = |longest| text.parse().ok().filter(|prefix| (1..=longest).contains(prefix));
    if address.is_ipv6() {
        return number(128)
            .ok_or_else(|| ArgError::new(what, text, "a prefix length from 1 to 128"));
    }
    let dotted = text.parse::<Ipv4Addr>().ok().and_then(prefix_of);
    dotted
        .or_else(|| number(32))
        .ok_or_else(|| ArgError::new(what, text, "255.255.255.0 or a prefix length from 1 to 32"))
}

fn parse_hostname(text: &str) -> Result<String, ArgError> {
    if is_host_name(text) {
        return Ok(text.to_owned());
    }
    Err(ArgError::new("ip= hostname", text, "letters, digits, '-' and '.', at most 253"))
}

#[cfg(test)]
#[path = "ip_arg_tests.rs"]
mod tests;
