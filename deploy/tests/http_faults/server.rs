//! A web server on raw sockets that misbehaves by a table of [`Rule`]s and keeps account
//! of what it sent.

use crate::fault::{Fault, On, Rule, When};
use crate::reply::{self, After};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How long nobody listens while the server restarts: the fault itself. Clients come back
/// after their first pauses, of which some are shorter.
const DOWN: Duration = Duration::from_millis(300);

/// What a redirected path starts with.
pub(crate) const MOVED: &str = "/moved";

/// One reply.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) path: String,
    /// The bytes of the item that were asked for; none where it is the whole.
    pub(crate) asked: Option<Range<u64>>,
    /// The bytes of the item that were sent, or will have been once the reply is over.
    pub(crate) bytes: Range<u64>,
    /// Whether a fault struck; further steps of a redirect do not count.
    pub(crate) struck: bool,
    pub(crate) at: Instant,
}

/// A running server; what it holds back is let go when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    /// Told when the server ends.
    changed: Condvar,
}

struct State {
    root: PathBuf,
    other: PathBuf,
    rules: Vec<Rule>,
    asked: HashMap<On, usize>,
    served: Vec<Served>,
    connections: HashMap<usize, Arc<TcpStream>>,
    opened: usize,
    restarting: bool,
    ended: bool,
}

/// What a request asks for.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) range: Option<Range<u64>>,
    pub(crate) moved: bool,
}

impl Server {
    /// Serves `root`; after [`Fault::Replace`], `other`.
    pub(crate) fn start(root: &Path, other: &Path, rules: Vec<Rule>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            root: root.to_owned(),
            other: other.to_owned(),
            rules,
            asked: HashMap::new(),
            served: Vec::new(),
            connections: HashMap::new(),
            opened: 0,
            restarting: false,
            ended: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let listening = Arc::clone(&shared);
        thread::spawn(move || listening.listen(listener));
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn served(&self) -> Vec<Served> {
        self.shared.state().served.clone()
    }

    /// From now on `root`, without faults.
    pub(crate) fn mend(&self, root: &Path) {
        let mut state = self.shared.state();
        state.rules.clear();
        root.clone_into(&mut state.root);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ended = true;
        state.cut_all();
        drop(state);
        self.shared.changed.notify_all();
        TcpStream::connect(self.address).ok(); // wakes the listener out of accept(2)
    }
}

impl State {
    fn cut_all(&mut self) {
        for (_, connection) in self.connections.drain() {
            connection.shutdown(Shutdown::Both).ok(); // the other end may have been faster
        }
    }

    fn replace(&mut self) {
        self.root.clone_from(&self.other);
    }

    /// The fault that strikes `request`. A rule for one request is used up by it.
    fn strike(&mut self, on: On, request: &Request) -> Option<Fault> {
        let asked = self.asked.entry(on).or_default();
        *asked += 1;
        let number = *asked;
        let strikes = |rule: &Rule| {
            rule.on == on
                && match rule.when {
                    When::Always => true,
                    When::Nth(nth) => nth == number,
                    When::Covering(byte) => {
                        request.range.as_ref().is_some_and(|range| range.contains(&byte))
                    }
                }
        };
        let at = self.rules.iter().position(strikes)?;
        match self.rules[at].when {
            When::Always => Some(self.rules[at].fault.clone()),
            When::Nth(_) | When::Covering(_) => Some(self.rules.remove(at).fault),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn listen(self: &Arc<Self>, mut listener: TcpListener) {
        let address = listener.local_addr().unwrap();
        loop {
            let Ok((connection, _)) = listener.accept() else { continue };
            let mut state = self.state();
            if state.ended {
                return;
            }
            if state.restarting {
                state.cut_all();
                state.restarting = false;
                drop((state, connection, listener));
                if self.ends_within(DOWN) {
                    return;
                }
                listener = TcpListener::bind(address).unwrap();
                continue;
            }
            state.opened += 1;
            let (id, connection) = (state.opened, Arc::new(connection));
            state.connections.insert(id, Arc::clone(&connection));
            drop(state);
            let shared = Arc::clone(self);
            thread::spawn(move || shared.talk(id, &connection));
        }
    }

    fn talk(&self, id: usize, connection: &TcpStream) {
        connection.set_nodelay(true).ok(); // fails where it is closed already
        let mut reader = BufReader::new(connection);
        let mut after = After::Next;
        while after == After::Next {
            let Some(request) = read_request(&mut reader) else { break };
            after = self.answer(connection, &request);
        }
        if after == After::Rst {
            rustix::net::sockopt::set_socket_linger(connection, Some(Duration::ZERO)).unwrap();
        }
        // The socket closes with the last of its handles.
        self.state().connections.remove(&id);
    }

    fn answer(&self, connection: &TcpStream, request: &Request) -> After {
        let Some(on) = On::of(&request.path) else { return After::Close };
        let mut state = self.state();
        let redirects = state.rules.iter().any(|r| r.on == on && r.fault == Fault::RedirectOnce);
        let fault = if redirects && request.moved { None } else { state.strike(on, request) };
        match fault {
            Some(Fault::Replace) => state.replace(),
            Some(Fault::Restart) => state.restarting = true,
            _ => {}
        }
        let file = std::fs::read(state.root.join(request.path.trim_start_matches('/'))).ok();
        let reply = reply::reply(request, file.as_deref(), fault.as_ref());
        state.served.push(Served {
            path: request.path.clone(),
            asked: request.range.clone(),
            bytes: reply.bytes(),
            struck: fault.is_some() && !request.moved,
            at: Instant::now(),
        });
        drop(state);
        if fault == Some(Fault::Restart) {
            TcpStream::connect(connection.local_addr().unwrap()).ok();
        }
        reply.send(connection, self)
    }

    /// Waits until the server ends, or for so long: how bytes are paced.
    pub(crate) fn ends_within(&self, wait: Duration) -> bool {
        let state = self.state();
        self.changed.wait_timeout_while(state, wait, |state| !state.ended).unwrap().0.ended
    }

    /// Waits until the server ends.
    pub(crate) fn wait_for_end(&self) {
        drop(self.changed.wait_while(self.state(), |state| !state.ended).unwrap());
    }
}

/// The next request of a connection; `None` when there is none.
fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let (mut path, mut range) = (None, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            let path: String = path?;
            let moved = path.starts_with(MOVED);
            let path = path.trim_start_matches(MOVED).to_owned();
            return Some(Request { path, range, moved });
        }
        if let Some(rest) = line.strip_prefix("get ") {
            path = rest.split(' ').next().map(str::to_owned);
        } else if let Some(bytes) = line.strip_prefix("range: bytes=") {
            let (first, last) = bytes.split_once('-').unwrap();
            range = Some(first.parse().unwrap()..last.parse::<u64>().unwrap() + 1);
        }
    }
}
