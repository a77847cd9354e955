//! Tags of virtual networks (IEEE 802.1Q) on frames between a port and its card.

/// Two addresses, before which nothing stands.
const ADDRESSES: usize = 12;

/// The type of a tagged frame.
const TAGGED: [u8; 2] = [0x81, 0x00];

/// The network's number in the two bytes that follow.
const NUMBER: u16 = 0x0fff;

/// The frame without its tag, if that is `number`.
pub(crate) fn stripped(frame: &[u8], number: u16) -> Option<Vec<u8>> {
    let (addresses, rest) = frame.split_at_checked(ADDRESSES)?;
    let rest = rest.strip_prefix(&TAGGED)?;
    let (tag, rest) = rest.split_first_chunk::<2>()?;
    (u16::from_be_bytes(*tag) & NUMBER == number).then(|| [addresses, rest].concat())
}

/// The frame with a tag.
pub(crate) fn tagged(frame: &[u8], number: u16) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(ADDRESSES.min(frame.len()));
    [addresses, &TAGGED, &number.to_be_bytes(), rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_tag_is_taken_off() {
        let plain = [&[1; 12][..], &[8, 0, 4, 5]].concat();
        let sent = tagged(&plain, 5);
        assert_eq!(sent[12..], [0x81, 0, 0, 5, 8, 0, 4, 5]);
        assert_eq!(stripped(&sent, 5), Some(plain.clone()));
        assert_eq!(stripped(&sent, 6), None);
        assert_eq!(stripped(&plain, 5), None);
        assert_eq!(stripped(&plain[..7], 5), None);
    }
}
