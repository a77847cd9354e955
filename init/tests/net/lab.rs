//! The network of a test.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use init::net::{NetConfig, NetError, Network, NicPolicy, bring_up};
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

    /// A NIC whose cable hangs loose.
    pub(crate) fn unplugged(name: &str) {
        ip("netns add nowhere");
        ip(&format!("link add {name} type veth peer name loose netns nowhere"));
    }

    /// Starts a DHCP server on a network and waits until it listens.
    pub(crate) fn dhcp(&mut self, network: u8, options: &[&str]) {
        let far = format!("far{network}");
        let usual_range =
            Some(format!("--dhcp-range=10.77.{network}.50,10.77.{network}.99,255.255.255.0,1h"));
        let mut child = Command::new("ip")
            .args([
                "netns",
                "exec",
                &far,
                "dnsmasq",
                "--keep-in-foreground",
                "--conf-file=/dev/null",
            ])
            .args([
                "--log-facility=-",
                "--port=0",
                "--no-resolv",
                "--no-hosts",
                "--pid-file",
                "--bind-interfaces",
            ])
            .arg("--dhcp-authoritative")
            .arg(format!("--interface={far}"))
            .args(usual_range.filter(|_| !options.iter().any(|word| word.contains("-range="))))
            .arg(format!("--dhcp-leasefile={}", self.leases(network)))
            .args(options)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        self.servers.push(Server(child));
        let mut said = Vec::new();
        let listening = lines.by_ref().map_while(Result::ok).any(|line| {
            let is_ready = line.contains("DHCP, ");
            said.push(line);
            is_ready
        });
        assert!(listening, "dnsmasq ended before it listened: {said:?}");
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| eprintln!("{line}"));
        });
    }

    /// Ends what was started last, the DHCP server of a network, which forgets its leases.
    pub(crate) fn end_dhcp(&mut self, network: u8) {
        drop(self.servers.pop());
        std::fs::remove_file(self.leases(network)).unwrap();
    }

    fn leases(&self, network: u8) -> String {
        self.path(&format!("leases{network}"))
    }

    /// Something that accepts TCP connections on port 7000 of a network, which is the store here.
    pub(crate) fn store(&mut self, network: u8) {
        let program = format!(
            "import socket; s=socket.create_server(('10.77.{network}.1',7000)); print(flush=True)\n\
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

/// Reaches the store of one network over the kernel's stack.
pub(crate) fn store_of(network: u8) -> impl FnMut(&Network) -> Result<(), String> {
    let address = SocketAddr::from(([10, 77, network, 1], 7000));
    move |_| {
        let connected = TcpStream::connect_timeout(&address, Duration::from_secs(3));
        connected.map(drop).map_err(|error| format!("{address}: {error}"))
    }
}

/// Runs to the end, with everything that was said.
pub(crate) fn run(
    config: &NetConfig,
    reach: &mut dyn FnMut(&Network) -> Result<(), String>,
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
    text
}
