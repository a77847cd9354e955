//! One reply, right or spoilt, down to its bytes.

use crate::fault::{At, Fault, Framing, How};
use crate::server::{MOVED, Request, Shared};
use std::io::Write;
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

/// Between two bytes of [`How::Drip`].
const DRIP: Duration = Duration::from_millis(600);

/// What is sent at once of what has no end.
static ENDLESS: [u8; 65_536] = [0; 65_536];

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next request is read.
    Next,
    /// It is closed.
    Close,
    /// It is torn.
    Rst,
}

/// What follows the bytes of a reply.
#[derive(Debug)]
enum Then<'a> {
    Next,
    Break(How),
    /// The rest, byte by byte.
    Drip(Vec<u8>),
    /// This for ever.
    Repeat(&'a [u8]),
}

/// A reply as it goes over the wire.
pub(crate) struct Reply<'a> {
    head: Vec<u8>,
    body: &'a [u8],
    tail: Vec<u8>,
    /// Where in the item the body starts, bytes.
    start: u64,
    then: Then<'a>,
}

impl<'a> Reply<'a> {
    fn only(head: Vec<u8>, then: Then<'a>) -> Self {
        Self { head, body: &[], tail: Vec::new(), start: 0, then }
    }

    /// The bytes of the item that it has.
    pub(crate) fn bytes(&self) -> Range<u64> {
        self.start..self.start + self.body.len() as u64
    }

    /// Sends it. A client that goes away ends the connection.
    pub(crate) fn send(self, mut to: &TcpStream, server: &Shared) -> After {
        let parts = [&self.head[..], self.body, &self.tail];
        if parts.into_iter().any(|part| to.write_all(part).is_err()) {
            return After::Close;
        }
        match self.then {
            Then::Next => return After::Next,
            Then::Break(How::Rst) => return After::Rst,
            Then::Break(How::Stall) => server.wait_for_end(),
            Then::Break(How::Fin | How::Drip) => {}
            Then::Drip(rest) => {
                for byte in rest {
                    if server.ends_within(DRIP) || to.write_all(&[byte]).is_err() {
                        break;
                    }
                }
            }
            Then::Repeat(bytes) => {
                while to.write_all(bytes).is_ok() && !server.ends_within(Duration::ZERO) {}
            }
        }
        After::Close
    }
}

/// What is answered to `request` for an item with the bytes `file`.
pub(crate) fn reply<'a>(
    request: &Request,
    file: Option<&'a [u8]>,
    fault: Option<&Fault>,
) -> Reply<'a> {
    let status = |line: &str, headers: &[&str]| {
        let mut head = format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n");
        head.extend(headers.iter().flat_map(|header| [*header, "\r\n"]));
        Reply::only((head + "\r\n").into_bytes(), Then::Next)
    };
    match fault {
        Some(Fault::Status(line, headers)) => return status(line, headers),
        Some(Fault::RedirectOnce | Fault::RedirectLoop) => {
            let to = format!("location: {MOVED}{}", request.path);
            return status("307 Temporary Redirect", &[&to]);
        }
        Some(Fault::Html(kind)) => return page(*kind),
        Some(Fault::Raw(bytes)) => return Reply::only(bytes.to_vec(), Then::Break(How::Fin)),
        Some(Fault::RawEndless(bytes)) => return Reply::only(Vec::new(), Then::Repeat(bytes)),
        Some(Fault::Restart) => return Reply::only(Vec::new(), Then::Break(How::Fin)),
        _ => {}
    }
    let Some(file) = file else { return status("404 Not Found", &[]) };
    let length = file.len() as u64;
    let mut range = request.range.clone().unwrap_or(0..length);
    if request.range.is_some() && range.start >= length {
        let unsatisfied = format!("content-range: bytes */{length}");
        return status("416 Range Not Satisfiable", &[&unsatisfied]);
    }
    range.end = range.end.min(length); // as RFC 9110, section 14.1.2 wants it
    item(request, file, range, fault)
}

fn page(kind: Option<&str>) -> Reply<'static> {
    let page = "<html><body>Please log in</body></html>";
    let kind = kind.map(|kind| format!("content-type: {kind}\r\n")).unwrap_or_default();
    let head = format!("HTTP/1.1 200 OK\r\n{kind}content-length: {}\r\n\r\n", page.len());
    Reply::only((head + page).into_bytes(), Then::Next)
}

