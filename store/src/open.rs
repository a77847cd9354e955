//! A store by the text that names it: a directory or a URL.

use crate::dir::{DirError, DirStore};
use crate::source::Source;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is none.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// The URL is none.
    #[cfg(feature = "http")]
    #[error(transparent)]
    Http(#[from] crate::http::HttpStoreError),
    /// This build reads directories only.
    #[cfg(not(feature = "http"))]
    #[error("store {text:?}: expected a directory, found a URL, which this build cannot read")]
    NoHttp {
        /// As given.
        text: String,
    },
}

/// Opens the one store that `text` names: a URL where it has a scheme (`http://...`), else a
/// directory. A directory is looked at; to a server nothing is sent yet.
pub fn open_store(text: &str) -> Result<Box<dyn Source>, OpenError> {
    if is_url(text) {
        return open_url(text);
    }
    Ok(Box::new(DirStore::open(text)?))
}

/// Whether `text` names a store by URL.
pub fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+')
    })
}

#[cfg(feature = "http")]
fn open_url(text: &str) -> Result<Box<dyn Source>, OpenError> {
    let timeouts = crate::http::Timeouts::default();
    Ok(Box::new(crate::http::HttpStore::new(text, timeouts)?))
}

#[cfg(not(feature = "http"))]
fn open_url(text: &str) -> Result<Box<dyn Source>, OpenError> {
    Err(OpenError::NoHttp { text: text.into() })
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
