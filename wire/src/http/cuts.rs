//! Many cuts of one file, each of which strikes once.

use super::fault::Fault;
use super::request::{Range, Request};
use std::collections::BTreeSet;

/// Bytes of a file before which a connection ends: closed (FIN) and torn (RST) in turn.
#[derive(Clone, Debug, Default)]
pub struct Cuts {
    path: String,
    left: BTreeSet<u64>,
    struck: usize,
}

impl Cuts {
    /// Of files whose path contains `path`, before each of these bytes, counted from the file's start.
    pub fn of(path: &str, before: impl IntoIterator<Item = u64>) -> Self {
        Self { path: path.to_owned(), left: before.into_iter().collect(), struck: 0 }
    }

    /// How many have not struck yet.
    pub fn left(&self) -> usize {
        self.left.len()
    }

    /// The fault for the reply to `request`, if one of its bytes is cut before. Counts it.
    pub(crate) fn strike(&mut self, request: &Request) -> Option<Fault> {
        if !request.path.contains(&self.path) {
            return None;
        }
        let Some(Range::From { first, last }) = request.range else { return None };
        let byte = *self.left.range(first..=last.unwrap_or(u64::MAX)).next()?;
        self.left.remove(&byte);
        self.struck += 1;
        let after_bytes = byte - first;
        Some(if self.struck.is_multiple_of(2) {
            Fault::TearBody { after_bytes }
        } else {
            Fault::CutBody { after_bytes }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_strikes_once_where_it_is_asked_for() {
        let mut cuts = Cuts::of("packs/", [10, 20, 30]);
        let request = |path: &str, first, last| Request {
            method: "GET".into(),
            path: path.into(),
            range: Some(Range::From { first, last }),
            keep_alive: true,
            authorization: None,
            by_proxy: false,
        };
        for (path, first, last, expected) in [
            ("/maps/a", 0, None, None),
            ("/packs/a", 0, Some(9), None),
            ("/packs/a", 0, Some(10), Some(Fault::CutBody { after_bytes: 10 })),
            ("/packs/a", 5, None, Some(Fault::TearBody { after_bytes: 15 })),
            ("/packs/a", 31, None, None),
            ("/packs/a", 30, None, Some(Fault::CutBody { after_bytes: 0 })),
            ("/packs/a", 0, None, None),
        ] {
            assert_eq!(cuts.strike(&request(path, first, last)), expected, "{path} {first}");
        }
        assert_eq!(cuts.left(), 0);
    }
}
