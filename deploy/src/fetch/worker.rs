//! One of the hands that fetch: reads, decompresses, proves, puts.

use super::requests::{FrameWants, Request, Want};
use super::{Job, Lost, Round, Way};
use crate::Error;
use crate::meter::{Limit, add};
use crate::retry::{TRIES_MAX, noise, pause};
use crate::target::AlignedBuffer;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use store::Digest;
use store::map::{FRAME_MAX_BYTES, FrameRef};
use store::source::{Item, SourceError, from_io};

/// So much of a frame, though not all of it, has tries counted anew, bytes: a line that is cut again and
/// again gets a frame through in 256 parts at most.
const PART_BYTES: usize = FRAME_MAX_BYTES as usize / 256;

/// One of the hands that fetch. What it has proven and lies next to each other in the content is
/// collected in `raw` and put at once: disks like long writes.
pub(super) struct Worker<'a> {
    round: &'a Round<'a>,
    lost: &'a Mutex<Lost>,
    packed: Vec<u8>,
    /// How much of the first frame that is still wanted came before its connection broke, bytes: it is
    /// at the beginning of `packed`, and not fetched again.
    came: usize,
    raw: AlignedBuffer,
    /// How much of `raw` is proven and not put yet, bytes.
    filled: usize,
    /// Where it belongs in the content, bytes.
    filled_offset: u64,
}

impl<'a> Worker<'a> {
    /// Empty-handed.
    pub(super) fn new(round: &'a Round<'a>, lost: &'a Mutex<Lost>) -> Self {
        let raw = AlignedBuffer::new(FRAME_MAX_BYTES as usize);
        Self { round, lost, packed: Vec::new(), came: 0, raw, filled: 0, filled_offset: 0 }
    }

    /// Does all of a request, and puts what it brought also where it fails: what was proven is
    /// not fetched again by the next run.
    pub(super) fn request(&mut self, request: &Request) -> Result<(), Error> {
        let fetched = self.frames(request);
        let put = self.put_filled();
        fetched.and(put)
    }

