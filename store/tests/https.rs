//! Reading a store over TLS, with a token and by way of proxies.

#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::tls::{Authority, GOOD, Shown, answering, tunnelling};
use std::io::Read;
use store::http::{Access, Authorities, Clock, HttpStore, Proxy, Timeouts, Token};
use store::source::{Item, Source, SourceError, from_io};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn trusting(authority: &Authority) -> Access {
    let authorities = Authorities::from_pem(authority.pem().as_bytes()).unwrap();
    Access { authorities, ..Access::default() }
}

fn by(proxy: &str, without: &[String], access: Access) -> Access {
    Access { proxy: Some(Proxy::new(proxy, without).unwrap()), ..access }
}

fn with_token(access: Access) -> Access {
    Access { token: Some(Token::parse(b"seventeen\n").unwrap()), ..access }
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source)));
    error.to_string() + &source.unwrap_or_default()
}

fn read(url: &str, access: &Access) -> Result<String, SourceError> {
    let store = HttpStore::with(url, Timeouts::default(), access).unwrap();
    let item = Item::LabelList;
    let mut text = String::new();
    let read = store.open(&item, None)?.reader.read_to_string(&mut text);
    read.map_err(|error| from_io(error, &store, &item))?;
    Ok(text)
}

/// What is said of `url`, and that nobody asks it again.
fn refused(url: &str, access: &Access) -> String {
    let error = read(url, access).unwrap_err();
    assert!(!error.is_transient(), "{error}");
    error.to_string()
}

#[test]
fn a_store_is_read_whose_certificate_an_authority_signed() {
    let (ours, another) = (Authority::new("ours"), Authority::new("another"));
    let server = answering(Some(ours.server(&GOOD)), OK);
    let url = format!("https://127.0.0.1:{}/store", server.port);
    assert_eq!(read(&url, &trusting(&ours)).unwrap(), "hello");
    let head = server.heads.recv().unwrap();
    assert!(head.starts_with("GET /store/labels.list HTTP/1.1\r\n"), "{head}");
    // Several in one file, of which one is right.
    let both = Authorities::from_pem((another.pem() + &ours.pem()).as_bytes()).unwrap();
    assert_eq!(both.count(), 2);
    let access = Access { authorities: both, ..Access::default() };
    assert_eq!(read(&url, &access).unwrap(), "hello");
}

#[test]
fn a_certificate_that_is_not_right_is_refused_in_one_sentence() {
    let (ours, another) = (Authority::new("ours"), Authority::new("another"));
    let far = 4_102_444_800; // 1 January 2100
    let cases = [
        (
            &ours,
            Shown { years: (2010, 2011), ..GOOD },
            0,
            "list of labels: the certificate of https://127.0.0.1:PORT ended on 2011-01-01 00:00:00 \
             UTC; this machine's clock says 20",
        ),
        (
            &ours,
            Shown { years: (2199, 2200), ..GOOD },
            far,
            "list of labels: the certificate of https://127.0.0.1:PORT begins on 2199-01-01 00:00:00 \
             UTC; this machine's clock says 2100-01-01 00:00:00 UTC",
        ),
        (
            &ours,
            Shown { names: &["depot.lab", "10.0.0.1"], ..GOOD },
            0,
            "list of labels: the certificate of https://127.0.0.1:PORT is for another name: expected \
             127.0.0.1, found depot.lab, 10.0.0.1",
        ),
        (
            &another,
            GOOD,
            0,
            "list of labels: the certificate of https://127.0.0.1:PORT is signed by no authority that \
             is trusted here",
        ),
    ];
    for (signed_by, shown, floor, expected) in cases {
        let server = answering(Some(signed_by.server(&shown)), OK);
        let url = format!("https://127.0.0.1:{}", server.port);
        let access = Access { clock: Clock::not_before(floor), ..trusting(&ours) };
        let said = refused(&url, &access).replace(&server.port.to_string(), "PORT");
        assert!(said.starts_with(expected), "{said}");
        assert!(server.heads.try_recv().is_err(), "a request was sent");
    }
}

/// A machine whose clock was never set deploys nevertheless.
#[test]
fn times_are_judged_by_the_clock_that_is_given() {
    let ours = Authority::new("ours");
    let server = answering(Some(ours.server(&Shown { years: (2150, 2160), ..GOOD })), OK);
    let url = format!("https://127.0.0.1:{}", server.port);
    let later = Clock::not_before(5_680_281_600 + 86_400); // 2 January 2150
    assert_eq!(read(&url, &Access { clock: later, ..trusting(&ours) }).unwrap(), "hello");
    assert!(refused(&url, &trusting(&ours)).contains("begins on 2150-01-01"));
}

#[test]
fn a_server_without_tls_is_no_certificates_fault() {
    let ours = Authority::new("ours");
    let server = answering(None, OK);
    let error = read(&format!("https://127.0.0.1:{}", server.port), &trusting(&ours)).unwrap_err();
    assert!(matches!(error, SourceError::Io { .. }), "{error:?}");
}

