//! What a server's ACK means for the machine.
//!
//! Everything here came from the wire: each value is bounded and checked before it is believed, and
//! a bad one is left out rather than failing a lease that is good otherwise.

use std::net::{IpAddr, Ipv4Addr};

use super::message::{Options, Reply, option};
use crate::net::args::{is_host_name, is_usable, prefix_of};
use crate::net::names::first_name;
use crate::net::{Giver, Lease, MTU_MAX, MTU_MIN, NAMESERVERS_MAX, ROUTES_MAX, Route, network_of};

/// An address and all that came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct Answer {
    pub(in crate::net) address: IpAddr,
    pub(in crate::net) prefix: u8,
    pub(in crate::net) gateway: Option<IpAddr>,
    pub(in crate::net) routes: Vec<Route>,
    pub(in crate::net) nameservers: Vec<IpAddr>,
    pub(in crate::net) domain: Option<String>,
    pub(in crate::net) hostname: Option<String>,
    pub(in crate::net) ntp: Vec<IpAddr>,
    pub(in crate::net) mtu: Option<u16>,
    pub(in crate::net) lease: Lease,
    /// What of the answer was not taken, and what was instead, in words.
    pub(in crate::net) remarks: Vec<String>,
    /// Who the DHCPv6 server is.
    pub(in crate::net) server_id: Option<Vec<u8>>,
}

/// Where the mask is missing or not contiguous. Narrow on purpose: with a gateway a prefix that is
/// too long only costs a hop, one that is too short makes hosts behind the gateway unreachable.
const ASSUMED_PREFIX: u8 = 24;

/// Where the lease time is missing, which RFC 2131 forbids, or zero: short, so it is soon renewed.
const ASSUMED_LEASE_S: u32 = 120;

/// A lease is not taken to be shorter: it could not be renewed in time.
pub(in crate::net) const SHORTEST_LEASE_S: u32 = 4;

/// Time servers kept.
const NTP_MAX: usize = 4;

impl Answer {
    /// Reads an ACK. `server` is who sent it.
    pub(super) fn new(reply: &Reply, server: IpAddr) -> Self {
        let options = &reply.options;
        let mask = addresses(options, option::SUBNET_MASK).next().and_then(prefix_of);
        let (gateway, routes) = gateway_and_routes(options);
        Self {
            address: reply.your_ip.into(),
            prefix: mask.unwrap_or(ASSUMED_PREFIX),
            gateway,
            routes,
            nameservers: usable(options, option::NAME_SERVER).take(NAMESERVERS_MAX).collect(),
            domain: searched(options).or_else(|| host_name(options, option::DOMAIN)),
            hostname: host_name(options, option::HOST_NAME),
            ntp: usable(options, option::NTP).take(NTP_MAX).collect(),
            mtu: mtu(options),
            lease: lease(options, server),
            remarks: remarks(options),
            server_id: None,
        }
    }
}

/// What a server says that is not so, or does not say; an operator looks for it there.
fn remarks(options: &Options) -> Vec<String> {
    let mut remarks = Vec::new();
    if addresses(options, option::SUBNET_MASK).next().and_then(prefix_of).is_none() {
        remarks.push(format!("no usable mask given, /{ASSUMED_PREFIX} assumed"));
    }
    let said = options.get(&option::MTU).and_then(|bytes| bytes.first_chunk::<2>());
    if let Some(said) = said.filter(|_| mtu(options).is_none()) {
        let said = u16::from_be_bytes(*said);
        remarks.push(format!(
            "MTU {said} of the lease not taken, expected {MTU_MIN} to {MTU_MAX} bytes"
        ));
    }
    if number(options, option::LEASE_TIME).is_none_or(|seconds| seconds == 0) {
        remarks.push(format!("no usable time of the lease given, {ASSUMED_LEASE_S} s assumed"));
    }
    for (kind, what) in [(option::ROUTER, "gateway"), (option::NAME_SERVER, "resolver")] {
        let unusable = addresses(options, kind).find(|address| !is_usable(*address));
        remarks.extend(unusable.map(|address| format!("{what} {address} of the lease not taken")));
    }
    remarks
}

