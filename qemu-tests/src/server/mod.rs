//! A static store over HTTP in the test's own process, which counts what it is
//! asked and misbehaves as it is told.

#[cfg(test)]
mod tests;

use anyhow::{Context, Result};
use machine::Accel;
use rustix::net::sockopt::set_socket_linger;
use std::collections::HashMap;
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use wire::http::{After, Misbehaviour, Reply, Request, Served, read_request, reply, strike};

/// What QEMU's user network calls the host.
const HOST_SEEN_BY_GUEST: &str = "10.0.2.2";

/// More of QEMU's user network: one without IPv4, with these addresses.
pub const IPV6_ONLY: &str = "ipv4=off,ipv6=on,ipv6-prefix=fd00:7e57::,ipv6-host=fd00:7e57::2";

/// What [`IPV6_ONLY`] calls the host.
const HOST_SEEN_BY_GUEST_V6: &str = "[fd00:7e57::2]";

/// More than a reply writes at once: its last part is sent by the flush that
/// follows counting it, so no client is done before it is counted.
const SENT_LATE_BYTES: usize = 128 << 10;

/// Read from a stored file at once.
const BLOCK_BYTES: usize = 64 << 10;

/// A slow reply is sent in parts.
const TURNS_A_SECOND: u64 = 20;

/// A store server on a port of its own, for as long as it lives.
#[derive(Debug)]
pub struct StaticServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    state: Mutex<State>,
    /// Wakes the stalled connections when the server ends, and who waits for a reply.
    changed: Condvar,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    table: Vec<Misbehaviour>,
    served: Vec<Served>,
    /// Shut down with the server, so that no thread is left reading.
    connections: HashMap<SocketAddr, TcpStream>,
}

impl StaticServer {
    /// Serves the files under `root`, as they are at each request.
    pub fn of(root: impl AsRef<Path>) -> Result<Self> {
        Self::misbehaving(root, Vec::new())
    }

    /// The same with faults: the first that fits a path strikes.
    pub fn misbehaving(root: impl AsRef<Path>, table: Vec<Misbehaviour>) -> Result<Self> {
        Self::at("127.0.0.1:0", root, table)
    }

    /// The same for machines on [`IPV6_ONLY`].
    pub fn of_ipv6(root: impl AsRef<Path>) -> Result<Self> {
        Self::at("[::1]:0", root, Vec::new())
    }

