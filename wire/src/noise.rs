//! Bytes that look random and are the same in every run.

/// A xorshift64* generator (Vigna 2016): fixtures, nothing secret.
#[derive(Clone, Debug)]
pub struct Noise(u64);

impl Noise {
    /// The same seed gives the same bytes.
    pub fn of(seed: u64) -> Self {
        // Zero is the generator's one fixed point.
        Self(seed ^ 0x9E37_79B9_7F4A_7C15 | 1)
    }

    /// The next 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// True once in `of` times.
    pub fn one_in(&mut self, of: u64) -> bool {
        self.number().is_multiple_of(of)
    }

    /// `length` bytes that do not compress.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..length.div_ceil(8)).flat_map(|_| self.number().to_le_bytes()).collect();
        bytes.truncate(length);
        bytes
    }

    /// `length` bytes that compress to about a tenth, as configuration does.
    pub fn text(&mut self, length: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(length + 64);
        while text.len() < length {
            let line = format!(
                "option.{:03} = the value of machine {}\n",
                self.number() % 1000,
                self.number() % 10
            );
            text.extend_from_slice(line.as_bytes());
        }
        text.truncate(length);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Noise;

    #[test]
    fn same_seed_same_bytes() {
        assert_eq!(Noise::of(7).bytes(1001), Noise::of(7).bytes(1001));
        assert_ne!(Noise::of(7).bytes(64), Noise::of(8).bytes(64));
        assert_eq!(Noise::of(7).text(1001).len(), 1001);
    }
}
