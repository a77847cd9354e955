//! One reply, right or spoilt.

use super::fault::Fault;
use super::request::Request;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

/// What happens to the connection after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next request is read.
    KeepAlive,
    /// It is closed.
    Close,
    /// It stays open and nothing more comes.
    Hang,
}

/// What was said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// 0 where it was not HTTP.
    pub(super) status: u16,
    /// Of the body.
    pub(super) bytes: u64,
    pub(super) after: After,
}

/// Answers one request from the files under `root`.
pub(super) fn reply(
    root: &Path,
    request: &Request,
    fault: Option<&Fault>,
    output: &mut impl Write,
) -> Result<Said> {
    let after = if request.keep_alive { After::KeepAlive } else { After::Close };
    match fault {
        Some(Fault::Hangup) => return Ok(Said { status: 0, bytes: 0, after: After::Close }),
        Some(Fault::Garbage) => {
            output
                .write_all(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
                .context("sending garbage")?;
            return Ok(Said { status: 0, bytes: 0, after: After::Close });
        }
        Some(Fault::Status(status)) => return short(output, *status, "", after),
        Some(Fault::Redirect(place)) => {
            return short(output, 302, &format!("Location: {place}\r\n"), after);
        }
        _ => {}
    }
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return short(output, 405, "Allow: GET, HEAD\r\n", after);
    }
    let Some((file, size)) = open(root, &request.path) else {
        return short(output, 404, "", after);
    };
    file_reply(file, size, request, fault, after, output)
}

fn file_reply(
    file: File,
    size: u64,
    request: &Request,
    fault: Option<&Fault>,
    after: After,
    output: &mut impl Write,
) -> Result<Said> {
    let range = request.range.filter(|_| fault != Some(&Fault::IgnoreRange));
    let (status, start, length) = match range.map(|range| range.within(size)) {
        None => (200, 0, size),
        Some(Some((start, length))) => (206, start, length),
        Some(None) => {
            return short(output, 416, &format!("Content-Range: bytes */{size}\r\n"), after);
        }
    };
    let claimed = if let Some(Fault::WrongLength(claimed)) = fault { *claimed } else { length };
    let content_range = match status {
        206 => format!("Content-Range: bytes {start}-{}/{size}\r\n", start + length - 1),
        _ => String::new(),
    };
    write!(
        output,
        "{}Content-Length: {claimed}\r\nAccept-Ranges: bytes\r\n{content_range}\r\n",
        head(status)
    )
    .context("sending a head")?;
    if request.method == "HEAD" {
        return Ok(Said { status, bytes: 0, after });
    }
    let bytes = send(file, start, length, fault, output)?;
    output.flush().context("sending a body")?;
    let after = match fault {
        Some(Fault::Stall { .. }) if bytes < length => After::Hang,
        // The client may wait for what was promised, or read too little.
        Some(Fault::CutBody { .. } | Fault::WrongLength(_)) => After::Close,
        _ => after,
    };
    Ok(Said { status, bytes, after })
}

/// Sends the body as far as the fault lets it.
fn send(
    mut file: File,
    start: u64,
    length: u64,
    fault: Option<&Fault>,
    output: &mut impl Write,
) -> Result<u64> {
    let length = match fault {
        Some(Fault::CutBody { after_bytes } | Fault::Stall { after_bytes }) => {
            length.min(*after_bytes)
        }
        _ => length,
    };
    file.seek(SeekFrom::Start(start)).context("seeking in a stored file")?;
    let mut file = file.take(length);
    let mut block = vec![0; 64 << 10];
    let mut sent = 0;
    while sent < length {
        let got = file.read(&mut block).context("reading a stored file")?;
        if got == 0 {
            break; // it became shorter while it was sent
        }
        let part = &mut block[..got];
        if let Some(Fault::FlipBit { offset }) = fault {
            flip(part, start + sent, *offset);
        }
        output.write_all(part).context("sending a body")?;
        sent += got as u64;
    }
    Ok(sent)
}

/// Flips the bit at `offset` of the file, if it is in this part of it.
fn flip(part: &mut [u8], part_offset: u64, offset: u64) {
    let index = offset.checked_sub(part_offset).and_then(|index| usize::try_from(index).ok());
    if let Some(byte) = index.and_then(|index| part.get_mut(index)) {
        *byte ^= 1;
    }
}

fn short(output: &mut impl Write, status: u16, headers: &str, after: After) -> Result<Said> {
    let body = format!("{status}\n");
    let head = head(status) + headers + &format!("Content-Length: {}\r\n\r\n", body.len());
    output.write_all((head + &body).as_bytes()).context("sending a short reply")?;
    Ok(Said { status, bytes: body.len() as u64, after })
}

fn head(status: u16) -> String {
    let reason = match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
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
