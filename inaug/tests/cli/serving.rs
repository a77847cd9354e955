//! `inaug serve`, asked by a plain TCP client.

use crate::support::{Bench, Server, image, inaug};
use std::io::{Read, Write};

const IMAGE_BLOCKS: u32 = 512;

fn served() -> (Bench, Server) {
    let bench = Bench::new();
    bench.push("debian/12/demo", &image(1, IMAGE_BLOCKS));
    let server = Server::start(&bench.store());
    (bench, server)
}

fn pack(bench: &Bench) -> (String, Vec<u8>) {
    let path = bench.stored("packs").remove(0);
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    (name, std::fs::read(path).unwrap())
}

#[test]
fn the_line_at_the_start_names_directory_and_url() {
    let (bench, server) = served();
    let expected = format!("serving {} at http://{}/store/\n", bench.store(), server.address);
    assert_eq!(server.line, expected);
    assert!(!server.address.ends_with(":0"));
    assert_eq!(server.ask("GET /healthz", &[]).body, b"ok\n");
    assert!(server.ask("GET /", &[]).body.starts_with(b"Inaugurator depot.\n"));
    assert_eq!(server.terminate(), 0);
}

#[test]
fn ranges_follow_the_rfc() {
    let (bench, server) = served();
    let (name, bytes) = pack(&bench);
    let (target, total) = (format!("GET /store/packs/{name}"), bytes.len());
    for (range, status, part, content_range) in [
        ("bytes=0-0", 206, 0..1, format!("bytes 0-0/{total}")),
        ("bytes=10-99", 206, 10..100, format!("bytes 10-99/{total}")),
        ("bytes=-5", 206, total - 5..total, format!("bytes {}-{}/{total}", total - 5, total - 1)),
        ("bytes=100-", 206, 100..total, format!("bytes 100-{}/{total}", total - 1)),
        ("bytes=0-1,4-5", 200, 0..total, String::new()),
        ("lines=0-1", 200, 0..total, String::new()),
    ] {
        let answer = server.ask(&target, &[&format!("Range: {range}")]);
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(answer.field("content-range"), content_range, "{range}");
        assert_eq!(answer.field("content-length"), part.len().to_string(), "{range}");
        assert!(answer.body == bytes[part], "{range}: other bytes");
    }
    let past = server.ask(&target, &[&format!("Range: bytes={total}-")]);
    assert_eq!((past.status, past.field("content-range")), (416, &*format!("bytes */{total}")));
    assert_eq!(past.body, b"");
}

#[test]
fn a_range_of_something_older_is_answered_whole() {
    let (bench, server) = served();
    let (name, bytes) = pack(&bench);
    let target = format!("GET /store/packs/{name}");
    let same = server.ask(&target, &["Range: bytes=0-3", &format!("If-Range: \"{name}\"")]);
    assert_eq!((same.status, same.body.len()), (206, 4));
    let older = server.ask(&target, &["Range: bytes=0-3", "If-Range: \"older\""]);
    assert_eq!((older.status, older.body.len()), (200, bytes.len()));
}

#[test]
fn what_a_digest_names_may_be_kept_and_a_label_must_be_asked_for() {
    let (bench, server) = served();
    let (name, bytes) = pack(&bench);
    let head = server.ask(&format!("HEAD /store/packs/{name}"), &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.field("content-length"), bytes.len().to_string());
    assert_eq!(head.field("accept-ranges"), "bytes");
    assert_eq!(head.field("etag"), format!("\"{name}\""));
    assert_eq!(head.field("cache-control"), "public, max-age=31536000, immutable");

    let label = server.ask("GET /store/labels/debian__12__demo", &[]);
    assert_eq!(label.field("cache-control"), "no-cache");
    let condition = format!("If-None-Match: {}", label.field("etag"));
    let again = server.ask("GET /store/labels/debian__12__demo", &[&condition]);
    assert_eq!((again.status, again.body.len()), (304, 0));

    let image = bench.file("next.img", &image(2, 16));
    let forced = ["push", "debian/12/demo", "--image", &image, "--no-boot", "--force"];
    bench.run(&forced).expect(0);
    let replaced = server.ask("GET /store/labels/debian__12__demo", &[&condition]);
    assert_eq!(replaced.status, 200);
    assert_ne!(replaced.body, label.body);
}

