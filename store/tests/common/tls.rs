//! Servers over TLS, whose certificates are values, and proxies in front of them.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// An authority of the test's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// From the first day of a year to the first day of another, for these names.
pub struct Shown<'a> {
    pub years: (i32, i32),
    pub names: &'a [&'a str],
}

/// For the address that servers of tests have, and valid for long.
pub const GOOD: Shown<'_> = Shown { years: (2020, 2100), names: &["127.0.0.1"] };

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server's side of TLS with a certificate by it.
    pub fn server(&self, shown: &Shown<'_>) -> Arc<ServerConfig> {
        let names: Vec<String> = shown.names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let (from, to) = shown.years;
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params
}

/// A running server; its thread ends with the test process.
pub struct Server {
    pub port: u16,
    /// The heads of requests, as they came.
    pub heads: Receiver<String>,
}

/// Answers every request in one way, over TLS where there is one.
pub fn answering(tls: Option<Arc<ServerConfig>>, answer: &str) -> Server {
    let answer = answer.to_owned();
    listening(move |stream, told| match tls.clone() {
        None => converse(stream, &answer, told),
        Some(tls) => {
            let connection = ServerConnection::new(tls).unwrap();
            converse(StreamOwned::new(connection, stream), &answer, told);
        }
    })
}

/// A proxy that opens tunnels, wherever they are said to lead, to `port` of this machine; without a
/// port it refuses.
pub fn tunnelling(port: Option<u16>) -> Server {
    listening(move |stream, told| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let Some(head) = head(&mut reader) else { return };
        told.send(head).unwrap();
        let mut stream = stream;
        let Some(port) = port else {
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").unwrap();
            return;
        };
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (to, from) = (server.try_clone().unwrap(), stream.try_clone().unwrap());
        thread::spawn(move || carry(from, to));
        carry(server, stream);
    })
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    // An end that is torn ends the tunnel.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}

fn listening(serve: impl Fn(TcpStream, &Sender<String>) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, heads) = channel();
    let (serve, tell) = (Arc::new(serve), Arc::new(Mutex::new(tell)));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (serve, tell) = (Arc::clone(&serve), tell.lock().unwrap().clone());
            thread::spawn(move || serve(stream.unwrap(), &tell));
        }
    });
    Server { port, heads }
}

/// Answers until the client leaves, or does not believe the certificate.
fn converse(stream: impl Read + Write, answer: &str, told: &Sender<String>) {
    let mut reader = BufReader::new(stream);
    while let Some(head) = head(&mut reader) {
        // The test may be over.
        let _ = told.send(head);
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return None;
        }
    }
    Some(head)
}
