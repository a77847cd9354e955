//! The machine's own files: fetched as stores are read, or taken from the initramfs.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use deploy::Patient;
use deploy::install::OwnFile;
use deploy::plan::human;
use store::http::{Access, HttpStore, HttpStoreError, Timeouts};
use store::source::{Body, Item, Source, SourceError, from_io};
use store::{Digest, is_url};

use crate::access::for_file;
use crate::config::{FileRequest, Settings};
use crate::console::Console;

/// One file, bytes: what belongs to one machine is a certificate or a script. Anything larger is
/// a label of its own, joined with `+`.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// All files, bytes: they are in memory until they are written.
const ALL_MAX_BYTES: u64 = 16 << 20;

/// A file that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The HTTP client could not be made.
    #[error("{file}")]
    Client {
        /// Its path in the root.
        file: String,
        /// Why.
        source: HttpStoreError,
    },
    /// The server did not give it.
    #[error("{file}")]
    Source {
        /// Its path in the root.
        file: String,
        /// Why.
        source: SourceError,
    },
    /// It could not be read from the initramfs.
    #[error("{file} from {from}")]
    Read {
        /// Its path in the root.
        file: String,
        /// Where it was looked for.
        from: String,
        /// Why.
        source: io::Error,
    },
    /// It is not what it is to be.
    #[error("{file} from {from}: expected {expected}, found {found}")]
    Wrong {
        /// Its path in the root.
        file: String,
        /// Where it is.
        from: String,
        /// What would be right.
        expected: String,
        /// What there is.
        found: String,
    },
}

/// Fetches all files that `settings` name, and says one line of each.
pub(super) fn fetch(
    settings: &Settings,
    access: &Access,
    console: &Console,
) -> Result<Vec<OwnFile>, FileError> {
    let mut left_bytes = ALL_MAX_BYTES;
    let mut fetched = Vec::new();
    for file in &settings.files {
        let access = for_file(access, &file.from, &settings.store);
        let (content, from) = content(file, &access, left_bytes)?;
        left_bytes -= content.len() as u64;
        let size = human(content.len() as u64);
        let proof = match file.digest {
            Some(_) => "its digest is right",
            None => "not checked, no blake3= was said",
        };
        console.say("files", &format!("{}: {size} from {from}, {proof}", shown(file)));
        let FileRequest { path, mode, .. } = file.clone();
        fetched.push(OwnFile { path, mode, content });
    }
    Ok(fetched)
}

/// The content of `file`, proven where that can be, and where it came from, without passwords.
fn content(
    file: &FileRequest,
    access: &Access,
    left_bytes: u64,
) -> Result<(Vec<u8>, String), FileError> {
    let (content, from) = if is_url(&file.from) {
        Remote::of(file, Timeouts::default(), access)?.read(left_bytes)?
    } else {
        (local(file, left_bytes)?, file.from.clone())
    };
    let found = Digest::of(&content);
    match file.digest {
        Some(expected) if expected != found => {
            let (expected, found) = (expected.to_string(), found.to_string());
            Err(wrong(file, &from, format!("the digest {expected}"), found))
        }
        _ => Ok((content, from)),
    }
}

/// A file behind a URL.
pub(super) struct Remote<'a> {
    file: &'a FileRequest,
    server: Arc<HttpStore>,
    item: Item,
}

impl<'a> Remote<'a> {
    /// The one that `file` names. Nothing is sent yet.
    pub(super) fn of(
        file: &'a FileRequest,
        timeouts: Timeouts,
        access: &Access,
    ) -> Result<Self, FileError> {
        let (directory, name) = file.from.rsplit_once('/').unwrap_or((&file.from, ""));
        let server = HttpStore::with(directory, timeouts, access);
        let server = server.map_err(|source| FileError::Client { file: shown(file), source })?;
        Ok(Self { file, server: Arc::new(server), item: Item::File(name.to_string()) })
    }

    /// Asks for it, once.
    pub(super) fn ask(&self) -> Result<Body, SourceError> {
        self.server.open(&self.item, None)
    }

    fn read(&self, left_bytes: u64) -> Result<(Vec<u8>, String), FileError> {
        let failed = |source| FileError::Source { file: shown(self.file), source };
        let from = format!("{}/{}", self.server.name(), self.item.path());
        let source = Patient::new(Arc::clone(&self.server) as Arc<dyn Source>);
        let body = source.open(&self.item, None).map_err(failed)?;
        let Some(length) = body.length_bytes else {
            // Its end could not be told from a connection that broke.
            let (expected, found) = ("a Content-Length".to_string(), "none".to_string());
            return Err(wrong(self.file, &from, expected, found));
        };
        check_size(self.file, &from, length, left_bytes)?;
        let mut content = Vec::new();
        let read = body.reader.take(length).read_to_end(&mut content);
        read.map_err(|error| failed(from_io(error, &source, &self.item)))?;
        Ok((content, from))
    }
}

/// A file of the initramfs.
fn local(file: &FileRequest, left_bytes: u64) -> Result<Vec<u8>, FileError> {
    let from = &file.from;
    let failed = |source| FileError::Read { file: shown(file), from: from.clone(), source };
    // Others, such as /dev/zero, have no end.
    if !Path::new(from).metadata().map_err(failed)?.is_file() {
        return Err(wrong(file, from, "a regular file".to_string(), "something else".to_string()));
    }
    let opened = File::open(from).map_err(failed)?;
    let mut content = Vec::new();
    let limit_bytes = FILE_MAX_BYTES.min(left_bytes);
    opened.take(limit_bytes + 1).read_to_end(&mut content).map_err(failed)?;
    check_size(file, from, content.len() as u64, left_bytes)?;
    Ok(content)
}

