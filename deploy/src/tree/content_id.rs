//! One digest for all of a file's content, made of the digests of its pieces.
//!
//! Files that are cut in the same way (see [`store::tree::next_piece`]) have the same one when
//! they have the same content. It never leaves this machine but in the names of staged files.

use store::manifest::Entry;
use store::{Digest, Hasher};

/// Puts a file's digest together, piece by piece.
#[derive(Default)]
pub(crate) struct ContentId {
    hasher: Hasher,
    /// Zeroes that are not counted yet: more may follow.
    zero_bytes: u64,
}

impl ContentId {
    /// Adds the next piece. Zeroes may come in any number of parts.
    pub(crate) fn add(&mut self, piece: &Entry) {
        match piece {
            Entry::Zero { length } => self.zero_bytes += length,
            Entry::Data { digest, length } => {
                self.end_zeroes();
                self.hasher.update(&u64::from(*length).to_le_bytes());
                self.hasher.update(digest.as_bytes());
            }
        }
    }

    /// The digest of all that was added.
    pub(crate) fn finish(mut self) -> Digest {
        self.end_zeroes();
        self.hasher.finish()
    }

    fn end_zeroes(&mut self) {
        let length = std::mem::take(&mut self.zero_bytes);
        if length > 0 {
            // The upper bit tells them from an object's length.
            self.hasher.update(&(length | 1 << 63).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(pieces: &[Entry]) -> Digest {
        let mut id = ContentId::default();
        for piece in pieces {
            id.add(piece);
        }
        id.finish()
    }

    #[test]
    fn how_zeroes_come_does_not_matter_and_all_else_does() {
        let data = |byte: u8| Entry::Data { digest: Digest::of(&[byte]), length: 1 };
        let zero = |length| Entry::Zero { length };
        assert_eq!(id(&[data(1), zero(4096), zero(1)]), id(&[data(1), zero(4097)]));
        let different = [
            id(&[]),
            id(&[data(1)]),
            id(&[data(2)]),
            id(&[data(1), data(2)]),
            id(&[data(2), data(1)]),
            id(&[zero(1)]),
            id(&[zero(2)]),
            id(&[zero(1), data(1)]),
        ];
        for (at, one) in different.iter().enumerate() {
            assert!(!different[at + 1..].contains(one), "{at}");
        }
    }
}
