//! Frames taken from stores: few requests, several at once, every object proven.

use super::TakeError;
use crate::Digest;
use crate::parallel::{Submit, lane};
use crate::source::{Item, Source, SourceError, from_io};
use std::io::Read;
use std::thread::Scope;

/// Requests under way at once: while one waits for the network, others decompress and hash.
const WORKERS: usize = 4;

/// What one request asks for at most, decompressed, bytes: about three times [`WORKERS`] of them
/// are in memory at once.
const REQUEST_MAX_RAW_BYTES: u64 = 2 << 20;

/// Up to this much between two frames is read and dropped, bytes, because another request costs
/// more: 64 KiB take half a millisecond at 1 Gbit/s.
const GAP_MAX_BYTES: u64 = 64 << 10;

/// A frame of a pack of a store. Ordered as they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FrameAt {
    /// Number of the store.
    pub(crate) source: usize,
    /// The pack.
    pub(crate) pack: Digest,
    /// Where it starts in the pack's file, bytes.
    pub(crate) offset_bytes: u64,
    /// What it takes there, bytes.
    pub(crate) packed_bytes: u32,
    /// What it holds, bytes.
    pub(crate) raw_bytes: u32,
}

/// An object of a frame. Ordered as they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Want {
    /// Where it starts in the decompressed frame, bytes.
    pub(crate) at_bytes: u32,
    /// Its length, bytes.
    pub(crate) length: u32,
    /// Its digest.
    pub(crate) digest: Digest,
}

/// A frame and what is wanted of it.
pub(super) struct FrameWants {
    frame: FrameAt,
    wants: Vec<Want>,
}

/// A frame that came, or did not.
pub(crate) struct Taken {
    /// Number of the store that it is from.
    pub(crate) source: usize,
    /// As it is in the pack.
    pub(crate) packed: Vec<u8>,
    /// Decompressed.
    pub(crate) raw: Vec<u8>,
    /// The objects that are what they should be, in order.
    pub(crate) proven: Vec<Want>,
    /// The others, each with why.
    pub(crate) lost: Vec<(Vec<Digest>, TakeError)>,
}

/// Takes `wants` from `sources`; hands what comes to `put`, in the order of the frames.
pub(crate) fn take<E>(
    sources: &[&dyn Source],
    mut wants: Vec<(FrameAt, Want)>,
    put: &mut dyn FnMut(Taken) -> Result<(), E>,
) -> Result<(), E> {
    wants.sort_unstable();
    let requests = requests(&wants);
    if requests.is_empty() {
        return Ok(());
    }
    std::thread::scope(|scope| {
        let (submit, results) = workers(scope, sources);
        scope.spawn(move || {
            for request in requests {
                // Whoever puts has failed, and says why.
                if submit.submit(request).is_err() {
                    return;
                }
            }
        });
        results.into_iter().flatten().try_for_each(put)
    })
}

fn workers<'scope>(
    scope: &'scope Scope<'scope, '_>,
    sources: &'scope [&dyn Source],
) -> (Submit<Vec<FrameWants>, Vec<Taken>>, impl Iterator<Item = Vec<Taken>>) {
    lane(scope, WORKERS, || |request: Vec<FrameWants>| all(sources, request))
}

/// The frames of each request, in order.
fn requests(wants: &[(FrameAt, Want)]) -> Vec<Vec<FrameWants>> {
    let mut requests: Vec<Vec<FrameWants>> = Vec::new();
    for wants in wants.chunk_by(|(one, _), (next, _)| one == next) {
        let frame = wants[0].0;
        let fits = requests.last().is_some_and(|request| fits(request, &frame));
        let wants = wants.iter().map(|(_, want)| *want).collect();
        match requests.last_mut().filter(|_| fits) {
            Some(request) => request.push(FrameWants { frame, wants }),
            None => requests.push(vec![FrameWants { frame, wants }]),
        }
    }
    requests
}

fn fits(request: &[FrameWants], frame: &FrameAt) -> bool {
    let Some(FrameWants { frame: last, .. }) = request.last() else { return true };
    let gap = frame.offset_bytes.checked_sub(last.end_bytes());
    let raw = request.iter().map(|of| u64::from(of.frame.raw_bytes)).sum::<u64>();
    (last.source, last.pack) == (frame.source, frame.pack)
        && gap.is_some_and(|gap| gap <= GAP_MAX_BYTES)
        && raw + u64::from(frame.raw_bytes) <= REQUEST_MAX_RAW_BYTES
}

