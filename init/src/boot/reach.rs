//! Whether a network reaches a store of the chain.
//!
//! One answer of a store will do, even "no such label": the stage that needs the label says so
//! better. The page of a portal is no such answer: it stands in the way of all others.

use std::io::{self, Read};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use store::Digest;
use store::http::{Access, HttpStore, Proxy, Timeouts};
use store::is_url;
use store::label::{LabelName, LabelRecord, RECORD_MAX_BYTES};
use store::source::{Item, Source, SourceError, from_io};

use super::files::Remote;
use super::names::look_up;
use super::stores::needs_network;
use crate::access::for_file;
use crate::config::FileRequest;
use crate::net::Unreached;

/// A NIC that is asked whether it reaches the store must answer soon: another
/// NIC waits for its turn. Three lost SYNs are 7 s; a store in the same network
/// needs none of them.
const REACH: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    silence: Duration::from_secs(10),
    rate_window: Duration::from_secs(10),
    rate_min_bytes: 64,
};

/// For a resolver: a question that is lost is asked again after 2 s.
const NAMES: Duration = Duration::from_secs(5);

/// For an answer of several packets, of a store that has just given a short one: four times lost, sent
/// again each time.
const LONG_ANSWER: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    silence: Duration::from_secs(3),
    rate_window: Duration::from_secs(3),
    rate_min_bytes: 64,
};

/// An answer that no link in use carries in one packet, bytes.
const LONG_BYTES: u64 = 16 << 10;

/// For all of it: what comes slowly comes.
const LONG: Duration = Duration::from_secs(6);

/// It is asked for so often before it is taken to vanish.
const LONG_TRIES: u32 = 2;

/// However little time is left, a store in the same network gets this much.
const LEAST: Duration = Duration::from_millis(500);

/// Of a list, this much shows whether it is one, bytes.
const BEGINNING_BYTES: u64 = 512;

/// How long a network may take to be tried if nothing presses.
pub(super) const UNHURRIED: Duration = Duration::from_mins(1);

/// What a network is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// The stores; directories among them are passed over.
    pub(super) chain: &'a [String],
    /// The list of labels is asked for where it is not known yet.
    pub(super) label: Option<&'a LabelName>,
    /// Asked for where there are only directories.
    pub(super) files: &'a [FileRequest],
    /// What the network has of them.
    pub(super) resolvers: &'a [IpAddr],
    /// Whom to trust, and what to show.
    pub(super) access: &'a Access,
}

impl Question<'_> {
    /// Asks the stores one after the other, until one answers. Where nothing is behind a URL, nobody is
    /// asked. Returns what time the store has, seconds since 1970, where it says so.
    pub(super) fn ask(self, within: Duration) -> Result<Option<u64>, Unreached> {
        let until = Instant::now() + within;
        if !needs_network(self.chain, self.files) {
            return Ok(None);
        }
        if !needs_network(self.chain, &[]) {
            return self.ask_for_files(until).map(|()| None);
        }
        let mut reasons = Vec::new();
        for url in self.chain.iter().filter(|text| is_url(text)) {
            match self.ask_store(url, until) {
                Err(Unreached::Silent(why)) => reasons.push(why),
                other => return other,
            }
        }
        Err(Unreached::Silent(reasons.join("; ")))
    }

    fn ask_store(self, url: &str, until: Instant) -> Result<Option<u64>, Unreached> {
        look_up(self.asked(url), self.resolvers, NAMES.min(left(until)))?;
        let store = HttpStore::with(url, at_most(REACH, left(until)), self.access);
        let store = store.map_err(|error| error.to_string())?;
        let manifest = match self.label {
            Some(label) => label_of(&store, label, until)?,
            None => list_of(&store, until).map(|()| None)?,
        };
        let time = store.server_time_unix_s();
        if let Some(manifest) = manifest {
            self.ask_for_more(url, manifest, until)?;
        }
        Ok(time)
    }

    /// Asks for so much that it does not come in one packet. Only that nothing comes counts, twice: a
    /// store that refuses it has answered, and one whose disk slept is awake then.
    fn ask_for_more(self, url: &str, manifest: Digest, until: Instant) -> Result<(), Unreached> {
        let store = HttpStore::with(url, LONG_ANSWER, self.access);
        let store = store.map_err(|error| error.to_string())?;
        let item = Item::Manifest(manifest);
        let mut came_bytes = 0;
        for _ in 0..LONG_TRIES {
            // Cut short it would prove nothing.
            if left(until) < LONG_ANSWER.silence {
                return Ok(());
            }
            let until = until.min(Instant::now() + LONG);
            let read = store.open(&item, Some(0..LONG_BYTES)).and_then(|body| {
                let read = io::copy(&mut Until { inner: body.reader, until }, &mut io::sink());
                read.map_err(|error| from_io(error, &store, &item))
            });
            match read {
                Err(SourceError::Stalled { found, .. }) => came_bytes = found,
                _ => return Ok(()),
            }
        }
        Err(Unreached::LongOnesVanish(format!(
            "short answers come from {}, of a long one {came_bytes} bytes",
            store.name()
        )))
    }

    /// Who is to have an address: the store, or the proxy in its place.
    fn asked<'b>(&'b self, url: &'b str) -> &'b str {
        let proxy = self.access.proxy.as_ref().filter(|proxy| proxy.is_for(url));
        proxy.map_or(url, Proxy::name)
    }

    /// Asks for the files that are behind URLs.
    fn ask_for_files(self, until: Instant) -> Result<(), Unreached> {
        let mut reasons = Vec::new();
        for file in self.files.iter().filter(|file| is_url(&file.from)) {
            let access = for_file(self.access, &file.from, self.chain);
            if let Err(why) =
                look_up(self.asked(&file.from), self.resolvers, NAMES.min(left(until)))
            {
                reasons.push(why);
                continue;
            }
            match Remote::of(file, at_most(REACH, left(until)), &access).map(|file| file.ask()) {
                Ok(Err(error)) if is_silence(&error) => reasons.push(ends(&error)),
                Ok(_) => return Ok(()),
                Err(error) => reasons.push(error.to_string()),
            }
        }
        Err(Unreached::Silent(reasons.join("; ")))
    }
}

