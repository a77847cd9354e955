//! When a server wants to be asked again: `Retry-After` (RFC 9110, section 10.2.3).
//!
//! A moment is compared with the answer's own `Date` (section 6.6.1), not with this machine's
//! clock, which may be decades off while it boots.

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
    let (until, now) = (unix_seconds(given)?, unix_seconds(text(DATE)?.trim())?);
    Some(Duration::from_secs(until.saturating_sub(now)))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that servers may send
/// (RFC 9110, section 5.6.7); the name of the day is not looked at.
fn unix_seconds(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (_, date) = text.split_once(", ")?;
    let mut words = date.split(' ');
    let day = number(words.next()?, 1, 31)?;
    let month = words.next().filter(|name| name.len() == 3)?;
    let month = MONTHS.find(month).filter(|at| at.is_multiple_of(3))? as u64 / 3 + 1;
    let year = number(words.next()?, 1970, 9999)?;
    let mut time = words.next()?.split(':');
    let hour = number(time.next()?, 0, 23)?;
    let minute = number(time.next()?, 0, 59)?;
    let second = number(time.next()?, 0, 60)?; // a leap second
    if time.next().is_some() || words.next() != Some("GMT") || words.next().is_some() {
        return None;
    }
    Some(((days_before(year, month) + day - 1) * 24 + hour) * 3600 + minute * 60 + second)
}

fn number(text: &str, min: u64, max: u64) -> Option<u64> {
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse().ok().filter(|_| all_digits)?;
    (min..=max).contains(&value).then_some(value)
}

/// Days from 1970 to the first of `month` of `year`, by the Gregorian calendar. Years are
/// counted from March, so that the leap day is the last of its year.
fn days_before(year: u64, month: u64) -> u64 {
    const DAYS_FROM_MARCH_0000_TO_1970: u64 = 719_468;
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (153 * month + 2) / 5 - DAYS_FROM_MARCH_0000_TO_1970
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

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (text, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
            ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ] {
            assert_eq!(unix_seconds(text), Some(expected), "{text}");
        }
    }
}
