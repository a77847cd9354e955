//! The packet sockets on which LLDP is heard, one on each NIC with carrier.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use rustix::net::{Protocol, RawProtocol};

use super::Neighbor;
use super::decode::{ETHERTYPE, decode};
use crate::net::netlink::Link;
use crate::net::packet::PacketSocket;
use crate::sys;

/// The group that switches speak to; cards drop what is for groups that nobody asked for.
const GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];

/// Frames read at a time. A switch sends one every 30 s, and a few when the cable is plugged in.
const FRAMES_PER_TURN: usize = 8;

/// How often one NIC's neighbour is told of: on a cable that leads to several they take turns.
const TOLD_MAX: usize = 3;

/// What the NICs hear, by the links' numbers.
#[derive(Debug, Default)]
pub(in crate::net) struct Ears(BTreeMap<u32, Ear>);

#[derive(Debug)]
struct Ear {
    name: String,
    /// None where it cannot be had; it is not tried again while the link is there.
    socket: Option<PacketSocket>,
    neighbor: Option<Neighbor>,
    told: usize,
}

impl Ears {
    /// Listens on a link that has carrier; what it heard is forgotten where the cable is out. Why it
    /// cannot listen is told once.
    pub(in crate::net) fn follow(&mut self, link: &Link) -> Option<String> {
        if !link.carrier {
            // The socket stays: it hears again when the link is up.
            if let Some(ear) = self.0.get_mut(&link.index) {
                ear.neighbor = None;
            }
            return None;
        }
        if self.0.contains_key(&link.index) {
            return None;
        }
        let (socket, why) = match open(link) {
            Ok(socket) => (Some(socket), None),
            // It flaps; its next carrier is another try.
            Err(error) if error.raw_os_error() == Some(Errno::ENETDOWN as i32) => return None,
            Err(error) => (None, Some(format!("{}: LLDP is not heard: {error}", link.name))),
        };
        let ear = Ear { name: link.name.clone(), socket, neighbor: None, told: 0 };
        self.0.insert(link.index, ear);
        why
    }

    /// The link is gone.
    pub(in crate::net) fn forget(&mut self, index: u32) {
        self.0.remove(&index);
    }

    /// Takes what has arrived; new neighbours in words.
    pub(in crate::net) fn hear(&mut self) -> Vec<String> {
        self.0.values_mut().filter_map(Ear::hear).collect()
    }

    /// The neighbour of a link.
    pub(in crate::net) fn neighbor(&self, index: u32) -> Option<&Neighbor> {
        self.0.get(&index)?.neighbor.as_ref()
    }

    /// What is readable when something is heard.
    pub(in crate::net) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.values().filter_map(|ear| Some(ear.socket.as_ref()?.as_fd()))
    }
}

impl Ear {
    fn hear(&mut self) -> Option<String> {
        let socket = self.socket.as_ref()?;
        let mut last = None;
        for _ in 0..FRAMES_PER_TURN {
            // A link that goes down says so once, and is heard again when it is up.
            let Ok(Some(frame)) = socket.receive() else { break };
            last = decode(&frame).or(last);
        }
        let heard = last.map(|neighbor| Some(neighbor).filter(|neighbor| neighbor.ttl_s > 0))?;
        if heard == self.neighbor {
            return None;
        }
        self.neighbor = heard;
        let neighbor = self.neighbor.as_ref().filter(|_| self.told < TOLD_MAX)?;
        self.told += 1;
        Some(format!("{} neighbour {neighbor}", self.name))
    }
}

fn open(link: &Link) -> io::Result<PacketSocket> {
    let protocol = RawProtocol::new(ETHERTYPE.to_be().into()).map(Protocol::from_raw);
    let socket = PacketSocket::open(&link.name, protocol.unwrap_or(rustix::net::eth::ALL))?;
    // Between its making and its binding it hears all links, and frames do not say which.
    for _ in 0..FRAMES_PER_TURN {
        if socket.receive()?.is_none() {
            break;
        }
    }
    sys::join_group(socket.as_fd(), link.index, GROUP)?;
    Ok(socket)
}
