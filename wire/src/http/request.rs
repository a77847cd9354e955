//! The part of HTTP/1.1 that a client of a static store says (RFC 9110, 9112).

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, Read};

/// What a client may say before the empty line.
pub const HEAD_BYTES: u64 = 16 << 10;

/// A request without a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// GET or HEAD.
    pub method: String,
    /// Decoded, starting with a slash, without a query.
    pub path: String,
    /// What of it is wanted; everything without one.
    pub range: Option<Range>,
    /// The connection is to stay.
    pub keep_alive: bool,
    /// What the client shows, as it is sent.
    pub authorization: Option<String>,
    /// It is for a proxy: a whole URL, or CONNECT.
    pub by_proxy: bool,
}

/// A single range of bytes (RFC 9110 section 14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// `bytes=first-` and `bytes=first-last`, both inclusive.
    From {
        /// Counted from 0.
        first: u64,
        /// Without one, to the end.
        last: Option<u64>,
    },
    /// `bytes=-length`: the end of the file.
    Last {
        /// Bytes.
        length: u64,
    },
}

impl Range {
    /// Offset and length in a file of `size` bytes; `None` is 416.
    pub fn within(self, size: u64) -> Option<(u64, u64)> {
        let (start, end) = match self {
            Self::From { first, last } => {
                (first, last.map_or(size, |last| last.saturating_add(1).min(size)))
            }
            Self::Last { length } => (size.saturating_sub(length), size),
        };
        (start < end).then(|| (start, end - start))
    }
}

/// Reads the next request; `None` is a client that has no more.
pub fn read_request(input: &mut impl BufRead) -> Result<Option<Request>> {
    let mut input = input.take(HEAD_BYTES);
    let Some(start) = line(&mut input)? else { return Ok(None) };
    let mut words = start.split(' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        bail!("not a request line: {start:?}")
    };
    let mut request = Request {
        method: method.to_owned(),
        path: decoded(path_of(target))?,
        range: None,
        keep_alive: version == "HTTP/1.1",
        authorization: None,
        by_proxy: !target.starts_with('/'),
    };
    while let Some(header) = line(&mut input)?.filter(|header| !header.is_empty()) {
        let (name, value) = header.split_once(':').with_context(|| format!("header {header:?}"))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "authorization" => request.authorization = Some(value.to_owned()),
            "range" => request.range = parse_range(value),
            "connection" => request.keep_alive = !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    Ok(Some(request))
}

/// The path of a target: of a whole URL, what follows the host; of CONNECT all.
fn path_of(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    path.split('?').next().unwrap_or(path)
}

fn line(input: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = String::new();
    input.read_line(&mut line).context("reading a request")?;
    if line.is_empty() {
        return Ok(None);
    }
    ensure!(line.ends_with('\n'), "a request's head is cut, or over {HEAD_BYTES} bytes");
    Ok(Some(line.trim_end().to_owned()))
}

/// A range that is not understood is no range (RFC 9110 section 14.2).
fn parse_range(value: &str) -> Option<Range> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    match (first, last) {
        ("", length) => Some(Range::Last { length: length.parse().ok()? }),
        (first, "") => Some(Range::From { first: first.parse().ok()?, last: None }),
        (first, last) => {
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last).then_some(Range::From { first, last: Some(last) })
        }
    }
}

/// Undoes `%41`.
fn decoded(target: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(target.len());
    let mut rest = target.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.with_context(|| format!("half an escape in {target:?}"))?;
        bytes.push(u8::from_str_radix(digits, 16).with_context(|| format!("%{digits}"))?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).with_context(|| format!("{target:?} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let mut input = &b"GET /packs/a%2Fb?x HTTP/1.1\r\nHost: h\r\nRANGE: bytes=5-9\r\n\r\n\
            HEAD / HTTP/1.0\r\n\r\n"[..];
        let first = read_request(&mut input).unwrap().unwrap();
        assert_eq!((first.method.as_str(), first.path.as_str()), ("GET", "/packs/a/b"));
        assert_eq!(first.range, Some(Range::From { first: 5, last: Some(9) }));
        assert!(first.keep_alive);
        let second = read_request(&mut input).unwrap().unwrap();
        assert_eq!((second.method.as_str(), second.keep_alive), ("HEAD", false));
        assert!(!first.by_proxy && first.authorization.is_none());
        assert_eq!(read_request(&mut input).unwrap(), None);
        let mut input = &b"GET http://h:1/a HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n\
            CONNECT h:443 HTTP/1.1\r\n\r\n"[..];
        let whole = read_request(&mut input).unwrap().unwrap();
        assert_eq!((whole.path.as_str(), whole.by_proxy), ("/a", true));
        assert_eq!(whole.authorization.as_deref(), Some("Bearer x"));
        let tunnel = read_request(&mut input).unwrap().unwrap();
        assert_eq!((tunnel.path.as_str(), tunnel.by_proxy), ("h:443", true));
        for bad in ["GET\r\n\r\n", "GET /%zz HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nbad\r\n\r\n"] {
            assert!(read_request(&mut bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ranges() {
        for (value, size, expected) in [
            ("bytes=0-0", 10, Some((0, 1))),
            ("bytes=2-", 10, Some((2, 8))),
            ("bytes=2-99", 10, Some((2, 8))),
            ("bytes=-3", 10, Some((7, 3))),
            ("bytes=-30", 10, Some((0, 10))),
            ("bytes=10-", 10, None),
            ("bytes=0-18446744073709551615", 10, Some((0, 10))),
        ] {
            assert_eq!(parse_range(value).unwrap().within(size), expected, "{value}");
        }
        for unknown in ["bytes=9-2", "bytes=1-2,4-5", "lines=1-2", "bytes=x-"] {
            assert_eq!(parse_range(unknown), None, "{unknown}");
        }
    }
}
