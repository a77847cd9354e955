//! Fourth stage: what was written is read back from the device and hashed; only then
//! what was held back is written, so only proven bytes can boot.

use crate::Error;
use crate::missing::Missing;
use crate::plan::Job;
use crate::seeds::Seeds;
use crate::survey::Purpose;
use crate::target::AlignedBuffer;
use crate::write::Written;
use store::Digest;
use store::manifest::Entry;

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
    let ended = job.prove_and_seal(read_back);
    if ended.is_err() {
        // Whatever was written by now must not boot. On a disk that has just failed this may
        // fail as well; the first failure is what is reported.
        let _ = job.unseal();
    }
    ended.map(|()| Verified { job })
}

impl Job {
    fn prove_and_seal(&self, read_back: ReadBack) -> Result<(), Error> {
        if read_back == ReadBack::No {
            return self.seal();
        }
        self.prove()?;
        match self.seal() {
            // What did not arrive may have gone somewhere else: all is proven once more.
            Err(Error::ReadBack { .. }) => {
                self.unseal()?;
                self.prove()?;
                self.seal()
            }
            ended => ended,
        }
    }

    fn prove(&self) -> Result<(), Error> {
        self.target.drop_cache();
        let no_seeds = Seeds::default();
        let wrong = self.compare(Purpose::Proof, &no_seeds)?;
        if wrong.is_empty() {
            return self.prove_unsealed();
        }
        if wrong.totals.zero_missing_bytes > 0 {
            self.target.distrust_zeroing();
        }
        self.bring(&wrong, &no_seeds)?;
        self.target.flush()?;
        self.target.drop_cache();
        // All of it again: on a disk that folds addresses, a repair damages what was right.
        let still = self.compare(Purpose::Proof, &no_seeds)?;
        if still.is_empty() { self.prove_unsealed() } else { Err(self.first_wrong(&still)) }
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
}
