//! One connection's TLS, between smoltcp's socket and what is said over it.

use rustls::{ServerConfig, ServerConnection};
use smoltcp::socket::tcp::Socket;
use std::io::{Read, Write};
use std::sync::Arc;

/// Of a reply at once: a record of TLS (RFC 8446, section 5.1), bytes.
pub(super) const RECORD_BYTES: usize = 16 << 10;

#[derive(Debug)]
pub(super) struct Tls(ServerConnection);

impl Tls {
    pub(super) fn new(config: &Arc<ServerConfig>) -> Option<Self> {
        ServerConnection::new(Arc::clone(config)).ok().map(Self)
    }

    /// What the client says, in the clear; `None` where it does not speak TLS, or has refused the
    /// certificate.
    pub(super) fn hear(&mut self, mut bytes: &[u8]) -> Option<Vec<u8>> {
        let mut clear = Vec::new();
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes).ok()?;
            let state = self.0.process_new_packets().ok()?;
            let before = clear.len();
            clear.resize(before + state.plaintext_bytes_to_read(), 0);
            self.0.reader().read_exact(&mut clear[before..]).ok()?;
        }
        Some(clear)
    }

    /// Takes what is to be said.
    pub(super) fn say(&mut self, bytes: &[u8]) -> Option<()> {
        self.0.writer().write_all(bytes).ok()
    }

    /// Sends what there is room for; whether all is sent.
    pub(super) fn flush(&mut self, socket: &mut Socket<'_>) -> bool {
        while self.0.wants_write() && socket.can_send() {
            let sent = socket.send(|room| {
                let mut room = &mut room[..];
                let written = self.0.write_tls(&mut room).unwrap_or(0);
                (written, written)
            });
            if !matches!(sent, Ok(1..)) {
                break;
            }
        }
        !self.0.wants_write()
    }
}
