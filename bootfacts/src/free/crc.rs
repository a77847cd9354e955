//! The two checksums of ext4's metadata, as the kernel computes them: without the
//! inversion at the end that their names elsewhere imply.

/// CRC-32C (Castagnoli), reflected, from `start` on (`lib/crc32.c`: `__crc32c_le`).
pub(super) fn crc32c(start: u32, bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    bytes.iter().fold(start, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    })
}

/// CRC-16 (IBM), reflected, from `start` on (`lib/crc16.c`).
pub(super) fn crc16(start: u16, bytes: &[u8]) -> u16 {
    const POLYNOMIAL: u16 = 0xa001;
    bytes.iter().fold(start, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_ones_of_their_catalogues() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(crc16(0, b"123456789"), 0xbb3d);
    }
}
