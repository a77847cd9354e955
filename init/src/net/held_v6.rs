//! The sockets over which an address of IPv6 is kept.
//!
//! Ordinary ones, since the address is in use: a packet socket would be given a copy of all that is
//! downloaded.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6, bind, recvfrom, sendto,
    setsockopt, socket, sockopt,
};

use super::contender::random;
use super::held::{DATAGRAM_MAX, DATAGRAMS_PER_TURN};
use super::ipv6::{ALL_ROUTERS, CLIENT_PORT, HOP_LIMIT, Keep, SERVER_PORT, SERVERS, Said, Step};
use super::{Lease, Network};

/// An address of IPv6 that is in use.
pub(super) struct HeldV6 {
    keep: Keep,
    /// The NIC's number.
    index: u32,
    /// What routers say (raw(7), icmp of RFC 3542).
    icmp: OwnedFd,
    /// What DHCPv6 servers say, if one gave the address.
    dhcp: Option<UdpSocket>,
}

impl HeldV6 {
    /// None if what `network` has is no address of IPv6 for some time.
    pub(super) fn new(network: &Network) -> io::Result<Option<Self>> {
        let Some(keep) = Keep::new(network, random(), Duration::ZERO) else { return Ok(None) };
        let (name, index) = (&network.nic.name, network.nic.index);
        let icmp = open(name, SockType::Raw, SockProtocol::IcmpV6)?;
        // Routers hear nothing less (RFC 4861, 6.1.1).
        rustix::net::sockopt::set_ipv6_multicast_hops(&icmp, HOP_LIMIT.into())?;
        let dhcp = if keep.is_leased() { Some(client_socket_v6(name)?) } else { None };
        Ok(Some(Self { keep, index, icmp, dhcp }))
    }

    /// Asks at the next opportunity.
    pub(super) fn ask_soon(&mut self, now: Duration) {
        self.keep.ask_soon(now);
    }

    /// When something is due.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.keep.next_at()
    }

    /// What becomes readable when somebody says something.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.icmp.as_fd()).chain(self.dhcp.iter().map(AsFd::as_fd))
    }

    /// Sends what is due; why the address is lost, if it is.
    pub(super) fn ask(&mut self, now: Duration) -> Option<String> {
        /// RFC 4861, 4.1; the kernel fills the checksum in.
        const SOLICIT: [u8; 8] = [133, 0, 0, 0, 0, 0, 0, 0];
        match self.keep.poll(now)? {
            Step::Lost(why) => return Some(why),
            // One that is lost is asked again: the link may be down, or nobody there.
            Step::Solicit => {
                let to = SockaddrIn6::from(SocketAddrV6::new(ALL_ROUTERS, 0, 0, self.index));
                let _ = sendto(self.icmp.as_raw_fd(), &SOLICIT, &to, MsgFlags::empty());
            }
            Step::Ask(message) => {
                let to = SocketAddrV6::new(SERVERS, SERVER_PORT, 0, self.index);
                let _ = self.dhcp.as_ref().map(|socket| socket.send_to(&message, to));
            }
        }
        None
    }

    /// Takes what has arrived: the last lease, or why the address is lost.
    pub(super) fn hear(&mut self, now: Duration) -> Option<Result<Lease, String>> {
        let (mut buffer, mut last) = (vec![0; DATAGRAM_MAX], None);
        for _ in 0..DATAGRAMS_PER_TURN {
            // Nothing, or an error for what was sent: it is asked again.
            let heard = recvfrom::<SockaddrIn6>(self.icmp.as_raw_fd(), &mut buffer);
            let Ok((length, Some(from))) = heard else { break };
            let message = &buffer[..length.min(DATAGRAM_MAX)];
            match self.keep.hear_icmp(now, message, from.ip()) {
                Some(Said::Lost(why)) => return Some(Err(why)),
                Some(Said::Renewed(lease)) => last = Some(lease),
                None => {}
            }
        }
        for _ in 0..DATAGRAMS_PER_TURN {
            let heard = self.dhcp.as_ref().and_then(|socket| socket.recv_from(&mut buffer).ok());
            let Some((length, _)) = heard else { break };
            match self.keep.hear_dhcp(now, &buffer[..length]) {
                Some(Said::Lost(why)) => return Some(Err(why)),
                Some(Said::Renewed(lease)) => last = Some(lease),
                None => {}
            }
        }
        last.map(Ok)
    }
}

/// A socket for a DHCPv6 client on the NIC called `name`.
pub(super) fn client_socket_v6(name: &str) -> io::Result<UdpSocket> {
    let fd = open(name, SockType::Datagram, SockProtocol::Udp)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, CLIENT_PORT, 0, 0);
    bind(fd.as_raw_fd(), &SockaddrIn6::from(any))?;
    Ok(fd.into())
}

/// A socket that hears and speaks on the NIC called `name` only (socket(7), ipv6(7)).
fn open(name: &str, kind: SockType, protocol: SockProtocol) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet6, kind, flags, protocol)?;
    setsockopt(&fd, sockopt::BindToDevice, &name.into())?;
    Ok(fd)
}
