//! Gives the kernel's stack what a NIC was told, and takes it back.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use thiserror::Error;

use super::netlink::{Address, Netlink};
use super::{NAMESERVERS_MAX, Network, Route};

/// What the kernel refused.
#[derive(Debug, Error)]
#[error("cannot {action}: {source}")]
pub(super) struct ConfigureError {
    action: String,
    source: io::Error,
}

/// What was set on a NIC, to be taken back by [`Applied::undo`].
#[derive(Debug)]
pub(super) struct Applied {
    index: u32,
    /// The MTU before, where it was set.
    pub(super) mtu_before: Option<u16>,
    address: Option<Address>,
    routes: Vec<Route>,
    /// What a lease told that the kernel refused, and the NIC goes without.
    pub(super) refused: Vec<String>,
}

/// Sets MTU, address and routes, and writes the resolver's file. What was set before a refusal is
/// taken back.
pub(super) fn apply(
    netlink: &mut Netlink,
    network: &Network,
    resolv_conf: &Path,
) -> Result<Applied, ConfigureError> {
    let index = network.nic.index;
    let mut applied =
        Applied { index, mtu_before: None, address: None, routes: Vec::new(), refused: Vec::new() };
    match fill(netlink, network, resolv_conf, &mut applied) {
        Ok(()) => Ok(applied),
        Err(error) => {
            applied.undo(netlink);
            Err(error)
        }
    }
}

fn fill(
    netlink: &mut Netlink,
    network: &Network,
    resolv_conf: &Path,
    applied: &mut Applied,
) -> Result<(), ConfigureError> {
    let index = applied.index;
    if let Some(mtu) = network.mtu {
        let set = set_mtu(netlink, index, mtu);
        match set.map_err(refused(|| format!("set the MTU to {mtu} bytes"))) {
            Ok(before) => applied.mtu_before = before,
            // What a server or a router says that this card cannot do costs nothing but that.
            Err(error) if network.lease.is_some() => applied.refused.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    let address = Address { local: network.address, prefix: network.prefix, peer: network.peer };
    netlink
        .add_address(index, &address)
        .map_err(refused(|| format!("add address {}/{}", network.address, network.prefix)))?;
    applied.address = Some(address);
    for route in routes(network) {
        let added = netlink.add_route(index, &route);
        match added.map_err(refused(|| format!("add route {route}"))) {
            Ok(()) => applied.routes.push(route),
            // A server's mistake, such as the machine's own address as the gateway, costs what lies
            // behind it. The store may not.
            Err(error) if network.lease.is_some() => applied.refused.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    write_resolv_conf(network, resolv_conf)
        .map_err(refused(|| format!("write {}", resolv_conf.display())))
}

impl Applied {
    /// Takes everything back. What fails here is already gone, or goes with the link.
    pub(super) fn undo(self, netlink: &mut Netlink) {
        for route in self.routes.iter().rev() {
            let _ = netlink.remove_route(self.index, route);
        }
        if let Some(address) = &self.address {
            let _ = netlink.remove_address(self.index, address);
        }
        if let Some(mtu) = self.mtu_before {
            let _ = netlink.set_mtu(self.index, mtu);
        }
    }
}

/// Takes a network back that is not used any more, but for what the next race clears itself: addresses,
/// and with them routes. What fails is already gone.
pub(super) fn forget(network: &Network) {
    if let (Some(mtu), Ok(mut netlink)) = (network.mtu_before, Netlink::open()) {
        let _ = netlink.set_mtu(network.nic.index, mtu);
    }
}

fn refused(action: impl FnOnce() -> String) -> impl FnOnce(io::Error) -> ConfigureError {
    move |source| ConfigureError { action: action(), source }
}

/// Sets the MTU if it differs (many drivers take the link down for it); returns the one before.
fn set_mtu(netlink: &mut Netlink, index: u32, mtu: u16) -> io::Result<Option<u16>> {
    let before = netlink.links()?.into_iter().find(|link| link.index == index);
    let before = before.and_then(|link| link.mtu);
    if before == Some(mtu) {
        return Ok(None);
    }
    netlink.set_mtu(index, mtu)?;
    Ok(before)
}

/// The routes to add, those on the link first, since others may lead through them.
fn routes(network: &Network) -> Vec<Route> {
    let mut routes = network.routes.clone();
    routes.sort_by_key(|route| route.gateway.is_some());
    let default = |gateway| {
        let destination = match gateway {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Route { destination, prefix: 0, gateway: Some(gateway) }
    };
    routes.extend(network.gateway.map(default));
    routes
}

/// resolv.conf(5). Written even without resolvers, because resolver libraries take a missing file
/// for a reason to ask whom they like.
fn write_resolv_conf(network: &Network, path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    // Others resolve names meanwhile, by a whole file.
    let beside = path.with_extension("new");
    std::fs::write(&beside, resolv_conf(network))?;
    std::fs::rename(beside, path)
}

/// A question that is lost is asked again before whoever waits for a connection gives up, which with
/// the usual 5 s is not so.
const RESOLVER_OPTIONS: &str = "options timeout:2 attempts:2\n";

fn resolv_conf(network: &Network) -> String {
    let servers = network.nameservers.iter().take(NAMESERVERS_MAX);
    let servers = servers.map(|server| match server {
        // It is of this link only (RFC 4007, 11; glibc and musl read it).
        IpAddr::V6(of_link) if of_link.is_unicast_link_local() => {
            format!("nameserver {server}%{}\n", network.nic.name)
        }
        _ => format!("nameserver {server}\n"),
    });
    let search = network.domain.iter().map(|domain| format!("search {domain}\n"));
    servers.chain(search).chain([RESOLVER_OPTIONS.to_owned()]).collect()
}
