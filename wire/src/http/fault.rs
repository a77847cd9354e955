//! Ways for a store to go wrong, as values in a table.

/// For [`Misbehaviour::times`]: every time.
pub const ALWAYS: u32 = u32::MAX;

/// One way to go wrong with one reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status, with a short text and none of the file.
    Status(u16),
    /// This status, and when to come again (`Retry-After`).
    Later {
        /// Such as 429 or 503.
        status: u16,
        /// Seconds.
        after_s: u32,
    },
    /// A redirect (302) to this place.
    Redirect(String),
    /// The whole file (200) where a range was asked for.
    IgnoreRange,
    /// The connection is closed before anything is said.
    Hangup,
    /// Not HTTP.
    Garbage,
    /// The connection is closed (FIN) after so many bytes of the body.
    CutBody {
        /// Counted from the start of the body.
        after_bytes: u64,
    },
    /// The connection is torn (RST) after so many bytes of the body.
    TearBody {
        /// Counted from the start of the body.
        after_bytes: u64,
    },
    /// Nothing is said, and the connection stays open.
    Silence,
    /// The head breaks off in its middle, and the connection stays open.
    HalfHead,
    /// Nothing more comes after so many bytes of the body; the connection stays
    /// open for as long as the server lives.
    Stall {
        /// Counted from the start of the body.
        after_bytes: u64,
    },
    /// One bit of the file is another one, in whatever range it is asked for.
    FlipBit {
        /// Counted from the start of the file.
        offset: u64,
    },
    /// Content-Length says this, whatever the body's length is.
    WrongLength(u64),
    /// Without a Content-Length: the connection's end is the body's.
    NoLength,
    /// Two Content-Lengths, of which the second is right.
    TwoLengths,
    /// Content-Range says the bytes before those that are asked for.
    OtherRange,
    /// A proxy says that it has packed the body, which is as it was.
    SaysGzip,
    /// The page of a captive portal, status 200.
    Portal,
    /// The same without a word on what it is (no `Content-Type`).
    QuietPortal,
    /// The body comes at so many bytes a second.
    Slow(u64),
    /// A header more, without the line's end.
    Header(&'static str),
}

/// A fault, and where and how often it strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misbehaviour {
    /// Strikes where the path contains this; empty is everywhere.
    pub path: String,
    /// What goes wrong.
    pub fault: Fault,
    /// How many replies it spoils; after that they are right.
    pub times: u32,
}

impl Misbehaviour {
    /// Every time.
    pub fn always(path: &str, fault: Fault) -> Self {
        Self { path: path.to_owned(), fault, times: ALWAYS }
    }

    /// The first time only.
    pub fn once(path: &str, fault: Fault) -> Self {
        Self { times: 1, ..Self::always(path, fault) }
    }
}

/// The fault for the next reply to `path`: the first in the table that still
/// strikes. Counts it.
pub fn strike(table: &mut [Misbehaviour], path: &str) -> Option<Fault> {
    let rule = table.iter_mut().find(|rule| rule.times > 0 && path.contains(&rule.path))?;
    if rule.times != ALWAYS {
        rule.times -= 1;
    }
    Some(rule.fault.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_is_left_strikes() {
        let mut table = [
            Misbehaviour { times: 2, ..Misbehaviour::once("packs/", Fault::Hangup) },
            Misbehaviour::always("packs/a", Fault::Status(500)),
        ];
        for (path, expected) in [
            ("/labels/x", None),
            ("/packs/a", Some(Fault::Hangup)),
            ("/packs/b", Some(Fault::Hangup)),
            ("/packs/b", None),
            ("/packs/a", Some(Fault::Status(500))),
            ("/packs/a", Some(Fault::Status(500))),
        ] {
            assert_eq!(strike(&mut table, path), expected, "{path}");
        }
    }
}