#[test]
fn redirects_stay_within_tls() {
    let ours = Authority::new("ours");
    let plain = answering(None, OK);
    let away = format!("http://127.0.0.1:{}/labels.list", plain.port);
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: {away}\r\ncontent-length: 0\r\n\r\n");
    let server = answering(Some(ours.server(&GOOD)), &answer);
    let url = format!("https://127.0.0.1:{}", server.port);
    let said = refused(&url, &with_token(trusting(&ours)));
    let expected = format!("at most 5 redirects within the scheme, found a redirect to {away}");
    assert!(said.ends_with(&expected), "{said}");
    assert!(plain.heads.try_recv().is_err(), "it was followed");
}

#[test]
fn a_token_is_shown_to_the_stores_own_origin_only() {
    let ours = Authority::new("ours");
    let other = answering(Some(ours.server(&GOOD)), OK);
    let to_other = format!("https://127.0.0.1:{}/labels.list", other.port);
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: {to_other}\r\ncontent-length: 0\r\n\r\n");
    let server = answering(Some(ours.server(&GOOD)), &answer);
    let url = format!("https://127.0.0.1:{}", server.port);
    let access = with_token(trusting(&ours));
    assert_eq!(read(&url, &access).unwrap(), "hello");
    let first = server.heads.recv().unwrap();
    assert!(first.contains("authorization: Bearer seventeen\r\n"), "{first}");
    let second = other.heads.recv().unwrap();
    assert!(!second.contains("authorization") && !second.contains("seventeen"), "{second}");
    // A name in the URL is what is meant.
    let store = format!("https://me:secret@127.0.0.1:{}", other.port);
    read(&store, &access).unwrap();
    let head = other.heads.recv().unwrap();
    assert!(head.contains("authorization: Basic ") && !head.contains("Bearer"), "{head}");
}

#[test]
fn a_token_that_is_missing_or_wrong_is_spoken_of() {
    for (status, expected) in
        [("401 Unauthorized", "401 Unauthorized"), ("403 No", "403 Forbidden")]
    {
        let server = answering(None, &format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
        let url = format!("http://127.0.0.1:{}", server.port);
        let said = refused(&url, &Access::default());
        assert!(said.ends_with(&format!("found {expected}: no token was sent")), "{said}");
        let said = refused(&url, &with_token(Access::default()));
        assert!(said.ends_with(&format!("found {expected}: the token was not accepted")), "{said}");
    }
}

#[test]
fn a_proxy_is_asked_for_the_whole_url_or_for_a_tunnel() {
    let ours = Authority::new("ours");
    let plain = answering(None, OK);
    let proxy = format!("http://me:secret@127.0.0.1:{}", plain.port);
    let access = by(&proxy, &[], with_token(trusting(&ours)));
    assert_eq!(read("http://depot.invalid/store", &access).unwrap(), "hello");
    let head = plain.heads.recv().unwrap();
    assert!(head.starts_with("GET http://depot.invalid/store/labels.list HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("proxy-authorization: Basic "), "{head}");

    let server = answering(Some(ours.server(&Shown { names: &["depot.invalid"], ..GOOD })), OK);
    let tunnel = tunnelling(Some(server.port));
    let proxy = format!("http://me:secret@127.0.0.1:{}", tunnel.port);
    let access = by(&proxy, &[], with_token(trusting(&ours)));
    assert_eq!(read("https://depot.invalid/store", &access).unwrap(), "hello");
    let head = tunnel.heads.recv().unwrap();
    assert!(head.starts_with("CONNECT depot.invalid:443 HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("proxy-authorization: basic "), "{head}");
    assert!(!head.contains("seventeen"), "{head}");
    let head = server.heads.recv().unwrap();
    assert!(head.starts_with("GET /store/labels.list HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Bearer seventeen"), "{head}");
    assert!(!head.to_lowercase().contains("proxy-authorization"), "{head}");

    // Hosts that are asked themselves.
    let straight = answering(None, OK);
    let access = by(&proxy, &["127.0.0.1".to_owned()], Access::default());
    assert_eq!(read(&format!("http://127.0.0.1:{}", straight.port), &access).unwrap(), "hello");
    assert!(straight.heads.recv().unwrap().starts_with("GET /labels.list "));
}

#[test]
fn what_a_proxy_does_wrong_is_said_of_the_proxy() {
    let ours = Authority::new("ours");
    let off = by("http://127.0.0.1:1", &[], trusting(&ours));
    let tunnel = tunnelling(None);
    let refusing = by(&format!("http://127.0.0.1:{}", tunnel.port), &[], trusting(&ours));
    for (url, access) in [
        ("http://depot.invalid", &off),
        ("https://depot.invalid", &off),
        ("https://depot.invalid", &refusing),
    ] {
        let error = read(url, access).unwrap_err();
        assert!(matches!(error, SourceError::Proxy { .. }) && error.is_transient(), "{error:?}");
        let said = chain(&error);
        let expected = format!("list of labels from {url}: the proxy http://127.0.0.1:");
        assert!(said.starts_with(&expected), "{said}");
    }
    let wants = answering(None, "HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n");
    let access = by(&format!("http://127.0.0.1:{}", wants.port), &[], Access::default());
    let said = refused("http://depot.invalid", &access);
    assert!(
        said.contains("407 Proxy Authentication Required: the proxy http://127.0.0.1:"),
        "{said}"
    );
    assert!(said.ends_with("wants a name and a password"), "{said}");
}
