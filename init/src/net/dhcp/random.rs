//! Numbers that differ between machines.

use std::time::Duration;

/// A generator (xorshift64): identifiers and jitter need no better.
#[derive(Debug)]
pub(in crate::net) struct Random(u64);

impl Random {
    /// Begins with any number.
    pub(in crate::net) fn new(seed: u64) -> Self {
        // It never leaves zero.
        Self(seed | 1)
    }

    pub(in crate::net) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// `wait` and up to a quarter more, so that machines that boot together do not ask together.
    pub(in crate::net) fn jittered(&mut self, wait: Duration) -> Duration {
        wait + wait / 4 * (self.next() % 256) as u32 / 256
    }
}
