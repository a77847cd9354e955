//! Search domains as DNSSL (RFC 8106), DHCPv6 (RFC 3646) and DHCPv4 (RFC 3397) have them: in the format
//! of DNS (RFC 1035, 3.1). Only the last may compress them, and the first of a list has nothing before
//! it that it could point to.

use crate::net::args::is_host_name;

/// The first name in `data` that may be written into a file; resolvers of this machine are asked for
/// little else than the store.
pub(super) fn first_name(mut data: &[u8]) -> Option<String> {
    let mut labels: Vec<&str> = Vec::new();
    // Each label takes a byte at least.
    while let Some((&length, rest)) = data.split_first() {
        if length == 0 {
            break;
        }
        let (label, rest) = rest.split_at_checked(length.into())?;
        labels.push(std::str::from_utf8(label).ok()?);
        data = rest;
    }
    let name = labels.join(".");
    is_host_name(&name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::first_name;

    #[test]
    fn names() {
        for (data, expected) in [
            (&b"\x07example\x03org\x00\x03lan\x00"[..], Some("example.org")),
            (b"\x03lan\x00\x00\x00\x00", Some("lan")),
            (b"\x03lan", Some("lan")),
            (b"\x04lan", None),
            (b"\x03a\nb\x00", None),
            (b"\x00", None),
            (b"", None),
            (b"\xc0\x0c", None),
        ] {
            assert_eq!(first_name(data).as_deref(), expected, "{data:?}");
        }
    }
}