    /// Does all frames of a request; after a fault that may pass goes on with the first frame
    /// that has not come.
    fn frames(&mut self, request: &Request) -> Result<(), Error> {
        let Round { job, link, tries_max, .. } = *self.round;
        let (mut frames, mut tries) = (&request.frames[..], 1);
        self.came = 0;
        // Where the frame is that came wrong once.
        let mut doubted = None;
        while !frames.is_empty() {
            job.stop.check()?;
            if link.is_out() {
                drop(self.lose(frames));
                return Ok(());
            }
            let (mut done, came_before) = (0, self.came);
            let Err(failure) = self.stream(request.pack, frames, &mut done) else {
                add(&job.meter.came_right, u64::from(doubted.is_some()));
                break;
            };
            frames = &frames[done..];
            // Where another store is left, a line that is cut so often is no reason to stay.
            let is_last = tries_max == TRIES_MAX;
            let has_come =
                done > 0 || is_last && failure.is_cut() && self.came >= came_before + PART_BYTES;
            tries = if has_come { 1 } else { tries };
            if done > 0 && doubted.take().is_some() {
                add(&job.meter.came_right, 1);
            }
            match failure {
                Failure::Source(error) if error.is_transient() && tries < tries_max => {
                    add(&job.meter.retries, 1);
                    job.stop.pause(pause(tries, &error, noise()))?;
                    tries += 1;
                }
                Failure::Source(source) => {
                    return self.not_given(frames, self.failed(request, frames, tries, source));
                }
                Failure::Final(error) if error.is_lie() && self.doubts(&error, &mut doubted) => {
                    add(&job.meter.retries, 1);
                }
                Failure::Final(error) if error.is_lie() => {
                    let (wrong, rest) = frames.split_at(1.min(frames.len()));
                    self.not_given(wrong, error)?;
                    frames = rest;
                }
                Failure::Final(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether wrong bytes are asked for once more: where no other store has them, and what is wrong may
    /// be the way that they came (RFC 1071 sums do not tell all of it). `doubted` is the frame that was
    /// asked for a second time.
    fn doubts(&self, error: &Error, doubted: &mut Option<u64>) -> bool {
        let Error::Frame { offset_bytes, .. } = error else { return false };
        if self.round.has_other(error) || *doubted == Some(*offset_bytes) {
            return false;
        }
        *doubted = Some(*offset_bytes);
        self.round.link.may_doubt()
    }

    /// Leaves `frames` to another store, or ends with `error` if there is none.
    fn not_given(&self, frames: &[FrameWants], error: Error) -> Result<(), Error> {
        let Round { job, link, .. } = *self.round;
        if !self.round.has_other(&error) {
            return Err(error);
        }
        if let Way::Near(near) = self.round.way {
            near.lacks(&error);
        } else if let Way::Diffs(_) = self.round.way {
            // The store is judged by what it does without them.
        } else if error.is_lie() || error.is_gone() {
            job.label.links.lacks(link, &error);
        } else {
            job.label.links.pass_over(link, &error);
        }
        let mut lost = self.lose(frames);
        lost.is_gone |= error.is_gone();
        lost.failure.get_or_insert(error);
        Ok(())
    }

    /// Notes that `frames` were not given; what is lost may be added to.
    fn lose(&self, frames: &[FrameWants]) -> MutexGuard<'_, Lost> {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let wants = frames.iter().flat_map(|frame| &self.round.wants[frame.wants.clone()]);
        lost.wants.extend(wants.cloned());
        lost
    }

    /// Reads `frames` from one body, counting those that are done; begins where the last body broke off.
    fn stream(
        &mut self,
        pack: u32,
        frames: &[FrameWants],
        done: &mut usize,
    ) -> Result<(), Failure> {
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return Ok(()) };
        let Round { job: Job { meter, stop, .. }, link, map, .. } = *self.round;
        let item = Item::Pack(map.packs[pack as usize].digest);
        let mut at = first.frame.offset_bytes + self.came as u64;
        let body = meter.time(Limit::Net, || link.source.open(&item, Some(at..last.end_bytes())));
        let mut body = body?.reader;
        for wanted in frames {
            stop.check()?;
            let gap = wanted.frame.offset_bytes.saturating_sub(at);
            let packed = wanted.frame.packed_bytes as usize;
            let read = meter.time(Limit::Net, || {
                io::copy(&mut body.by_ref().take(gap), &mut io::sink())?;
                self.packed.resize(packed, 0);
                fill(&mut body, &mut self.packed, &mut self.came)
            });
            read.map_err(|error| from_io(error, &*link.source, &item))?;
            self.came = 0;
            self.frame(wanted)?;
            at = wanted.end_bytes();
            *done += 1;
        }
        Ok(())
    }

    /// Decompresses a frame, proves the objects wanted of it, and puts them.
    fn frame(&mut self, wanted: &FrameWants) -> Result<(), Error> {
        let Round { job: Job { label, meter, .. }, wants, .. } = *self.round;
        let frame = &wanted.frame;
        let length = frame.raw_bytes as usize;
        if self.filled + length > self.raw.len() {
            self.put_filled()?;
        }
        let start = self.filled;
        self.decompress(frame, start..start + length)?;
        let wants = &wants[wanted.wants.clone()];
        // The map is not trusted: only the very same object at the very same place is proven.
        let mut proven = None;
        for want in wants {
            let object = (want.inner_bytes, want.length, want.digest);
            if proven != Some(object) {
                let raw = &self.raw[start..start + length];
                meter.time(Limit::Hash, || self.prove(frame, raw, want))?;
                self.count(want);
                proven = Some(object);
            }
        }
        if let (Some(near), Way::Store | Way::Diffs(_)) = (&label.near, self.round.way) {
            let packed = matches!(self.round.way, Way::Store).then_some(&self.packed[..]);
            near.take(packed, &self.raw[start..start + length], wants);
        }
        for run in runs(wants) {
            self.take(start, length, run)?;
        }
        Ok(())
    }

    fn count(&self, want: &Want) {
        let Job { meter, .. } = self.round.job;
        match self.round.way {
            Way::Near(near) => near.gave(want.length),
            Way::Store => add(&meter.fetched_objects, 1),
            Way::Diffs(_) => {
                add(&meter.fetched_objects, 1);
                add(&meter.diff_objects, 1);
                add(&meter.diff_bytes, u64::from(want.length));
            }
        }
    }

    /// Puts a run of wants of the frame whose `length` bytes are at `start` of `raw`, or
    /// leaves it where it is to be put with what follows.
    fn take(&mut self, start: usize, length: usize, run: &[Want]) -> Result<(), Error> {
        let bytes: usize = run.iter().map(|want| want.length as usize).sum();
        let (at, offset) = (start + run[0].inner_bytes as usize, run[0].offset_bytes);
        let whole = at == start && bytes == length;
        let follows = self.filled_offset + self.filled as u64 == offset;
        if whole && at == self.filled && (follows || self.filled == 0) {
            if self.filled == 0 {
                self.filled_offset = offset;
            }
            self.filled += bytes;
            return Ok(());
        }
        self.put(offset, at..at + bytes)
    }

    /// Puts what is collected.
    fn put_filled(&mut self) -> Result<(), Error> {
        let filled = std::mem::take(&mut self.filled);
        if filled == 0 { Ok(()) } else { self.put(self.filled_offset, 0..filled) }
    }

    fn put(&self, offset: u64, range: Range<usize>) -> Result<(), Error> {
        let length = range.len() as u64;
        let Job { sink, meter, .. } = self.round.job;
        sink.put(offset, &self.raw[range])?;
        add(&meter.done_bytes, length);
        Ok(())
    }

    fn decompress(&mut self, frame: &FrameRef, into: Range<usize>) -> Result<(), Error> {
        let length = into.len();
        let (raw, packed) = (&mut self.raw[into], &self.packed[..]);
        let meter = self.round.job.meter;
        let unpacked = meter.time(Limit::Decompress, || match self.round.way {
            Way::Diffs(told) => told.diffs.unpack(frame, packed, told.holder, raw).map(|()| length),
            Way::Store | Way::Near(_) => zstd::bulk::decompress_to_buffer(packed, raw),
        });
        let found = match unpacked {
            Ok(unpacked) if unpacked == length => return Ok(()),
            Ok(unpacked) => format!("{unpacked}"),
            Err(error) => error.to_string(),
        };
        Err(self.wrong(frame, "content".into(), format!("{length} bytes"), found))
    }

    fn prove(&self, frame: &FrameRef, raw: &[u8], want: &Want) -> Result<(), Error> {
        let start = want.inner_bytes as usize;
        let object = || format!("object {}", want.digest.short());
        let Some(bytes) = raw.get(start..start + want.length as usize) else {
            let expected = format!("{} bytes at {start}", want.length);
            let found = format!("a frame of {}", frame.raw_bytes);
            return Err(self.wrong(frame, object(), expected, found));
        };
        let found = Digest::of(bytes);
        if found == want.digest {
            return Ok(());
        }
        Err(self.wrong(frame, object(), want.digest.to_string(), found.to_string()))
    }

    fn wrong(&self, frame: &FrameRef, object: String, expected: String, found: String) -> Error {
        let pack = self.round.map.packs[frame.pack as usize].digest;
        Error::Frame { object, offset_bytes: frame.offset_bytes, pack, expected, found }
    }

    fn failed(
        &self,
        request: &Request,
        frames: &[FrameWants],
        tries: u32,
        source: SourceError,
    ) -> Error {
        let pack = self.round.map.packs[request.pack as usize].digest;
        let start = frames.first().map_or(0, |first| first.frame.offset_bytes);
        let bytes = frames.last().map_or(0, FrameWants::end_bytes) - start;
        Error::Fetch { pack, offset_bytes: start, bytes, tries, source }
    }
}

/// Fills `buffer` from `came` on, which counts; what came before a failure stays.
fn fill(body: &mut impl Read, buffer: &mut [u8], came: &mut usize) -> io::Result<()> {
    while *came < buffer.len() {
        match body.read(&mut buffer[*came..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => *came += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Wants that lie next to each other both in the frame and in the content.
fn runs(wants: &[Want]) -> impl Iterator<Item = &[Want]> {
    wants.chunk_by(|one, next| {
        one.inner_bytes + one.length == next.inner_bytes
            && one.offset_bytes + u64::from(one.length) == next.offset_bytes
    })
}

/// Why a body was not read to its end.
enum Failure {
    /// The store or the way to it.
    Source(SourceError),
    /// Something that asking again does not mend.
    Final(Error),
}

impl Failure {
    /// A connection broke. What a store gives that is too slow is no progress: it would never be left.
    fn is_cut(&self) -> bool {
        matches!(self, Self::Source(SourceError::Short { .. } | SourceError::Io { .. }))
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}
