//! GUIDs, and those of the Discoverable Partitions Specification.

use std::fmt;

/// A GUID as it lies in a partition table: the first three fields little-endian (UEFI 2.10,
/// appendix A).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// From its text: `C12A7328-F81F-11D2-BA4B-00A0C93EC93B`, of one number for each group.
    pub const fn of(time_low: u32, mid: u16, high: u16, sequence: u16, node: u64) -> Self {
        let (low, mid, high) = (time_low.to_le_bytes(), mid.to_le_bytes(), high.to_le_bytes());
        let ([s0, s1], [.., n2, n3, n4, n5, n6, n7]) = (sequence.to_be_bytes(), node.to_be_bytes());
        let [l0, l1, l2, l3] = low;
        Self([l0, l1, l2, l3, mid[0], mid[1], high[0], high[1], s0, s1, n2, n3, n4, n5, n6, n7])
    }

    /// A random GUID (version 4 of RFC 9562) of these random bytes.
    pub fn random(mut bytes: [u8; 16]) -> Self {
        // In memory order the version is in the high half of the third field.
        bytes[7] = bytes[7] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

impl fmt::Display for Guid {
    /// As Linux writes it in `PARTUUID=`: lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ORDER: [&[usize]; 5] =
            [&[3, 2, 1, 0], &[5, 4], &[7, 6], &[8, 9], &[10, 11, 12, 13, 14, 15]];
        for (group, places) in ORDER.iter().enumerate() {
            if group > 0 {
                f.write_str("-")?;
            }
            places.iter().try_for_each(|place| write!(f, "{:02x}", self.0[*place]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_written_as_it_is_said() {
        let esp = Guid::of(0xC12A_7328, 0xF81F, 0x11D2, 0xBA4B, 0x00A0_C93E_C93B);
        assert_eq!(esp.0[..8], [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11]);
        assert_eq!(esp.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    }

    #[test]
    fn a_random_one_says_so() {
        let guid = Guid::random([0xff; 16]).to_string();
        assert_eq!(guid, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
