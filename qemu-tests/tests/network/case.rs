//! A case as a value, and what all of them share.

use crate::lab;
use anyhow::Result;
use qemu_tests::{Misbehaviour, NicModel, Noise, Running, Served};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use wire::{Dhcp, Faults, Host, Network, Port, Seen, Shelf, Station, Wire};

/// The router, which has the store.
pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The store's address behind the router.
pub(crate) const BEHIND: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 5);

/// The DHCP server.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// What is deployed.
pub(crate) const LABEL: &str = "lab/small";

/// Large enough for several requests of the engine, small enough to be nothing under emulation.
const IMAGE_BYTES: usize = 5 << 20;

/// A store with a small label: no kernel, so that machines are told to power off.
pub(crate) struct Bench {
    work: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Result<Self> {
        let work = tempfile::tempdir()?;
        let bench = Self { work };
        fs::write(bench.raw(), Noise::of(77).bytes(IMAGE_BYTES))?;
        lab::push(&bench.store(), LABEL, &bench.raw())?;
        Ok(bench)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.work.path().join("store")
    }

    pub(crate) fn raw(&self) -> PathBuf {
        self.work.path().join("small.raw")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }
}

/// How a case ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The label is on the disk, to the byte.
    Deployed,
    /// The failure screen is shown, and the disk does not boot.
    Failed,
}

/// A machine, its network, what is wrong with that, and what must come of it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// A card for each port.
    pub(crate) network: Network,
    /// What these cards are.
    pub(crate) model: NicModel,
    /// What the store is asked.
    pub(crate) shelf: Shelf,
    /// The initramfs, if it is not that of all tests.
    pub(crate) init: Option<PathBuf>,
    /// `http://HOST` of the store.
    pub(crate) url: &'static str,
    /// More of the command line.
    pub(crate) told: &'static str,
    /// What the machine's clock shows at power-on.
    pub(crate) clock: Option<&'static str>,
    /// Mostly a wait: begins before others.
    pub(crate) is_long: bool,
    /// Done to it while it runs.
    pub(crate) act: fn(&mut Running, &Wire) -> Result<()>,
    pub(crate) outcome: Outcome,
    /// What the console says, wherever it wraps its lines.
    pub(crate) says: &'static [&'static str],
    /// What else must be true.
    pub(crate) check: fn(&Ran) -> Result<()>,
}

/// What a case has come to.
pub(crate) struct Ran {
    pub(crate) console: String,
    pub(crate) seen: Seen,
    pub(crate) served: Vec<Served>,
    /// Cuts of the store that did not strike.
    pub(crate) cuts_left: usize,
}

impl Case {
    /// A network without faults on which a machine deploys.
    pub(crate) fn of(name: &'static str, bench: &Bench) -> Self {
        let shelf = Shelf::of(bench.store(), Vec::new());
        Self {
            name,
            network: Network::of([dhcp().into(), router(&shelf).into()]),
            model: NicModel::VirtioNet,
            shelf,
            init: None,
            url: "http://10.77.0.1",
            told: "",
            clock: None,
            is_long: false,
            act: |_, _| Ok(()),
            outcome: Outcome::Deployed,
            says: &[],
            check: |_| Ok(()),
        }
    }

    /// The same with a store that misbehaves.
    pub(crate) fn spoilt(self, faults: Vec<Misbehaviour>) -> Self {
        self.shelf.misbehave(faults);
        self
    }

    /// The same with these cards, each on its port.
    pub(crate) fn on(mut self, ports: impl IntoIterator<Item = Port>) -> Self {
        self.network.ports = ports.into_iter().collect();
        self
    }

    /// The same with something wrong with its one port.
    pub(crate) fn with(self, faults: Faults) -> Self {
        self.on([Port { faults, ..Port::default() }])
    }

    /// The same with other DHCP servers.
    pub(crate) fn leased_by(mut self, servers: impl IntoIterator<Item = Dhcp>) -> Self {
        let is_replaced =
            |segment, station: &Station| segment == 0 && matches!(station, Station::Dhcp(_));
        self.network.stations.retain(|(segment, station)| !is_replaced(*segment, station));
        let servers = servers.into_iter().map(|server| (0, server.into()));
        self.network.stations.extend(servers);
        self
    }

    /// The same with another router.
    pub(crate) fn routed_by(mut self, router: Host) -> Self {
        let is_replaced = |station: &Station| matches!(station, Station::Host(_));
        self.network.stations.retain(|(_, station)| !is_replaced(station));
        self.network.stations.push((0, router.into()));
        self
    }

    /// The same, ending in the failure screen.
    pub(crate) fn fails(self, says: &'static [&'static str]) -> Self {
        Self { outcome: Outcome::Failed, says, ..self }
    }
}

/// A server that tells the truth.
pub(crate) fn dhcp() -> Dhcp {
    Dhcp { routers: vec![ROUTER], resolvers: vec![ROUTER], ..Dhcp::at(SERVER) }
}

/// The router with the store, and with a resolver.
pub(crate) fn router(shelf: &Shelf) -> Host {
    let mut router = Host::at(ROUTER).serving(shelf.clone());
    router.addresses.push((BEHIND, 24));
    Host { names: Some(vec![("depot.lab".to_owned(), BEHIND)]), ..router }
}

/// Where captures and consoles are kept.
pub(crate) fn kept(case: &str, what: &str) -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("network");
    fs::create_dir_all(&directory)?;
    Ok(directory.join(format!("{}.{what}", plain(case))))
}

/// A case's name as that of a file.
pub(crate) fn plain(case: &str) -> String {
    case.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}