/// A reply with bytes of the item.
fn item<'a>(
    request: &Request,
    file: &'a [u8],
    mut range: Range<u64>,
    fault: Option<&Fault>,
) -> Reply<'a> {
    let mut part = request.range.is_some();
    match fault {
        Some(Fault::WholeForRange) => (range, part) = (0..file.len() as u64, false),
        Some(Fault::RangeEarlier) => range = range.start.saturating_sub(1)..range.end - 1,
        Some(Fault::RangeShorter) => range.end -= 1,
        Some(Fault::PartForWhole) => part = true,
        _ => {}
    }
    let body = &file[range.start as usize..range.end as usize];
    let mut head =
        if part { "HTTP/1.1 206 Partial Content\r\n" } else { "HTTP/1.1 200 OK\r\n" }.to_owned();
    if let Some(Fault::RawBefore(bytes)) = fault {
        head.insert_str(0, &String::from_utf8_lossy(bytes));
    }
    head += "content-type: application/octet-stream\r\n";
    if part && fault != Some(&Fault::RangeUnsaid) {
        let (first, last, total) = (range.start, range.end - 1, file.len());
        head.extend([format!("content-range: bytes {first}-{last}/{total}\r\n")]);
    }
    if let Some(Fault::Header(lines)) = fault {
        head.extend(lines.iter().flat_map(|line| [*line, "\r\n"]));
    }
    let framing = if let Some(Fault::Framing(framing)) = fault { Some(*framing) } else { None };
    let mut reply = framed(head, body, range.start, framing);
    if let Some(Fault::Break(at, how)) = fault {
        reply.break_at(*at, *how);
    }
    reply
}

/// Head and body as `framing` says; without it by the right length.
fn framed(mut head: String, body: &[u8], start: u64, framing: Option<Framing>) -> Reply<'_> {
    let length = body.len();
    let chunk = format!("transfer-encoding: chunked\r\n\r\n{length:x}\r\n");
    let counted = |length: usize| format!("content-length: {length}\r\n");
    let right = counted(length);
    let (lines, tail, then) = match framing {
        None => (right + "\r\n", "", Then::Next),
        Some(Framing::LengthOff(by)) => {
            (counted(length.saturating_add_signed(by)) + "\r\n", "", Then::Break(How::Fin))
        }
        Some(Framing::LengthText(text)) => {
            (format!("content-length: {text}\r\n\r\n"), "", Then::Break(How::Fin))
        }
        Some(Framing::Doubled) => (right.repeat(2) + "\r\n", "", Then::Next),
        Some(Framing::DoubledOther) => (counted(7) + &right + "\r\n", "", Then::Break(How::Fin)),
        Some(Framing::Close) => ("\r\n".into(), "", Then::Break(How::Fin)),
        Some(Framing::Chunked) => (chunk, "\r\n0\r\n\r\n", Then::Next),
        Some(Framing::ChunkedOpen) => (chunk, "\r\n", Then::Break(How::Stall)),
        Some(Framing::ChunkedMore) => (chunk, "\r\n1\r\nx\r\n0\r\n\r\n", Then::Next),
        Some(Framing::Surplus) => (right + "\r\n", "more", Then::Next),
        Some(Framing::Endless) => ("\r\n".into(), "", Then::Repeat(&ENDLESS)),
    };
    head += &lines;
    Reply { head: head.into_bytes(), body, tail: tail.into(), start, then }
}

impl Reply<'_> {
    /// Leaves out what lies after `at`, and ends by `how`.
    fn break_at(&mut self, at: At, how: How) {
        let head = match at {
            At::Request => 0,
            At::StatusLine => "HTTP/1.1 2".len(),
            At::Head => self.head.len() / 2,
            At::Byte(_) | At::After(_) => self.head.len(),
        };
        let body = match at {
            At::Request | At::StatusLine | At::Head => 0,
            At::Byte(byte) => byte.saturating_sub(self.start),
            At::After(bytes) => bytes,
        };
        let body = (body as usize).min(self.body.len());
        let rest = [&self.head[head..], &self.body[body..]].concat();
        self.head.truncate(head);
        self.body = &self.body[..body];
        self.then = if how == How::Drip { Then::Drip(rest) } else { Then::Break(how) };
    }
}
