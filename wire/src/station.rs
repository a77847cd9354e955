//! What is plugged into the switch beside machines.

use crate::dhcp::{Dhcp, Server};
use crate::host::{Host, Stack};
use std::time::Duration;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// A computer of the test's own on the switch, as a value.
#[derive(Clone, Debug)]
pub enum Station {
    /// A DHCP server.
    Dhcp(Dhcp),
    /// A host with a stack of its own.
    Host(Host),
}

impl From<Dhcp> for Station {
    fn from(dhcp: Dhcp) -> Self {
        Self::Dhcp(dhcp)
    }
}

impl From<Host> for Station {
    fn from(host: Host) -> Self {
        Self::Host(host)
    }
}

/// A station that is on. Times are since the switch was switched on.
#[derive(Debug)]
pub(crate) enum Powered {
    Dhcp(Box<Server>),
    Host(Box<Stack>),
}

impl Powered {
    pub(crate) fn of(station: &Station) -> Self {
        match station {
            Station::Dhcp(dhcp) => Self::Dhcp(Box::new(Server::of(dhcp))),
            Station::Host(host) => Self::Host(Box::new(Stack::of(host))),
        }
    }

    /// Hears a frame.
    pub(crate) fn hear(&mut self, now: Duration, frame: &[u8]) {
        match self {
            Self::Dhcp(server) => server.hear(now, frame),
            Self::Host(stack) => stack.hear(frame),
        }
    }

    /// Does what is due, and says what it sends.
    pub(crate) fn drive(&mut self, now: Duration) -> Vec<Vec<u8>> {
        match self {
            Self::Dhcp(server) => server.drive(now),
            Self::Host(stack) => stack.drive(now),
        }
    }

    /// When it has something to do by itself.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Duration> {
        match self {
            Self::Dhcp(server) => server.due(),
            Self::Host(stack) => stack.due(now),
        }
    }
}
