//! A file read piece by piece, through a window of bounded size.

use super::cut::{LOOK_AHEAD_BYTES, Piece, next_piece};
use crate::cut::BLOCK_BYTES;
use crate::stamp::Stamp;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much of a file is held: several of the longest objects, so that little is moved to the
/// front of the window for each that is read.
const WINDOW_BYTES: usize = 1 << 20;

/// Files of up to this length are read without asking for holes, bytes.
const HOLE_MIN_BYTES: u64 = 128 << 10;

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilePiece<'a> {
    /// Zeroes: how many bytes. More of them may follow.
    Zero(u64),
    /// An object.
    Data(&'a [u8]),
}

/// What can be read piece by piece: a file, or what stands for one.
pub trait Content: Send {
    /// How long it is, bytes; always the same.
    fn size_bytes(&self) -> u64;

    /// Reads some bytes at `offset`; 0 at the end, or where it ends by now.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Where the data at or after `offset` starts, bytes; [`Content::size_bytes`] or more where
    /// only a hole is left, `offset` where holes cannot be told.
    fn next_data(&self, offset: u64) -> io::Result<u64>;

    /// Whether it is still what it was.
    fn is_unchanged(&self) -> io::Result<bool>;
}

/// Reads files piece by piece, as [`next_piece`] cuts them, one after another through the same
/// memory (about 1 MiB). Holes of a file are not read where the file system tells them.
#[derive(Default)]
pub struct FilePieces {
    window: Vec<u8>,
    /// What of the window was given out.
    given: usize,
    open: Option<Open>,
    is_changed: bool,
}

struct Open {
    content: Box<dyn Content>,
    size_bytes: u64,
    /// Where in the file the window ends, bytes.
    read_to: u64,
}

impl FilePieces {
    /// Goes on with `file`, which is as `stamp` says. What was left of another is given up.
    pub fn open(&mut self, file: File, stamp: Stamp) {
        self.open_content(Box::new(stamped(file, stamp)));
    }

    /// Goes on with `content`. What was left of another is given up.
    pub fn open_content(&mut self, content: Box<dyn Content>) {
        self.window.clear();
        self.given = 0;
        self.is_changed = false;
        self.open = Some(Open { size_bytes: content.size_bytes(), content, read_to: 0 });
    }

    /// The next piece; `None` at the end of the file. The pieces are as long as the stamp says
    /// the file is, whatever became of it: what is missing is zeroes.
    pub fn next_piece(&mut self) -> io::Result<Option<FilePiece<'_>>> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let held = self.window.len() - self.given;
        let at = open.read_to - held as u64;
        if held == 0 {
            let hole = open.hole_bytes()?;
            if hole > 0 {
                open.read_to += hole;
                return Ok(Some(FilePiece::Zero(hole)));
            }
        }
        if held < LOOK_AHEAD_BYTES && open.read_to < open.size_bytes {
            self.window.drain(..self.given);
            self.given = 0;
            self.is_changed |= !open.fill(&mut self.window)?;
        }
        let is_rest = open.read_to == open.size_bytes;
        let Some(piece) = next_piece(&self.window[self.given..], at, is_rest) else {
            self.is_changed |= !open.content.is_unchanged()?;
            self.open = None;
            return Ok(None);
        };
        let (Piece::Zero { length } | Piece::Data { length }) = piece;
        let bytes = &self.window[self.given..self.given + length];
        self.given += length;
        Ok(Some(match piece {
            Piece::Zero { length } => FilePiece::Zero(length as u64),
            Piece::Data { .. } => FilePiece::Data(bytes),
        }))
    }

    /// At the end of a file: whether it was written to since its stamp, so that the pieces may be
    /// of no content that it ever had.
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }
}

impl Open {
    /// Length of the hole that follows, in whole blocks or up to the end, bytes; 0 where there is
    /// none.
    fn hole_bytes(&self) -> io::Result<u64> {
        let (at, size) = (self.read_to, self.size_bytes);
        let block = BLOCK_BYTES as u64;
        if size <= HOLE_MIN_BYTES || at >= size || !at.is_multiple_of(block) {
            return Ok(0);
        }
        let data = self.content.next_data(at)?;
        let end = if data >= size { size } else { data / block * block };
        Ok(end.saturating_sub(at))
    }

