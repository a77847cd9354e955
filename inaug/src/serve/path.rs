//! Which paths are part of a store: a list of what is allowed, so that nothing else in the
//! directory (half-written files, the lock, an operator's notes) can be had by any spelling.

use super::answer::Resource;
use std::path::Path;
use store::label::LabelName;
use store::source::Item;

/// The file that marks a directory as a store.
const MARKER: &str = "inaug-store";

/// A file of a store that clients may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Served {
    /// The store's marker.
    Marker,
    /// An item.
    Item(Item),
}

impl Served {
    /// What `path`, relative to the store and not decoded, names; `None` for everything that
    /// is not exactly the path of an item. Their names need no percent-encoding, so a path
    /// with any is the path of nothing.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        if path == MARKER {
            return Some(Self::Marker);
        }
        let item = match path.split_once('/') {
            None => Item::LabelList,
            Some(("labels", name)) => Item::Label(name.parse::<LabelName>().ok()?),
            Some(("manifests", name)) => Item::Manifest(name.parse().ok()?),
            Some(("maps", name)) => Item::Map(name.parse().ok()?),
            Some(("diffs", name)) => Item::Diffs(name.parse().ok()?),
            Some(("packs", name)) => Item::Pack(name.parse().ok()?),
            Some(_) => return None,
        };
        // Also refuses a second spelling of a name that parses, such as labels/a/b.
        (item.path() == path).then_some(Self::Item(item))
    }

    /// Its path in the store's directory.
    fn path(&self) -> String {
        match self {
            Self::Marker => MARKER.to_owned(),
            Self::Item(item) => item.path(),
        }
    }

    /// The file in the store at `dir`.
    pub(crate) fn resource(&self, dir: &Path) -> Resource {
        let content_type = match self {
            Self::Marker | Self::Item(Item::LabelList | Item::Label(_)) => {
                "text/plain; charset=utf-8"
            }
            Self::Item(_) => "application/octet-stream",
        };
        Resource { path: dir.join(self.path()), digest: self.immutable(), content_type }
    }

    /// The digest of its bytes, where the name promises that they never change. A map is named
    /// by its manifest, not by its own bytes: it is written anew when packs are.
    fn immutable(&self) -> Option<store::Digest> {
        match self {
            Self::Item(Item::Manifest(digest) | Item::Pack(digest)) => Some(*digest),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_items_are_served() {
        let digest = store::Digest::of(b"x").to_string();
        for (path, served) in [
            ("inaug-store".to_owned(), true),
            ("labels.list".to_owned(), true),
            ("labels/debian__12__demo".to_owned(), true),
            ("labels/plain".to_owned(), true),
            (format!("manifests/{digest}"), true),
            (format!("maps/{digest}"), true),
            (format!("packs/{digest}"), true),
            (format!("diffs/{digest}"), true),
            (format!("diffs/{digest}-{digest}"), false),
            (String::new(), false),
            ("labels".to_owned(), false),
            ("labels/".to_owned(), false),
            ("labels/debian/12/demo".to_owned(), false),
            ("labels/..".to_owned(), false),
            ("labels/.hidden".to_owned(), false),
            ("labels/%64ebian".to_owned(), false),
            ("lock".to_owned(), false),
            ("tmp/x".to_owned(), false),
            (format!("tmp/{digest}"), false),
            (format!("packs/{}", digest.to_uppercase()), false),
            (format!("packs/{}", &digest[..63]), false),
            (format!("packs/../packs/{digest}"), false),
            (format!("packs//{digest}"), false),
            (format!("/packs/{digest}"), false),
            (format!("packs/{digest}/"), false),
            ("../etc/passwd".to_owned(), false),
            ("%2e%2e/etc/passwd".to_owned(), false),
        ] {
            let found = Served::parse(&path);
            assert_eq!(found.is_some(), served, "{path:?}");
            assert!(found.is_none_or(|found| found.path() == path), "{path:?}");
        }
    }
}
