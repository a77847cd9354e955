//! Little-endian numbers in bytes that came from outside. A number that is not there is zero,
//! which every caller refuses where it matters.

/// The 16 bits at `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    array(bytes, at).map_or(0, u16::from_le_bytes)
}

/// The 32 bits at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    array(bytes, at).map_or(0, u32::from_le_bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Puts 16 bits to `at`, which must be inside.
pub(super) fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

/// Puts 32 bits to `at`, which must be inside.
pub(super) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// The next multiple of `alignment`, a power of two.
pub(super) fn align_up(value: u64, alignment: u64) -> u64 {
    value.next_multiple_of(alignment)
}
