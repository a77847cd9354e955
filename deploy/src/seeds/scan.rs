//! Finds seeds where no manifest tells of them: cuts what the target has as a push would.

use super::Seeds;
use crate::meter::{Limit, Meter};
use crate::survey::View;
use crate::target::AlignedBuffer;
use std::ops::Range;
use store::Digest;
use store::cut::{OBJECT_CUT_MAX_BYTES, Piece, SEGMENT_SPAN_BYTES, pieces};

/// What is read at once, bytes.
const STEP_BYTES: usize = 1 << 20;

/// Cuts and hashes the first `size_bytes` of `view`.
pub(crate) fn scan(view: &View<'_>, size_bytes: u64, meter: &Meter) -> Seeds {
    let mut seeds = Seeds::within(size_bytes);
    let mut start = 0;
    let mut buffer = AlignedBuffer::new(STEP_BYTES);
    while start < size_bytes && !seeds.is_full() {
        let end = start.saturating_add(SEGMENT_SPAN_BYTES).min(size_bytes);
        scan_span(view, start..end, &mut buffer, meter, &mut seeds);
        start = end;
    }
    seeds.sort();
    seeds
}

/// One span: cuts fall on its ends, as they do in a segment of a manifest.
fn scan_span(
    view: &View<'_>,
    span: Range<u64>,
    buffer: &mut AlignedBuffer,
    meter: &Meter,
    seeds: &mut Seeds,
) {
    let mut at = span.start;
    while at < span.end {
        let step = (span.end - at).min(STEP_BYTES as u64) as usize;
        if view.is_hole(at, step) {
            at += step as u64;
            continue;
        }
        let bytes = &mut buffer[..step];
        if meter.time(Limit::Disk, || view.read(at, bytes)).is_err() {
            // A bad sector of what is replaced anyway holds no seeds.
            at += step as u64;
            continue;
        }
        let is_last = at + step as u64 == span.end;
        at += meter.time(Limit::Hash, || add_pieces(bytes, at, is_last, seeds)) as u64;
    }
}

/// Adds the objects of `bytes`, which start at `at`. Returns how many bytes were dealt with: an
/// object that may go on behind them is left for the next step.
fn add_pieces(bytes: &[u8], at: u64, is_last: bool, seeds: &mut Seeds) -> usize {
    let mut done = 0;
    for piece in pieces(bytes) {
        match piece {
            Piece::Zero { length } => done += length,
            Piece::Data { length } => {
                let open = done + length == bytes.len() && length < OBJECT_CUT_MAX_BYTES;
                if open && !is_last && done > 0 {
                    return done;
                }
                seeds.add(&Digest::of(&bytes[done..done + length]), at + done as u64);
                done += length;
            }
        }
    }
    done
}
