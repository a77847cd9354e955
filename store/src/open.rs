//! A store by the text that names it: a directory or a URL.

use crate::dir::{DirError, DirStore};
use crate::http::{Access, HttpStore, HttpStoreError, Timeouts};
use crate::source::{Body, Item, Source, SourceError, is_url};
use crate::verify::chain as causes;
use std::ops::Range;
use std::sync::Arc;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is none.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// The URL is none.
    #[error(transparent)]
    Http(#[from] HttpStoreError),
}

/// Opens the one store that `text` names: a URL where it has a scheme (`http://...`), else a
/// directory. A directory is looked at; to a server nothing is sent yet.
pub fn open_store(text: &str, access: &Access) -> Result<Box<dyn Source>, OpenError> {
    if is_url(text) {
        return open_url(text, true, access);
    }
    Ok(Box::new(DirStore::open(text)?))
}

/// Opens the stores that `texts` name, nearest first. Those that another follows are waited for less
/// long, and a directory among them that is no store fails only when it is asked: another may have
/// what it has not.
pub fn open_chain<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    access: &Access,
) -> Result<Vec<Arc<dyn Source>>, OpenError> {
    let mut texts = texts.into_iter().peekable();
    let mut chain: Vec<Arc<dyn Source>> = Vec::new();
    while let Some(text) = texts.next() {
        let is_only = chain.is_empty() && texts.peek().is_none();
        chain.push(if is_url(text) {
            Arc::from(open_url(text, texts.peek().is_none(), access)?)
        } else {
            match DirStore::open(text) {
                Ok(store) => Arc::new(store),
                Err(error) if is_only => return Err(error.into()),
                Err(error) => Arc::new(NoStore { name: text.to_owned(), why: causes(&error) }),
            }
        });
    }
    Ok(chain)
}

/// A directory that is no store.
struct NoStore {
    name: String,
    why: String,
}

impl Source for NoStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self, item: &Item, _: Option<Range<u64>>) -> Result<Body, SourceError> {
        Err(SourceError::Answer {
            item: item.clone(),
            store: self.name.clone(),
            expected: "a store".to_owned(),
            found: self.why.clone(),
            again: false,
            retry_after: None,
        })
    }
}

fn open_url(text: &str, is_last: bool, access: &Access) -> Result<Box<dyn Source>, OpenError> {
    let timeouts = if is_last { Timeouts::default() } else { Timeouts::with_another_left() };
    Ok(Box::new(HttpStore::with(text, timeouts, access)?))
}
