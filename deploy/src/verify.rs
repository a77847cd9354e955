//! Fourth stage: what was written is read back from the device and hashed; only then
//! what was held back is written, so only proven bytes can boot.

use crate::Error;
use crate::mark::Mark;
use crate::missing::Missing;
use crate::plan::Job;
use crate::seeds::Seeds;
use crate::survey::Purpose;
use crate::target::AlignedBuffer;
use crate::write::Written;
use store::Digest;
use store::manifest::Entry;

/// What is written with the first sector, without which nothing finds the partition table or
/// boot code: direct I/O takes no less on every disk.
pub(crate) const FIRST_BLOCK_BYTES: usize = 4096;

/// Whether what was written is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBack {
    /// Everything is read from the device and hashed.
    Yes,
    /// Only what was held back is read: the operator trusts the disk.
    No,
}

/// The label is on the target, whole.
pub struct Verified {
    pub(crate) job: Job,
}

/// Proves `written`, then writes what was held back. What reads back wrong is fetched and
/// written once more; wrong again, it is an error.
pub fn verify(written: Written, read_back: ReadBack) -> Result<Verified, Error> {
    let Written { job, untouched } = written;
    if untouched {
        return Ok(Verified { job });
    }
    if read_back == ReadBack::Yes {
        job.prove()?;
    }
    job.seal()?;
    Ok(Verified { job })
}

impl Job {
    fn prove(&self) -> Result<(), Error> {
        self.target.drop_cache();
        let no_seeds = Seeds::default();
        let wrong = self.compare(Purpose::Proof, &no_seeds)?;
        if wrong.is_empty() {
            return Ok(());
        }
        if wrong.totals.zero_missing_bytes > 0 {
            self.target.distrust_zeroing();
        }
        self.bring(&wrong, &no_seeds)?;
        self.target.flush()?;
        self.target.drop_cache();
        // All of it again: on a disk that folds addresses, a repair damages what was right.
        let still = self.compare(Purpose::Proof, &no_seeds)?;
        if still.is_empty() { Ok(()) } else { Err(self.first_wrong(&still)) }
    }

    /// The error for the first entry that reads back wrong.
    fn first_wrong(&self, wrong: &Missing) -> Error {
        let mut error = Error::Stopped;
        let described = self.content().each(&self.meter, |positioned| {
            let mut offset = positioned.offset_bytes;
            for (index, entry) in positioned.segment.entries.iter().enumerate() {
                if wrong.has(positioned.index, index) {
                    error = self.wrong_entry(entry, offset)?;
                    return Err(Error::Stopped);
                }
                offset += entry.length();
            }
            Ok(())
        });
        match described {
            Err(other) if !matches!(other, Error::Stopped) => other,
            _ => error,
        }
    }

    fn wrong_entry(&self, entry: &Entry, offset_bytes: u64) -> Result<Error, Error> {
        let (target, bytes) = (self.target.name.clone(), entry.length());
        let (expected, found) = match entry {
            Entry::Zero { .. } => ("zeroes".to_owned(), "other bytes".to_owned()),
            Entry::Data { digest, length } => {
                let mut buffer = AlignedBuffer::new(*length as usize);
                self.target.read(offset_bytes, &mut buffer)?;
                (digest.to_string(), Digest::of(&buffer).to_string())
            }
        };
        Ok(Error::ReadBack { target, offset_bytes, bytes, expected, found })
    }

    /// Writes what was held back, each part durable and read back before the next: the end
    /// of the disk, the head without its first sector, and then the block with that: it makes
    /// the disk boot, and only one sector of it changes, which a disk writes whole or not at all.
    /// The last block of the head comes after that where it is no part of the image but says
    /// what the disk holds.
    fn seal(&self) -> Result<(), Error> {
        let sealed = self.sealed();
        let first = sealed.head.len().min(FIRST_BLOCK_BYTES);
        let last = sealed.head.len().min(Mark::OFFSET).max(first);
        self.put_proven(sealed.tail_start, &sealed.tail)?;
        let mut rest = sealed.head[..last].to_vec();
        rest[..self.fit.sector_bytes.min(first)].fill(0);
        self.put_proven(0, &rest)?;
        if !sealed.is_marked {
            self.put_proven(last as u64, &sealed.head[last..])?;
        }
        self.put_proven(0, &sealed.head[..first])?;
        if sealed.is_marked { self.put_proven(last as u64, &sealed.head[last..]) } else { Ok(()) }
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
        Err(Error::ReadBack {
            target: self.target.name.clone(),
            offset_bytes,
            bytes: bytes.len() as u64,
            expected: Digest::of(bytes).to_string(),
            found: Digest::of(&buffer).to_string(),
        })
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

/// What is held back, as the disk is to have it.
struct Sealed {
    head: Vec<u8>,
    /// The last block of the head is a mark of ours, and no part of the image.
    is_marked: bool,
    tail_start: u64,
    tail: Vec<u8>,
}
