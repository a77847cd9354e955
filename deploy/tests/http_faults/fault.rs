//! Faults as values: what goes wrong, on which item, at which request for it.

/// A kind of item, by the directory it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum On {
    Label,
    Manifest,
    Map,
    Pack,
}

impl On {
    pub(crate) const ALL: [Self; 4] = [Self::Label, Self::Manifest, Self::Map, Self::Pack];

    pub(crate) fn of(path: &str) -> Option<Self> {
        let directory = path.trim_start_matches('/').split('/').next()?;
        Some(match directory {
            "labels" => Self::Label,
            "manifests" => Self::Manifest,
            "maps" => Self::Map,
            "packs" => Self::Pack,
            _ => return None,
        })
    }
}

/// At which requests for an item a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// The first that asks for this byte of the item, and for one after it, only.
    Covering(u64),
    /// Request number so much for this kind of item, from 1, only.
    Nth(usize),
    Always,
}

/// Where in a reply the connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// The request was read, nothing is said.
    Request,
    StatusLine,
    /// In the middle of the headers.
    Head,
    /// Before this byte of the item.
    Byte(u64),
    /// After so many bytes of the body.
    After(u64),
}

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Closed in order.
    Fin,
    /// Torn: what the kernel has not sent is lost.
    Rst,
    /// Open, and nothing more comes while the server lives.
    Stall,
    /// A byte now and then.
    Drip,
}

/// How a reply says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By so many bytes too long (or short) a length; the body is as it should be.
    LengthOff(isize),
    /// By this instead of a number.
    LengthText(&'static str),
    /// By two equal lengths.
    Doubled,
    /// By two lengths, of which the second is right.
    DoubledOther,
    /// By the connection's end.
    Close,
    Chunked,
    /// Chunks of which the last never comes.
    ChunkedOpen,
    /// Chunks with a byte more than there should be.
    ChunkedMore,
    /// The right length, and bytes after it.
    Surplus,
    /// By nothing: zeroes follow for ever.
    Endless,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Break(At, How),
    /// This status with these header lines, and no body.
    Status(&'static str, &'static [&'static str]),
    /// A right reply with these header lines more.
    Header(&'static [&'static str]),
    Framing(Framing),
    /// A status 200 with a page, and its type if that is given.
    Html(Option<&'static str>),
    /// A range is answered with status 200 and everything.
    WholeForRange,
    /// The range that lies one byte earlier.
    RangeEarlier,
    /// A byte less than was asked for, and the head says so.
    RangeShorter,
    /// Status 206 without saying which range.
    RangeUnsaid,
    /// A whole is answered with status 206 and everything.
    PartForWhole,
    /// Bytes as they are, then the end.
    Raw(&'static [u8]),
    /// This, over and over.
    RawEndless(&'static [u8]),
    /// This before a right reply.
    RawBefore(&'static [u8]),
    /// To the same item by another path.
    RedirectOnce,
    /// The same, and there again.
    RedirectLoop,
    /// From now on the other store is served, this request included.
    Replace,
    /// All connections break, and nobody listens for a moment.
    Restart,
}

/// A fault and when it strikes.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) on: On,
    pub(crate) when: When,
    pub(crate) fault: Fault,
}
