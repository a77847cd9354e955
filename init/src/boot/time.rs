//! Time servers: those that the operator names, or those of the lease. Asked before a store whose
//! certificate has to be judged, as a clock that is years off would refuse it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::names::addresses;
use crate::config::Settings;
use crate::console::Console;
use crate::machine::random;
use crate::net::Network;
use crate::sntp::{self, SntpError};
use crate::wall_clock::{BUILT_UNIX_S, Teller, WallClock};

/// The port of NTP (RFC 5905, section 7.2).
const PORT: u16 = 123;

/// For all servers of a network: the store is to be reached, whatever the clock says.
const ALL: Duration = Duration::from_secs(2);

/// For one of them: two questions get lost.
const EACH: Duration = Duration::from_millis(1200);

/// Networks whose servers are asked in vain; each may be a NIC that leads nowhere.
const TRIES_MAX: u32 = 3;

/// Asks for the time, once it is known no more.
pub(super) struct TimeServers<'a> {
    named: &'a [String],
    is_wanted: bool,
    tries: u32,
}

impl<'a> TimeServers<'a> {
    /// Those of `settings`: wanted where a certificate is to be judged, or where they are named.
    pub(super) fn of(settings: &'a Settings) -> Self {
        let files = settings.files.iter().map(|file| &file.from);
        let mut urls = settings.store.iter().chain(files);
        let has_certificates = urls.any(|url| url.to_lowercase().starts_with("https:"));
        let is_wanted = has_certificates || !settings.ntp.is_empty();
        Self { named: &settings.ntp, is_wanted, tries: 0 }
    }

    /// Asks the servers one after the other, in the time that is `left` and in two seconds; what the
    /// first says that is believed sets `clock`.
    pub(super) fn ask(
        &mut self,
        network: &Network,
        left: Duration,
        clock: &WallClock,
        console: &Console,
    ) {
        let servers: Vec<String> = if self.named.is_empty() {
            network.ntp.iter().map(ToString::to_string).collect()
        } else {
            self.named.to_vec()
        };
        if !self.is_wanted || servers.is_empty() || self.tries >= TRIES_MAX {
            return;
        }
        self.tries += 1;
        // At most half of what the store is to be reached in.
        let until = Instant::now() + ALL.min(left / 2);
        for server in &servers {
            let left = until.saturating_duration_since(Instant::now()).min(EACH);
            if left.is_zero() {
                return;
            }
            match ask(server, left) {
                Ok(unix_s) => {
                    if clock.hear(unix_s, &Teller::Ntp(server), console) {
                        self.is_wanted = false;
                        return;
                    }
                }
                Err(error) => {
                    let why = crate::report::causes(&error).join(": ");
                    console.say("clock", &format!("NTP server {server} {why}"));
                }
            }
        }
    }
}

fn ask(server: &str, within: Duration) -> Result<u64, SntpError> {
    let until = Instant::now() + within;
    let address = match server.parse() {
        Ok(address) => SocketAddr::new(address, PORT),
        Err(_) => match addresses(server, PORT, within).transpose()? {
            Some(found) => found.into_iter().next().ok_or(SntpError::Silent)?,
            None => return Err(SntpError::Silent),
        },
    };
    let left = until.saturating_duration_since(Instant::now());
    sntp::ask(address, random(), BUILT_UNIX_S, left)
}
