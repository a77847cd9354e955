//! What a network is tried for, and what comes of it.

use std::time::Duration;

use super::Network;

/// Says whether a network, which is configured, reaches the store, within about this much time.
pub type Reach<'a> = dyn FnMut(&Network, Duration) -> Result<(), Unreached> + 'a;

/// Why the store is not reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreached {
    /// Nobody answered, or who did is no store; why.
    Silent(String),
    /// Short answers come and long ones do not; what was seen. So it is where longer packets vanish
    /// on the way and nobody says so (RFC 2923, section 2.1).
    LongOnesVanish(String),
}

impl From<String> for Unreached {
    fn from(why: String) -> Self {
        Self::Silent(why)
    }
}

/// MTUs to try where long packets vanish, bytes: what all tunnels in use leave, and what every IPv6
/// link has (RFC 8200, section 5).
const SMALLER: [u16; 2] = [1400, 1280];

/// An Ethernet's, bytes, where nothing else was said.
const USUAL: u16 = 1500;

/// The next MTU to try on `network`; none where all were tried.
pub(super) fn smaller(network: &Network) -> Option<u16> {
    let now = network.mtu.unwrap_or(USUAL);
    SMALLER.into_iter().find(|mtu| *mtu < now)
}
