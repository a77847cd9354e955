//! What a NIC is given, as the network it would be.

use std::net::IpAddr;
use std::time::Instant;

use crate::net::dhcp::Answer;
use crate::net::ipv6;
use crate::net::nic::Nic;
use crate::net::{NAMESERVERS_MAX, NetConfig, Network, Route, StaticAddress};

/// What a NIC is given by a DHCP server, and by the operator.
pub(super) fn from_answer(nic: &Nic, answer: Answer, config: &NetConfig) -> Network {
    Network {
        nic: nic.clone(),
        address: answer.address,
        prefix: answer.prefix,
        peer: None,
        gateway: answer.gateway,
        routes: routes(nic, answer.address, answer.routes, config),
        nameservers: nameservers(&config.nameservers, &answer.nameservers),
        domain: answer.domain,
        hostname: answer.hostname,
        ntp: answer.ntp,
        mtu: mtu(config, answer.mtu, answer.address),
        mtu_before: None,
        server_id: answer.server_id,
        lease: Some(answer.lease),
        since: Instant::now(),
    }
}

/// What the operator says a NIC has.
pub(super) fn from_static(nic: &Nic, fixed: &StaticAddress, config: &NetConfig) -> Network {
    Network {
        nic: nic.clone(),
        address: fixed.address,
        prefix: fixed.prefix,
        peer: fixed.peer,
        gateway: fixed.gateway,
        routes: routes(nic, fixed.address, Vec::new(), config),
        nameservers: nameservers(&config.nameservers, &[]),
        domain: None,
        hostname: None,
        ntp: Vec::new(),
        mtu: mtu(config, None, fixed.address),
        mtu_before: None,
        server_id: None,
        lease: None,
        since: Instant::now(),
    }
}

/// The operator's MTU before what was given; IPv6 goes away with a link that is too narrow for it.
fn mtu(config: &NetConfig, given: Option<u16>, address: IpAddr) -> Option<u16> {
    let least = if address.is_ipv6() { ipv6::MTU_MIN } else { 0 };
    config.mtu.or(given).map(|mtu| mtu.max(least))
}

/// Those of the lease, and the operator's that lead through this NIC and are of the address's family:
/// of two to one destination the operator's holds.
fn routes(nic: &Nic, address: IpAddr, leased: Vec<Route>, config: &NetConfig) -> Vec<Route> {
    let typed = config.routes.iter().filter(|typed| {
        typed.nic.as_ref().is_none_or(|choice| nic.is(choice))
            && typed.route.destination.is_ipv6() == address.is_ipv6()
    });
    leased.into_iter().chain(typed.map(|typed| typed.route)).collect()
}

/// The operator's resolvers before the lease's, as many as are used.
fn nameservers(typed: &[IpAddr], leased: &[IpAddr]) -> Vec<IpAddr> {
    let mut servers: Vec<IpAddr> = Vec::new();
    for server in typed.iter().chain(leased) {
        if servers.len() < NAMESERVERS_MAX && !servers.contains(server) {
            servers.push(*server);
        }
    }
    servers
}
