//! Where a store is read from: the seam between formats and files or sockets.
//!
//! Production reads directories ([`crate::dir`]) and HTTP servers ([`crate::http`]);
//! tests put stores that cut, stall and lie behind the same trait.

use crate::Digest;
use crate::label::LabelName;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::time::Duration;

/// Whether `text` names a store by URL.
pub fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+')
    })
}

/// Something a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Item {
    /// The advisory list of labels.
    LabelList,
    /// A label's record.
    Label(LabelName),
    /// A manifest: root and segments.
    Manifest(Digest),
    /// The map of the manifest with this digest.
    Map(Digest),
    /// The list of the diffs that lead to the manifest with this digest.
    Diffs(Digest),
    /// A pack.
    Pack(Digest),
    /// No part of a store: a file of this name where one could be, as the address has it.
    File(String),
}

impl Item {
    /// Its path in the store, relative, with `/`.
    pub fn path(&self) -> String {
        match self {
            Self::LabelList => "labels.list".into(),
            Self::Label(name) => format!("labels/{}", name.file_name()),
            Self::Manifest(digest) => format!("manifests/{digest}"),
            Self::Map(digest) => format!("maps/{digest}"),
            Self::Diffs(digest) => format!("diffs/{digest}"),
            Self::Pack(digest) => format!("packs/{digest}"),
            Self::File(name) => name.clone(),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LabelList => f.write_str("list of labels"),
            Self::Label(name) => write!(f, "label {name}"),
            Self::Manifest(digest) => write!(f, "manifest {}", digest.short()),
            Self::Map(digest) => write!(f, "map of manifest {}", digest.short()),
            Self::Diffs(digest) => write!(f, "diffs of manifest {}", digest.short()),
            Self::Pack(digest) => write!(f, "pack {}", digest.short()),
            Self::File(name) => write!(f, "file {name}"),
        }
    }
}

/// A store that can be read.
pub trait Source: Send + Sync {
    /// What people call it: its URL or directory.
    fn name(&self) -> &str;

    /// Opens `item`, whole or the bytes of `range`.
    ///
    /// The body gives exactly the bytes asked for or an error: an end before them
    /// is [`SourceError::Short`], never an ordinary end of file.
    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError>;
}

/// The bytes of an item. Reading past a fault gives an [`io::Error`] whose inner error is a
/// [`SourceError`].
pub struct Body {
    /// How many bytes will come, where the store says it.
    pub length_bytes: Option<u64>,
    /// Length of the whole item, where the store says it.
    pub total_bytes: Option<u64>,
    /// The bytes.
    pub reader: Box<dyn Read + Send>,
}

/// Why an item could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The store does not have it.
    #[error("{item} is not in the store {store}")]
    NotFound {
        /// The item.
        item: Item,
        /// The store's name.
        store: String,
    },
    /// The server answered something else than the item.
    #[error("{item} from {store}: expected {expected}, found {found}")]
    Answer {
        /// The item.
        item: Item,
        /// The store's name.
        store: String,
        /// What would have been right.
        expected: String,
        /// Status line, header or length that came.
        found: String,
        /// Whether asking again can help (5xx, 408, 429), as against 403.
        again: bool,
        /// How long the server asks to be left alone first.
        retry_after: Option<Duration>,
    },
    /// The bytes ended too early.
    #[error("{item} from {store}: expected {expected} bytes, found {found}")]
    Short {
        /// The item.
        item: Item,
        /// The store's name.
        store: String,
        /// How many bytes should have come.
        expected: u64,
        /// How many came.
        found: u64,
    },
    /// Nothing came for too long.
    #[error("{item} from {store}: nothing came for {waited_s} s, after {found} bytes")]
    Stalled {
        /// The item.
        item: Item,
        /// The store's name.
        store: String,
        /// How long was waited, seconds.
        waited_s: u64,
        /// Bytes that came before.
        found: u64,
    },
    /// The server could not prove that it is the store.
    #[error("{item}: the certificate of {server} {why}")]
    Certificate {
        /// The item.
        item: Item,
        /// The store's name.
        store: String,
        /// Who showed it: scheme, host and port.
        server: String,
        /// What is wrong with it, in words.
        why: String,
    },
    /// The proxy failed that is asked in the store's place.
    #[error("{item} from {store}: the proxy {proxy}")]
    Proxy {
        /// The item.
        item: Item,
        /// The store's name.
        store: String,
        /// The proxy's name.
        proxy: String,
        /// The failure.
        source: io::Error,
    },
    /// The file or socket failed.
    #[error("{item} from {store}")]
    Io {
        /// The item.
        item: Item,
        /// The store's name.
        store: String,
        /// The failure.
        source: io::Error,
    },
}

