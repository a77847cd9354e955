//! The body of an answer: exactly the bytes asked for, at no less than a least rate.

use super::Timeouts;
use super::answer::{Accepted, Wanted};
use crate::source::{Item, SourceError};
use reqwest::blocking::Response;
use std::error::Error;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// How much of what comes before the bytes asked for is read at once, bytes.
const SKIP_BUFFER_BYTES: usize = 64 << 10;

/// Reads the bytes asked for.
pub(super) struct HttpBody {
    response: Response,
    item: Item,
    store: String,
    /// Bytes that have to come, where known.
    expected: Option<u64>,
    /// Bytes that came.
    found: u64,
    /// Whether more than expected is a fault, or to be left.
    ends: bool,
    timeouts: Timeouts,
    rate: Rate,
    /// After an error, nothing more is read.
    failed: bool,
}

/// How much came in the current window of waiting. Time in which nobody reads does not count.
#[derive(Debug, Default)]
struct Rate {
    waited: Duration,
    bytes: u64,
}

impl HttpBody {
    /// The body of `response`; what comes before the bytes asked for is read and dropped here.
    pub(super) fn new(
        response: Response,
        wanted: &Wanted<'_>,
        accepted: &Accepted,
        timeouts: Timeouts,
    ) -> Result<Self, SourceError> {
        let mut body = Self {
            response,
            item: wanted.item.clone(),
            store: wanted.store.to_owned(),
            expected: accepted.length_bytes,
            found: 0,
            ends: accepted.ends,
            timeouts,
            rate: Rate::default(),
            failed: false,
        };
        body.skip(accepted.skip_bytes)?;
        Ok(body)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), SourceError> {
        let mut buffer = vec![0; SKIP_BUFFER_BYTES.min(bytes as usize)];
        let mut left = bytes;
        while left > 0 {
            let length = left.min(buffer.len() as u64) as usize;
            let read = self.read_response(&mut buffer[..length])?;
            if read == 0 {
                return Err(self.short());
            }
            left -= read as u64;
        }
        Ok(())
    }

    fn read_body(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
        let left = self.expected.map_or(u64::MAX, |expected| expected - self.found);
        let length = left.min(into.len() as u64) as usize;
        if length == 0 {
            return Ok(0);
        }
        let read = self.read_response(&mut into[..length])?;
        self.found += read as u64;
        if read == 0 && self.expected.is_some() {
            return Err(self.short());
        }
        if self.expected == Some(self.found) && self.ends {
            self.expect_end()?;
        }
        Ok(read)
    }

    /// Bytes after the last are a fault: the answer is not what its head said.
    fn expect_end(&mut self) -> Result<(), SourceError> {
        if self.read_response(&mut [0])? == 0 {
            return Ok(());
        }
        Err(SourceError::Answer {
            item: self.item.clone(),
            store: self.store.clone(),
            expected: format!("{} bytes", self.found),
            found: "more".into(),
            again: false,
            retry_after: None,
        })
    }

    fn read_response(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
        let start = Instant::now();
        let read = self.response.read(into);
        let waited = start.elapsed();
        let read = read.map_err(|error| self.failure(error))?;
        if self.rate.is_too_low(waited, read as u64, self.timeouts) {
            return Err(SourceError::Answer {
                item: self.item.clone(),
                store: self.store.clone(),
                expected: format!(
                    "at least {} bytes in {} s",
                    self.timeouts.rate_min_bytes,
                    self.timeouts.rate_window.as_secs_f32()
                ),
                found: format!("{} after {}", self.rate.bytes, self.found),
                again: true,
                retry_after: None,
            });
        }
        Ok(read)
    }

    fn failure(&self, error: io::Error) -> SourceError {
        let timed_out = |error: &(dyn Error + 'static)| {
            error.downcast_ref().is_some_and(reqwest::Error::is_timeout)
        };
        if error.get_ref().is_some_and(|inner| timed_out(inner)) {
            return SourceError::Stalled {
                item: self.item.clone(),
                store: self.store.clone(),
                waited_s: self.timeouts.silence.as_secs(),
                found: self.found,
            };
        }
        if self.expected.is_some() && is_cut(&error) {
            return self.short();
        }
        SourceError::Io { item: self.item.clone(), store: self.store.clone(), source: error }
    }

    fn short(&self) -> SourceError {
        SourceError::Short {
            item: self.item.clone(),
            store: self.store.clone(),
            expected: self.expected.unwrap_or_default(),
            found: self.found,
        }
    }
}

impl Read for HttpBody {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::other("read after an error"));
        }
        let read = self.read_body(into);
        self.failed = read.is_err();
        read.map_err(io::Error::other)
    }
}

impl Rate {
    /// Adds a read; whether a window is over in which too little came.
    fn is_too_low(&mut self, waited: Duration, bytes: u64, timeouts: Timeouts) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.bytes >= timeouts.rate_min_bytes {
            *self = Self::default();
        }
        self.waited >= timeouts.rate_window
    }
}

/// Whether the connection ended before the body did: hyper says so by an
/// [`io::ErrorKind::UnexpectedEof`] somewhere below.
fn is_cut(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind == Some(io::ErrorKind::UnexpectedEof) {
            return true;
        }
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_waiting_counts_against_the_rate() {
        let timeouts = Timeouts {
            rate_window: Duration::from_secs(10),
            rate_min_bytes: 100,
            ..Timeouts::default()
        };
        let mut rate = Rate::default();
        let mut read =
            |seconds, bytes| rate.is_too_low(Duration::from_secs(seconds), bytes, timeouts);
        assert!(!read(9, 99));
        assert!(!read(9, 1), "enough came: a new window");
        assert!(!read(9, 1));
        assert!(read(1, 1));
    }
}
