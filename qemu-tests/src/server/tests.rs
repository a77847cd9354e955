//! Dialogues with the server, through a socket.

use super::*;
use std::fs;
use wire::http::Fault;

fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("packs")).unwrap();
    fs::write(root.path().join("packs/a"), "0123456789").unwrap();
    root
}

/// Everything that the server says to `requests` on one connection.
fn dialogue(server: &StaticServer, requests: &str) -> String {
    let mut connection = TcpStream::connect(server.address).unwrap();
    connection.write_all(requests.as_bytes()).unwrap();
    connection.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _reset_is_an_end_too = connection.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(server: &StaticServer, range: &str) -> String {
    dialogue(server, &format!("GET /packs/a HTTP/1.1\r\nConnection: close\r\n{range}\r\n"))
}

#[test]
fn a_connection_carries_many_requests() {
    let root = root();
    let server = StaticServer::of(root.path()).unwrap();
    let answer = dialogue(
        &server,
        "HEAD /packs/a HTTP/1.1\r\n\r\nGET /packs/a HTTP/1.1\r\nRange: bytes=2-4\r\n\r\n\
         GET /packs/../../etc/passwd HTTP/1.1\r\n\r\nGET /packs HTTP/1.1\r\n\r\n\
         GET /packs/a HTTP/1.1\r\nRange: bytes=10-\r\n\r\nPUT /packs/a HTTP/1.1\r\n\r\n",
    );
    assert_eq!(
        answer,
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nAccept-Ranges: bytes\r\n\r\n\
         HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\nAccept-Ranges: bytes\r\n\
         Content-Range: bytes 2-4/10\r\n\r\n234\
         HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n404\n\
         HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n404\n\
         HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */10\r\nContent-Length: 4\r\n\r\n416\n\
         HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 4\r\n\r\n405\n"
    );
    assert_eq!((server.requests(), server.bytes()), (6, 3 + 4 * 4));
    assert_eq!(server.served()[1].status, 206);
    server.forget();
    assert_eq!(server.requests(), 0);
}

#[test]
fn every_fault_shows_and_then_the_store_is_right_again() {
    let root = root();
    let right = "0123456789";
    for (fault, range, status, end) in [
        (Fault::Status(503), "", "HTTP/1.1 503", "503\n"),
        (Fault::Redirect("/b".into()), "", "HTTP/1.1 302 Found\r\nLocation: /b", "302\n"),
        (Fault::IgnoreRange, "Range: bytes=2-4\r\n", "HTTP/1.1 200", right),
        (Fault::Hangup, "", "", ""),
        (Fault::Garbage, "", "\u{16}\u{3}", "this is not HTTP\r\n\r\n"),
        (Fault::CutBody { after_bytes: 4 }, "", "HTTP/1.1 200 OK\r\nContent-Length: 10", "\n0123"),
        (Fault::FlipBit { offset: 5 }, "", "HTTP/1.1 200", "0123446789"),
        (Fault::FlipBit { offset: 5 }, "Range: bytes=4-6\r\n", "HTTP/1.1 206", "\n446"),
        (Fault::FlipBit { offset: 5 }, "Range: bytes=6-\r\n", "HTTP/1.1 206", "\n6789"),
        (Fault::TearBody { after_bytes: 0 }, "", "HTTP/1.1 200 OK\r\nContent-Length: 10", "\r\n"),
        (Fault::NoLength, "", "HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\n\r\n", right),
        (
            Fault::TwoLengths,
            "",
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 10",
            right,
        ),
        (
            Fault::OtherRange,
            "Range: bytes=2-4\r\n",
            "HTTP/1.1 206 Partial Content",
            "bytes 1-3/10\r\n\r\n234",
        ),
        (Fault::SaysGzip, "", "HTTP/1.1 200 OK", "Content-Encoding: gzip\r\n\r\n0123456789"),
        (Fault::Portal, "", "HTTP/1.1 200 OK\r\nContent-Type: text/html", "</html>\n"),
        (Fault::Slow(1000), "", "HTTP/1.1 200 OK", right),
        (Fault::WrongLength(99), "", "HTTP/1.1 200 OK\r\nContent-Length: 99", right),
    ] {
        let table = vec![Misbehaviour::once("packs/", fault.clone())];
        let server = StaticServer::misbehaving(root.path(), table).unwrap();
        let spoilt = get(&server, range);
        assert!(spoilt.starts_with(status) && spoilt.ends_with(end), "{fault:?}: {spoilt:?}");
        assert!(get(&server, "").ends_with(right), "after {fault:?}");
        assert_eq!(server.served().iter().map(|s| s.spoilt).collect::<Vec<_>>(), [true, false]);
    }
}

#[test]
fn a_stall_lasts_until_the_server_ends() {
    let root = root();
    let stall = Misbehaviour::always("", Fault::Stall { after_bytes: 4 });
    let server = StaticServer::misbehaving(root.path(), vec![stall]).unwrap();
    let mut connection = TcpStream::connect(server.address).unwrap();
    connection.write_all(b"GET /packs/a HTTP/1.1\r\n\r\n").unwrap();
    let mut heard = String::new();
    while !heard.ends_with("\n0123") {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        heard.push(char::from(byte[0]));
    }
    connection.set_nonblocking(true).unwrap();
    let more = connection.read(&mut [0]).unwrap_err();
    assert_eq!(more.kind(), std::io::ErrorKind::WouldBlock);
    connection.set_nonblocking(false).unwrap();
    drop(server);
    assert_eq!(connection.read(&mut [0]).unwrap(), 0);
}
