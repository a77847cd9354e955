//! Kernel events about devices: the netlink socket and its messages.
//!
//! Format: `ACTION@DEVPATH` and `KEY=VALUE` strings, each ended by a zero byte
//! (`kobject_uevent_env` in the kernel; netlink(7), `NETLINK_KOBJECT_UEVENT`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recvfrom, socket_with, sockopt,
};

/// A device came, went or changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Event {
    /// `add`, `remove`, `change`, `bind`, ...
    pub action: String,
    /// Its place below `/sys`.
    pub path: String,
    /// `block`, `net`, `pci`, ...
    pub subsystem: String,
    /// What a driver for it would claim; empty if it wants none.
    pub modalias: String,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// One event.
    Event(Event),
    /// More came than the socket held: look at sysfs again.
    Lost,
    /// A message that is none of the kernel's.
    Nothing,
}

/// The kernel's multicast group; others belong to udev.
const KERNEL_GROUP: u32 = 1;
/// A message is at most this long (`UEVENT_BUFFER_SIZE` and the path).
const MAX_MESSAGE_BYTES: usize = 8192;
/// Room for the events of a few thousand devices while a module is being loaded.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// Listens to the kernel's events from the moment it is made.
#[derive(Debug)]
pub(super) struct Listener(OwnedFd);

impl Listener {
    /// Opens the socket; to be done before sysfs is looked at, so that nothing
    /// falls between.
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
        // Without the privilege the default size is kept, and losses are noticed.
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER_BYTES);
        bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
        Ok(Self(socket))
    }

    /// The next event, or `None` if there is none now.
    pub(super) fn next(&self) -> Option<Heard> {
        let mut buffer = [0; MAX_MESSAGE_BYTES];
        match recvfrom(&self.0, &mut buffer[..], RecvFlags::empty()) {
            Ok((count, _, from)) => {
                let sender = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
                // Any process may send to the group; only the kernel is port 0.
                let is_kernel = sender.is_some_and(|sender| sender.pid() == 0);
                let event = buffer.get(..count).filter(|_| is_kernel).and_then(parse);
                Some(event.map_or(Heard::Nothing, Heard::Event))
            }
            Err(Errno::NOBUFS) => Some(Heard::Lost),
            Err(Errno::INTR) => Some(Heard::Nothing),
            Err(_) => None,
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Reads one message.
fn parse(message: &[u8]) -> Option<Event> {
    let mut parts = message.split(|&byte| byte == 0);
    parts.next().filter(|header| header.contains(&b'@'))?;
    let mut event = Event::default();
    for part in parts {
        let Some((key, value)) =
            std::str::from_utf8(part).ok().and_then(|part| part.split_once('='))
        else {
            continue;
        };
        match key {
            "ACTION" => event.action = value.into(),
            "DEVPATH" => event.path = value.into(),
            "SUBSYSTEM" => event.subsystem = value.into(),
            "MODALIAS" => event.modalias = value.into(),
            _ => {}
        }
    }
    (!event.action.is_empty()).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_the_kernel_is_read() {
        let message = b"add@/devices/pci0000:00/0000:00:03.0/virtio0\0ACTION=add\0\
            DEVPATH=/devices/pci0000:00/0000:00:03.0/virtio0\0SUBSYSTEM=virtio\0\
            MODALIAS=virtio:d00000001v00001AF4\0SEQNUM=1234\0";
        let event = parse(message).unwrap();
        assert_eq!((event.action.as_str(), event.subsystem.as_str()), ("add", "virtio"));
        assert_eq!(event.path, "/devices/pci0000:00/0000:00:03.0/virtio0");
        assert_eq!(event.modalias, "virtio:d00000001v00001AF4");
    }

    #[test]
    fn other_messages_are_nothing() {
        for message in [&b""[..], b"libudev\0\xfe\xed", b"add@/x\0", b"add@/x\0\xff=\xff\0nothing"]
        {
            assert_eq!(parse(message), None);
        }
    }
}