/// All of a request: in one answer as far as that goes, then frame by frame, so that each says
/// for itself why it cannot be had.
fn all(sources: &[&dyn Source], request: Vec<FrameWants>) -> Vec<Taken> {
    let streamed = stream(sources, &request).0;
    let done = streamed.len();
    let rest = request.into_iter().skip(done).map(|of| {
        let (mut taken, failure) = stream(sources, std::slice::from_ref(&of));
        taken.pop().unwrap_or_else(|| nothing(sources, &of, failure))
    });
    streamed.into_iter().chain(rest).collect()
}

fn nothing(sources: &[&dyn Source], of: &FrameWants, failure: Option<SourceError>) -> Taken {
    let objects: Vec<Digest> = of.wants.iter().map(|want| want.digest).collect();
    let object = objects.first().copied().unwrap_or(of.frame.pack);
    let error = match failure {
        Some(source) => TakeError::Source { object, source },
        None => wrong(sources, of, object, "a frame".into(), "none".into()),
    };
    Taken {
        source: of.frame.source,
        packed: Vec::new(),
        raw: Vec::new(),
        proven: Vec::new(),
        lost: vec![(objects, error)],
    }
}

/// Reads the frames from one body, as far as it comes.
fn stream(sources: &[&dyn Source], frames: &[FrameWants]) -> (Vec<Taken>, Option<SourceError>) {
    let mut taken = Vec::new();
    let read = read_frames(sources, frames, &mut |of, packed| {
        taken.push(prove(sources, of, packed));
    });
    (taken, read.err())
}

fn read_frames(
    sources: &[&dyn Source],
    frames: &[FrameWants],
    put: &mut dyn FnMut(&FrameWants, Vec<u8>),
) -> Result<(), SourceError> {
    let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return Ok(()) };
    let (source, item) = (sources[first.frame.source], Item::Pack(first.frame.pack));
    let mut at = first.frame.offset_bytes;
    let mut body = source.open(&item, Some(at..last.frame.end_bytes()))?.reader;
    for of in frames {
        let gap = of.frame.offset_bytes - at;
        let mut packed = vec![0; of.frame.packed_bytes as usize];
        let read = std::io::copy(&mut body.by_ref().take(gap), &mut std::io::sink())
            .and_then(|_| body.read_exact(&mut packed));
        read.map_err(|error| from_io(error, source, &item))?;
        put(of, packed);
        at = of.frame.end_bytes();
    }
    Ok(())
}

/// What of a frame is what it should be.
fn prove(sources: &[&dyn Source], of: &FrameWants, packed: Vec<u8>) -> Taken {
    let length = of.frame.raw_bytes as usize;
    let raw = match zstd::bulk::decompress(&packed, length) {
        Ok(raw) if raw.len() == length => Ok(raw),
        Ok(raw) => Err(format!("{}", raw.len())),
        Err(error) => Err(error.to_string()),
    };
    let all = || of.wants.iter().map(|want| want.digest).collect::<Vec<_>>();
    let source = of.frame.source;
    let mut taken = Taken { source, packed, raw: Vec::new(), proven: Vec::new(), lost: Vec::new() };
    match raw {
        Ok(raw) => taken.raw = raw,
        Err(found) => {
            let object = of.wants.first().map_or(of.frame.pack, |want| want.digest);
            let expected = format!("{length} bytes in its frame");
            taken.lost.push((all(), wrong(sources, of, object, expected, found)));
            return taken;
        }
    }
    for want in &of.wants {
        let bytes = taken.raw.get(want.at_bytes as usize..);
        let bytes = bytes.and_then(|rest| rest.get(..want.length as usize));
        let found = bytes.map(Digest::of);
        if found == Some(want.digest) {
            taken.proven.push(*want);
            continue;
        }
        let found = found.map_or("a frame that is too short".into(), |found| found.to_string());
        let error = wrong(sources, of, want.digest, want.digest.to_string(), found);
        taken.lost.push((vec![want.digest], error));
    }
    taken
}

fn wrong(
    sources: &[&dyn Source],
    of: &FrameWants,
    object: Digest,
    expected: String,
    found: String,
) -> TakeError {
    let FrameAt { pack, offset_bytes, .. } = of.frame;
    let store = sources[of.frame.source].name().to_owned();
    TakeError::Wrong { object, pack, offset_bytes, store, expected, found }
}

impl FrameAt {
    fn end_bytes(&self) -> u64 {
        self.offset_bytes + u64::from(self.packed_bytes)
    }
}
