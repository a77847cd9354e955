//! A network in the test's own process, and what goes wrong on it as values.
//!
//! ```text
//! stream    QEMU's `-netdev stream`            frames of a machine, as bytes of a socket
//! faults    what a cable does to frames        lost, late, twice, changed, too long
//! switch    ports, hosts, one thread           who hears what, and when
//! tag, lacp VLANs and aggregates                IEEE 802.1Q, 802.1AX
//! lldp      what ports say of themselves        IEEE 802.1AB
//! dhcp      servers that lie                   RFC 2131 as it is met
//! host      addresses, a store, a resolver     smoltcp's stack on a port of the switch
//! http      one answer of a static store       shared with servers on real sockets
//! seen      what was on the wire               counted, and kept as a capture
//! ```
//!
//! No root, no namespace, no tap. One seed gives the same decisions about the same frames.

mod capture;
mod dhcp;
mod faults;
mod frame;
mod host;
pub mod http;
mod lacp;
mod lldp;
mod noise;
mod seen;
mod station;
mod stream;
mod switch;
mod tag;
mod wire;

pub use dhcp::{Deaf, Dhcp, Manner, Sums};
pub use faults::{Corruption, Faults};
pub use host::{Host, Proxy, Restart, Shelf};
pub use lldp::Announced;
pub use noise::Noise;
pub use seen::{Kind, Seen};
pub use station::{Mac, Station};
pub use stream::{FRAME_MAX, Framer, StreamError, framed};
pub use wire::{Network, Port, Wire};
