//! The network of a test.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use init::net::{NetConfig, NetError, Network, NicPolicy, Reach, Unreached, bring_up};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Enough for any of these on a loaded machine; what a test measures it checks itself.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What needs no waiting is done within this. The kernel takes up to a second to notice that the far
/// end of a virtual cable is live, and drops what that end sends until then.
pub(crate) const QUICK: Duration = Duration::from_secs(4);

/// For tests that must end in failure.
pub(crate) const SHORT: Duration = Duration::from_secs(4);

/// A machine without NICs, in namespaces that end with the thread.
pub(crate) struct Lab {
    directory: tempfile::TempDir,
    servers: Vec<Server>,
}

/// Kills its process when dropped.
pub(crate) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Lab {
    /// `None`, with a line that says why, where the test cannot be run.
    pub(crate) fn new() -> Option<Self> {
        for (program, version) in [("ip", "-V"), ("dnsmasq", "--version"), ("python3", "-V")] {
            if Command::new(program).arg(version).output().is_err() {
                return skipped(&format!("{program} is not installed"));
            }
        }
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS) {
            return skipped(&format!("it needs root for namespaces ({error})"));
        }
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none).unwrap();
        std::fs::create_dir_all("/run/netns").unwrap();
        mount(Some("tmpfs"), "/run/netns", Some("tmpfs"), MsFlags::empty(), none).unwrap();
        Some(Self { directory: tempfile::tempdir().unwrap(), servers: Vec::new() })
    }

    /// Plugs NIC `name` into network `network`, 10.77.`network`.0/24, whose far end is .1.
    pub(crate) fn plug(name: &str, network: u8) {
        let far = format!("far{network}");
        ip(&format!("netns add {far}"));
        ip(&format!("link add {name} type veth peer name {far} netns {far}"));
        ip(&format!("-n {far} addr add 10.77.{network}.1/24 dev {far}"));
        ip(&format!("-n {far} link set {far} up"));
    }

    /// The same with a network of IPv6 only, `2001:db8:NETWORK::/64`, whose far end is `::1`.
    pub(crate) fn plug_v6(name: &str, network: u8) {
        let far = format!("far{network}");
        Self::plug(name, network);
        ip(&format!("-n {far} addr del 10.77.{network}.1/24 dev {far}"));
        ip(&format!("-n {far} addr add 2001:db8:{network}::1/64 dev {far} nodad"));
        // Its link's own address is there at once.
        ip(&format!("netns exec {far} sysctl -qw net.ipv6.conf.{far}.accept_dad=0"));
    }

    /// A NIC whose cable hangs loose.
    pub(crate) fn unplugged(name: &str) {
        ip("netns add nowhere");
        ip(&format!("link add {name} type veth peer name loose netns nowhere"));
    }

    /// Starts a DHCP server on a network and waits until it listens.
    pub(crate) fn dhcp(&mut self, network: u8, options: &[&str]) {
        let usual_range =
            format!("--dhcp-range=10.77.{network}.50,10.77.{network}.99,255.255.255.0,1h");
        let is_usual = !options.iter().any(|word| word.contains("-range="));
        let usual = is_usual.then_some(usual_range.as_str());
        let options: Vec<&str> = usual.into_iter().chain(options.iter().copied()).collect();
        self.dnsmasq(network, &options, "DHCP, ");
    }

    /// Starts a router of IPv6 on a network, with dnsmasq's word for how addresses are given (after
    /// the prefix).
    pub(crate) fn router(&mut self, network: u8, how: &str, options: &[&str]) {
        let range = format!("--dhcp-range=2001:db8:{network}::{how}");
        let options: Vec<&str> =
            ["--enable-ra", &range].into_iter().chain(options.iter().copied()).collect();
        self.dnsmasq(network, &options, "router advertisement");
    }

    fn dnsmasq(&mut self, network: u8, options: &[&str], ready: &str) {
        let far = format!("far{network}");
        let mut child = Command::new("ip")
            .args(["netns", "exec", &far, "dnsmasq", "--keep-in-foreground"])
            .args(["--conf-file=/dev/null", "--log-facility=-", "--no-resolv"])
            .args((!options.contains(&"--port=53")).then_some("--port=0"))
            .args(["--no-hosts", "--pid-file", "--bind-interfaces", "--dhcp-authoritative"])
            .arg(format!("--interface={far}"))
            .arg(format!("--dhcp-leasefile={}", self.leases(network)))
            .args(options)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        self.servers.push(Server(child));
        let listening = lines
            .by_ref()
            .map_while(Result::ok)
            .inspect(|line| eprintln!("{line}"))
            .any(|line| line.contains(ready));
        assert!(listening, "dnsmasq ended before it listened");
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| eprintln!("{line}"));
        });
    }

    /// Ends what was started last, the DHCP server of a network, which forgets its leases.
    pub(crate) fn end_dhcp(&mut self, network: u8) {
        drop(self.servers.pop());
        // A router that leases nothing has no such file.
        let _ = std::fs::remove_file(self.leases(network));
    }

    fn leases(&self, network: u8) -> String {
        self.path(&format!("leases{network}"))
    }

    /// Something that accepts TCP connections on port 7000 of a network, which is the store here.
    pub(crate) fn store(&mut self, network: u8) {
        self.store_at(network, &format!("'10.77.{network}.1',7000"), "AF_INET");
    }

    /// The same on the far end of a network of IPv6.
    pub(crate) fn store_v6(&mut self, network: u8) {
        self.store_at(network, &format!("'2001:db8:{network}::1',7000"), "AF_INET6");
    }

    fn store_at(&mut self, network: u8, address: &str, family: &str) {
        let program = format!(
            "import socket; s=socket.create_server(({address}),family=socket.{family})\n\
             print(flush=True)\n\
             while True: s.accept()[0].close()"
        );
        let mut child = Command::new("ip")
            .args(["netns", "exec", &format!("far{network}"), "python3", "-c", &program])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let ready = BufReader::new(child.stdout.take().unwrap()).lines().next();
        self.servers.push(Server(child));
        assert!(ready.is_some(), "the store ended before it listened");
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    pub(crate) fn config(&self) -> NetConfig {
        NetConfig {
            deadline: DEADLINE,
            policy: NicPolicy::AnyEthernet,
            resolv_conf: self.path("etc/resolv.conf").into(),
            ..NetConfig::default()
        }
    }

    /// Puts a file of the lab's own where the C library looks for resolvers.
    pub(crate) fn resolver(&self) {
        let file = self.path("resolv.conf");
        std::fs::write(&file, "").unwrap();
        let (from, none) = (Some(file.as_str()), None::<&str>);
        mount(from, "/etc/resolv.conf", none, MsFlags::MS_BIND, none).unwrap();
    }

    pub(crate) fn resolv_conf(&self) -> String {
        std::fs::read_to_string(self.path("etc/resolv.conf")).unwrap()
    }
}

