//! The store's HTTP server on smoltcp's sockets, in the clear, over TLS, and as a proxy.

use super::Shelf;
use super::tls::{RECORD_BYTES, Tls};
use crate::http::{After, Fault, HEAD_BYTES, Reply, Request, read_request, reply, strike, tunnel};
use rustls::ServerConfig;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How it is spoken to.
#[derive(Clone, Debug)]
pub(super) enum Speech {
    Plain,
    Tls(Arc<ServerConfig>),
    /// In the clear, with TLS in its tunnels.
    Proxy(Arc<ServerConfig>),
}

impl Speech {
    fn port(&self) -> u16 {
        match self {
            Self::Plain => 80,
            Self::Tls(_) => 443,
            Self::Proxy(_) => 3128,
        }
    }
}

/// Connections at a time, those that are being closed included: a machine has some ten, and a
/// closed one stays for 10 s.
const CONNECTIONS: usize = 64;

/// A window that no network of a test fills.
const SEND_BYTES: usize = 256 << 10;

/// Requests are short.
const RECEIVE_BYTES: usize = 8 << 10;

/// Replies that are sent slowly have their next bytes this often.
const SLOW_TURN: Duration = Duration::from_millis(50);

/// All connections of one host.
#[derive(Debug)]
pub(super) struct Web {
    shelf: Shelf,
    speech: Speech,
    connections: Vec<Connection>,
    /// It is off until then.
    off_until: Option<Duration>,
}

#[derive(Debug)]
struct Connection {
    handle: SocketHandle,
    head: Vec<u8>,
    tls: Option<Tls>,
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    Listening,
    Reading,
    Sending {
        reply: Box<Reply>,
        since: Duration,
        sent: u64,
        /// TLS is spoken from here on.
        opens: bool,
    },
    /// All is sent; it is torn when it has arrived.
    Tearing,
    Hanging,
    Closing,
}

impl Web {
    pub(super) fn new(shelf: Shelf, speech: Speech, sockets: &mut SocketSet<'static>) -> Self {
        let connections = (0..CONNECTIONS).map(|_| {
            let buffer = |bytes| SocketBuffer::new(vec![0; bytes]);
            let mut socket = Socket::new(buffer(RECEIVE_BYTES), buffer(SEND_BYTES));
            socket.set_nagle_enabled(false);
            let handle = sockets.add(socket);
            Connection { handle, head: Vec::new(), tls: None, doing: Doing::Listening }
        });
        Self { shelf, speech, connections: connections.collect(), off_until: None }
    }

    pub(super) fn drive(&mut self, now: Duration, sockets: &mut SocketSet<'static>) {
        self.restart(now, sockets);
        if self.off_until.is_some_and(|until| now < until) {
            return;
        }
        for connection in &mut self.connections {
            connection.drive(now, sockets, &self.shelf, &self.speech);
        }
    }

    /// Switches itself off where that is due.
    fn restart(&mut self, now: Duration, sockets: &mut SocketSet<'static>) {
        let mut state = self.shelf.state();
        let served = state.served.len();
        let due = state.restart.take_if(|restart| served >= restart.after_requests);
        if let Some(restart) = due {
            self.off_until = Some(now + restart.off_for);
            for connection in &self.connections {
                sockets.get_mut::<Socket<'_>>(connection.handle).abort();
            }
        }
    }

    pub(super) fn due(&self, now: Duration) -> Option<Duration> {
        let is_slow = |doing: &Doing| match doing {
            Doing::Sending { reply, .. } => reply.rate.is_some(),
            _ => false,
        };
        let slow = self.connections.iter().any(|one| is_slow(&one.doing));
        let on_again = self.off_until.filter(|until| now < *until);
        slow.then_some(now + SLOW_TURN).into_iter().chain(on_again).min()
    }
}

impl Connection {
    fn drive(
        &mut self,
        now: Duration,
        sockets: &mut SocketSet<'static>,
        store: &Shelf,
        speech: &Speech,
    ) {
        let socket = sockets.get_mut::<Socket<'_>>(self.handle);
        if !socket.is_open() {
            self.head.clear();
            self.doing = Doing::Listening;
            self.tls = if let Speech::Tls(config) = speech { Tls::new(config) } else { None };
            // Refused only for port 0, or where the socket is open.
            let _ = socket.listen(speech.port());
            return;
        }
        if matches!(self.doing, Doing::Listening) && socket.may_recv() {
            self.doing = Doing::Reading;
        }
        // One reply a turn; more would starve others, and the next turn comes with the next ACK.
        self.read(now, socket, store);
        self.send(now, socket, speech);
        self.end(socket);
    }

