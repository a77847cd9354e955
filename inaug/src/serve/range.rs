//! `Range` requests: RFC 9110, section 14, for one range of bytes.

use std::ops::Range;

/// What to send of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of it: 200.
    Whole,
    /// These bytes: 206.
    Part(Range<u64>),
    /// The range starts past the end: 416.
    PastEnd,
}

/// What the value of a `Range` field selects of `total` bytes.
///
/// A field that is not understood, or that names several ranges, is ignored as section 14.2
/// allows: the answer is the whole item, never a multipart body that no client of ours reads.
pub(crate) fn select(field: &str, total: u64) -> Selection {
    let Some(spec) = field.trim().strip_prefix("bytes=") else { return Selection::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Selection::Whole };
    match (number(first), number(last)) {
        (Some(start), Some(last)) if last < start => Selection::Whole,
        (Some(start), Some(last)) => part(start, last.saturating_add(1), total),
        (Some(start), None) if last.trim().is_empty() => part(start, total, total),
        (None, Some(suffix)) if first.trim().is_empty() => {
            part(total - suffix.min(total), total, total)
        }
        _ => Selection::Whole,
    }
}

fn part(start: u64, end: u64, total: u64) -> Selection {
    if start >= total { Selection::PastEnd } else { Selection::Part(start..end.min(total)) }
}

/// Digits only: `u64::from_str` would also take a sign.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number that does not fit in 64 bits is past the end of everything.
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_select() {
        use Selection::{Part, PastEnd, Whole};
        for (field, total, expected) in [
            ("bytes=0-0", 10, Part(0..1)),
            ("bytes=2-5", 10, Part(2..6)),
            ("bytes=2-", 10, Part(2..10)),
            ("bytes=2-99", 10, Part(2..10)),
            ("bytes=2-99999999999999999999999", 10, Part(2..10)),
            ("bytes=-3", 10, Part(7..10)),
            ("bytes=-30", 10, Part(0..10)),
            ("bytes=9-9", 10, Part(9..10)),
            ("bytes=10-", 10, PastEnd),
            ("bytes=10-12", 10, PastEnd),
            ("bytes=99999999999999999999999-", 10, PastEnd),
            ("bytes=-0", 10, PastEnd),
            ("bytes=0-", 0, PastEnd),
            ("bytes=5-2", 10, Whole),
            ("bytes=0-1,4-5", 10, Whole),
            ("bytes=,", 10, Whole),
            ("bytes=-", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("bytes=+1-2", 10, Whole),
            ("bytes=1", 10, Whole),
            ("items=0-1", 10, Whole),
            ("", 10, Whole),
        ] {
            assert_eq!(select(field, total), expected, "{field:?} of {total}");
        }
    }
}
