//! The stores of a machine: this command reads them as they are given, the machine over its
//! network.

use crate::args::AccessArgs;
use crate::commands::open_chain;
use crate::commands::read::{self, Label};
use crate::exit;
use crate::output::Output;
use crate::serve::{STORE_PATH, serve_beside};
use deploy::Patient;
use std::path::PathBuf;
use std::sync::Arc;
use store::is_url;
use store::label::LabelName;
use store::source::Source;
use tokio::runtime::Handle;

/// The host, as a machine on QEMU's user network sees it.
const HOST: &str = "10.0.2.2";

/// Stores, nearest first.
pub(super) struct Stores {
    sources: Vec<Arc<dyn Source>>,
    /// The same for `inaugurator.store=`.
    pub(super) of_guest: String,
}

/// A label, and the store that gave it.
pub(super) struct Found {
    pub(super) source: Arc<dyn Source>,
    pub(super) label: Label,
}

impl Stores {
    /// Opens the stores of `chain`; directories are served from now on, as long as `runtime` lives.
    pub(super) fn open(chain: &str, access: &AccessArgs, runtime: &Handle) -> anyhow::Result<Self> {
        let sources = open_chain(chain, access)?.into_iter().map(patient).collect();
        let urls = chain.split(',').map(|store| url_of(store.trim(), runtime));
        let of_guest = urls.collect::<anyhow::Result<Vec<_>>>()?.join(",");
        Ok(Self { sources, of_guest })
    }

    /// The label `name` from the first store that has it. Where none gives it, what is most serious
    /// of why; the rest is warned of.
    pub(super) fn find(&self, name: &LabelName) -> anyhow::Result<Option<Found>> {
        let mut errors = Vec::new();
        for source in &self.sources {
            match read::label(&**source, name) {
                Ok(label) => {
                    warn(&errors);
                    return Ok(Some(Found { source: Arc::clone(source), label }));
                }
                Err(error) => errors.push(anyhow::Error::from(error)),
            }
        }
        // Of several that weigh the same the nearest store's.
        let most = (0..errors.len()).rev().max_by_key(|index| weight(&errors[*index]));
        let Some(most) = most else { return Ok(None) };
        let error = errors.remove(most);
        warn(&errors);
        Err(error)
    }
}

/// How serious it is that a store does not give a label: that one does not have it is the least, and
/// that what it has is damaged the most.
fn weight(error: &anyhow::Error) -> u8 {
    match exit::code(error) {
        exit::VERIFICATION => 3,
        exit::STORAGE => 2,
        exit::FAILED => 0,
        _ => 1,
    }
}

/// A store that merely does not have it is what a chain is for.
fn warn(errors: &[anyhow::Error]) {
    for error in errors.iter().filter(|error| weight(error) > 0) {
        Output::warning(&format!("{error:#}"));
    }
}

fn patient(source: Arc<dyn Source>) -> Arc<dyn Source> {
    Arc::new(Patient::new(source))
}

fn url_of(store: &str, runtime: &Handle) -> anyhow::Result<String> {
    if is_url(store) {
        return Ok(for_guest(store));
    }
    let address = serve_beside(runtime, PathBuf::from(store))?;
    Ok(format!("http://{HOST}:{}{STORE_PATH}", address.port()))
}

/// The URL by which the machine reaches what is `url` here.
fn for_guest(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let port_at = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let (host, port) = authority.split_at(port_at.unwrap_or(authority.len()));
    if host == "localhost" || host == "[::1]" || host.starts_with("127.") {
        return format!("{scheme}://{HOST}{port}{path}");
    }
    url.to_owned()
}

#[cfg(test)]
mod tests {
    use super::for_guest;

    #[test]
    fn what_is_local_here_is_the_host_there() {
        for (url, expected) in [
            ("http://localhost:8080/store/", "http://10.0.2.2:8080/store/"),
            ("http://127.0.0.1/store", "http://10.0.2.2/store"),
            ("http://127.1.2.3", "http://10.0.2.2"),
            ("http://[::1]:80/s", "http://10.0.2.2:80/s"),
            ("http://[fd00::1]/s", "http://[fd00::1]/s"),
            ("http://localhost.example/s", "http://localhost.example/s"),
            ("http://depot:8080/store/", "http://depot:8080/store/"),
        ] {
            assert_eq!(for_guest(url), expected);
        }
    }
}
