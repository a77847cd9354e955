//! The chain of stores.

use std::sync::Arc;

use store::label::LabelName;
use store::source::Source;
use store::{is_url, open_chain};

use super::failure::Cause;
use super::medium::{self, MediumError, Wanted};
use super::online::Online;
use crate::access;
use crate::config::{FileRequest, Settings};
use crate::machine::Machine;

/// Opens every store of the chain, nearest first. Nothing is sent yet; a medium is waited for.
pub(crate) fn open_all(
    machine: &Machine,
    settings: &Settings,
) -> Result<Vec<Arc<dyn Source>>, Cause> {
    let (chain, access) = (&settings.store, access::of(settings)?);
    let others = chain.iter().filter(|word| Wanted::of(word).is_none());
    let mut others = open_chain(others.map(String::as_str), &access)?.into_iter();
    let mut all = Vec::new();
    for word in chain {
        let Some(wanted) = Wanted::of(word) else {
            let other = others.next().map(|inner| behind_network(machine, word, inner));
            all.extend(other);
            continue;
        };
        match medium::open(machine, wanted) {
            Ok(store) => all.push(store),
            // As with directories: another store may have what this one has.
            Err(cause) if chain.len() > 1 && !is_refused(&cause) => {
                let why = crate::report::causes(&cause).join(": ");
                machine.console.say("store", &format!("the medium is passed over: {why}"));
                all.push(medium::absent(&cause));
            }
            Err(cause) => return Err(cause),
        }
    }
    Ok(all)
}

/// A store behind a URL waits for a network that is looked for.
fn behind_network(machine: &Machine, word: &str, inner: Arc<dyn Source>) -> Arc<dyn Source> {
    if is_url(word) { Arc::new(Online { inner, network: machine.in_use().clone() }) } else { inner }
}

/// True if it is for a person to say which medium is meant.
fn is_refused(cause: &Cause) -> bool {
    matches!(cause, Cause::Medium(MediumError::Several { .. }))
}

/// Whether any store needs a network, or a file of the machine's own.
pub(super) fn needs_network(chain: &[String], files: &[FileRequest]) -> bool {
    chain.iter().chain(files.iter().map(|file| &file.from)).any(|text| is_url(text))
}

/// Where the medium stands in a chain that a network may be missing for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offline<'a> {
    /// It is asked first: where it has the labels nobody else is asked.
    First(Wanted<'a>),
    /// It is asked after others.
    Later(Wanted<'a>),
    /// There is none, or a file is behind a URL: nothing goes without a network.
    No,
}

impl<'a> Offline<'a> {
    pub(super) fn of(chain: &'a [String], files: &[FileRequest]) -> Self {
        let medium = chain.iter().position(|word| Wanted::of(word).is_some());
        match medium.map(|at| (at, Wanted::of(&chain[at]))) {
            _ if needs_network(&[], files) => Self::No,
            Some((0, Some(wanted))) => Self::First(wanted),
            Some((_, Some(wanted))) => Self::Later(wanted),
            _ => Self::No,
        }
    }

    /// Whether the medium of the chain is there and has all of `labels`.
    pub(super) fn has(self, machine: &Machine, labels: &[LabelName]) -> bool {
        match self {
            Self::First(wanted) | Self::Later(wanted) => medium::has_all(machine, wanted, labels),
            Self::No => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_may_do_without_a_network_unless_a_file_needs_one() {
        let chain =
            |words: &[&str]| -> Vec<String> { words.iter().map(ToString::to_string).collect() };
        let file = FileRequest {
            path: b"a".to_vec(),
            from: "http://a/b".to_owned(),
            mode: 0o644,
            digest: None,
        };
        let any = Wanted::of("medium").unwrap();
        let first = chain(&["medium", "http://a"]);
        assert_eq!(Offline::of(&first, &[]), Offline::First(any));
        assert_eq!(Offline::of(&first, &[file]), Offline::No);
        assert_eq!(Offline::of(&chain(&["http://a", "medium"]), &[]), Offline::Later(any));
        assert_eq!(Offline::of(&chain(&["http://a"]), &[]), Offline::No);
    }

    #[test]
    fn directories_need_no_network() {
        let file = |from: &str| {
            let (path, from) = (b"a".to_vec(), from.to_string());
            FileRequest { path, from, mode: 0o644, digest: None }
        };
        assert!(!needs_network(&["/srv/store".into()], &[file("/b")]));
        assert!(needs_network(&["/srv/store".into(), "http://a".into()], &[]));
        assert!(needs_network(&["/srv/store".into()], &[file("http://a/b")]));
    }
}
