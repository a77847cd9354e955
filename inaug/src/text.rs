//! How numbers, times and names look to a person.

/// A size with its unit, three digits or so: `1.46 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    // Eleven bits of each ten are enough for what is shown.
    #[allow(clippy::cast_precision_loss)]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1023.995 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// A number with its noun: `1 object`, `2 objects`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A path of a tree: bytes that are no text, and characters that would move a terminal's cursor,
/// are escaped as in Rust.
pub(crate) fn path(path: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(path) else { return path.escape_ascii().to_string() };
    let shown = |c: char| match c {
        '\\' => "\\\\".to_owned(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Seconds since 1970 as `2026-11-21 23:48:19`, UTC, in the Gregorian calendar for all times.
pub(crate) fn utc(unix_s: u64) -> String {
    utc_any(i64::try_from(unix_s).unwrap_or(i64::MAX))
}

/// The same of times before 1970 as well.
pub(crate) fn utc_any(unix_s: i64) -> String {
    const DAY_S: i64 = 86_400;
    let (year, month, day) = civil_date(unix_s.div_euclid(DAY_S));
    let second = unix_s.rem_euclid(DAY_S);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day of a day counted from 1970-01-01. Years here begin in March, so that the
/// leap day is the last of its year; 719,468 days lie between March of year 0 and 1970, and 400
/// years have 146,097 days.
fn civil_date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.00 KiB"),
            (1536, "1.50 KiB"),
            (1 << 20, "1.00 MiB"),
            ((1 << 20) - 1, "1.00 MiB"),
            (72 << 20, "72.0 MiB"),
            (2 << 30, "2.00 GiB"),
            (500 << 30, "500 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn paths() {
        for (bytes, expected) in [
            (&b"etc/hosts"[..], "etc/hosts"),
            ("b\u{fc}cher".as_bytes(), "b\u{fc}cher"),
            (b"a\nb\\", "a\\nb\\\\"),
            (b"a\xff", "a\\xff"),
        ] {
            assert_eq!(path(bytes), expected);
        }
    }

    #[test]
    fn times() {
        for (unix_s, expected) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_799, "2000-02-29 23:59:59"),
            (1_795_304_899, "2026-11-21 23:48:19"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
            (-2_203_977_600, "1900-02-28 00:00:00"),
            (-62_167_305_600, "-001-12-31 00:00:00"),
        ] {
            assert_eq!(utc_any(unix_s), expected);
        }
    }
}