    fn read(&mut self, now: Duration, socket: &mut Socket<'_>, store: &Shelf) {
        if !matches!(self.doing, Doing::Reading) {
            return;
        }
        while let Ok(bytes) = socket.recv(|bytes| (bytes.len(), bytes.to_vec()))
            && !bytes.is_empty()
        {
            match &mut self.tls {
                None => self.head.extend(bytes),
                Some(tls) => {
                    let Some(clear) = tls.hear(&bytes) else {
                        // The alert that says why, or nobody hears it.
                        tls.flush(socket);
                        self.doing = Doing::Closing;
                        return;
                    };
                    self.head.extend(clear);
                }
            }
        }
        let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
            if self.head.len() as u64 > HEAD_BYTES {
                socket.abort();
            }
            return;
        };
        let head: Vec<u8> = self.head.drain(..end + 4).collect();
        let answered = read_request(&mut &head[..]).ok().flatten();
        let answered = answered.and_then(|request| answer(store, &request));
        match answered {
            Some(reply) => {
                let opens = reply.served.method == "CONNECT" && reply.served.status == 200;
                let reply = Box::new(reply);
                self.doing = Doing::Sending { reply, since: now, sent: 0, opens };
            }
            None => socket.abort(),
        }
    }

    fn send(&mut self, now: Duration, socket: &mut Socket<'_>, speech: &Speech) {
        let is_flushed = self.tls.as_mut().is_none_or(|tls| tls.flush(socket));
        let Doing::Sending { reply, since, sent, opens } = &mut self.doing else { return };
        if !is_flushed {
            return;
        }
        loop {
            let allowed = reply
                .rate
                .map_or(usize::MAX, |rate| allowed(rate, now.saturating_sub(*since), *sent));
            if allowed == 0 || !socket.can_send() {
                return;
            }
            let taken = match &mut self.tls {
                None => in_the_clear(reply, socket, allowed),
                Some(tls) => over_tls(reply, tls, socket, allowed),
            };
            if taken == 0 {
                break;
            }
            *sent += taken as u64;
            if !self.tls.as_mut().is_none_or(|tls| tls.flush(socket)) {
                return;
            }
        }
        if *opens && let Speech::Proxy(config) = speech {
            self.tls = Tls::new(config);
        }
        self.doing = match reply.after {
            After::KeepAlive => Doing::Reading,
            After::Close => Doing::Closing,
            After::Tear => Doing::Tearing,
            After::Hang => Doing::Hanging,
        };
    }

    /// Ends what is to end.
    fn end(&mut self, socket: &mut Socket<'_>) {
        let is_left = socket.state() == State::CloseWait;
        match self.doing {
            Doing::Tearing if socket.send_queue() == 0 => socket.abort(),
            Doing::Closing => socket.close(),
            Doing::Listening | Doing::Reading | Doing::Hanging if is_left => socket.close(),
            _ => {}
        }
    }
}

/// The bytes of a reply that found room; 0 at its end.
fn in_the_clear(reply: &mut Reply, socket: &mut Socket<'_>, allowed: usize) -> usize {
    let taken = socket.send(|room| {
        let room_bytes = room.len().min(allowed);
        let read = reply.read(&mut room[..room_bytes]).unwrap_or(0);
        (read, read)
    });
    taken.unwrap_or(0)
}

/// The same, a record at a time.
fn over_tls(reply: &mut Reply, tls: &mut Tls, socket: &mut Socket<'_>, allowed: usize) -> usize {
    let mut record = vec![0; RECORD_BYTES.min(allowed)];
    let read = reply.read(&mut record).unwrap_or(0);
    if tls.say(&record[..read]).is_none() {
        return 0;
    }
    tls.flush(socket);
    read
}

/// What is answered, and written down.
fn answer(store: &Shelf, request: &Request) -> Option<Reply> {
    let mut state = store.state();
    let cut = state.cuts.strike(request);
    let fault = cut.or_else(|| strike(&mut state.faults, &request.path));
    let is_stranger = state.token.is_some() && request.authorization != state.token;
    let unauthorized = (is_stranger && request.method != "CONNECT").then_some(Fault::Status(401));
    let fault = unauthorized.or(fault);
    let reply = if request.method == "CONNECT" {
        tunnel(request, fault.as_ref())
    } else {
        reply(&store.directory, request, fault.as_ref()).ok()?.dated(state.clock_s())
    };
    state.served.push(reply.served.clone());
    state.answered.get_or_insert_with(Instant::now);
    Some(reply)
}

/// How many bytes more a reply may have sent.
fn allowed(rate: u64, elapsed: Duration, sent: u64) -> usize {
    let until_now = u128::from(rate) * elapsed.as_millis() / 1000;
    usize::try_from(until_now.saturating_sub(u128::from(sent))).unwrap_or(usize::MAX)
}
