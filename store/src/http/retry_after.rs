//! When a server wants to be asked again: `Retry-After` (RFC 9110, section 10.2.3).
//!
//! A moment is compared with the answer's own `Date` (section 6.6.1), not with this machine's
//! clock, which may be decades off while it boots.

use super::date;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use std::time::Duration;

/// How long the server asks to wait, from its answer on. Nothing where it does not say, or not
/// in a form that can be read, or names a moment and not what time it is.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let given = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = given.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (until, now) = (date::parse(given)?, date::parse(text(DATE)?.trim())?);
    Some(Duration::from_secs(until.saturating_sub(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn asked(retry: &'static str, date: Option<&'static str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(retry));
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_static(date));
        }
        retry_after(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_moments_are_read_and_nothing_else() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (retry, date, expected) in [
            ("120", None, Some(120)),
            ("0", now, Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", now, Some(60)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", now, Some(86_400)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", now, Some(0)), // it has passed
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, None),
            ("Sun, 06 Nov 1994 08:50:37 CET", now, None),
            ("Sun, 32 Nov 1994 08:50:37 GMT", now, None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", now, None), // obsolete
            ("soon", now, None),
            ("-1", now, None),
            ("1.5", now, None),
            ("99999999999999999999", now, None),
        ] {
            assert_eq!(asked(retry, date), expected, "{retry} at {date:?}");
        }
    }
}