/// Asks for a label's record; the digest of its manifest, where it is one.
fn label_of(store: &HttpStore, name: &LabelName, until: Instant) -> Result<Option<Digest>, String> {
    let bytes = answer(store, &Item::Label(name.clone()), RECORD_MAX_BYTES as u64, until)?;
    Ok(LabelRecord::decode(&bytes, name).ok().map(|record| record.manifest))
}

fn list_of(store: &HttpStore, until: Instant) -> Result<(), String> {
    answer(store, &Item::LabelList, BEGINNING_BYTES, until).map(drop)
}

/// The beginning of an item, empty where the store says that there is none; why this is no store's
/// answer, if it is none.
fn answer(
    store: &HttpStore,
    item: &Item,
    most_bytes: u64,
    until: Instant,
) -> Result<Vec<u8>, String> {
    let read = store.open(item, None).and_then(|body| {
        let mut bytes = Vec::new();
        let read = Until { inner: body.reader, until }.take(most_bytes).read_to_end(&mut bytes);
        read.map(|_| bytes).map_err(|error| from_io(error, store, item))
    });
    match read {
        Ok(bytes) if is_page(&bytes) => Err(page(store)),
        Ok(bytes) => Ok(bytes),
        Err(error) if error.is_page() => Err(page(store)),
        Err(error) if error.is_elsewhere() || is_silence(&error) => Err(ends(&error)),
        Err(_) => Ok(Vec::new()),
    }
}

/// Reads until a moment: each read has an end of its own, but a store that drips has many.
struct Until<R> {
    inner: R,
    until: Instant,
}

impl<R: Read> Read for Until<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if Instant::now() >= self.until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.inner.read(into)
    }
}

fn page(store: &HttpStore) -> String {
    let name = store.name();
    format!("{name} answers with a page of HTML (a portal, or a proxy's own)")
}

/// Whether it is HTML, whatever its type is said to be: neither a record nor a list begins so.
fn is_page(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    text.trim_ascii_start().starts_with(b"<")
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(LEAST)
}

/// The same waits, none of them longer than what is left.
fn at_most(timeouts: Timeouts, left: Duration) -> Timeouts {
    Timeouts {
        connect: timeouts.connect.min(left),
        silence: timeouts.silence.min(left),
        rate_window: timeouts.rate_window.min(left),
        ..timeouts
    }
}

/// What failed and the innermost why; the layers between say nothing more.
fn ends(error: &SourceError) -> String {
    match &crate::report::causes(error)[..] {
        [first, .., last] => format!("{first}: {last}"),
        causes => causes.concat(),
    }
}

/// True if the store did not answer: nobody did, or somebody who is not the store.
fn is_silence(error: &SourceError) -> bool {
    matches!(
        error,
        SourceError::Io { .. }
            | SourceError::Stalled { .. }
            | SourceError::Certificate { .. }
            | SourceError::Proxy { .. }
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::{JoinHandle, spawn};

    use super::*;

    fn answering(answer: &'static str) -> (String, JoinHandle<()>) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/store", server.local_addr().unwrap());
        let thread = spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        (url, thread)
    }

    fn reach(
        chain: &[String],
        label: Option<&LabelName>,
        files: &[FileRequest],
    ) -> Result<Option<u64>, Unreached> {
        Question { chain, label, files, resolvers: &[], access: &Access::default() }.ask(UNHURRIED)
    }

    #[test]
    fn any_answer_is_an_answer_and_silence_is_none() {
        let label: LabelName = "debian/12".parse().unwrap();
        let (url, thread) = answering(
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\
             Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
        );
        let reached = reach(&["/srv".into(), url.clone()], Some(&label), &[]);
        assert!(matches!(reached, Ok(Some(784_111_777..))), "{reached:?}");
        thread.join().unwrap();
        let file =
            FileRequest { path: b"a".to_vec(), from: url.clone(), mode: 0o644, digest: None };
        for refused in [reach(&[url], None, &[]), reach(&["/srv".into()], Some(&label), &[file])] {
            let Err(Unreached::Silent(refused)) = refused else { panic!("{refused:?}") };
            assert!(refused.to_lowercase().contains("refused"), "{refused}");
        }
        assert_eq!(reach(&[], None, &[]), Ok(None));
    }

    #[test]
    fn a_page_is_no_store() {
        let label: LabelName = "debian/12".parse().unwrap();
        for (answer, expected) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n<p>",
                "answers with a page of HTML (a portal, or a proxy's own)",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n \r\n<html",
                "answers with a page of HTML (a portal, or a proxy's own)",
            ),
            (
                "HTTP/1.1 511 Log In\r\nContent-Length: 0\r\n\r\n",
                "found 511 Network Authentication Required",
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: https://portal/\r\nContent-Length: 0\r\n\r\n",
                "found a redirect to https://portal/",
            ),
        ] {
            for label in [Some(&label), None] {
                let (url, thread) = answering(answer);
                let reached = reach(&[url], label, &[]);
                let Err(Unreached::Silent(why)) = reached else { panic!("{answer} {reached:?}") };
                assert!(why.ends_with(expected), "{why}");
                thread.join().unwrap();
            }
        }
        let (url, thread) = answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(reach(&[url], Some(&label), &[]), Ok(None));
        thread.join().unwrap();
    }
}