/// Written past the test harness, which would only show it for a failed test.
fn skipped(why: &str) -> Option<Lab> {
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
    None
}

pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn mac(name: &str) -> String {
    let text = ip(&format!("-o link show {name}"));
    let mut words = text.split_whitespace().skip_while(|word| *word != "link/ether");
    words.nth(1).unwrap().to_owned()
}

/// Says why the store is not reached.
pub(crate) type StoreTry = Box<dyn FnMut(&Network, Duration) -> Result<(), Unreached> + Send>;

/// Reaches the store of one network over the kernel's stack.
pub(crate) fn store_of(
    network: u8,
) -> impl FnMut(&Network, Duration) -> Result<(), Unreached> + Send {
    connects(SocketAddr::from(([10, 77, network, 1], 7000)))
}

/// The same over IPv6.
pub(crate) fn store_v6_of(
    network: u8,
) -> impl FnMut(&Network, Duration) -> Result<(), Unreached> + Send {
    connects(SocketAddr::from(([0x2001, 0xdb8, network.into(), 0, 0, 0, 0, 1], 7000)))
}

fn connects(address: SocketAddr) -> impl FnMut(&Network, Duration) -> Result<(), Unreached> + Send {
    move |_, _| {
        let connected = TcpStream::connect_timeout(&address, Duration::from_secs(3));
        connected.map(drop).map_err(|error| format!("{address}: {error}").into())
    }
}

/// Runs to the end, with everything that was said.
pub(crate) fn run(
    config: &NetConfig,
    reach: &mut Reach<'_>,
) -> (Result<Network, NetError>, Vec<String>, Duration) {
    let (began, mut said) = (Instant::now(), Vec::new());
    let result = bring_up(config, reach, &mut |line| {
        eprintln!("{:6} ms {line}", began.elapsed().as_millis());
        said.push(line.to_owned());
    });
    (result, said, began.elapsed())
}

pub(crate) fn failure(result: Result<Network, NetError>) -> String {
    let text = result.expect_err("nothing could be reached").to_string();
    eprintln!("{text}");
    // What is told of a card, in one line.
    let rows = text.lines().map(|row| {
        let words = row.split_whitespace().collect::<Vec<_>>().join(" ");
        if row.starts_with(' ') { format!(" {words}") } else { format!("\n{words}") }
    });
    rows.collect::<String>().trim().to_owned()
}
