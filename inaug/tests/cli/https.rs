//! Stores behind https: authorities, tokens and proxies, as options and as the environment.

use crate::support::{Bench, Ran, command, image, inaug};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

const TOKEN: &str = "the-token";

/// A static store behind TLS that wants the token; its URL. The authority is its own certificate.
fn serve(store: PathBuf, bench: &Bench) -> String {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    bench.file("ca.pem", cert.pem().as_bytes());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let tls = Arc::new(builder.with_single_cert(vec![cert.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&tls)).unwrap();
            let (stream, store) = (StreamOwned::new(connection, stream.unwrap()), store.clone());
            thread::spawn(move || answer(&mut BufReader::new(stream), &store));
        }
    });
    url
}

/// Gives whole files: small as these are, the client bears with that.
fn answer<S: std::io::Read + Write>(stream: &mut BufReader<S>, store: &Path) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let path = head.split(' ').nth(1).unwrap().trim_start_matches('/');
    let has_token = head.contains(&format!("Bearer {TOKEN}\r\n"));
    let (status, file) = match std::fs::read(store.join(path)) {
        _ if !has_token => ("401 Unauthorized", Vec::new()),
        Ok(file) => ("200 OK", file),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let length = file.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let _ = stream.get_mut().write_all(&[head.as_bytes(), &file].concat());
    let _ = stream.get_mut().flush();
}

#[test]
fn a_store_behind_https_is_read_by_whom_it_trusts() {
    let bench = Bench::new();
    bench.push("a", &image(1, 8));
    let url = serve(bench.path("store"), &bench);
    let (ca, token) = (bench.text("ca.pem"), bench.file("token", format!("{TOKEN}\n").as_bytes()));
    let show = |options: &[&str]| inaug(&[&["show", "a", "--store", &url], options].concat());
    show(&["--ca", &ca, "--token-file", &token]).expect(0);
    let mut by_environment = command(&["show", "a", "--store", &url]);
    by_environment.env("INAUG_CA", &ca).env("INAUG_TOKEN_FILE", &token);
    Ran::from(by_environment.output().unwrap()).expect(0);

    let without = show(&["--ca", &ca]).expect(4);
    assert!(without.stderr.contains("401 Unauthorized: no token was sent"), "{without:?}");
    let wrong = bench.file("wrong", b"another-token");
    let refused = show(&["--ca", &ca, "--token-file", &wrong]).expect(4);
    assert!(refused.stderr.contains("401 Unauthorized: the token was not accepted"), "{refused:?}");
    assert!(!refused.stderr.contains("another-token"));
    let other = generate_simple_self_signed(["other".to_owned()]).unwrap().cert.pem();
    let other = bench.file("other.pem", other.as_bytes());
    let stranger = show(&["--ca", &other, "--token-file", &token]).expect(4);
    let expected = format!("the certificate of {url} has a signature that is not its authority's");
    assert!(stranger.stderr.contains(&expected), "{stranger:?}");

    let off = show(&["--ca", &ca, "--proxy", "http://127.0.0.1:1"]).expect(4);
    assert!(off.stderr.contains("the proxy http://127.0.0.1:1"), "{off:?}");
    show(&["--ca", &ca, "--proxy", "socks5://127.0.0.1"]).expect(2);
    let no_proxy = ["--proxy", "http://127.0.0.1:1", "--no-proxy", "127.0.0.1"];
    show(&[&["--ca", &ca, "--token-file", &token][..], &no_proxy].concat()).expect(0);
}

/// Path, permissions and content of a file in an initramfs (cpio(5), "New ASCII Format").
fn carried(initramfs: &Path, path: &str) -> Option<(u32, Vec<u8>)> {
    let archive = zstd::decode_all(&std::fs::read(initramfs).unwrap()[..]).unwrap();
    let name = format!("{path}\0");
    let at = archive.windows(name.len()).position(|window| window == name.as_bytes())?;
    let field = |number: usize| {
        let start = at - 110 + 6 + number * 8;
        u32::from_str_radix(std::str::from_utf8(&archive[start..start + 8]).unwrap(), 16).unwrap()
    };
    let data = (at + name.len()).next_multiple_of(4);
    Some((field(1) & 0o7777, archive[data..data + field(6) as usize].to_vec()))
}

#[test]
fn an_initramfs_carries_authorities_and_a_token_that_can_be_used() {
    let bench = Bench::new();
    let ca = generate_simple_self_signed(["ca".to_owned()]).unwrap().cert.pem();
    let (ca_file, token) = (bench.file("ca", ca.as_bytes()), bench.file("token", b"abc\n"));
    let init = bench.file("init", b"\x7fELF not really");
    let out = bench.text("out");
    let common = ["initramfs", "-o", &out, "--modules", "none", "--no-tools", "--init", &init];
    let build = |options: &[&str]| inaug(&[&common[..], options].concat());
    build(&["--ca", &ca_file, "--token", &token]).expect(0);
    let out = bench.path("out");
    assert_eq!(carried(&out, "etc/inaugurator/ca.pem"), Some((0o644, ca.into_bytes())));
    assert_eq!(carried(&out, "etc/inaugurator/token"), Some((0o600, b"abc\n".to_vec())));
    let refused = build(&["--ca", &token]).expect(1);
    assert!(refused.stderr.contains("expected a certificate in PEM"), "{refused:?}");
    let refused = build(&["--token", &ca_file]).expect(1);
    assert!(refused.stderr.contains("expected a token of letters, digits"), "{refused:?}");
    build(&[]).expect(0);
    assert_eq!(carried(&out, "etc/inaugurator/ca.pem"), None);
}
