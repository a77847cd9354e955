//! Reading a store over HTTP/1.1 with ranges, from any static web server.
//!
//! Built on reqwest's blocking client, whose waits are these (0.13.5, `src/blocking`): a
//! timeout set on the *client* limits the time to the answer's head, and then each single
//! read of the body anew; there is no limit on the whole body. (One set on a *request* would
//! limit the whole body as well, and is not used.) So silence ends by itself, but a server that
//! sends a byte now and then would hold a reader for ever: [`Timeouts`] adds a least rate.
//! Also closed: proxies from the environment, decompression, endless redirects,
//! redirects to another scheme, retries behind the caller's back. One attempt is one request;
//! asking again is the caller's, by [`SourceError::is_transient`].
//!
//! The client has a thread of its own and must not be made or used inside an async runtime.

mod answer;
mod body;
mod date;
mod retry_after;

use crate::source::{Body, Item, Source, SourceError, WITHIN_THE_SCHEME};
use answer::Wanted;
use body::HttpBody;
use reqwest::blocking::Client;
use reqwest::header::{ACCEPT_ENCODING, AGE, DATE, HeaderMap, RANGE};
use reqwest::{Url, redirect, retry};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Redirects to follow: a mirror's choice and a canonical name take two; more is a loop.
const REDIRECTS_MAX: usize = 5;

/// Connections kept open between requests: as many as an engine has requests under way.
const IDLE_CONNECTIONS_MAX: usize = 16;

/// An idle connection is dropped after this, before usual servers (nginx: 75 s) drop it, so that a
/// request seldom meets a connection that is just being closed, seconds.
const IDLE_S: u64 = 30;

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, names resolved.
    pub connect: Duration,
    /// For the head of the answer, and then for each next bytes of the body.
    pub silence: Duration,
    /// In this much time of waiting for the body ...
    pub rate_window: Duration,
    /// ... at least this many bytes have to come.
    pub rate_min_bytes: u64,
}

impl Timeouts {
    /// For a store that another may stand in for: a connection in 4 s (two SYNs get lost), silence
    /// no longer than 8 s, and 1 MiB in 10 s, what a line of 1 Mbit/s carries.
    pub fn with_another_left() -> Self {
        Self {
            connect: Duration::from_secs(4),
            silence: Duration::from_secs(8),
            rate_window: Duration::from_secs(10),
            rate_min_bytes: 1 << 20,
        }
    }
}

impl Default for Timeouts {
    /// For machines in one network: a connection in 10 s (three SYNs get lost), silence no longer
    /// than 20 s (a store that wakes a disk answers in 10 s), and 256 KiB a minute, a
    /// hundredth of the slowest line that makes sense for images.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(20),
            rate_window: Duration::from_mins(1),
            rate_min_bytes: 256 << 10,
        }
    }
}

/// A URL that cannot be a store's.
#[derive(Debug, thiserror::Error)]
pub enum HttpStoreError {
    /// It is no URL, or none of a store.
    #[error("store URL {url:?}: {reason}")]
    Url {
        /// As given, its password left out.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The HTTP client could not be made.
    #[error("HTTP client")]
    Client(#[from] reqwest::Error),
}

/// A store behind a URL.
#[derive(Debug, Clone)]
pub struct HttpStore {
    base: Url,
    name: String,
    client: Client,
    timeouts: Timeouts,
    /// What the server's clock said, and when that was heard.
    clock: Arc<Mutex<Option<(u64, Instant)>>>,
}

impl HttpStore {
    /// The store at `url`, with or without a slash at its end. Nothing is sent yet.
    pub fn new(url: &str, timeouts: Timeouts) -> Result<Self, HttpStoreError> {
        let base = parse_url(url)?;
        let mut shown = base.clone();
        shown.set_password(None).ok(); // only URLs without a host refuse, and there are none
        let name = shown.as_str().trim_end_matches('/').to_owned();
        Ok(Self { base, name, client: client(timeouts)?, timeouts, clock: Arc::default() })
    }

    /// What the server's clock says by now, seconds since 1970, where it has said so (`Date`, RFC
    /// 9110, section 6.6.1).
    pub fn server_time_unix_s(&self) -> Option<u64> {
        let heard = *self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        heard.map(|(date, when)| date + when.elapsed().as_secs())
    }

    fn hear_clock(&self, headers: &HeaderMap) {
        // What a proxy kept has the time at which it was made.
        let is_kept = headers.contains_key(AGE);
        let date = headers
            .get(DATE)
            .filter(|_| !is_kept)
            .and_then(|date| date::parse(date.to_str().ok()?.trim()));
        let heard = date.map(|date| (date, Instant::now()));
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = heard;
    }

    fn url(&self, item: &Item) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}", self.base.path(), item.path()));
        url
    }

