//! Reading a store over HTTP from a server that misbehaves.

#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::server::{Fault, serve};
use common::{Place, content, label, noise, request};
use std::io::Read;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use store::http::{HttpStore, Timeouts};
use store::push::push_image;
use store::source::{Item, Partly, Source, SourceError, from_io};

const SHORT: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    silence: Duration::from_millis(300),
    rate_window: Duration::from_millis(600),
    rate_min_bytes: 1000,
};

/// A store whose list of labels is 100,000 bytes of noise, and what reading it from a server with
/// `fault` gives.
fn read(fault: Fault, range: Option<Range<u64>>) -> Result<Vec<u8>, SourceError> {
    let place = Place::new();
    std::fs::write(place.item(&Item::LabelList), noise(100_000, 1)).unwrap();
    let server = serve(place.store.path().to_owned(), fault);
    let store = HttpStore::new(&server.url, SHORT).unwrap();
    let mut bytes = Vec::new();
    let mut body = store.open(&Item::LabelList, range)?;
    let read = body.reader.read_to_end(&mut bytes);
    read.map_err(|error| from_io(error, &store, &Item::LabelList))?;
    if let Some(length) = body.length_bytes {
        assert_eq!(length, bytes.len() as u64);
    }
    Ok(bytes)
}

#[test]
fn ranges_and_wholes_come_exactly() {
    let bytes = noise(100_000, 1);
    for fault in [Fault::None, Fault::NoRanges] {
        for range in [0..100_000, 0..1, 50_000..50_001, 99_999..100_000, 7..7] {
            let expected = &bytes[range.start as usize..range.end as usize];
            assert!(read(fault.clone(), Some(range)).unwrap() == expected);
        }
        assert!(read(fault, None).unwrap() == bytes);
    }
}

#[test]
fn each_fault_has_its_own_words() {
    let part = || Some(1000..2000);
    let wait = Duration::from_millis(50);
    for (fault, range, again, expected) in [
        (Fault::Cut(10), part(), true, "expected 1000 bytes, found 10"),
        (Fault::Cut(10), None, true, "expected 100000 bytes, found 10"),
        (Fault::Stall(10), part(), true, "nothing came for 0 s, after 10 bytes"),
        (Fault::Silent, part(), true, "nothing came for 0 s, after 0 bytes"),
        (Fault::Trickle(wait), part(), true, "expected at least 1000 bytes in 0.6 s, found 1"),
        (Fault::Status("404 Not Found"), part(), false, "is not in the store http://127.0.0.1"),
        (Fault::Status("500 Oops"), part(), true, "found 500 Internal Server Error"),
        (Fault::Status("403 No"), part(), false, "found 403 Forbidden"),
        (Fault::Status("200 OK"), part(), false, "found text/html: perhaps the page of a captive"),
        (
            Fault::WrongRange,
            part(),
            false,
            "expected Content-Range: bytes 1000-1999, found bytes 999-",
        ),
        (Fault::Header("content-encoding: gzip"), part(), false, "no content encoding, found gzip"),
        (Fault::ChunkedMore, part(), false, "expected 1000 bytes, found more"),
        (Fault::Redirect(None), part(), false, "at most 5 redirects within the scheme, found more"),
        (Fault::Redirect(Some("https://h/")), None, false, "found a redirect to https://h/"),
    ] {
        let start = Instant::now();
        let error = read(fault.clone(), range).unwrap_err();
        assert!(error.to_string().contains(expected), "{fault:?}: {error}");
        assert_eq!(error.is_transient(), again, "{error}");
        assert!(start.elapsed() < Duration::from_secs(5), "{fault:?}");
    }
}

/// A server whose every answer is cut gives a bit more each time; a byte comes twice never.
#[test]
fn what_came_before_a_cut_is_not_asked_for_again() {
    let (place, item) = (Place::new(), Item::LabelList);
    std::fs::write(place.item(&item), noise(100_000, 1)).unwrap();
    let server = serve(place.store.path().to_owned(), Fault::Cut(30_000));
    let store = HttpStore::new(&server.url, SHORT).unwrap();
    let mut partly = Partly::default();
    for came in [30_000, 60_000, 90_000] {
        let error = partly.read(&store, &item, 100_000).unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(partly.bytes().len(), came);
    }
    // Replaced by a longer one meanwhile: it starts anew, and ends right.
    let longer = noise(100_001, 2);
    std::fs::write(place.item(&item), &longer).unwrap();
    for came in [30_000, 60_000, 90_000] {
        partly.read(&store, &item, 100_001).unwrap_err();
        assert_eq!(partly.bytes().len(), came);
    }
    partly.read(&store, &item, 100_001).unwrap();
    assert!(partly.bytes() == longer && partly.is_resumed());
    let error = Partly::default().read(&store, &item, 100_000).unwrap_err();
    assert!(error.to_string().contains("expected at most 100000 bytes"), "{error}");
}

#[test]
fn a_server_that_is_not_there_can_be_asked_again() {
    let store = HttpStore::new("http://127.0.0.1:1", SHORT).unwrap();
    let error = store.open(&Item::LabelList, None).map(|_| ()).unwrap_err();
    assert!(matches!(error, SourceError::Io { .. }) && error.is_transient(), "{error}");
}

#[test]
fn a_reader_that_takes_its_time_is_not_cut_off() {
    let place = Place::new();
    std::fs::write(place.item(&Item::LabelList), noise(8 << 20, 1)).unwrap();
    let server = serve(place.store.path().to_owned(), Fault::None);
    let store = HttpStore::new(&server.url, SHORT).unwrap();
    let mut body = store.open(&Item::LabelList, None).unwrap();
    let mut half = vec![0; 4 << 20];
    body.reader.read_exact(&mut half).unwrap();
    std::thread::sleep(Duration::from_secs(1)); // a slow disk: longer than all limits
    body.reader.read_exact(&mut half).unwrap();
}

#[test]
fn many_threads_read_over_few_connections() {
    let place = Place::new();
    let bytes = noise(3 << 20, 1);
    push_image(&place.store, &request("a/b", &place.file("image", &bytes)), &()).unwrap();
    let server = serve(place.store.path().to_owned(), Fault::None);
    let store = HttpStore::new(&server.url, Timeouts::default()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(content(&store, &label("a/b")).1 == bytes));
        }
    });
    let (requests, connections) =
        (server.requests.load(Ordering::Relaxed), server.connections.load(Ordering::Relaxed));
    assert!(connections <= 8 && requests > 100, "{requests} requests, {connections} connections");
}
