//! A network of a test's own: a bridge with this host on it, taps for machines, and the daemons of
//! a lab, in a network namespace without a name.
//!
//! The namespace is that of the test's thread and of everything that it starts, which dies with
//! the thread. So any number of tests run at once, with the same names and addresses, and nothing
//! is left behind by one that fails.

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, unshare};
use std::io::{BufRead, BufReader, PipeReader, Write, pipe};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The name of this host's end.
pub(crate) const BRIDGE: &str = "br0";

/// This host, as machines see it.
pub(crate) const HOST: &str = "10.77.0.1";

/// The addresses that machines get.
pub(crate) const RANGE: &str = "10.77.0.100-10.77.0.200/24";

/// A DHCP server of others.
const OTHER: &str = "10.77.0.2";

/// Moves this thread into a network with `taps` for machines.
pub(crate) fn plug_in(taps: &[&str]) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("a network namespace (unshare(2)); needs root")?;
    ip("link set lo up")?;
    ip(&format!("link add {BRIDGE} type bridge"))?;
    ip(&format!("address add {HOST}/24 dev {BRIDGE}"))?;
    ip(&format!("link set {BRIDGE} up"))?;
    for tap in taps {
        ip(&format!("tuntap add {tap} mode tap"))?;
        attach(tap)?;
    }
    Ok(())
}

fn attach(link: &str) -> Result<()> {
    ip(&format!("link set {link} master {BRIDGE}"))?;
    ip(&format!("link set {link} up"))
}

fn ip(words: &str) -> Result<()> {
    let output = Command::new("ip").args(words.split(' ')).output().context("starting ip")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {words}: {said}");
    Ok(())
}

/// A program that serves the network until it is dropped.
pub(crate) struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    /// Starts it and waits until it says `ready`.
    pub(crate) fn start(program: &str, words: &[&str], ready: &str) -> Result<Self> {
        Self::start_told(program, words, Stdio::null())?.until(ready)
    }

    fn start_told(program: &str, words: &[&str], stdin: Stdio) -> Result<Starting> {
        let (output, said) = pipe()?;
        // It dies with this thread: prctl(2), PR_SET_PDEATHSIG.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]).args(words).stdin(stdin);
        command.stdout(said.try_clone()?).stderr(said);
        let child = command.spawn().with_context(|| format!("starting {program}"))?;
        Ok(Starting { name: program.to_owned(), child, output })
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that does not serve yet.
struct Starting {
    name: String,
    child: Child,
    output: PipeReader,
}

impl Starting {
    fn until(self, ready: &str) -> Result<Daemon> {
        let mut lines = BufReader::new(self.output);
        let mut said = String::new();
        while !said.contains(ready) {
            let read = lines.read_line(&mut said)?;
            ensure!(read > 0, "{} ended: {said}", self.name);
        }
        let log = Arc::new(Mutex::new(said));
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = kept.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        Ok(Daemon { child: self.child, log })
    }
}

/// dnsmasq with this configuration.
pub(crate) fn dnsmasq(config: &str) -> Result<Daemon> {
    let words = ["--no-daemon", "--log-dhcp", "--user=root", "-C", config];
    Daemon::start("dnsmasq", &words, "TFTP root is")
}

/// A DHCP server that knows nothing of booting, on a host of its own.
pub(crate) fn other_dhcp() -> Result<Daemon> {
    ip("link add other type veth peer name inner")?;
    attach("other")?;
    let serve = format!(
        "read -r _ && ip address add {OTHER}/24 dev inner && ip link set inner up && \
         exec dnsmasq --no-daemon --user=root -C /dev/null --port=0 --interface=inner \
         --bind-interfaces --except-interface=lo --dhcp-leasefile=/dev/null \
         --dhcp-range=10.77.0.100,10.77.0.200,255.255.255.0,1h"
    );
    // It has its namespace when it says so, and waits for the cable.
    let say = format!("echo plugged; {serve}");
    let words = ["--net", "sh", "-c", &say];
    let mut starting = Daemon::start_told("unshare", &words, Stdio::piped())?;
    let mut cable = starting.child.stdin.take().context("it has no standard input")?;
    let mut line = String::new();
    // Unbuffered: what follows is for whoever waits next.
    while !line.ends_with('\n') {
        let mut byte = [0];
        std::io::Read::read_exact(&mut starting.output, &mut byte)
            .with_context(|| format!("unshare ended: {line}"))?;
        line.push(char::from(byte[0]));
    }
    ip(&format!("link set inner netns {}", starting.child.id()))?;
    cable.write_all(b"\n")?;
    starting.until("sockets bound")
}
