//! An address given back to the server that leased it, on the way out: RFC 2131, 4.4.6, and RFC 8415,
//! 18.2.7. Sites with few addresses and many machines ask for it.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{TimestampingFlag, setsockopt, sockopt};

use super::contender::random;
use super::held::client_socket;
use super::held_v6::client_socket_v6;
use super::{Giver, Network, dhcp, ipv6};

/// The server's Ethernet address may have to be asked for before the message goes out: an answer in the
/// same building takes a millisecond, and the machine is about to be reset.
const SENT_WITHIN_MS: u16 = 300;

/// Gives the address of `network` back; what was done, where there is a lease. Nobody answers to it,
/// and one that is lost ends by itself.
pub(super) fn give_back(network: &Network) -> Option<String> {
    let lease = network.lease.filter(|lease| lease.by == Giver::Dhcp)?;
    let (name, address, server) = (&network.nic.name, network.address, lease.server);
    Some(match send(network, server) {
        Ok(()) => format!("{name} lease of {address} given back to {server}"),
        Err(error) => format!("{name} lease of {address} not given back to {server}: {error}"),
    })
}

fn send(network: &Network, server: IpAddr) -> io::Result<()> {
    let Network { nic, address, server_id, .. } = network;
    let (socket, to, message) = match (address, server) {
        (IpAddr::V4(address), IpAddr::V4(server)) => {
            let message = dhcp::release(nic.mac, *address, server, random());
            let to = SocketAddr::new(server.into(), dhcp::SERVER_PORT);
            (client_socket(&nic.name)?, to, message)
        }
        (IpAddr::V6(address), _) => {
            let server_id = server_id.as_deref().unwrap_or_default();
            let message = ipv6::release(nic.mac, *address, server_id, random());
            let to = SocketAddrV6::new(ipv6::SERVERS, ipv6::SERVER_PORT, 0, nic.index);
            (client_socket_v6(&nic.name)?, to.into(), Some(message))
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let message = message.ok_or(io::ErrorKind::InvalidData)?;
    // Without stamps it is sent as well, and waited for in vain.
    let _ =
        setsockopt(&socket, sockopt::Timestamping, &TimestampingFlag::SOF_TIMESTAMPING_TX_SOFTWARE);
    socket.send_to(&message, to)?;
    wait_until_sent(&socket)
}

/// Waits until a stamp says that the driver has it, or an error that nobody has the server's address;
/// both are told as an error of the socket.
fn wait_until_sent(socket: &UdpSocket) -> io::Result<()> {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    poll(&mut fds, SENT_WITHIN_MS)?;
    socket.take_error()?.map_or(Ok(()), Err)
}