    /// Fills the window up. `false` if the file is shorter than it was: the rest is zeroes.
    fn fill(&mut self, window: &mut Vec<u8>) -> io::Result<bool> {
        let left = self.size_bytes - self.read_to;
        let start = window.len();
        // Whole blocks, so that a hole behind the window is met at its start.
        let room = (WINDOW_BYTES - start) / BLOCK_BYTES * BLOCK_BYTES;
        let more = left.min(room as u64) as usize;
        window.reserve_exact(more);
        window.resize(start + more, 0);
        let (mut into, mut at) = (&mut window[start..], self.read_to);
        self.read_to += more as u64;
        while !into.is_empty() {
            match self.content.read_at(into, at) {
                Ok(0) => return Ok(false),
                Ok(length) => {
                    at += length as u64;
                    into = &mut into[length..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// The content of `file`, which is as `stamp` says.
pub(crate) fn stamped(file: File, stamp: Stamp) -> impl Content {
    Stamped { file, stamp }
}

/// A file that is to be as its stamp says.
struct Stamped {
    file: File,
    stamp: Stamp,
}

impl Content for Stamped {
    fn size_bytes(&self) -> u64 {
        self.stamp.size_bytes
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.file, into, offset)
    }

    /// By lseek(2), `SEEK_DATA`.
    fn next_data(&self, offset: u64) -> io::Result<u64> {
        match seek(&self.file, SeekFrom::Data(offset)) {
            Ok(data) => Ok(data),
            Err(Errno::NXIO) => Ok(self.stamp.size_bytes),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(offset),
            Err(error) => Err(error.into()),
        }
    }

    fn is_unchanged(&self) -> io::Result<bool> {
        Ok(Stamp::of(&self.file)? == self.stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn stamped(file: &File) -> (File, Stamp) {
        (file.try_clone().unwrap(), Stamp::of(file).unwrap())
    }

    /// Pieces as (is data, length), zeroes joined; and the bytes they stand for.
    fn read(pieces: &mut FilePieces) -> (Vec<(bool, u64)>, Vec<u8>) {
        let (mut found, mut bytes): (Vec<(bool, u64)>, _) = (Vec::new(), Vec::new());
        while let Some(piece) = pieces.next_piece().unwrap() {
            match (piece, found.last_mut()) {
                (FilePiece::Zero(length), last) => {
                    bytes.resize(bytes.len() + length as usize, 0);
                    match last {
                        Some((false, before)) => *before += length,
                        _ => found.push((false, length)),
                    }
                }
                (FilePiece::Data(data), _) => {
                    bytes.extend_from_slice(data);
                    found.push((true, data.len() as u64));
                }
            }
        }
        (found, bytes)
    }

    /// What [`next_piece`] says of all bytes at once.
    fn expected(file: &[u8]) -> Vec<(bool, u64)> {
        let (mut at, mut found): (_, Vec<(bool, u64)>) = (0, Vec::new());
        while let Some(piece) = next_piece(&file[at..], at as u64, true) {
            let (Piece::Zero { length } | Piece::Data { length }) = piece;
            at += length;
            match (piece, found.last_mut()) {
                (Piece::Zero { .. }, Some((false, before))) => *before += length as u64,
                _ => found.push((matches!(piece, Piece::Data { .. }), length as u64)),
            }
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn holes_are_cut_like_zeroes_that_are_written(
            parts in prop::collection::vec((1_usize..900_000, 0_u8..3), 0..5),
        ) {
            let (file, mut bytes) = (tempfile::tempfile().unwrap(), Vec::new());
            for (length, kind) in parts {
                let start = bytes.len();
                let noise = |at: usize| (at.wrapping_mul(0x9e37_79b9) >> 13) as u8;
                bytes.extend((start..start + length).map(|at| if kind == 0 { noise(at) } else { 0 }));
                if kind < 2 {
                    file.write_all_at(&bytes[start..], start as u64).unwrap();
                }
            }
            file.set_len(bytes.len() as u64).unwrap();
            let mut pieces = FilePieces::default();
            let (file, stamp) = stamped(&file);
            pieces.open(file, stamp);
            let (found, content) = read(&mut pieces);
            prop_assert!(content == bytes);
            prop_assert_eq!(found, expected(&bytes));
            prop_assert!(!pieces.is_changed());
        }
    }

    #[test]
    fn a_file_that_is_written_to_is_told_and_keeps_its_length() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 3 << 20]).unwrap();
        let mut pieces = FilePieces::default();
        let (opened, stamp) = stamped(&file);
        pieces.open(opened, stamp);
        pieces.next_piece().unwrap();
        file.set_len(100).unwrap();
        let mut length = 0;
        while let Some(piece) = pieces.next_piece().unwrap() {
            length += match piece {
                FilePiece::Zero(length) => length,
                FilePiece::Data(data) => data.len() as u64,
            };
        }
        assert!(length > 2 << 20 && pieces.is_changed(), "{length}");
        let (opened, stamp) = stamped(&file);
        pieces.open(opened, stamp);
        assert_eq!(read(&mut pieces).1, [7; 100]);
        assert!(!pieces.is_changed());
    }

    #[test]
    fn a_write_whose_time_is_set_back_is_told() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"old").unwrap();
        let (opened, stamp) = stamped(&file);
        let mut pieces = FilePieces::default();
        pieces.open(opened, stamp);
        let modified = file.metadata().unwrap().modified().unwrap();
        // The clock of file systems goes on in steps.
        while Stamp::of(&file).unwrap().changed == stamp.changed {
            file.write_all_at(b"new", 0).unwrap();
            file.set_modified(modified).unwrap();
        }
        assert!(Stamp::of(&file).unwrap().has_content_of(&stamp));
        read(&mut pieces);
        assert!(pieces.is_changed());
    }

    #[test]
    fn a_large_hole_is_not_read() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        file.write_all_at(b"end", (1 << 40) - 3).unwrap();
        let mut pieces = FilePieces::default();
        let (file, stamp) = stamped(&file);
        pieces.open(file, stamp);
        let hole = (1 << 40) - BLOCK_BYTES as u64;
        assert_eq!(pieces.next_piece().unwrap(), Some(FilePiece::Zero(hole)));
        let last = [&[0; BLOCK_BYTES - 3][..], b"end"].concat();
        assert_eq!(pieces.next_piece().unwrap(), Some(FilePiece::Data(&last)));
        assert_eq!(pieces.next_piece().unwrap(), None);
    }
}
