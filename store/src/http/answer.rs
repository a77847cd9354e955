//! Whether an answer's head (RFC 9110) promises what was asked for.

use super::retry_after::retry_after;
use crate::source::{Item, PAGE, SourceError};
use reqwest::StatusCode;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName,
};
use std::ops::Range;

/// A server that answers a range with the whole file is borne with while the range starts
/// within this many bytes, which are read and dropped. Beyond that, a store of
/// packs cannot be read from it in reasonable time.
const SKIP_MAX_BYTES: u64 = 1 << 20;

/// What was asked for.
pub(super) struct Wanted<'a> {
    pub(super) item: &'a Item,
    pub(super) store: &'a str,
    pub(super) range: Option<Range<u64>>,
    pub(super) between: Between<'a>,
}

/// What stood between the question and the store, for words about a refusal.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Between<'a> {
    /// A token was sent.
    pub(super) has_token: bool,
    /// The proxy that may have answered instead.
    pub(super) proxy: Option<&'a str>,
}

/// What is going to come.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// Bytes before those asked for.
    pub(super) skip_bytes: u64,
    /// Bytes asked for, where known.
    pub(super) length_bytes: Option<u64>,
    /// Length of the item, where known.
    pub(super) total_bytes: Option<u64>,
    /// Whether the body is over after the bytes asked for.
    pub(super) ends: bool,
}

impl Wanted<'_> {
    /// The error of an answer that is another than was asked for.
    pub(super) fn wrong(&self, expected: &str, found: &str, again: bool) -> SourceError {
        let (item, store) = (self.item.clone(), self.store.to_owned());
        let found = found.chars().filter(|c| !c.is_control()).take(200).collect();
        let (expected, retry_after) = (expected.to_owned(), None);
        SourceError::Answer { item, store, expected, found, again, retry_after }
    }

    /// The error of an answer with another status.
    fn refused(&self, expected: &str, status: StatusCode, headers: &HeaderMap) -> SourceError {
        let mut found = status.to_string();
        // A 416 says how long the item is (RFC 9110, section 15.5.17).
        if let Some(unsatisfied) = text(headers, CONTENT_RANGE) {
            found = format!("{found}, {unsatisfied}");
        }
        if let Some(why) = self.between.why(status) {
            found = format!("{found}: {why}");
        }
        let mut error = self.wrong(expected, &found, is_transient(status));
        if let SourceError::Answer { again: true, retry_after: asked, .. } = &mut error {
            *asked = retry_after(headers);
        }
        error
    }

    /// A label may be named `index.html`, and so may a file that is no part of a store; nothing else
    /// is HTML.
    fn may_be_html(&self) -> bool {
        match self.item {
            Item::Label(name) => name.as_str().contains(".htm"),
            Item::File(name) => name.contains(".htm"),
            _ => false,
        }
    }
}

impl Between<'_> {
    /// What a person may look at where this is the answer.
    fn why(self, status: StatusCode) -> Option<String> {
        match (status, self.proxy) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                let why =
                    if self.has_token { "the token was not accepted" } else { "no token was sent" };
                Some(why.to_owned())
            }
            (StatusCode::PROXY_AUTHENTICATION_REQUIRED, Some(proxy)) => {
                Some(format!("the proxy {proxy} wants a name and a password"))
            }
            (StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT, Some(proxy)) => {
                Some(format!("perhaps the proxy {proxy} does not reach the store"))
            }
            _ => None,
        }
    }
}

/// Accepts or refuses an answer by its status and headers.
pub(super) fn accept(
    wanted: &Wanted<'_>,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Accepted, SourceError> {
    let expected = if wanted.range.is_some() { "status 206" } else { "status 200" };
    match (status, &wanted.range) {
        (StatusCode::OK | StatusCode::PARTIAL_CONTENT, _) => {}
        (StatusCode::NOT_FOUND | StatusCode::GONE, _) => {
            let (item, store) = (wanted.item.clone(), wanted.store.to_owned());
            return Err(SourceError::NotFound { item, store });
        }
        _ => return Err(wanted.refused(expected, status, headers)),
    }
    if let Some(encoding) = text(headers, CONTENT_ENCODING).filter(|text| text != "identity") {
        return Err(wanted.wrong("no content encoding", &encoding, false));
    }
    let kind = text(headers, CONTENT_TYPE).unwrap_or_default();
    // A portal knows nothing of ranges; busybox's httpd calls every part of a file HTML.
    let may_be_page = status == StatusCode::OK && !wanted.may_be_html();
    if kind.starts_with("text/html") && may_be_page {
        let found = format!("{kind}: {PAGE}");
        return Err(wanted.wrong("the item's bytes", &found, false));
    }
    let length = content_length(wanted, headers)?;
    match (&wanted.range, status) {
        (None, StatusCode::OK) => {
            let (length_bytes, total_bytes) = (length, length);
            Ok(Accepted { skip_bytes: 0, length_bytes, total_bytes, ends: true })
        }
        (None, _) => Err(wanted.wrong(expected, &status.to_string(), false)),
        (Some(range), StatusCode::OK) => accept_whole(wanted, range, length),
        (Some(range), _) => accept_part(wanted, range, length, headers),
    }
}

/// The whole item in answer to a range.
fn accept_whole(
    wanted: &Wanted<'_>,
    range: &Range<u64>,
    total_bytes: Option<u64>,
) -> Result<Accepted, SourceError> {
    if range.start > SKIP_MAX_BYTES {
        let expected = format!("status 206 with bytes {}-{}", range.start, range.end - 1);
        return Err(wanted.wrong(&expected, "status 200: the server does not do ranges", false));
    }
    let expected = range.end - range.start;
    if let Some(total) = total_bytes.filter(|total| *total < range.end) {
        // The server says that it has no more: it says so again.
        let (least, found) = (format!("at least {} bytes", range.end), format!("{total}"));
        return Err(wanted.wrong(&least, &found, false));
    }
    Ok(Accepted {
        skip_bytes: range.start,
        length_bytes: Some(expected),
        total_bytes,
        ends: total_bytes == Some(range.end),
    })
}