    fn at(address: &str, root: impl AsRef<Path>, table: Vec<Misbehaviour>) -> Result<Self> {
        let listener = TcpListener::bind(address).context("a port for the store server")?;
        let address = listener.local_addr().context("the store server's port")?;
        let shared = Arc::new(Shared {
            root: root.as_ref().to_owned(),
            state: Mutex::new(State { table, ..State::default() }),
            changed: Condvar::new(),
            ended: AtomicBool::new(false),
        });
        let listening = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.listen(&listener)
        });
        Ok(Self { address, shared, listening: Some(listening) })
    }

    /// Its URL for the host.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its URL for a machine on a user network.
    pub fn guest_url(&self) -> String {
        let host = if self.address.is_ipv6() { HOST_SEEN_BY_GUEST_V6 } else { HOST_SEEN_BY_GUEST };
        format!("http://{host}:{}", self.address.port())
    }

    /// Replaces the faults; an empty table is a store that behaves.
    pub fn misbehave(&self, table: Vec<Misbehaviour>) {
        self.shared.state().table = table;
    }

    /// Every request so far, in the order their replies ended.
    pub fn served(&self) -> Vec<Served> {
        self.shared.state().served.clone()
    }

    /// Waits until a fault has struck, within a time written for KVM.
    pub fn wait_spoilt(&self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within * Accel::of_this_host().deadline_factor();
        let mut state = self.shared.state();
        while !state.served.iter().any(|served| served.spoilt) {
            let left = deadline.checked_duration_since(Instant::now()).with_context(|| {
                format!("no fault struck within {within:?}; served: {:?}", state.served)
            })?;
            let changed = self.shared.changed.wait_timeout(state, left);
            state = changed.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// How many requests were answered.
    pub fn requests(&self) -> usize {
        self.shared.state().served.len()
    }

    /// How many bytes of bodies were sent.
    pub fn bytes(&self) -> u64 {
        self.shared.state().served.iter().map(|served| served.bytes).sum()
    }

    /// Begins to count anew.
    pub fn forget(&self) {
        self.shared.state().served.clear();
    }
}

impl Drop for StaticServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        // Wakes the listener out of accept(2).
        let _ = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        let mut talking = Vec::new();
        for connection in listener.incoming() {
            if self.ended.load(Ordering::SeqCst) {
                break;
            }
            talking.retain(|thread: &JoinHandle<()>| !thread.is_finished());
            let shared = Arc::clone(self);
            talking.extend(connection.map(|c| thread::spawn(move || shared.welcome(&c))));
        }
        for connection in self.state().connections.values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        for thread in talking {
            let _ = thread.join();
        }
    }

    /// One connection from its beginning to its end.
    fn welcome(&self, connection: &TcpStream) {
        let (Ok(peer), Ok(handle)) = (connection.peer_addr(), connection.try_clone()) else {
            return; // it is gone already
        };
        self.state().connections.insert(peer, handle);
        // The listener may have shut down all connections before this one was known.
        if !self.ended.load(Ordering::SeqCst) {
            // A client that goes away ends its connection; the test sees why in
            // what its client says.
            let _ = self.talk(connection);
        }
        let _ = connection.shutdown(Shutdown::Both);
        self.state().connections.remove(&peer);
    }

    fn talk(&self, connection: &TcpStream) -> Result<()> {
        connection.set_nodelay(true).context("setting TCP_NODELAY")?;
        let mut input = BufReader::new(connection);
        let mut output = BufWriter::with_capacity(SENT_LATE_BYTES, connection);
        while let Some(request) = read_request(&mut input)? {
            match self.answer(&request, &mut output)? {
                After::KeepAlive => {}
                After::Close => break,
                After::Tear => {
                    // Closing then tears it (socket(7), SO_LINGER); what was sent is on its way.
                    return set_socket_linger(connection, Some(Duration::ZERO))
                        .context("setting SO_LINGER");
                }
                After::Hang => self.wait_for_end(),
            }
        }
        output.flush().context("sending the rest")
    }

    fn answer(&self, request: &Request, output: &mut impl Write) -> Result<After> {
        let fault = strike(&mut self.state().table, &request.path);
        let mut reply = reply(&self.root, request, fault.as_ref()).context("making a reply")?;
        self.send(&mut reply, output)?;
        self.state().served.push(reply.served);
        self.changed.notify_all();
        output.flush().context("sending a reply")?;
        Ok(reply.after)
    }

    fn send(&self, reply: &mut Reply, output: &mut impl Write) -> Result<()> {
        let mut block = vec![0; BLOCK_BYTES];
        if let Some(rate) = reply.rate {
            block.truncate((rate / TURNS_A_SECOND).max(1) as usize);
        }
        loop {
            let read = reply.read(&mut block).context("reading a stored file")?;
            if read == 0 {
                return Ok(());
            }
            output.write_all(&block[..read]).context("sending a reply")?;
            if let Some(rate) = reply.rate {
                output.flush().context("sending a part of a reply")?;
                self.wait(Duration::from_micros(read as u64 * 1_000_000 / rate.max(1)));
            }
        }
    }

    /// Waits so long, or until the server ends.
    fn wait(&self, time: Duration) {
        let is_on = |_: &mut State| !self.ended.load(Ordering::SeqCst);
        let _ended = self.changed.wait_timeout_while(self.state(), time, is_on);
    }

    fn wait_for_end(&self) {
        let mut state = self.state();
        while !self.ended.load(Ordering::SeqCst) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