fn lease(options: &Options, server: IpAddr) -> Lease {
    let seconds = number(options, option::LEASE_TIME).filter(|seconds| *seconds > 0);
    let seconds = seconds.unwrap_or(ASSUMED_LEASE_S).max(SHORTEST_LEASE_S);
    let is_sensible = |time: &u32, end| (1..end).contains(time);
    let rebinding = number(options, option::REBINDING_TIME).filter(|t2| is_sensible(t2, seconds));
    // RFC 2131, 4.4.5: T1 defaults to a half and T2 to seven eighths of the lease.
    let rebind_s = rebinding.unwrap_or(seconds - (seconds / 8).max(1));
    let renewal = number(options, option::RENEWAL_TIME).filter(|t1| is_sensible(t1, rebind_s));
    Lease {
        server,
        by: Giver::Dhcp,
        seconds,
        renew_s: renewal.unwrap_or((seconds / 2).min(rebind_s)),
        rebind_s,
    }
}

/// RFC 3442: with classless routes present the router option must be ignored.
fn gateway_and_routes(options: &Options) -> (Option<IpAddr>, Vec<Route>) {
    let from_option = || usable(options, option::ROUTER).next();
    let Some(mut routes) = options.get(&option::CLASSLESS_ROUTES).and_then(|data| classless(data))
    else {
        return (from_option(), Vec::new());
    };
    let default = routes.iter().position(|route| route.prefix == 0);
    let gateway = default.and_then(|at| routes.remove(at).gateway);
    routes.retain(|route| route.prefix != 0);
    (gateway, routes)
}

/// RFC 3442: prefix length, as many bytes of destination as it needs, router; again and again.
/// `None` if the data end early, which makes every byte of them doubtful.
fn classless(mut data: &[u8]) -> Option<Vec<Route>> {
    let mut routes = Vec::new();
    while let Some((&prefix, rest)) = data.split_first() {
        let significant = usize::from(prefix.div_ceil(8));
        let (destination, rest) = rest.split_at_checked(significant).filter(|_| prefix <= 32)?;
        let (next_hop, rest) = rest.split_first_chunk::<4>()?;
        let mut octets = [0; 4];
        octets[..significant].copy_from_slice(destination);
        let next_hop = Ipv4Addr::from(*next_hop);
        // 0.0.0.0 stands for "on this link".
        let gateway = Some(next_hop).filter(|hop| is_usable(*hop));
        if (gateway.is_some() || next_hop.is_unspecified()) && routes.len() < ROUTES_MAX {
            let destination = network_of(IpAddr::from(octets), prefix);
            routes.push(Route { destination, prefix, gateway: gateway.map(IpAddr::from) });
        }
        data = rest;
    }
    Some(routes)
}

/// The mask of a prefix length from 0 to 32.
pub(in crate::net) fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

fn mtu(options: &Options) -> Option<u16> {
    let bytes = options.get(&option::MTU)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*bytes)).filter(|mtu| (MTU_MIN..=MTU_MAX).contains(mtu))
}

/// A name that is safe to write into a file: some servers end it with a NUL, and all are strangers.
fn host_name(options: &Options, kind: u8) -> Option<String> {
    let text = std::str::from_utf8(options.get(&kind)?).ok()?.trim_end_matches(['\0', '.']);
    is_host_name(text).then(|| text.to_owned())
}

/// The first domain of the list to search in.
fn searched(options: &Options) -> Option<String> {
    first_name(options.get(&option::DOMAIN_SEARCH)?)
}

fn number(options: &Options, kind: u8) -> Option<u32> {
    options.get(&kind)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

fn usable(options: &Options, kind: u8) -> impl Iterator<Item = IpAddr> {
    addresses(options, kind).filter(|address| is_usable(*address)).map(IpAddr::from)
}

pub(super) fn addresses(options: &Options, kind: u8) -> impl Iterator<Item = Ipv4Addr> {
    let data = options.get(&kind).map_or(&[][..], Vec::as_slice);
    data.chunks_exact(4)
        .filter_map(|chunk| chunk.first_chunk::<4>())
        .map(|octets| Ipv4Addr::from(*octets))
}
