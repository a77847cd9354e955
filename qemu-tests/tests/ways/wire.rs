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
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The name of this host's end.
pub(crate) const BRIDGE: &str = "br0";

/// This host, as machines see it.
pub(crate) const HOST: &str = "10.77.0.1";

/// The addresses that machines get.
pub(crate) const RANGE: &str = "10.77.0.100-10.77.0.200/24";

/// A DHCP server of others.
const OTHER: &str = "10.77.0.2";

/// How long a program may take until it serves: it starts at once where nothing is wrong.
const READY: Duration = Duration::from_mins(1);

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
    name: String,
    child: Child,
    log: Arc<Log>,
}

/// What a program has said.
#[derive(Default)]
struct Log {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Default)]
struct Said {
    text: String,
    is_all: bool,
}

impl Daemon {
    /// Starts it and waits until it says `ready`.
    pub(crate) fn start(program: &str, words: &[&str], ready: &str) -> Result<Self> {
        let daemon = Self::start_told(program, words, Stdio::null())?;
        daemon.until(ready)?;
        Ok(daemon)
    }

    fn start_told(program: &str, words: &[&str], stdin: Stdio) -> Result<Self> {
        let (output, said) = pipe()?;
        // It dies with this thread: prctl(2), PR_SET_PDEATHSIG.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]).args(words).stdin(stdin);
        command.stdout(said.try_clone()?).stderr(said);
        let child = command.spawn().with_context(|| format!("starting {program}"))?;
        let log = Arc::new(Log::default());
        let kept = Arc::clone(&log);
        thread::spawn(move || kept.take(output));
        Ok(Self { name: program.to_owned(), child, log })
    }

    /// Waits until it has said `ready`.
    fn until(&self, ready: &str) -> Result<()> {
        let said = self.log.lock();
        let is_waiting = |said: &mut Said| !said.is_all && !said.text.contains(ready);
        let (said, _) = (self.log.more.wait_timeout_while(said, READY, is_waiting))
            .unwrap_or_else(PoisonError::into_inner);
        ensure!(said.text.contains(ready), "{} does not say {ready}: {}", self.name, said.text);
        Ok(())
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        self.log.lock().text.clone()
    }
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all that `output` brings.
    fn take(&self, output: PipeReader) {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let text = &mut self.lock().text;
            text.push_str(&line);
            text.push('\n');
            self.more.notify_all();
        }
        self.lock().is_all = true;
        self.more.notify_all();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
    let mut daemon = Daemon::start_told("unshare", &words, Stdio::piped())?;
    let mut cable = daemon.child.stdin.take().context("it has no standard input")?;
    daemon.until("plugged")?;
    ip(&format!("link set inner netns {}", daemon.child.id()))?;
    cable.write_all(b"\n")?;
    daemon.until("sockets bound")?;
    Ok(daemon)
}
