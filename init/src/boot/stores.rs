//! The chain of stores, and whether a NIC reaches one.

use std::sync::Arc;
use std::time::Duration;

use store::http::{HttpStore, Timeouts};
use store::label::LabelName;
use store::manifest_reader::{ReadError, read_label};
use store::source::{Item, Source, SourceError};
use store::{is_url, open_chain};

use super::failure::Cause;
use super::files::Remote;
use super::medium::{self, MediumError, Wanted};
use super::online::Online;
use crate::config::FileRequest;
use crate::machine::Machine;

/// A NIC that is asked whether it reaches the store must answer soon: another
/// NIC waits for its turn. Three lost SYNs are 7 s; a store in the same network
/// needs none of them.
const REACH: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    silence: Duration::from_secs(10),
    rate_window: Duration::from_secs(10),
    rate_min_bytes: 64,
};

/// Opens every store of the chain, nearest first. Nothing is sent yet; a medium is waited for.
pub(crate) fn open_all(machine: &Machine, chain: &[String]) -> Result<Vec<Arc<dyn Source>>, Cause> {
    let others = chain.iter().filter(|word| Wanted::of(word).is_none());
    let mut others = open_chain(others.map(String::as_str))?.into_iter();
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

/// Asks the stores of `chain` for `label`, or for the list of labels where it is not known yet; one
/// answer of any kind will do, even "no such label": the stage that needs the label says so better. Where there are only
/// directories, the servers of `files` are asked; where nothing is behind a URL, nobody is. Returns
/// what time the store has, seconds since 1970, where it says so.
pub(super) fn reach(
    chain: &[String],
    label: Option<&LabelName>,
    files: &[FileRequest],
) -> Result<Option<u64>, String> {
    let mut reasons = Vec::new();
    if !needs_network(chain, files) {
        return Ok(None);
    }
    if !needs_network(chain, &[]) {
        return reach_files(files).map(|()| None);
    }
    for url in chain.iter().filter(|text| is_url(text)) {
        let asked = HttpStore::new(url, REACH).map_err(|error| error.to_string());
        match asked.map(|store| (ask(&store, label), store)) {
            Ok((Err(error), _)) if is_silence(&error) => {
                reasons.push(ends(&crate::report::causes(&error)));
            }
            Ok((_, store)) => return Ok(store.server_time_unix_s()),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(reasons.join("; "))
}

fn ask(store: &HttpStore, label: Option<&LabelName>) -> Result<(), SourceError> {
    let Some(label) = label else { return store.open(&Item::LabelList, None).map(drop) };
    match read_label(store, label) {
        Err(ReadError::Source(error)) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Asks for the files that are behind URLs.
fn reach_files(files: &[FileRequest]) -> Result<(), String> {
    let mut reasons = Vec::new();
    for file in files.iter().filter(|file| is_url(&file.from)) {
        match Remote::of(file, REACH).map(|file| file.ask()) {
            Ok(Err(error)) if is_silence(&error) => {
                reasons.push(ends(&crate::report::causes(&error)));
            }
            Ok(_) => return Ok(()),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(reasons.join("; "))
}

/// What failed and the innermost why; the layers between say nothing more.
fn ends(causes: &[String]) -> String {
    match causes {
        [first, .., last] => format!("{first}: {last}"),
        _ => causes.concat(),
    }
}

/// True if nobody answered.
fn is_silence(error: &SourceError) -> bool {
    matches!(error, SourceError::Io { .. } | SourceError::Stalled { .. })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn any_answer_is_an_answer_and_silence_is_none() {
        let label: LabelName = "debian/12".parse().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/store", server.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream
                .write_all(
                    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\
                Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
                )
                .unwrap();
        });
        let reached = reach(&["/srv".into(), url.clone()], Some(&label), &[]);
        assert!(matches!(reached, Ok(Some(784_111_777..))), "{reached:?}");
        thread.join().unwrap();
        let file =
            FileRequest { path: b"a".to_vec(), from: url.clone(), mode: 0o644, digest: None };
        for refused in [reach(&[url], None, &[]), reach(&["/srv".into()], Some(&label), &[file])] {
            let refused = refused.unwrap_err();
            assert!(refused.to_lowercase().contains("refused"), "{refused}");
        }
    }

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
        assert_eq!(reach(&[], None, &[]), Ok(None));
    }
}
