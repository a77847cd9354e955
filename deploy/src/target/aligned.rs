//! Memory that direct I/O accepts.

use super::ALIGN_BYTES;
use std::ops::{Deref, DerefMut};

/// Bytes whose address is a multiple of [`ALIGN_BYTES`]; zero at first.
#[derive(Debug)]
pub struct AlignedBuffer {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBuffer {
    /// `length` zero bytes.
    pub fn new(length: usize) -> Self {
        let memory = vec![0; length + ALIGN_BYTES];
        let start = memory.as_ptr().align_offset(ALIGN_BYTES);
        Self { memory, start, length }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_as_long_as_asked() {
        for length in [0, 1, 4095, 4096, 1 << 20] {
            let buffer = AlignedBuffer::new(length);
            assert_eq!((buffer.len(), buffer.as_ptr().addr() % ALIGN_BYTES), (length, 0));
        }
    }
}
