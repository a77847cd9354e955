//! One reply, right or spoilt: bytes to read, and what becomes of the connection then.

use super::Served;
use super::date::imf;
use super::fault::Fault;
use super::request::Request;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// What a captive portal says of itself.
const PORTAL: &str = "<!DOCTYPE html><html><body>Please log in</body></html>\n";

/// What happens to the connection after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The next request is read.
    KeepAlive,
    /// It is closed.
    Close,
    /// It is torn (RST), once all that was sent has arrived.
    Tear,
    /// It stays open and nothing more comes.
    Hang,
}

/// A reply, to be read to its end and sent.
#[derive(Debug)]
pub struct Reply {
    /// What is written down of it: final before the first byte is read.
    pub served: Served,
    /// Then.
    pub after: After,
    /// Bytes a second at most; the sender keeps to it.
    pub rate: Option<u64>,
    head: Cursor<Vec<u8>>,
    body: Option<Part>,
}

/// What is sent of a file.
#[derive(Debug)]
struct Part {
    file: io::Take<File>,
    /// Of the next byte.
    offset: u64,
    /// Where a bit is flipped.
    flipped: Option<u64>,
}

impl Reply {
    /// The same with a `Date` (RFC 9110, section 6.6.1), seconds since 1970; what is not HTTP has none.
    #[must_use]
    pub fn dated(mut self, unix_s: u64) -> Self {
        let line_end = self.head.get_ref().windows(2).position(|two| two == b"\r\n");
        if let Some(at) = line_end.filter(|_| self.served.status > 0) {
            let date = format!("\r\nDate: {}", imf(unix_s));
            self.head.get_mut().splice(at..at, date.into_bytes());
        }
        self
    }
}

impl Read for Reply {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match (self.head.read(into)?, &mut self.body) {
            (0, Some(part)) => part.read(into),
            (read, _) => Ok(read),
        }
    }
}

impl Read for Part {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        if let Some(flipped) = self.flipped {
            flip(&mut into[..read], self.offset, flipped);
        }
        self.offset += read as u64;
        Ok(read)
    }
}

/// The answer to CONNECT (RFC 9110, section 9.3.6), after which the connection is a tunnel.
pub fn tunnel(request: &Request, fault: Option<&Fault>) -> Reply {
    let said = Said { request, fault };
    match fault {
        Some(Fault::Status(status)) => said.short(*status, "", After::Close),
        _ => said.reply(200, line(200) + "\r\n", 0, After::KeepAlive),
    }
}

/// Answers one request from the files under `root`.
pub fn reply(root: &Path, request: &Request, fault: Option<&Fault>) -> io::Result<Reply> {
    let after = if request.keep_alive { After::KeepAlive } else { After::Close };
    let said = Said { request, fault };
    match fault {
        Some(Fault::Hangup) => return Ok(said.raw("", After::Close)),
        Some(Fault::Silence) => return Ok(said.raw("", After::Hang)),
        Some(Fault::HalfHead) => return Ok(said.raw("HTTP/1.1 200 OK\r\nContent-Le", After::Hang)),
        Some(Fault::Garbage) => {
            return Ok(said.raw("\x16\x03\x01 this is not HTTP\r\n\r\n", After::Close));
        }
        Some(Fault::Status(status)) => return Ok(said.short(*status, "", after)),
        Some(Fault::Later { status, after_s }) => {
            return Ok(said.short(*status, &format!("Retry-After: {after_s}\r\n"), after));
        }
        Some(Fault::Redirect(place)) => {
            return Ok(said.short(302, &format!("Location: {place}\r\n"), after));
        }
        Some(Fault::Portal) => {
            return Ok(said.text(200, "Content-Type: text/html\r\n", PORTAL, after));
        }
        Some(Fault::QuietPortal) => return Ok(said.text(200, "", PORTAL, after)),
        _ => {}
    }
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Ok(said.short(405, "Allow: GET, HEAD\r\n", after));
    }
    match open(root, &request.path) {
        Some((file, size)) => said.file(file, size, after),
        None => Ok(said.short(404, "", after)),
    }
}

/// What every reply to a request starts from.
#[derive(Clone, Copy)]
struct Said<'a> {
    request: &'a Request,
    fault: Option<&'a Fault>,
}