/// What is said to have been found where a page came instead of an item.
pub(crate) const PAGE: &str = "perhaps the page of a captive portal or a login";

/// What would have been right where a server leads to another scheme, or in circles.
pub(crate) const WITHIN_THE_SCHEME: &str = "redirects within the scheme";

impl SourceError {
    /// Whether somebody answered with a page of HTML instead of the item.
    pub fn is_page(&self) -> bool {
        matches!(self, Self::Answer { found, .. } if found.ends_with(PAGE))
    }

    /// Whether the answer leads somewhere else than to a store: redirects that are not followed, and
    /// "log in first" (511, RFC 6585, section 6).
    pub fn is_elsewhere(&self) -> bool {
        let Self::Answer { expected, found, .. } = self else { return false };
        expected.ends_with(WITHIN_THE_SCHEME) || found.starts_with("511 ")
    }

    /// Whether asking again can help.
    pub fn is_transient(&self) -> bool {
        match self {
            // The next answer shows the same certificate.
            Self::NotFound { .. } | Self::Certificate { .. } => false,
            Self::Answer { again, .. } => *again,
            Self::Short { .. } | Self::Stalled { .. } | Self::Proxy { .. } | Self::Io { .. } => {
                true
            }
        }
    }

    /// How long the server asks to be left alone before the next try, where it says so. Not
    /// bounded: who waits decides how much of it to believe.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answer { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Reads all of `item`, which may have at most `max_bytes`.
pub fn read_all(source: &dyn Source, item: &Item, max_bytes: u64) -> Result<Vec<u8>, SourceError> {
    let mut partly = Partly::default();
    partly.read(source, item, max_bytes)?;
    Ok(partly.bytes)
}

/// What came of an item before a fault, so that the next try asks for the rest only. That the
/// parts are of the same item is for whoever checks the whole to find out.
#[derive(Debug, Default)]
pub struct Partly {
    bytes: Vec<u8>,
    total_bytes: Option<u64>,
    resumed: bool,
}

impl Partly {
    /// All that came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it came in parts.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Reads what is missing of `item`, which may have at most `max_bytes`. Starts anew where
    /// the store did not say how long the item is.
    pub fn read(
        &mut self,
        source: &dyn Source,
        item: &Item,
        max_bytes: u64,
    ) -> Result<(), SourceError> {
        let rest = self.open_rest(source, item)?;
        self.resumed = rest.is_some();
        let body = match rest {
            Some(body) => body,
            None => self.open_whole(source, item)?,
        };
        let too_long = |found: u64| SourceError::Answer {
            item: item.clone(),
            store: source.name().into(),
            expected: format!("at most {max_bytes} bytes"),
            found: format!("{found} or more"),
            again: false,
            retry_after: None,
        };
        if let Some(length) = self.total_bytes.filter(|length| *length > max_bytes) {
            return Err(too_long(length));
        }
        let left = max_bytes - self.bytes.len() as u64;
        // What came before a fault stays in `bytes` (`Read::read_to_end`).
        let read = body.reader.take(left + 1).read_to_end(&mut self.bytes);
        read.map_err(|error| from_io(error, source, item))?;
        if self.bytes.len() as u64 > max_bytes {
            return Err(too_long(self.bytes.len() as u64));
        }
        Ok(())
    }

    fn open_whole(&mut self, source: &dyn Source, item: &Item) -> Result<Body, SourceError> {
        self.bytes.clear();
        let body = source.open(item, None)?;
        self.total_bytes = body.length_bytes;
        Ok(body)
    }

    /// What is missing, where that can be asked for: not when nothing came yet, when it is not
    /// known how much there is, or when the item has another length by now.
    fn open_rest(&self, source: &dyn Source, item: &Item) -> Result<Option<Body>, SourceError> {
        let found = self.bytes.len() as u64;
        let Some(total) = self.total_bytes.filter(|total| (1..*total).contains(&found)) else {
            return Ok(None);
        };
        match source.open(item, Some(found..total)) {
            Ok(body) if body.total_bytes.is_none_or(|now| now == total) => Ok(Some(body)),
            Err(error) if error.is_transient() => Err(error),
            Ok(_) | Err(_) => Ok(None),
        }
    }
}

/// Takes the [`SourceError`] out of what a [`Body`] reported, or wraps what it is not.
pub fn from_io(error: io::Error, source: &dyn Source, item: &Item) -> SourceError {
    match error.downcast::<SourceError>() {
        Ok(inner) => inner,
        Err(error) => {
            SourceError::Io { item: item.clone(), store: source.name().into(), source: error }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_scheme() {
        for (text, expected) in
            [("http://h/s", true), ("/a://b", false), ("./store", false), ("://", false)]
        {
            assert_eq!(is_url(text), expected, "{text}");
        }
    }
}
