//! Moments as HTTP writes them (RFC 9110, section 5.6.7).

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that servers may send
/// (RFC 9110, section 5.6.7); the name of the day is not looked at.
pub(super) fn parse(text: &str) -> Option<u64> {
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

/// Seconds since 1970 as people read them: `1994-11-06 08:49:37 UTC`.
pub(super) fn utc(unix_s: u64) -> String {
    let (days, seconds) = (unix_s / 86_400, unix_s % 86_400);
    // Days and months of a year that begins in March, the inverse of `days_before`.
    let days = days + DAYS_FROM_MARCH_0000_TO_1970;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let year = era * 400 + year;
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

fn number(text: &str, min: u64, max: u64) -> Option<u64> {
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse().ok().filter(|_| all_digits)?;
    (min..=max).contains(&value).then_some(value)
}

/// Of the Gregorian calendar, before it was invented.
const DAYS_FROM_MARCH_0000_TO_1970: u64 = 719_468;

/// Days from 1970 to the first of `month` of `year`, by the Gregorian calendar. Years are
/// counted from March, so that the leap day is the last of its year.
fn days_before(year: u64, month: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (153 * month + 2) / 5 - DAYS_FROM_MARCH_0000_TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (text, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
            ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn people_read_the_same_moments() {
        for (unix_s, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (784_111_777, "1994-11-06 08:49:37 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (1_709_251_200, "2024-03-01 00:00:00 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (32_503_680_000, "3000-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(unix_s), expected);
        }
    }
}
