//! A time server whose clock shows what the test wants (SNTP, RFC 4330).

use super::names::udp;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::udp::Socket;
use std::time::Duration;

const PORT: u16 = 123;

/// A message without authentication, bytes.
const MESSAGE: usize = 48;

/// From 1900, where NTP begins, to 1970.
const TO_1970_S: u64 = 2_208_988_800;

#[derive(Debug)]
pub(super) struct Time {
    clock_s: u64,
    handle: SocketHandle,
}

impl Time {
    pub(super) fn new(clock_s: u64, sockets: &mut SocketSet<'static>) -> Self {
        Self { clock_s, handle: udp(PORT, MESSAGE, sockets) }
    }

    pub(super) fn drive(&self, now: Duration, sockets: &mut SocketSet<'static>) {
        let socket = sockets.get_mut::<Socket<'_>>(self.handle);
        while let Ok((question, from)) = socket.recv() {
            let shows = Duration::from_secs(self.clock_s) + now;
            let answer = question.first_chunk::<MESSAGE>().map(|asked| answer(asked, shows));
            if let Some(answer) = answer {
                let _ = socket.send_slice(&answer, from);
            }
        }
    }
}

fn answer(asked: &[u8; MESSAGE], shows: Duration) -> [u8; MESSAGE] {
    let mut answer = [0; MESSAGE];
    // No leap second, the version that was asked with, a server; of the first stratum.
    answer[0] = asked[0] & 0x38 | 4;
    answer[1] = 1;
    // When the client says it asked, when that came, and when this goes.
    answer[24..32].copy_from_slice(&asked[40..48]);
    // Seconds are modulo 2^32 (era 1 begins in 2036), and fractions of 2^32.
    let seconds = (shows.as_secs() + TO_1970_S) as u32;
    let fraction = ((u64::from(shows.subsec_nanos()) << 32) / 1_000_000_000) as u32;
    let stamp = [seconds.to_be_bytes(), fraction.to_be_bytes()].concat();
    for at in [16, 32, 40] {
        answer[at..at + 8].copy_from_slice(&stamp);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_shows_what_it_is_set_to() {
        let mut asked = [0; MESSAGE];
        asked[0] = 0x23;
        asked[40..48].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let found = answer(&asked, Duration::from_millis(1500));
        assert_eq!(found[..2], [0x24, 1]);
        assert_eq!(found[24..32], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(found[40..48], [0x83, 0xaa, 0x7e, 0x81, 0x80, 0, 0, 0]);
    }
}
