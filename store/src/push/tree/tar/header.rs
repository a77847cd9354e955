//! A header of 512 bytes: POSIX ustar, GNU and the old one (tar(5), "Basic Tar Format" in GNU tar's
//! manual).

/// Headers and content come in blocks of this many bytes.
pub(super) const BLOCK_BYTES: usize = 512;

/// A header's bytes.
pub(super) type Block = [u8; BLOCK_BYTES];

/// What a header says, whatever other headers say of the same member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) path: Vec<u8>,
    pub(super) mode: u64,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size_bytes: u64,
    pub(super) mtime_s: i64,
    /// What the member is.
    pub(super) kind: u8,
    pub(super) target: Vec<u8>,
    pub(super) device: (u64, u64),
}

/// Why a block is no header: what was expected, and what was found.
pub(super) type Wrong = (String, String);

impl Header {
    /// Reads a header; `None` for a block of zeroes, which ends an archive.
    pub(super) fn read(block: &Block) -> Result<Option<Self>, Wrong> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        check_sum(block)?;
        // GNU's own magic is "ustar  \0": what POSIX has as a prefix is something else there.
        let is_posix = block[257..263] == *b"ustar\0";
        let mut path = text(&block[..100]).to_vec();
        let prefix = text(&block[345..500]);
        if is_posix && !prefix.is_empty() {
            path = [prefix, b"/", &path].concat();
        }
        let device = match block[156] {
            b'3' | b'4' => (
                unsigned("device's major number", &block[329..337])?,
                unsigned("device's minor number", &block[337..345])?,
            ),
            _ => (0, 0),
        };
        Ok(Some(Self {
            path,
            mode: unsigned("mode", &block[100..108])?,
            uid: unsigned("owner", &block[108..116])?,
            gid: unsigned("group", &block[116..124])?,
            size_bytes: unsigned("size", &block[124..136])?,
            mtime_s: number("modification time", &block[136..148])?,
            kind: block[156],
            target: text(&block[157..257]).to_vec(),
            device,
        }))
    }
}

/// The check is the sum of all bytes with spaces in its own place; some old programs added signed
/// bytes.
fn check_sum(block: &Block) -> Result<(), Wrong> {
    let own = 148..156;
    let bytes =
        || block.iter().enumerate().map(|(at, b)| if own.contains(&at) { b' ' } else { *b });
    let plain: i64 = bytes().map(i64::from).sum();
    let signed: i64 = bytes().map(|byte| i64::from(byte.cast_signed())).sum();
    let found = number("header's check sum", &block[own.clone()])?;
    if found == plain || found == signed {
        return Ok(());
    }
    Err((format!("a header with the check sum {plain:o}"), format!("{found:o}")))
}

/// Up to the first zero byte.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number that is not negative.
pub(super) fn unsigned(what: &str, field: &[u8]) -> Result<u64, Wrong> {
    let value = number(what, field)?;
    u64::try_from(value)
        .map_err(|error| (format!("a {what} that is not negative"), format!("{value} ({error})")))
}

/// Octal digits, among spaces and zeroes; or, where the first bit is set, a number to the base of
/// 256, as GNU and star write what octal has no room for.
fn number(what: &str, field: &[u8]) -> Result<i64, Wrong> {
    let wrong = |expected: &str| {
        (format!("a {what} {expected}"), format!("{:?}", field.escape_ascii().to_string()))
    };
    if field.first().is_some_and(|first| first & 0x80 > 0) {
        let is_negative = field[0] & 0x40 > 0;
        let first = if is_negative {
            i128::from(field[0].cast_signed())
        } else {
            i128::from(field[0] & 0x3f)
        };
        let value = field[1..].iter().fold(first, |value, byte| value << 8 | i128::from(*byte));
        return i64::try_from(value).map_err(|error| (wrong("of 64 bits").0, error.to_string()));
    }
    let digits = text(field).trim_ascii();
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => Ok(value << 3 | i64::from(digit - b'0')),
        _ => Err(wrong("in octal")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_both_ways() {
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"    644 ", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"77777777777 ", Some(0o77_777_777_777)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(8 << 30)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"9", None),
        ] {
            assert_eq!(number("x", field).ok(), expected, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn zeroes_are_the_end_and_noise_is_no_header() {
        assert_eq!(Header::read(&[0; BLOCK_BYTES]), Ok(None));
        let (expected, found) = Header::read(&[b'7'; BLOCK_BYTES]).unwrap_err();
        assert!(expected.starts_with("a header with the check sum "), "{expected} {found}");
    }
}
