//! Reading a store over HTTP/1.1 with ranges, from any static web server, in the clear or over TLS.
//!
//! Built on reqwest's blocking client, whose waits are these (0.13.5, `src/blocking`): a
//! timeout set on the *client* limits the time to the answer's head, and then each single
//! read of the body anew; there is no limit on the whole body. (One set on a *request* would
//! limit the whole body as well, and is not used.) So silence ends by itself, but a server that
//! sends a byte now and then would hold a reader for ever: [`Timeouts`] adds a least rate.
//! TLS is rustls with ring; whom to trust and by which clock is told in [`Access`], and nothing of it is
//! taken from the system. Also closed: proxies from the environment, decompression, endless redirects,
//! redirects to another scheme, retries behind the caller's back. One attempt is one request;
//! asking again is the caller's, by [`SourceError::is_transient`].
//!
//! The client has a thread of its own and must not be made or used inside an async runtime.

mod access;
mod address;
mod answer;
mod authorities;
mod body;
mod date;
mod proxy;
mod retry_after;
mod token;

use crate::source::{Body, Item, Source, SourceError, WITHIN_THE_SCHEME};
pub use access::{Access, Clock};
pub use address::{HttpStoreError, check, is_same_origin, redacted};
use answer::{Between, Wanted};
pub use authorities::{AUTHORITIES_MAX_BYTES, Authorities, AuthoritiesError};
use body::HttpBody;
pub use proxy::Proxy;
use reqwest::blocking::Client;
use reqwest::header::{ACCEPT_ENCODING, AGE, AUTHORIZATION, DATE, HeaderMap, RANGE};
use reqwest::{Url, redirect, retry};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
pub use token::{TOKEN_MAX_BYTES, Token, TokenError};

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

/// A store behind a URL.
#[derive(Debug, Clone)]
pub struct HttpStore {
    base: Url,
    name: String,
    client: Client,
    timeouts: Timeouts,
    token: Option<Token>,
    /// The proxy that is asked in its place.
    proxy: Option<Proxy>,
    /// What the server's clock said, and when that was heard.
    clock: Arc<Mutex<Option<(u64, Instant)>>>,
}

impl HttpStore {
    /// The store at `url`, reached straight and without a token; none behind https, as nobody is
    /// trusted. Nothing is sent yet.
    pub fn new(url: &str, timeouts: Timeouts) -> Result<Self, HttpStoreError> {
        Self::with(url, timeouts, &Access::default())
    }

    /// The store at `url`, with or without a slash at its end. Nothing is sent yet.
    pub fn with(url: &str, timeouts: Timeouts, access: &Access) -> Result<Self, HttpStoreError> {
        let base = address::parse(url)?;
        let shown = address::shown(&base);
        if base.scheme() == "https" && access.authorities.count() == 0 {
            return Err(HttpStoreError::NoAuthorities { url: shown });
        }
        // Who says a name and a password in the URL means these.
        let token = access
            .token
            .clone()
            .filter(|_| base.username().is_empty() && base.password().is_none());
        Ok(Self {
            name: shown.trim_end_matches('/').to_owned(),
            client: client(timeouts, access)?,
            timeouts,
            token,
            proxy: access.proxy.clone().filter(|proxy| proxy.is_between(&base)),
            base,
            clock: Arc::default(),
        })
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
        if let Some(why) = authorities::why_refused(&error) {
            // A redirect may have led to another server.
            let server = error.url().unwrap_or(&self.base).origin().ascii_serialization();
            return SourceError::Certificate { item, store, server, why };
        }
        if error.is_timeout() && !error.is_connect() {
            let waited_s = self.timeouts.silence.as_secs();
            return SourceError::Stalled { item, store, waited_s, found: 0 };
        }
        let source = io::Error::other(error.without_url());
        match self.proxy.as_ref().filter(|_| is_of_proxy(&source, &self.base)) {
            Some(proxy) => {
                let proxy = proxy.name().to_owned();
                SourceError::Proxy { item, store, proxy, source }
            }
            None => SourceError::Io { item, store, source },
        }
    }
}

/// Whether it is the proxy that failed, and not what is behind it: by whole URLs there is a connection
/// with nobody else, and of a tunnel it is said so.
fn is_of_proxy(error: &io::Error, base: &Url) -> bool {
    let is_connect = |layer: &&reqwest::Error| layer.is_connect();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>());
    inner.filter(is_connect).is_some_and(|inner| base.scheme() == "http" || is_of_tunnel(inner))
}

/// Whether CONNECT was refused or not answered. Its error has no type that can be named.
fn is_of_tunnel(error: &dyn std::error::Error) -> bool {
    let mut layer = error.source();
    while let Some(error) = layer {
        if error.to_string().starts_with("tunnel error") {
            return true;
        }
        layer = error.source();
    }
    false
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
        if let Some(token) = &self.token {
            // Taken away by reqwest where a redirect leads to another host, port or scheme.
            request = request.header(AUTHORIZATION, token.header());
        }
        let response = request.send().map_err(|error| self.failed(item, error))?;
        self.hear_clock(response.headers());
        let between = Between {
            has_token: self.token.is_some(),
            // In a tunnel it is the store that answers.
            proxy: self.proxy.as_ref().filter(|_| self.base.scheme() == "http").map(Proxy::name),
        };
        let wanted = Wanted { item, store: &self.name, range, between };
        let accepted = answer::accept(&wanted, response.status(), response.headers())?;
        let reader = Box::new(HttpBody::new(response, &wanted, &accepted, self.timeouts)?);
        let (length_bytes, total_bytes) = (accepted.length_bytes, accepted.total_bytes);
        Ok(Body { length_bytes, total_bytes, reader })
    }
}

fn client(timeouts: Timeouts, access: &Access) -> Result<Client, HttpStoreError> {
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
    let mut builder = Client::builder();
    if let Some(proxy) = access.proxy.clone() {
        builder = builder.proxy(reqwest::Proxy::custom(move |url| proxy.in_place_of(url)));
    } else {
        builder = builder.no_proxy();
    }
    let built = builder
        .tls_backend_preconfigured(access.authorities.client(access.clock)?)
        .user_agent(concat!("inaug/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.silence)
        .redirect(policy)
        .retry(retry::never())
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .http1_only()
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .pool_idle_timeout(Duration::from_secs(IDLE_S))
        .build();
    Ok(built?)
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
    fn a_host_may_be_an_address_of_ipv6() {
        let store = HttpStore::new("http://[2001:db8::1]:8080/store", Timeouts::default()).unwrap();
        assert_eq!(store.name(), "http://[2001:db8::1]:8080/store");
    }

    #[test]
    fn a_store_behind_https_wants_authorities() {
        let error = HttpStore::new("https://u:secret@h/s", Timeouts::default()).unwrap_err();
        let expected = "https://u@h/s/: no authority is trusted to sign certificates";
        assert_eq!(error.to_string(), expected);
        let store = HttpStore::new("http://u:secret@h/s", Timeouts::default()).unwrap();
        assert_eq!(store.name(), "http://u@h/s");
    }
}