/// A part in answer to a range: it has to be that range.
fn accept_part(
    wanted: &Wanted<'_>,
    range: &Range<u64>,
    length: Option<u64>,
    headers: &HeaderMap,
) -> Result<Accepted, SourceError> {
    let expected = format!("Content-Range: bytes {}-{}", range.start, range.end - 1);
    let given = text(headers, CONTENT_RANGE);
    let parsed = given.as_deref().and_then(parse_content_range);
    let total_bytes = match parsed {
        Some((start, end, total)) if (start, end) == (range.start, range.end) => total,
        _ => {
            let found = given.unwrap_or_else(|| "none".into());
            return Err(wanted.wrong(&expected, &found, false));
        }
    };
    let expected = range.end - range.start;
    if let Some(found) = length.filter(|length| *length != expected) {
        let expected = format!("Content-Length: {expected}");
        return Err(wanted.wrong(&expected, &found.to_string(), false));
    }
    Ok(Accepted { skip_bytes: 0, length_bytes: Some(expected), total_bytes, ends: true })
}

/// Start, end (not included) and total of `bytes 0-99/1000`.
fn parse_content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((first.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?, total))
}

/// Request timeout, too early, too many requests, and what is the server's fault.
fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error()
}

fn content_length(wanted: &Wanted<'_>, headers: &HeaderMap) -> Result<Option<u64>, SourceError> {
    let Some(given) = text(headers, CONTENT_LENGTH) else { return Ok(None) };
    match given.parse() {
        Ok(length) => Ok(Some(length)),
        Err(_) => Err(wanted.wrong("Content-Length: a number", &given, false)),
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    type Row<'a> = (Option<Range<u64>>, u16, &'a [(&'a str, &'a str)], &'a str);

    fn answer(range: Option<Range<u64>>, status: u16, headers: &[(&str, &str)]) -> String {
        let wanted = Wanted {
            item: &Item::LabelList,
            store: "http://h",
            range,
            between: Between::default(),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
        match accept(&wanted, StatusCode::from_u16(status).unwrap(), &map) {
            Ok(Accepted { skip_bytes, length_bytes, total_bytes, ends }) => {
                format!("skip {skip_bytes} take {length_bytes:?} of {total_bytes:?} ends {ends}")
            }
            Err(error) => {
                let again = if error.is_transient() { "again" } else { "final" };
                format!(
                    "{again}: {}",
                    error.to_string().replace("list of labels from http://h: ", "")
                )
            }
        }
    }

    #[test]
    fn answers_are_taken_for_what_they_are() {
        let range = |start, end| Some(start..end);
        let length = |text| ("content-length", text);
        let part = |text| ("content-range", text);
        let table: &[Row<'_>] = &[
            (None, 200, &[length("7")], "skip 0 take Some(7) of Some(7) ends true"),
            (None, 200, &[], "skip 0 take None of None ends true"),
            (None, 206, &[], "final: expected status 200, found 206 Partial Content"),
            (range(2, 5), 206, &[part("bytes 2-4/9")], "skip 0 take Some(3) of Some(9) ends true"),
            (range(2, 5), 206, &[part("bytes 2-4/*")], "skip 0 take Some(3) of None ends true"),
            (
                range(2, 5),
                206,
                &[part("bytes 0-4/9")],
                "final: expected Content-Range: bytes 2-4, found bytes 0-4/9",
            ),
            (range(2, 5), 206, &[], "final: expected Content-Range: bytes 2-4, found none"),
            (
                range(2, 5),
                206,
                &[part("bytes 2-4/9"), length("4")],
                "final: expected Content-Length: 3, found 4",
            ),
            (range(2, 5), 200, &[length("9")], "skip 2 take Some(3) of Some(9) ends false"),
            (range(2, 5), 200, &[length("4")], "final: expected at least 5 bytes, found 4"),
            (
                range(2 << 20, 3 << 20),
                200,
                &[],
                "final: expected status 206 with bytes 2097152-3145727, found status 200: the server does not do ranges",
            ),
            (None, 404, &[], "final: list of labels is not in the store http://h"),
            (None, 403, &[], "final: expected status 200, found 403 Forbidden: no token was sent"),
            (range(2, 5), 416, &[], "final: expected status 206, found 416 Range Not Satisfiable"),
            (
                range(2, 5),
                416,
                &[part("bytes */2")],
                "final: expected status 206, found 416 Range Not Satisfiable, bytes */2",
            ),
            (None, 429, &[], "again: expected status 200, found 429 Too Many Requests"),
            (None, 503, &[], "again: expected status 200, found 503 Service Unavailable"),
            (
                None,
                200,
                &[("content-encoding", "gzip")],
                "final: expected no content encoding, found gzip",
            ),
            (
                Some(0..10),
                206,
                &[("content-type", "text/html"), ("content-range", "bytes 0-9/20")],
                "skip 0 take Some(10) of Some(20) ends true",
            ),
            (
                None,
                200,
                &[("content-type", "text/html; charset=utf-8")],
                "final: expected the item's bytes, found text/html; charset=utf-8: perhaps the page of a captive portal or a login",
            ),
        ];
        for (range, status, headers, expected) in table {
            assert_eq!(answer(range.clone(), *status, headers), *expected, "{status} {headers:?}");
        }
    }
}