impl Said<'_> {
    fn reply(self, status: u16, head: String, bytes: u64, after: After) -> Reply {
        let served = Served {
            method: self.request.method.clone(),
            path: self.request.path.clone(),
            status,
            start: 0,
            bytes,
            spoilt: self.fault.is_some(),
        };
        let rate = if let Some(Fault::Slow(rate)) = self.fault { Some(*rate) } else { None };
        Reply { served, after, rate, head: Cursor::new(head.into_bytes()), body: None }
    }

    fn raw(self, bytes: &str, after: After) -> Reply {
        self.reply(0, bytes.to_owned(), 0, after)
    }

    fn short(self, status: u16, headers: &str, after: After) -> Reply {
        self.text(status, headers, &format!("{status}\n"), after)
    }

    fn text(self, status: u16, headers: &str, body: &str, after: After) -> Reply {
        let length = body.len();
        let head = line(status) + headers + &format!("Content-Length: {length}\r\n\r\n{body}");
        self.reply(status, head, length as u64, after)
    }

    fn file(self, mut file: File, size: u64, after: After) -> io::Result<Reply> {
        let (request, fault) = (self.request, self.fault);
        let range = request.range.filter(|_| fault != Some(&Fault::IgnoreRange));
        let (status, start, length) = match range.map(|range| range.within(size)) {
            None => (200, 0, size),
            Some(Some((start, length))) => (206, start, length),
            Some(None) => {
                return Ok(self.short(416, &format!("Content-Range: bytes */{size}\r\n"), after));
            }
        };
        let head = line(status)
            + &self.length(length)
            + "Accept-Ranges: bytes\r\n"
            + &self.headers(status, start, length, size)
            + "\r\n";
        if request.method == "HEAD" {
            return Ok(self.reply(status, head, 0, after));
        }
        let (sent, after) = self.end(length, after);
        file.seek(SeekFrom::Start(start))?;
        let flipped =
            if let Some(Fault::FlipBit { offset }) = fault { Some(*offset) } else { None };
        let mut reply = self.reply(status, head, sent, after);
        reply.served.start = start;
        reply.body = Some(Part { file: file.take(sent), offset: start, flipped });
        Ok(reply)
    }

    /// How the head says where the body ends.
    fn length(self, length: u64) -> String {
        match self.fault {
            Some(Fault::NoLength) => String::new(),
            Some(Fault::TwoLengths) => format!("Content-Length: 7\r\nContent-Length: {length}\r\n"),
            Some(Fault::WrongLength(claimed)) => format!("Content-Length: {claimed}\r\n"),
            _ => format!("Content-Length: {length}\r\n"),
        }
    }

    fn headers(self, status: u16, start: u64, length: u64, size: u64) -> String {
        let (first, last) = match self.fault {
            Some(Fault::OtherRange) => (start.saturating_sub(1), start + length - 2),
            _ => (start, (start + length).saturating_sub(1)),
        };
        let range =
            (status == 206).then(|| format!("Content-Range: bytes {first}-{last}/{size}\r\n"));
        let more = match self.fault {
            Some(Fault::SaysGzip) => Some("Content-Encoding: gzip\r\n".to_owned()),
            Some(Fault::Header(header)) => Some(format!("{header}\r\n")),
            _ => None,
        };
        range.unwrap_or_default() + &more.unwrap_or_default()
    }

    /// How much of the body is sent, and what follows.
    fn end(self, length: u64, after: After) -> (u64, After) {
        match self.fault {
            // The client may wait for what was promised, or read too little.
            Some(Fault::CutBody { after_bytes }) => (length.min(*after_bytes), After::Close),
            Some(Fault::TearBody { after_bytes }) => (length.min(*after_bytes), After::Tear),
            Some(Fault::Stall { after_bytes }) if *after_bytes < length => {
                (*after_bytes, After::Hang)
            }
            Some(Fault::WrongLength(_) | Fault::NoLength | Fault::TwoLengths) => {
                (length, After::Close)
            }
            _ => (length, after),
        }
    }
}

/// Flips the bit at `offset` of the file, if it is in this part of it.
fn flip(part: &mut [u8], part_offset: u64, offset: u64) {
    let index = offset.checked_sub(part_offset).and_then(|index| usize::try_from(index).ok());
    if let Some(byte) = index.and_then(|index| part.get_mut(index)) {
        *byte ^= 1;
    }
}

fn line(status: u16) -> String {
    let reason = match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "As The Test Wants",
    };
    format!("HTTP/1.1 {status} {reason}\r\n")
}

/// The regular file that a path means, if it stays under `root`.
fn open(root: &Path, path: &str) -> Option<(File, u64)> {
    let relative = PathBuf::from(path.trim_start_matches('/'));
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    let file = File::open(root.join(relative)).ok()?;
    let metadata = file.metadata().ok()?;
    metadata.is_file().then_some((file, metadata.len()))
}