fn check_size(
    file: &FileRequest,
    from: &str,
    bytes: u64,
    left_bytes: u64,
) -> Result<(), FileError> {
    if bytes <= FILE_MAX_BYTES.min(left_bytes) {
        return Ok(());
    }
    let expected = if bytes > FILE_MAX_BYTES {
        format!("at most {}", human(FILE_MAX_BYTES))
    } else {
        let all = human(ALL_MAX_BYTES);
        format!("at most {} more, {all} with all files", human(left_bytes))
    };
    Err(wrong(file, from, expected, format!("{} or more", human(bytes))))
}

fn wrong(file: &FileRequest, from: &str, expected: String, found: String) -> FileError {
    FileError::Wrong { file: shown(file), from: from.to_string(), expected, found }
}

fn shown(file: &FileRequest) -> String {
    format!("/{}", file.path.escape_ascii())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::report::causes;

    fn request(from: &str, digest: Option<&[u8]>) -> FileRequest {
        let (path, from) = (b"etc/motd".to_vec(), from.to_string());
        FileRequest { path, from, mode: 0o644, digest: digest.map(Digest::of) }
    }

    /// What comes of a file whose server gives these answers, one for each connection.
    fn answered(answers: Vec<String>, digest: Option<&[u8]>, left_bytes: u64) -> String {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = server.local_addr().unwrap().to_string();
        let thread = thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = server.accept().unwrap();
                assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let file = request(&format!("http://u:secret@{host}/a/motd"), digest);
        let said = match content(&file, &Access::default(), left_bytes) {
            Ok((content, from)) => format!("{} from {from}", String::from_utf8(content).unwrap()),
            Err(error) => causes(&error).join(": "),
        };
        thread.join().unwrap();
        said.replace(&host, "h")
    }

    /// Answers, digest, room, and what comes of it.
    type Row<'a> = (Vec<String>, Option<&'a [u8]>, u64, &'a str);

    fn head(status: &str, headers: &str) -> String {
        format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n")
    }

    #[test]
    fn a_file_comes_whole_or_not_at_all() {
        let ok = |length: u64, body: &str| {
            vec![head("200 OK", &format!("Content-Length: {length}\r\n")) + body]
        };
        let part =
            head("206 Partial Content", "Content-Range: bytes 2-4/5\r\nContent-Length: 3\r\n");
        let table: [Row<'_>; 9] = [
            (ok(5, "hello"), None, 5, "hello from http://u@h/a/motd"),
            (ok(5, "hello"), Some(b"hello"), 5, "hello from http://u@h/a/motd"),
            (
                [ok(5, "he"), vec![part + "llo"]].concat(),
                Some(b"hello"),
                5,
                "hello from http://u@h/a/motd",
            ),
            (
                [vec![head("503 Service Unavailable", "Content-Length: 0\r\n")], ok(0, "")]
                    .concat(),
                None,
                5,
                " from http://u@h/a/motd",
            ),
            (
                vec![head("200 OK", "") + "hello"],
                None,
                5,
                "/etc/motd from http://u@h/a/motd: expected a Content-Length, found none",
            ),
            (
                vec![head("403 Forbidden", "Content-Length: 0\r\n")],
                None,
                5,
                "/etc/motd: file motd from http://u@h/a: expected status 200, found 403 Forbidden: \
                 no token was sent",
            ),
            (
                vec![head("404 Not Found", "Content-Length: 0\r\n")],
                None,
                5,
                "/etc/motd: file motd is not in the store http://u@h/a",
            ),
            (
                ok(6, ""),
                None,
                5,
                "/etc/motd from http://u@h/a/motd: expected at most 5 B more, 16.0 MiB with all \
                 files, found 6 B or more",
            ),
            (
                ok((4 << 20) + 1, ""),
                None,
                ALL_MAX_BYTES,
                "/etc/motd from http://u@h/a/motd: expected at most 4.0 MiB, found 4.0 MiB or more",
            ),
        ];
        for (answers, digest, left_bytes, expected) in table {
            assert_eq!(answered(answers, digest, left_bytes), expected);
        }
        let other = answered(ok(5, "hello"), Some(b"other"), 5);
        let (expected, found) = (Digest::of(b"other"), Digest::of(b"hello"));
        assert_eq!(
            other,
            format!(
                "/etc/motd from http://u@h/a/motd: expected the digest {expected}, found {found}"
            )
        );
    }

    #[test]
    fn a_file_of_the_initramfs_is_bounded_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("motd").display().to_string();
        let said = |from: &str, left_bytes| match content(
            &request(from, None),
            &Access::default(),
            left_bytes,
        ) {
            Ok((content, from)) => format!("{} from {from}", String::from_utf8(content).unwrap()),
            Err(error) => causes(&error).join(": "),
        };
        let missing = said(&path, 5);
        assert!(missing.starts_with(&format!("/etc/motd from {path}: No such file")), "{missing}");
        std::fs::write(&path, "hello").unwrap();
        assert_eq!(said(&path, 5), format!("hello from {path}"));
        assert!(said(&path, 4).contains("expected at most 4 B more"));
        assert_eq!(
            said("/dev/zero", 4),
            "/etc/motd from /dev/zero: expected a regular file, found something else"
        );
    }
}
