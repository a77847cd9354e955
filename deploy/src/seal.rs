//! The seal: what firmware looks at is taken off the target, durably and read back, before
//! anything else is written, and put there when everything else is proven.

use crate::Error;
use crate::held::HEAD_BYTES;
use crate::mark::Mark;
use crate::plan::Job;
use crate::target::{AlignedBuffer, TargetKind};
use store::Digest;

/// What is written with the first sector, without which nothing finds partition table or boot
/// code, bytes: direct I/O takes no less on every disk.
const FIRST_BLOCK_BYTES: usize = 4096;

/// What the end of a device holds while it is held back: not zeroes, so that a disk that is
/// smaller than it says, where the end lies over something else, is found out.
const FILLER: u8 = b'-';

/// What is held back, as the disk is to have it.
struct Sealed {
    head: Vec<u8>,
    /// The last block of the head is a mark of ours, and no part of the image.
    is_marked: bool,
    tail_start: u64,
    tail: Vec<u8>,
}

impl Job {
    /// Makes the target unbootable, durably, and reads that back: a disk that keeps its boot code
    /// against all orders would boot what is half written. Before that the disk is marked as
    /// ours, so that a cut at any moment leaves one that may be written.
    pub(crate) fn unseal(&self) -> Result<(), Error> {
        let [mut head, tail] = self.held.ranges();
        if head.end == HEAD_BYTES as u64 {
            self.put_surely(Mark::OFFSET as u64, &self.beginning.encode())?;
            head.end = Mark::OFFSET as u64;
        }
        self.clear_first_sector()?;
        self.put_surely(0, &vec![0; head.end as usize])?;
        let length = (tail.end - tail.start) as usize;
        self.put_surely(tail.start, &vec![0; length])?;
        if self.filler() == 0 { Ok(()) } else { self.put_surely(tail.start, &vec![FILLER; length]) }
    }

    /// Zeroes the first sector before anything else: a disk may carry out writes in any order
    /// and in part, and boot code before half a table is not to be left. What cannot be read of
    /// the block around it is zeroed with it.
    fn clear_first_sector(&self) -> Result<(), Error> {
        let [head, _] = self.held.ranges();
        let mut block = AlignedBuffer::new(head.end.min(FIRST_BLOCK_BYTES as u64) as usize);
        if self.target.read(0, &mut block).is_err() {
            block.fill(0);
        }
        let first = self.fit.sector_bytes.min(block.len());
        block[..first].fill(0);
        self.put_surely(0, &block)
    }

    /// Proves that what is held back still is as it was left: on a disk that folds addresses
    /// the end, when it is written at last, would replace what was proven.
    pub(crate) fn prove_unsealed(&self) -> Result<(), Error> {
        let [head, tail] = self.held.ranges();
        let head = 0..head.end.min(Mark::OFFSET as u64);
        for (range, left) in [(head, 0), (tail, self.filler())] {
            let mut buffer = AlignedBuffer::new((range.end - range.start) as usize);
            if !buffer.is_empty() {
                self.target.read(range.start, &mut buffer)?;
            }
            if buffer.iter().any(|byte| *byte != left) {
                let expected = Digest::of(&vec![left; buffer.len()]);
                return Err(self.reads_back_wrong(range.start, expected, &buffer));
            }
        }
        Ok(())
    }

    /// What the end of the target holds until it is sealed.
    fn filler(&self) -> u8 {
        if self.target.kind() == TargetKind::Device { FILLER } else { 0 }
    }

    /// Writes what was held back, each part durable and read back before the next: the end
    /// of the disk, the head but for its first sector and last block, and then those: the first
    /// sector makes the disk boot, so it is written when everything else of the image is there.
    /// Where the last block is no part of the image but says what the disk holds, it comes after
    /// that.
    pub(crate) fn seal(&self) -> Result<(), Error> {
        let sealed = self.sealed();
        let first = sealed.head.len().min(FIRST_BLOCK_BYTES);
        let last = sealed.head.len().min(Mark::OFFSET).max(first);
        if self.filler() != 0 {
            // Zeroes between the two: a cut leaves a part of one, never of both.
            self.put_proven(sealed.tail_start, &vec![0; sealed.tail.len()])?;
        }
        self.put_proven(sealed.tail_start, &sealed.tail)?;
        // All but the first sector; then it is the only one that changes, whole or not at all.
        let mut rest = sealed.head[..last].to_vec();
        rest[..self.fit.sector_bytes.min(first)].fill(0);
        self.put_proven(0, &rest)?;
        if !sealed.is_marked {
            self.put_proven(last as u64, &sealed.head[last..])?;
        }
        self.put_proven(0, &sealed.head[..first])?;
        if sealed.is_marked { self.put_proven(last as u64, &sealed.head[last..]) } else { Ok(()) }
    }

    /// The same as [`Job::put_proven`], once more where something else is read back. Only for
    /// what is written before all is proven: what did not arrive may have gone somewhere else.
    fn put_surely(&self, offset_bytes: u64, bytes: &[u8]) -> Result<(), Error> {
        match self.put_proven(offset_bytes, bytes) {
            Err(Error::ReadBack { .. }) => self.put_proven(offset_bytes, bytes),
            ended => ended,
        }
    }

    /// Writes `bytes`, makes them durable and reads them back.
    fn put_proven(&self, offset_bytes: u64, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut buffer = AlignedBuffer::new(bytes.len());
        buffer.copy_from_slice(bytes);
        self.target.write(offset_bytes, &buffer)?;
        self.target.flush()?;
        self.target.drop_cache();
        buffer.fill(0);
        self.target.read(offset_bytes, &mut buffer)?;
        if *buffer == *bytes {
            return Ok(());
        }
        Err(self.reads_back_wrong(offset_bytes, Digest::of(bytes), &buffer))
    }

    fn reads_back_wrong(&self, offset_bytes: u64, expected: Digest, found: &[u8]) -> Error {
        Error::ReadBack {
            target: self.target.name.clone(),
            offset_bytes,
            bytes: found.len() as u64,
            expected: expected.to_string(),
            found: Digest::of(found).to_string(),
        }
    }

    /// Whether what is held back is on the disk as it should be.
    pub(crate) fn is_sealed(&self) -> Result<bool, Error> {
        if self.target.size_bytes() < self.disk_bytes {
            return Ok(false);
        }
        let sealed = self.sealed();
        for (offset, bytes) in [(0, &sealed.head), (sealed.tail_start, &sealed.tail)] {
            let mut buffer = AlignedBuffer::new(bytes.len());
            if !bytes.is_empty() {
                self.target.read(offset, &mut buffer)?;
            }
            if *buffer != **bytes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is held back, as the disk is to have it.
    fn sealed(&self) -> Sealed {
        let mut head = self.held.with_head(|head| head.clone());
        let is_marked = self.fit.to_disk(&mut head);
        let image_end = self.label.size_bytes();
        let (tail_start, mut tail) = self.held.with_tail(|start, tail| (start, tail.clone()));
        let beyond = image_end.saturating_sub(tail_start).min(tail.len() as u64) as usize;
        tail[beyond..].fill(0);
        let backup = self.fit.gpt.and_then(|gpt| gpt.backup(&head));
        if let Some((offset, backup)) = backup
            && let Some(at) = offset.checked_sub(tail_start)
        {
            let at = at as usize;
            tail[at..at + backup.len()].copy_from_slice(&backup);
        }
        Sealed { head, is_marked, tail_start, tail }
    }
}
