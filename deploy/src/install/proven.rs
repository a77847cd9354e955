//! Files of a root, proven piece by piece while they are read: no byte of another file is handed on.

use crate::Error;
use crate::tree::{Proof, Root};
use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::io::{self, Read};
use std::vec;
use store::Digest;
use store::cut::is_zero;

/// Zeroes are compared in steps of so many bytes.
const STEP_BYTES: u64 = 1 << 20;

/// A file that is read and compared with what a label says of it.
pub(super) struct Proven {
    file: File,
    name: String,
    /// What is left of it.
    parts: vec::IntoIter<(u64, Option<Digest>)>,
    /// The part that is handed on, and how much of it was.
    part: Vec<u8>,
    done: usize,
    /// Where the next part starts, bytes.
    offset_bytes: u64,
}

impl Proven {
    /// The file at `path` of `root`, from its disk: what the kernel remembers of it is dropped.
    pub(super) fn open(root: &Root, path: &str, proof: &Proof) -> Result<Self, Error> {
        let file = root.file(path.as_bytes());
        let file = file.map_err(root.failed("read", path.as_bytes()))?;
        // Advice: where it is not taken, it is read as the kernel remembers it, and still compared.
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
        let name = root.shown(path.as_bytes());
        let parts: Vec<_> = proof.parts.iter().copied().flat_map(steps).collect();
        let parts = parts.into_iter();
        Ok(Self { file, name, parts, part: Vec::new(), done: 0, offset_bytes: 0 })
    }

    /// Reads the next part; false after the last.
    fn next(&mut self) -> io::Result<bool> {
        let Some((length, digest)) = self.parts.next() else { return Ok(false) };
        self.part.clear();
        (&mut self.file).take(length).read_to_end(&mut self.part)?;
        let is_right = self.part.len() as u64 == length
            && digest
                .map_or_else(|| is_zero(&self.part), |digest| digest == Digest::of(&self.part));
        if !is_right {
            return Err(io::Error::other(Error::ReadBack {
                target: self.name.clone(),
                offset_bytes: self.offset_bytes,
                bytes: length,
                expected: digest.map_or_else(|| "zeroes".to_owned(), |digest| digest.to_string()),
                found: Digest::of(&self.part).to_string(),
            }));
        }
        self.offset_bytes += length;
        self.done = 0;
        Ok(true)
    }
}

/// A part of a file in parts that are held in memory: objects are, zeroes have any length.
fn steps((length, digest): (u64, Option<Digest>)) -> impl Iterator<Item = (u64, Option<Digest>)> {
    let step = if digest.is_some() { length.max(1) } else { STEP_BYTES };
    (0..length.div_ceil(step)).map(move |at| ((length - at * step).min(step), digest))
}

impl Read for Proven {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.done == self.part.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let count = (&self.part[self.done..]).read(into)?;
        self.done += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_another_is_not_handed_on() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let zeroes = 3 * STEP_BYTES + 5;
        let parts =
            vec![(4, Some(Digest::of(b"abcd"))), (zeroes, None), (3, Some(Digest::of(b"efg")))];
        let proof = Proof { size_bytes: zeroes + 7, parts };
        let read = |content: &[u8]| {
            std::fs::write(dir.path().join("file"), content).unwrap();
            let mut read = Vec::new();
            let mut file = Proven::open(&root, "file", &proof).unwrap();
            let ended = file.read_to_end(&mut read);
            (read.len(), ended.map_err(|error| error.to_string()))
        };
        let right = [b"abcd".to_vec(), vec![0; zeroes as usize], b"efg".to_vec()].concat();
        assert_eq!(read(&right), (right.len(), Ok(right.len())));
        for (at, handed_on) in [(3, 0), (4, 4), (right.len() - 4, 4 + 3 * STEP_BYTES as usize)] {
            let mut wrong = right.clone();
            wrong[at] ^= 1;
            let (length, ended) = read(&wrong);
            let error = ended.unwrap_err();
            assert!(length == handed_on && error.contains("/file reads back wrong at"), "{error}");
        }
        let (length, short) = read(&right[..right.len() - 1]);
        let expected = format!("expected {}, found {}", Digest::of(b"efg"), Digest::of(b"ef"));
        assert!(short.unwrap_err().ends_with(&expected));
        assert_eq!(length, right.len() - 3);
    }
}