#[test]
fn nothing_else_of_the_directory_is_served() {
    let (bench, server) = served();
    std::fs::write(bench.path("store/notes"), "secret").unwrap();
    std::fs::write(bench.path("store/tmp/half"), "half").unwrap();
    std::fs::write(bench.path("store/labels/.hidden"), "secret").unwrap();
    std::fs::create_dir(bench.path("store/labels/directory")).unwrap();
    for target in [
        "/store",
        "/store/",
        "/store/labels",
        "/store/labels/",
        "/store/labels/directory",
        "/store/labels/.hidden",
        "/store/labels/debian/12/demo",
        "/store/labels/no-such-label",
        "/store/packs/",
        "/store/tmp/half",
        "/store/lock",
        "/store/notes",
        "/store/../store/notes",
        "/store/packs/../notes",
        "/store/%2e%2e/%2e%2e/etc/passwd",
        "/store/..%2f..%2fetc%2fpasswd",
        "/store//etc/passwd",
        "/../../etc/passwd",
        "/etc/passwd",
    ] {
        let answer = server.ask(&format!("GET {target}"), &[]);
        assert_eq!((answer.status, &*answer.body), (404, &b"not found\n"[..]), "{target}");
        assert_eq!(answer.field("content-type"), "text/plain; charset=utf-8", "{target}");
    }
    for target in ["/store/inaug-store", "/store/labels.list"] {
        assert_eq!(server.ask(&format!("GET {target}"), &[]).status, 200, "{target}");
    }
}

#[test]
fn the_store_is_read_only() {
    let (_bench, server) = served();
    for method in ["PUT", "POST", "DELETE"] {
        let answer = server.ask(&format!("{method} /store/labels/debian__12__demo"), &[]);
        assert_eq!((answer.status, answer.field("allow")), (405, "GET, HEAD"), "{method}");
    }
}

#[test]
fn one_connection_serves_many_requests_and_a_long_head_is_refused() {
    let (bench, server) = served();
    let (name, bytes) = pack(&bench);
    let mut stream = server.connect();
    for at in [0, 1000, 2000] {
        let last = at + 99;
        let request = format!(
            "GET /store/packs/{name} HTTP/1.1\r\nHost: t\r\nRange: bytes={at}-{last}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(read_body(&mut stream, 100), bytes[at..at + 100]);
    }
    let long = format!("X: {}", "x".repeat(40_000));
    assert_eq!(server.ask("GET /healthz", &[&long]).status, 431);
}

fn read_body(stream: &mut impl Read, length: usize) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    body
}

#[test]
fn fifty_clients_at_once_get_the_same_bytes() {
    let (bench, server) = served();
    let (name, bytes) = pack(&bench);
    let target = format!("GET /store/packs/{name}");
    // All are connected before any asks.
    let barrier = std::sync::Barrier::new(50);
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let idle = server.connect();
                barrier.wait();
                let answer = server.ask(&target, &[]);
                assert!(answer.status == 200 && answer.body == bytes);
                drop(idle);
            });
        }
    });
}

#[test]
fn an_answer_under_way_is_finished_after_sigterm() {
    let bench = Bench::new();
    // More than the sockets' buffers hold, so that the answer is under way.
    bench.push("big", &image(3, 8192));
    let server = Server::start(&bench.store());
    let (name, bytes) = pack(&bench);
    let mut stream = server.connect();
    write!(stream, "GET /store/packs/{name} HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let first = read_body(&mut stream, 1);
    let stopping = std::thread::spawn(move || server.terminate());
    let mut rest = vec![0; bytes.len() - 1];
    stream.read_exact(&mut rest).unwrap();
    assert!(first == bytes[..1] && rest == bytes[1..]);
    assert_eq!(stopping.join().unwrap(), 0);
}

#[test]
fn an_address_that_is_taken_is_a_network_failure() {
    let (bench, server) = served();
    let ran = inaug(&["serve", "--store", &bench.store(), "--listen", &server.address]).expect(4);
    let first = format!("inaug: cannot listen on {}\n", server.address);
    assert!(ran.stderr.starts_with(&first), "{}", ran.stderr);
}
