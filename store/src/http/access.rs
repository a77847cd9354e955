//! How stores behind URLs are reached, beside their address: whom to trust, by which clock, what to
//! show, and by whose hands.

use super::authorities::Authorities;
use super::proxy::Proxy;
use super::token::Token;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// All that requests to stores have in common. The default trusts nobody, shows nothing and goes
/// straight.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Who may have signed the certificates of stores behind https.
    pub authorities: Authorities,
    /// By which their times are judged.
    pub clock: Clock,
    /// Shown to the store's own host and port, and to no other that it leads to.
    pub token: Option<Token>,
    /// Asked in the store's place.
    pub proxy: Option<Proxy>,
}

impl Access {
    /// The same without the token: for what is no store.
    #[must_use]
    pub fn without_token(self) -> Self {
        Self { token: None, ..self }
    }
}

/// This machine's clock, which is never before a moment that is past for certain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clock {
    floor_unix_s: u64,
}

impl Clock {
    /// One that never says less than `floor_unix_s`, seconds since 1970.
    pub fn not_before(floor_unix_s: u64) -> Self {
        Self { floor_unix_s }
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(UnixTime::since_unix_epoch(now.max(Duration::from_secs(self.floor_unix_s))))
    }
}
