//! What time a server has (SNTP, RFC 4330, of the messages of RFC 5905).
//!
//! The server is asked once and is not trusted: an answer is to this question or is none, and what it
//! says is judged by [`crate::wall_clock`] like everything that others say of the time.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A message without extensions and authentication, bytes.
const MESSAGE: usize = 48;

/// From 1900, where NTP begins, to 1970, seconds.
const TO_1970_S: u64 = 2_208_988_800;

/// Seconds of NTP begin again after so many (RFC 5905, section 6): in 2036 for the first time.
const ERA_S: u64 = 1 << 32;

/// Version 4, the mode of a client, no leap second.
const ASKS: u8 = 4 << 3 | 3;

/// The mode of a server's answer.
const ANSWERS: u8 = 4;

/// The clock is not synchronised (leap indicator).
const LEAP_UNKNOWN: u8 = 3;

/// From here on a clock is not synchronised (RFC 5905, figure 11).
const STRATUM_MAX: u8 = 16;

/// A clock with more error than this is worth nothing (`MAXDISP`, RFC 5905, section 7.2), seconds.
const DISPERSION_MAX_S: u16 = 16;

/// A lost question is asked again after this.
const AGAIN: Duration = Duration::from_millis(400);

/// Messages that are looked at: others than the answer are strangers'.
const HEARD_MAX: usize = 16;

/// Why a server does not say what time it is.
#[derive(Debug, thiserror::Error)]
pub enum SntpError {
    /// Nothing that is an answer came.
    #[error("does not answer")]
    Silent,
    /// It wants to be left alone (RFC 5905, section 7.4).
    #[error("refuses ({code})")]
    Refused {
        /// Its reason, of four letters.
        code: String,
    },
    /// It does not know itself.
    #[error("has no time: its own clock is not synchronised")]
    Unsynchronised,
    /// It could not be asked.
    #[error("cannot be asked")]
    Io(#[from] io::Error),
}

/// What a message that came says.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// Seconds since 1970.
    Time(u64),
    Refused(String),
    Unsynchronised,
    /// No answer to the question.
    Stray,
}

/// What time `server` has, seconds since 1970, in the era of `floor_unix_s`; waits for at most `within`.
/// `nonce` is a number that nobody can guess.
pub(crate) fn ask(
    server: SocketAddr,
    nonce: u64,
    floor_unix_s: u64,
    within: Duration,
) -> Result<u64, SntpError> {
    let until = Instant::now() + within;
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    let mut asked = None;
    for _ in 0..HEARD_MAX {
        if asked.is_none_or(|at: Instant| at.elapsed() >= AGAIN) {
            socket.send(&question(nonce))?;
            asked = Some(Instant::now());
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left.min(AGAIN)))?;
        let mut message = [0; 2 * MESSAGE];
        let length = match socket.recv(&mut message) {
            Ok(length) => length,
            Err(error) if is_wait(&error) => continue,
            // Nobody listens there: its kernel says so (ICMP).
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => break,
            Err(error) => return Err(error.into()),
        };
        match heard(&message[..length], nonce, floor_unix_s) {
            Heard::Time(unix_s) => return Ok(unix_s),
            Heard::Refused(code) => return Err(SntpError::Refused { code }),
            Heard::Unsynchronised => return Err(SntpError::Unsynchronised),
            Heard::Stray => {}
        }
    }
    Err(SntpError::Silent)
}

fn is_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// Says nothing of this machine but that it asks: where its time would be stands a number by which
/// the answer is known.
fn question(nonce: u64) -> [u8; MESSAGE] {
    let mut question = [0; MESSAGE];
    question[0] = ASKS;
    question[40..].copy_from_slice(&nonce.to_be_bytes());
    question
}

/// Reads an answer: its checks are those of RFC 4330, section 5.
fn heard(message: &[u8], nonce: u64, floor_unix_s: u64) -> Heard {
    let Some((message, _)) = message.split_first_chunk::<MESSAGE>() else { return Heard::Stray };
    let (leap, version, mode) = (message[0] >> 6, message[0] >> 3 & 7, message[0] & 7);
    if mode != ANSWERS || !(3..=4).contains(&version) || message[24..32] != nonce.to_be_bytes() {
        return Heard::Stray;
    }
    let dispersion_s = u16::from_be_bytes([message[8], message[9]]);
    match message[1] {
        0 => return Heard::Refused(code(&message[12..16])),
        STRATUM_MAX.. => return Heard::Unsynchronised,
        _ if leap == LEAP_UNKNOWN || dispersion_s >= DISPERSION_MAX_S => {
            return Heard::Unsynchronised;
        }
        _ => {}
    }
    let seconds = u32::from_be_bytes([message[40], message[41], message[42], message[43]]);
    if message[40..] == [0; 8] {
        return Heard::Unsynchronised;
    }
    Heard::Time(nearest(seconds, floor_unix_s))
}

/// What a server says why it refuses, where it is letters.
fn code(letters: &[u8]) -> String {
    let is_code = letters.iter().all(u8::is_ascii_alphanumeric);
    if is_code { String::from_utf8_lossy(letters).into_owned() } else { "no reason".into() }
}

