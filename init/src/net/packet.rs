//! A packet(7) socket on one NIC: whole Ethernet frames of one protocol, without the kernel's IP
//! stack.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, MsgFlags, bind, recvfrom, send};
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};

/// Longest frame taken: what is heard here fits the MTU of every Ethernet. What is longer is cut and then
/// refused for its length.
const FRAME_MAX: usize = 2048;

/// Frames that are forgotten at the beginning: more than a socket's buffer takes (`rmem_default`, 208 KiB).
const DRAINED_MAX: usize = 1024;

/// The socket, bound to one NIC and closed when dropped.
#[derive(Debug)]
pub(super) struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Opens a socket on the NIC called `name`, for frames of `protocol` (`rustix::net::eth`).
    pub(super) fn open(name: &str, protocol: Protocol) -> io::Result<Self> {
        let address = link_address(name)?;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, Some(protocol))?;
        // The address names no protocol, so bind(2) keeps the one given above.
        bind(fd.as_raw_fd(), &address)?;
        let socket = Self { fd };
        socket.drain()?;
        Ok(socket)
    }

    /// Forgets what came before the socket was bound: of every NIC, and heard on another one it would be
    /// another machine's.
    fn drain(&self) -> io::Result<()> {
        for _ in 0..DRAINED_MAX {
            if self.receive()?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Sends one frame.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.fd.as_raw_fd(), frame, MsgFlags::empty())?;
        Ok(())
    }

    /// The next frame that has arrived, or `None`. One that is for another machine is empty: a card may
    /// hear what is not for it, and frames of VLANs that nobody made come without their tags.
    pub(super) fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut frame = vec![0; FRAME_MAX];
        match recvfrom::<LinkAddr>(self.fd.as_raw_fd(), &mut frame) {
            Ok((length, from)) => {
                let is_ours = from.is_none_or(|from| from.pkttype() != libc::PACKET_OTHERHOST);
                frame.truncate(if is_ours { length } else { 0 });
                Ok(Some(frame))
            }
            Err(nix::errno::Errno::EAGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// `struct sockaddr_ll` of a NIC. getifaddrs(3) lists one for every interface, with or without
/// addresses, and needs no unsafe code here.
fn link_address(name: &str) -> io::Result<LinkAddr> {
    let mut of_name = getifaddrs()?.filter(|entry| entry.interface_name == name);
    of_name
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no link named {name}")))
}
