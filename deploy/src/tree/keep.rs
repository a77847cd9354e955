//! Paths that stay as they are, whatever the label says.

use super::error::TreeRefusal;
use std::collections::BTreeSet;
use store::tree::walk::RESERVED_NAME;
use store::tree::{check_path, parent};

/// Paths that are kept, with all that is below them.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    paths: BTreeSet<Vec<u8>>,
}

impl Keep {
    /// Paths from the target's root; a `/` at either end does not count.
    pub fn new<P: AsRef<[u8]>>(paths: impl IntoIterator<Item = P>) -> Result<Self, TreeRefusal> {
        let paths = paths.into_iter().map(|path| parse(path.as_ref()));
        Ok(Self { paths: paths.collect::<Result<_, _>>()? })
    }

    /// Whether `path` itself is kept.
    pub(crate) fn is_kept(&self, path: &[u8]) -> bool {
        self.paths.contains(path)
    }

    /// The path that keeps `path`: it, or one above it.
    pub(crate) fn keeper_of<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        if self.paths.is_empty() {
            return None;
        }
        std::iter::successors(Some(path), |path| parent(path)).find(|path| self.is_kept(path))
    }

    /// The paths, in order of their bytes.
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.paths.iter().map(Vec::as_slice)
    }
}

fn parse(path: &[u8]) -> Result<Vec<u8>, TreeRefusal> {
    let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(start, |last| last + 1);
    let bare = &path[start..end];
    let refused = |expected, found| {
        let path = path.escape_ascii().to_string();
        Err(TreeRefusal::KeepPath { path, expected, found })
    };
    if bare.is_empty() {
        return refused("a path in the target", "all of it".into());
    }
    if bare.split(|byte| *byte == b'/').next() == Some(RESERVED_NAME) {
        let found = "where files wait to be put in place".to_owned();
        return refused("a path outside of the reserved name", found);
    }
    match check_path(bare) {
        Ok(()) => Ok(bare.to_vec()),
        Err((expected, found)) => refused(expected, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_kept_path_is_kept() {
        let keep = Keep::new(["/srv/", "var/lib/x"]).unwrap();
        let table: [(&str, Option<&str>); 6] = [
            ("srv", Some("srv")),
            ("srv/a/b", Some("srv")),
            ("srvs", None),
            ("var/lib", None),
            ("var/lib/x/y", Some("var/lib/x")),
            ("", None),
        ];
        for (path, keeper) in table {
            assert_eq!(keep.keeper_of(path.as_bytes()), keeper.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn paths_that_are_none_are_refused() {
        for path in ["", "/", "a/../b", "a//b", "./a", ".inaugurator", "/.inaugurator/store"] {
            assert!(Keep::new([path]).is_err(), "{path}");
        }
        assert!(Keep::new(["etc/.inaugurator", ".inaugurator-2"]).is_ok());
    }
}