/// The moment nearest to `floor_unix_s` whose seconds in its era are these (RFC 5905, section 6). A clock
/// that is years behind the floor is wrong, not an era ahead.
fn nearest(seconds: u32, floor_unix_s: u64) -> u64 {
    let floor_s = floor_unix_s.saturating_add(TO_1970_S);
    let in_era = floor_s / ERA_S * ERA_S + u64::from(seconds);
    let seconds = if in_era.saturating_add(ERA_S / 2) < floor_s { in_era + ERA_S } else { in_era };
    seconds.saturating_sub(TO_1970_S)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    /// 1 November 2026, about when this was built.
    const FLOOR: u64 = 1_793_491_200;

    const NONCE: u64 = 0x0102_0304_0506_0708;

    /// A right answer: FLOOR and a day.
    fn answer() -> [u8; MESSAGE] {
        let mut answer = [0; MESSAGE];
        (answer[0], answer[1]) = (4 << 3 | 4, 2);
        answer[24..32].copy_from_slice(&NONCE.to_be_bytes());
        let seconds = (FLOOR + 86_400 + TO_1970_S) as u32;
        answer[40..44].copy_from_slice(&seconds.to_be_bytes());
        answer
    }

    #[test]
    fn answers_are_believed_as_far_as_they_go() {
        let with = |at: usize, bytes: &[u8]| {
            let mut answer = answer();
            answer[at..at + bytes.len()].copy_from_slice(bytes);
            answer.to_vec()
        };
        let refused = |code: &str| Heard::Refused(code.into());
        for (what, message, expected) in [
            ("right", answer().to_vec(), Heard::Time(FLOOR + 86_400)),
            ("version 3", with(0, &[3 << 3 | 4]), Heard::Time(FLOOR + 86_400)),
            ("leap second to come", with(0, &[1 << 6 | 4 << 3 | 4]), Heard::Time(FLOOR + 86_400)),
            ("stratum 15", with(1, &[15]), Heard::Time(FLOOR + 86_400)),
            ("authenticated", [&answer()[..], &[7; 20]].concat(), Heard::Time(FLOOR + 86_400)),
            ("short", answer()[..47].to_vec(), Heard::Stray),
            ("empty", Vec::new(), Heard::Stray),
            ("our own question", question(NONCE).to_vec(), Heard::Stray),
            ("broadcast", with(0, &[4 << 3 | 5]), Heard::Stray),
            ("version 2", with(0, &[2 << 3 | 4]), Heard::Stray),
            ("another origin", with(31, &[9]), Heard::Stray),
            (
                "kiss of death",
                [&with(1, &[0])[..12], b"RATE", &answer()[16..]].concat(),
                refused("RATE"),
            ),
            ("kiss without letters", with(1, &[0]), refused("no reason")),
            ("stratum 16", with(1, &[16]), Heard::Unsynchronised),
            ("stratum 255", with(1, &[255]), Heard::Unsynchronised),
            ("leap unknown", with(0, &[3 << 6 | 4 << 3 | 4]), Heard::Unsynchronised),
            ("16 s of error", with(8, &[0, 16, 0, 0]), Heard::Unsynchronised),
            ("no time", with(40, &[0; 8]), Heard::Unsynchronised),
        ] {
            assert_eq!(heard(&message, NONCE, FLOOR), expected, "{what}");
        }
    }

    #[test]
    fn eras_follow_the_floor() {
        // 7 February 2036, 06:28:16: the seconds begin again.
        let pivot = ERA_S - TO_1970_S;
        for (seconds, floor, expected) in [
            (u32::MAX, FLOOR, pivot - 1),
            (0, FLOOR, pivot),
            (1000, FLOOR, pivot + 1000),
            (1000, pivot + 1001, pivot + 1000),
            // A server of 2010.
            (3_471_292_800, FLOOR, 1_262_304_000),
            (1000, pivot + 1000, pivot + 1000),
        ] {
            assert_eq!(nearest(seconds, floor), expected, "{seconds} {floor}");
        }
    }

    /// What comes of a server that sends this for each question.
    fn asked(
        within: Duration,
        answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Result<u64, SntpError> {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        server.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let thread = thread::spawn(move || {
            let mut question = [0; MESSAGE];
            let (_, from) = server.recv_from(&mut question).unwrap();
            for answer in answers(&question) {
                server.send_to(&answer, from).unwrap();
            }
        });
        let said = ask(address, NONCE, FLOOR, within);
        thread.join().unwrap();
        said
    }

    #[test]
    fn strangers_are_passed_over_and_the_server_is_heard() {
        let (long, short) = (Duration::from_secs(30), Duration::from_millis(300));
        let said = asked(long, |question| {
            assert_eq!(question, self::question(NONCE));
            vec![vec![1, 2, 3], question.to_vec(), answer().to_vec()]
        });
        assert_eq!(said.unwrap(), FLOOR + 86_400);
        let said = asked(short, |_| vec![vec![0; MESSAGE]; 3]);
        assert_eq!(said.unwrap_err().to_string(), "does not answer");
        let flood =
            asked(long, |_| [vec![vec![0; MESSAGE]; HEARD_MAX], vec![answer().to_vec()]].concat());
        assert_eq!(flood.unwrap_err().to_string(), "does not answer");
    }

    #[test]
    fn nobody_there_is_silence() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let said = ask(free, NONCE, FLOOR, Duration::from_millis(100));
        assert!(matches!(said, Err(SntpError::Silent)), "{said:?}");
    }

    proptest! {
        #[test]
        fn anything_may_come(message: Vec<u8>, nonce: u64, floor in 0..8_000_000_000u64) {
            if let Heard::Time(time) = heard(&message, nonce, floor) {
                prop_assert!(time.abs_diff(floor) <= ERA_S);
            }
        }
    }
}
