//! Gates that cut.

use deploy::tree::{Call, Gate};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lets a number of calls pass, and none after them: as if the machine had been cut off there.
#[derive(Default)]
pub(crate) struct CutAfter {
    pub(crate) left: AtomicU64,
    pub(crate) passed: AtomicU64,
}

impl CutAfter {
    pub(crate) fn new(calls: u64) -> Self {
        Self { left: AtomicU64::new(calls), passed: AtomicU64::new(0) }
    }
}

impl Gate for CutAfter {
    fn pass(&self, _: Call) -> io::Result<()> {
        let take = |left: u64| left.checked_sub(1);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => {
                self.passed.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(_) => Err(io::Error::other("cut")),
        }
    }
}

/// Fails each call of a kind, the first so many apart.
pub(crate) struct FailKind {
    pub(crate) kind: Call,
    pub(crate) after: AtomicU64,
    pub(crate) errno: i32,
}

impl Gate for FailKind {
    fn pass(&self, call: Call) -> io::Result<()> {
        if call != self.kind {
            return Ok(());
        }
        let take = |left: u64| left.checked_sub(1);
        let left = self.after.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        left.map(|_| ()).map_err(|_| io::Error::from_raw_os_error(self.errno))
    }
}
