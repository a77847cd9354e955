//! What a disk does wrong, as values.

use super::noise::Noise;
use std::ops::Range;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A write fails; any part of it may have been carried out.
    WriteError,
    /// A read fails.
    ReadError,
    /// A flush fails, and of what was written since the last good one any part is lost for good
    /// (fsync(2): the error is said once).
    FlushError,
    /// A flush says that all is well and does nothing.
    FlushIgnored,
    /// A write says that all is well and is not carried out.
    Dropped,
    /// A write is carried out somewhere else.
    Misdirected {
        /// Where, bytes.
        to: u64,
    },
    /// One bit is written wrong.
    FlippedWrite,
    /// One bit is read wrong.
    FlippedRead,
    /// A sector cannot be written: what is read there stays what it is, and nobody says so.
    StuckSector {
        /// Where it starts, bytes.
        at: u64,
    },
    /// Zeroing says that all is well and does nothing.
    ZeroLies,
    /// There is no zeroing.
    ZeroUnsupported,
    /// Zeroing fails.
    ZeroError,
    /// Everything fails, for good.
    Gone,
    /// No room is left.
    Full,
    /// Addresses come again after so many bytes: a stick that says it is larger than it is.
    Folds {
        /// How large it is, bytes.
        bytes: u64,
    },
}

/// Which operations it happens to. Writes, reads, flushes and zeroings are counted each by
/// themselves, but for [`Kind::Gone`], which counts all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum When {
    /// The operation with this number, counted from 0.
    Nth(u64),
    /// Each from this number on.
    From(u64),
    /// The first that touches the range.
    OnceAt(Range<u64>),
    /// Each that touches the range.
    At(Range<u64>),
    /// The operation with this number among those that touch the range.
    NthAt(u64, Range<u64>),
}

/// One thing that goes wrong.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) when: When,
    /// How often it has happened.
    pub(crate) struck: u64,
    touched: u64,
}

/// What a disk is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Read,
    Write,
    Zero,
    Flush,
}

impl Fault {
    pub(crate) fn new(kind: Kind, when: When) -> Self {
        Self { kind, when, struck: 0, touched: 0 }
    }

    /// Any fault that ends or can be recovered from, on a disk of `size` bytes.
    pub(crate) fn any(seed: u64, size: u64) -> Self {
        let mut noise = Noise::of(seed);
        let nth = noise.below(40) as u64;
        let somewhere = (noise.below(size as usize) as u64) & !4095;
        let range = somewhere..(somewhere + (64 << 10)).min(size);
        let to = (noise.below(size as usize) as u64) & !511;
        let (kind, when) = match noise.below(16) {
            0 => (Kind::WriteError, When::Nth(nth)),
            1 => (Kind::WriteError, When::OnceAt(range)),
            2 => (Kind::ReadError, When::Nth(nth)),
            3 => (Kind::FlushError, When::Nth(nth % 8)),
            4 => (Kind::Dropped, When::Nth(nth)),
            5 => (Kind::Dropped, When::OnceAt(range)),
            6 => (Kind::Misdirected { to }, When::Nth(nth)),
            7 => (Kind::FlippedWrite, When::Nth(nth)),
            8 => (Kind::FlippedWrite, When::OnceAt(range)),
            9 => (Kind::FlippedRead, When::Nth(nth)),
            10 => (Kind::ZeroLies, When::From(0)),
            11 => (Kind::ZeroUnsupported, When::From(0)),
            12 => (Kind::ZeroError, When::From(nth % 4)),
            13 => (Kind::Full, When::From(nth)),
            14 => (Kind::StuckSector { at: somewhere }, When::From(0)),
            _ => (Kind::Folds { bytes: (size / 2) & !511 }, When::From(0)),
        };
        Self::new(kind, when)
    }

    /// Whether it happens to the operation `asked` with number `nth` of its kind on `range`.
    pub(crate) fn strikes(&mut self, asked: Asked, nth: u64, range: &Range<u64>) -> bool {
        let of = match &self.kind {
            Kind::WriteError
            | Kind::Dropped
            | Kind::Misdirected { .. }
            | Kind::FlippedWrite
            | Kind::Full => asked == Asked::Write,
            Kind::ReadError | Kind::FlippedRead => asked == Asked::Read,
            Kind::FlushError | Kind::FlushIgnored => asked == Asked::Flush,
            Kind::ZeroLies | Kind::ZeroUnsupported | Kind::ZeroError => asked == Asked::Zero,
            Kind::Gone => true,
            // Not operations but places go wrong.
            Kind::StuckSector { .. } | Kind::Folds { .. } => false,
        };
        let strikes = of && self.is_now(nth, range);
        self.struck += u64::from(strikes);
        strikes
    }

    fn is_now(&mut self, nth: u64, range: &Range<u64>) -> bool {
        let touches = |place: &Range<u64>| range.start < place.end && place.start < range.end;
        match &self.when {
            When::Nth(number) => nth == *number,
            When::From(number) => nth >= *number,
            When::OnceAt(place) => self.struck == 0 && touches(place),
            When::At(place) => touches(place),
            When::NthAt(number, place) => {
                let before = self.touched;
                self.touched += u64::from(touches(place));
                touches(place) && before == *number
            }
        }
    }
}
