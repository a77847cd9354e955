//! A static web server that can misbehave in one way.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How the server misbehaves.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    None,
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// Nothing comes after so many bytes of the body.
    Stall(usize),
    /// Nothing comes at all.
    Silent,
    /// A byte, and a wait, for ever.
    Trickle(Duration),
    /// This status line, with a page.
    Status(&'static str),
    /// The whole file, whatever was asked for.
    NoRanges,
    /// The range before the one asked for.
    WrongRange,
    /// Another header.
    Header(&'static str),
    /// No length, and more than was asked for.
    ChunkedMore,
    /// To a URL of its own, for ever, or to what is given.
    Redirect(Option<&'static str>),
}

/// A running server; its thread ends with the test process.
pub struct Server {
    pub url: String,
    pub requests: Arc<AtomicUsize>,
    pub connections: Arc<AtomicUsize>,
}

pub fn serve(root: PathBuf, fault: Fault) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (requests, connections) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let (count, opened) = (Arc::clone(&requests), Arc::clone(&connections));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            opened.fetch_add(1, Ordering::Relaxed);
            let (root, fault, count) = (root.clone(), fault.clone(), Arc::clone(&count));
            std::thread::spawn(move || connection(&stream.unwrap(), &root, &fault, &count));
        }
    });
    Server { url, requests, connections }
}

fn connection(stream: &TcpStream, root: &Path, fault: &Fault, count: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((path, range)) = request(&mut reader) {
        count.fetch_add(1, Ordering::Relaxed);
        let file = std::fs::read(root.join(path.trim_start_matches('/')));
        if answer(stream, file.ok(), range, fault).is_none() {
            return;
        }
    }
}

fn request(reader: &mut impl BufRead) -> Option<(String, Option<Range<usize>>)> {
    let (mut path, mut range) = (None, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Some((path?, range));
        }
        let lower = line.to_ascii_lowercase();
        if let Some(rest) = line.strip_prefix("GET ") {
            path = rest.split(' ').next().map(str::to_owned);
        } else if let Some(bytes) = lower.strip_prefix("range: bytes=") {
            let (first, last) = bytes.split_once('-').unwrap();
            range = Some(first.parse().unwrap()..last.parse::<usize>().unwrap() + 1);
        } else if let Some(encoding) = lower.strip_prefix("accept-encoding: ") {
            assert_eq!(encoding, "identity");
        }
    }
}

/// Answers; `None` when the connection is over.
fn answer(
    mut out: &TcpStream,
    file: Option<Vec<u8>>,
    range: Option<Range<usize>>,
    fault: &Fault,
) -> Option<()> {
    if let Fault::Status(line) = fault {
        let page = "<html>no</html>";
        let head =
            format!("HTTP/1.1 {line}\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n");
        return out.write_all((head + page).as_bytes()).ok();
    }
    if let Fault::Redirect(to) = fault {
        let to = to.unwrap_or("/again");
        let head = format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
        return out.write_all(head.as_bytes()).ok();
    }
    if *fault == Fault::Silent {
        std::thread::sleep(Duration::from_secs(30));
        return None;
    }
    let Some(file) = file else {
        return out.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").ok();
    };
    let range = range.filter(|_| *fault != Fault::NoRanges);
    let mut head = match &range {
        Some(Range { start, end }) => {
            let shift = usize::from(*fault == Fault::WrongRange);
            let (first, last) = (start - shift, end - 1 - shift);
            format!("HTTP/1.1 206 P\r\ncontent-range: bytes {first}-{last}/{}\r\n", file.len())
        }
        None => "HTTP/1.1 200 OK\r\n".into(),
    };
    let body = &file[range.unwrap_or(0..file.len())];
    if let Fault::Header(line) = fault {
        head.extend([*line, "\r\n"]);
    }
    if *fault == Fault::ChunkedMore {
        head += "transfer-encoding: chunked\r\n\r\n";
        out.write_all(head.as_bytes()).ok()?;
        out.write_all(format!("{:x}\r\n", body.len()).as_bytes()).ok()?;
        out.write_all(body).ok()?;
        return out.write_all(b"\r\n1\r\nx\r\n0\r\n\r\n").ok();
    }
    let length = format!("content-length: {}\r\n\r\n", body.len());
    out.write_all((head + &length).as_bytes()).ok()?;
    match fault {
        Fault::Cut(after) => {
            out.write_all(&body[..body.len().min(*after)]).ok()?;
            None
        }
        Fault::Stall(after) => {
            out.write_all(&body[..*after]).ok()?;
            std::thread::sleep(Duration::from_secs(30));
            None
        }
        Fault::Trickle(wait) => {
            for byte in body {
                out.write_all(&[*byte]).ok()?;
                std::thread::sleep(*wait);
            }
            Some(())
        }
        _ => out.write_all(body).ok(),
    }
}
