//! A wall-clock time as text.

/// `2026-11-21 23:40:59 UTC` from seconds since 1970.
pub(crate) fn utc(unix_s: u64) -> String {
    let ([year, month, day], [hour, minute, second]) = civil(unix_s);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month and day, and hour, minute and second, from seconds since 1970 (civil date from a day
/// number, Gregorian calendar in eras of 400 years).
pub(crate) fn civil(unix_s: u64) -> ([u64; 3], [u64; 3]) {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    // Days are counted from 0000-03-01, so that a leap day ends its year.
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    ([year, month, day], [second / 3600, second / 60 % 60, second % 60])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let table = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_164_800, "2024-02-29 00:00:00 UTC"),
            (1_795_304_459, "2026-11-21 23:40:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ];
        for (unix_s, expected) in table {
            assert_eq!(utc(unix_s), expected);
        }
        assert!(!utc(u64::MAX).is_empty());
    }
}
