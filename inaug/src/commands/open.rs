//! From what was given as `--store` to a store.

use super::access;
use crate::args::{AccessArgs, StoreArg};
use crate::exit::Usage;
use deploy::Patient;
use std::path::Path;
use std::sync::Arc;
use store::dir::DirStore;
use store::source::Source;
use store::{is_url, open_store};

/// A store to read: a directory, or the URL of one.
pub(crate) fn open_source(args: &StoreArg) -> anyhow::Result<Box<dyn Source>> {
    one(&args.store)?;
    Ok(open_store(&args.store, &access::of(&args.access, &args.store)?)?)
}

/// A store that `option` names, to read much of: asked again where that may help.
pub(crate) fn open_patient(
    store: &str,
    access: &AccessArgs,
    option: &str,
) -> anyhow::Result<Box<dyn Source>> {
    if store.is_empty() {
        return Err(Usage(format!("{option} is empty: expected a directory or a URL")).into());
    }
    Ok(Box::new(Patient::new(Arc::from(open_store(store, &access::of(access, store)?)?))))
}

/// Stores to read, nearest first, joined by commas.
pub(crate) fn open_chain(chain: &str, access: &AccessArgs) -> anyhow::Result<Vec<Arc<dyn Source>>> {
    if chain.split(',').any(|store| store.trim().is_empty()) {
        let sentence = format!("--store: expected stores joined by commas, found {chain:?}");
        return Err(Usage(sentence).into());
    }
    Ok(store::open_chain(chain.split(',').map(str::trim), &access::of(access, chain)?)?)
}

/// A store in a directory that must be there.
pub(crate) fn open_dir(store: &str, command: &str) -> anyhow::Result<DirStore> {
    Ok(DirStore::open(directory(store, command)?)?)
}

/// The directory that `store` is; `command` cannot do with a URL.
pub(crate) fn directory<'a>(store: &'a str, command: &str) -> Result<&'a Path, Usage> {
    one(store)?;
    if is_url(store) {
        return Err(Usage(format!(
            "{command} works on a store's directory, and {store} is a URL: run it where the \
             directory is"
        )));
    }
    Ok(Path::new(store))
}

/// `INAUG_STORE` may be a chain for `deploy`; the other commands mean one store.
fn one(store: &str) -> Result<(), Usage> {
    if store.is_empty() {
        return Err(Usage("--store is empty: expected a directory or a URL".to_owned()));
    }
    if store.contains(',') && !Path::new(store).exists() {
        return Err(Usage(format!("--store names several stores, expected one: {store}")));
    }
    Ok(())
}
