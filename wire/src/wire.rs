//! A network as a value, and the one that runs.

use crate::capture::Capture;
use crate::faults::Faults;
use crate::lldp::Announced;
use crate::noise::Noise;
use crate::seen::Seen;
use crate::station::{Powered, Station};
use crate::switch::{Moving, Order, Socket, Switch};
use anyhow::{Context, Result, anyhow};
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;
use tempfile::TempDir;

/// A port of the switch, for a card of a machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Port {
    /// What is wrong with it.
    pub faults: Faults,
    /// Ports and stations of other segments are out of reach.
    pub segment: u8,
    /// Frames to and from the card have this number of a virtual network; others are dropped.
    pub tagged: Option<u16>,
    /// One of several ports to the same machine, agreed upon by LACP: those with the same number.
    pub aggregate: Option<u8>,
    /// What the switch says of itself there.
    pub announced: Option<Announced>,
}

/// A network that is off: ports for machines, and what else is plugged in.
#[derive(Clone, Debug)]
pub struct Network {
    /// In the order of the machine's cards.
    pub ports: Vec<Port>,
    /// Each with its segment.
    pub stations: Vec<(u8, Station)>,
    /// Decides which frames faults strike.
    pub seed: u64,
    /// Where a capture of it is written.
    pub capture: Option<PathBuf>,
}

impl Network {
    /// One segment with these stations and a good port.
    pub fn of(stations: impl IntoIterator<Item = Station>) -> Self {
        let stations = stations.into_iter().map(|station| (0, station)).collect();
        Self { ports: vec![Port::default()], stations, seed: 1, capture: None }
    }

    /// Switches it on.
    pub fn start(&self) -> Result<Wire> {
        Wire::start(self)
    }
}

/// A network that is on, for as long as it lives.
#[derive(Debug)]
pub struct Wire {
    sockets: Vec<PathBuf>,
    orders: Sender<Order>,
    bell: UnixStream,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<Result<()>>>,
    _directory: TempDir,
}

impl Wire {
    fn start(network: &Network) -> Result<Self> {
        let directory = TempDir::with_prefix("wire-").context("a directory for the ports")?;
        let (mut sockets, mut ports) = (Vec::new(), Vec::new());
        for (index, port) in network.ports.iter().enumerate() {
            let path = directory.path().join(format!("port{index}"));
            let listener = UnixListener::bind(&path)
                .with_context(|| format!("making the port {}", path.display()))?;
            ports.push(Socket::new(listener, *port)?);
            sockets.push(path);
        }
        let (bell, rung) = UnixStream::pair().context("the switch's bell")?;
        rung.set_nonblocking(true).context("a bell that does not block")?;
        let (orders, received) = channel();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let switch = Switch {
            began: Instant::now(),
            ports,
            stations: (network.stations.iter())
                .map(|(segment, station)| (*segment, Powered::of(station)))
                .collect(),
            noise: Noise::of(network.seed),
            capture: network.capture.as_deref().map(Capture::to).transpose()?,
            orders: received,
            bell: rung,
            seen: Arc::clone(&seen),
            state: Moving::default(),
        };
        let thread = Some(thread::spawn(move || switch.run()));
        Ok(Self { sockets, orders, bell, seen, thread, _directory: directory })
    }

    /// Where QEMU's `-netdev stream` connects to a port.
    pub fn socket(&self, port: usize) -> &Path {
        &self.sockets[port]
    }

    /// What machines have sent so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what is wrong with a port.
    pub fn set_faults(&self, port: usize, faults: Faults) -> Result<()> {
        self.order(Order::Faults(port, faults))
    }

    /// A cable was pulled out and plugged in: the port forgets that it was open.
    pub fn replug(&self, port: usize) -> Result<()> {
        self.order(Order::Replug(port))
    }

    /// Switches it off, and says why it could not go on, if that was so.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn order(&self, order: Order) -> Result<()> {
        self.orders.send(order).context("the switch has stopped")?;
        (&self.bell).write_all(&[0]).context("ringing the switch's bell")
    }

    fn end(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // It may have ended by itself, which its thread says.
        let _ = self.order(Order::End);
        thread.join().map_err(|panic| anyhow!("the switch panicked: {panic:?}"))?
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