    fn failed(&self, item: &Item, error: reqwest::Error) -> SourceError {
        let (item, store) = (item.clone(), self.name.clone());
        if error.is_redirect() {
            let expected = format!("at most {REDIRECTS_MAX} {WITHIN_THE_SCHEME}");
            let found = source_text(&error);
            let (again, retry_after) = (false, None);
            return SourceError::Answer { item, store, expected, found, again, retry_after };
        }
        if error.is_timeout() && !error.is_connect() {
            let waited_s = self.timeouts.silence.as_secs();
            return SourceError::Stalled { item, store, waited_s, found: 0 };
        }
        SourceError::Io { item, store, source: io::Error::other(error.without_url()) }
    }
}

impl Source for HttpStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        if range.as_ref().is_some_and(Range::is_empty) {
            let reader = Box::new(io::empty());
            return Ok(Body { length_bytes: Some(0), total_bytes: None, reader });
        }
        let mut request = self.client.get(self.url(item)).header(ACCEPT_ENCODING, "identity");
        if let Some(range) = &range {
            request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        }
        let response = request.send().map_err(|error| self.failed(item, error))?;
        self.hear_clock(response.headers());
        let wanted = Wanted { item, store: &self.name, range };
        let accepted = answer::accept(&wanted, response.status(), response.headers())?;
        let reader = Box::new(HttpBody::new(response, &wanted, &accepted, self.timeouts)?);
        let (length_bytes, total_bytes) = (accepted.length_bytes, accepted.total_bytes);
        Ok(Body { length_bytes, total_bytes, reader })
    }
}

fn parse_url(text: &str) -> Result<Url, HttpStoreError> {
    let parsed = Url::parse(text);
    let wrong = |url: String, reason: String| Err(HttpStoreError::Url { url, reason });
    let mut url = match parsed {
        Ok(url) => url,
        Err(error) => return wrong(text.chars().take(200).collect(), error.to_string()),
    };
    let mut shown = url.clone();
    shown.set_password(None).ok();
    // The parser of URLs passes over a third slash and takes the path for the host, and writes blanks
    // in another way.
    if text.split_once("://").is_some_and(|(_, rest)| rest.starts_with('/')) {
        return wrong(shown.into(), "expected a host".into());
    }
    if text.contains(|c: char| c.is_whitespace() || c == '"') {
        return wrong(shown.into(), "expected no blanks and no quotes".into());
    }
    if url.scheme() != "http" {
        let reason = format!("expected http, found {}", url.scheme());
        return wrong(shown.into(), reason);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong(shown.into(), "expected no '?' and no '#'".into());
    }
    let path = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

fn client(timeouts: Timeouts) -> Result<Client, reqwest::Error> {
    let policy = redirect::Policy::custom(|attempt| {
        let (from, to) = (attempt.previous().last().map(Url::scheme), attempt.url().scheme());
        if from.is_some_and(|from| from != to) {
            let to = attempt.url().clone();
            attempt.error(format!("a redirect to {to}"))
        } else if attempt.previous().len() > REDIRECTS_MAX {
            attempt.error("more redirects")
        } else {
            attempt.follow()
        }
    });
    Client::builder()
        .user_agent(concat!("inaug/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.silence)
        .redirect(policy)
        .retry(retry::never())
        .referer(false)
        .no_proxy()
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .http1_only()
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .pool_idle_timeout(Duration::from_secs(IDLE_S))
        .build()
}

/// The cause below reqwest's own words.
fn source_text(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_makes_no_difference() {
        for url in ["http://host/a/store", "http://host/a/store/", "http://host/a/store//"] {
            let store = HttpStore::new(url, Timeouts::default()).unwrap();
            assert_eq!(store.name(), "http://host/a/store");
            assert_eq!(store.url(&Item::LabelList).as_str(), "http://host/a/store/labels.list");
        }
        let store = HttpStore::new("http://host", Timeouts::default()).unwrap();
        let label = Item::Label("debian/12".parse().unwrap());
        assert_eq!(store.url(&label).as_str(), "http://host/labels/debian__12");
    }

    #[test]
    fn a_host_may_be_an_address_of_ipv6_but_none_of_a_link() {
        let store = HttpStore::new("http://[2001:db8::1]:8080/store", Timeouts::default()).unwrap();
        assert_eq!(store.name(), "http://[2001:db8::1]:8080/store");
        // The URL standard knows no zones.
        for url in ["http://[fe80::1%25eth0]/store", "http://[fe80::1%eth0]/store"] {
            assert!(HttpStore::new(url, Timeouts::default()).is_err(), "{url}");
        }
    }

    #[test]
    fn urls_that_are_no_stores_are_refused_without_their_password() {
        for (url, expected) in [
            ("https://host/", "store URL \"https://host/\": expected http, found https"),
            ("http://", "store URL \"http://\": empty host"),
            ("http://u:secret@h/?q", "store URL \"http://u@h/?q\": expected no '?' and no '#'"),
        ] {
            let error = HttpStore::new(url, Timeouts::default()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        let store = HttpStore::new("http://u:secret@h/s", Timeouts::default()).unwrap();
        assert_eq!(store.name(), "http://u@h/s");
    }
}
