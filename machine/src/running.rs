//! A machine that is on: what it says, what is done to it, how it ends.

use crate::accel::Accel;
use crate::console::{Console, Found, Missing};
use crate::devices::{Disk, Nic};
use crate::needs::QEMU;
use crate::qmp::Qmp;
use crate::sys;
use anyhow::{Context, Error, Result, anyhow};
use serde_json::json;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Seen where it is not expected, this ends every wait at once.
const PANIC: &str = "Kernel panic - not syncing";

/// How often a disk's counters are looked at; QEMU has no event for them.
const COUNTER_INTERVAL: Duration = Duration::from_millis(20);

/// A machine that is on. Dropping it is pulling its plug.
#[derive(Debug)]
pub struct Running {
    name: String,
    accel: Accel,
    guest: Guest,
    keyboard: ChildStdin,
    console: Console,
    qmp: Qmp,
    /// Expectations are met in order: the next one looks from here.
    seen: usize,
    /// Our ends of the virtio-serial ports, until they are taken.
    ports: Vec<Option<UnixStream>>,
    /// Removed with the machine.
    _scratch: TempDir,
}

/// What an expectation found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Which of the alternatives, from 0.
    pub which: usize,
    /// The line it is on, as far as it has come.
    pub line: String,
}

/// One text, or several of which the first to be seen counts.
#[derive(Clone, Debug)]
pub struct Texts<'a>(Vec<&'a str>);

impl<'a> From<&'a str> for Texts<'a> {
    fn from(text: &'a str) -> Self {
        Self(vec![text])
    }
}

impl<'a, const N: usize> From<[&'a str; N]> for Texts<'a> {
    fn from(texts: [&'a str; N]) -> Self {
        Self(texts.to_vec())
    }
}

impl Running {
    pub(crate) fn spawn(
        name: &str,
        accel: Accel,
        arguments: &[String],
        ports: &[String],
        log: Option<&Path>,
        scratch: TempDir,
    ) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair().context("a socket for the monitor")?;
        let (ports, ends) = sockets(ports)?;
        let (output, said) = io::pipe().context("a pipe for the console")?;
        let mut command = Command::new(QEMU);
        command
            .args(arguments)
            .args(monitor(&theirs))
            .args(ends.iter().enumerate().flat_map(|(index, (name, end))| port(index, name, end)))
            .stdin(Stdio::piped())
            // What QEMU itself complains of belongs beside what the machine says.
            .stderr(said.try_clone().context("the pipe's second end")?)
            .stdout(said);
        // What is typed at this process, such as Ctrl-C, is not for QEMU: its end is ours to bring
        // about.
        command.process_group(0);
        let ends = ends.into_iter().map(|(_, end)| end.into());
        sys::tie_to_this_thread(&mut command, ends.chain([theirs.into()]).collect());
        let mut guest =
            Guest(command.spawn().context("starting qemu-system-x86_64; is it installed?")?);
        // It holds our copies of QEMU's ends, which would keep them from closing.
        drop(command);
        let console = Console::of(output, log)?;
        let keyboard = guest.0.stdin.take().context("QEMU has no standard input")?;
        let qmp = Qmp::greet(ours).map_err(|error| {
            guest.end();
            let _ = console.wait_closed(Instant::now() + Duration::from_secs(1));
            error.context(format!("{name} did not start: {}", console.text().trim()))
        })?;
        let name = name.to_owned();
        Ok(Self { name, accel, guest, keyboard, console, qmp, seen: 0, ports, _scratch: scratch })
    }

    /// Waits for a text, or for the first of several, behind what earlier
    /// expectations found. A kernel panic that is not expected fails at once.
    pub fn expect<'a>(&mut self, texts: impl Into<Texts<'a>>, within: Duration) -> Result<Match> {
        let texts = texts.into().0;
        let found = self.find(&texts, within)?;
        self.seen = found.end;
        Ok(Match { which: found.which, line: self.console.line_at(found.start) })
    }

    /// Waits for all of these texts, in whatever order they come.
    pub fn expect_all(&mut self, texts: &[&str], within: Duration) -> Result<()> {
        let deadline = self.deadline(within);
        let mut end = self.seen;
        for text in texts {
            end = end.max(self.find_until(&[text], within, deadline)?.end);
        }
        self.seen = end;
        Ok(())
    }

    /// Waits for a text and for the end of its line, which it returns.
    pub fn expect_line(&mut self, text: &str, within: Duration) -> Result<String> {
        let found = self.find(&[text], within)?;
        self.seen = found.end;
        self.seen = self.find(&["\n"], within)?.end;
        Ok(self.console.line_at(found.start))
    }

    /// Waits for a text and returns what was said before it, behind what earlier expectations found.
    pub fn expect_until(&mut self, text: &str, within: Duration) -> Result<String> {
        let found = self.find(&[text], within)?;
        let before = self.console.text_of(self.seen..found.start);
        self.seen = found.end;
        Ok(before)
    }

    /// Waits until the machine has ended by itself, by power-off or by reset.
    pub fn wait_exit(&mut self, within: Duration) -> Result<()> {
        let deadline = self.deadline(within);
        self.console
            .wait_closed(deadline)
            .map_err(|_| self.failure(&format!("did not end within {within:?}")))?;
        let status = self.guest.0.wait().context("waiting for QEMU")?;
        if status.success() {
            Ok(())
        } else {
            Err(self.failure(&format!("QEMU ended with {status}")))
        }
    }

    /// Waits until the machine has written `bytes` to a disk (from 0, in the
    /// order of the literal): to do something in the middle of it.
    pub fn wait_written(&mut self, disk: usize, bytes: u64, within: Duration) -> Result<()> {
        let deadline = self.deadline(within);
        let device = Disk::device_id(disk);
        let mut written = 0;
        while Instant::now() < deadline && !self.console.is_closed() {
            written = self.qmp.written_bytes(&device)?;
            if written >= bytes {
                return Ok(());
            }
            thread::sleep(COUNTER_INTERVAL);
        }
        Err(self.failure(&format!("has written {written} of {bytes} bytes to {device}")))
    }

    /// Pulls the plug: no cache of the machine is written back.
    pub fn kill(&mut self) -> Result<()> {
        self.guest.0.kill().context("killing QEMU")?;
        self.guest.0.wait().context("waiting for QEMU")?;
        Ok(())
    }

    /// Presses the reset button.
    pub fn reset(&mut self) -> Result<()> {
        self.qmp.execute("system_reset", &json!({})).map(drop)
    }

    /// Plugs a card's cable in or pulls it out.
    pub fn set_cable(&mut self, nic: usize, plugged: bool) -> Result<()> {
        self.qmp.execute("set_link", &json!({ "name": Nic::id(nic), "up": plugged })).map(drop)
    }

    /// Types a line on the serial console.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).context("typing on the console")
    }

    /// What it has said so far.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// How its instructions are run.
    pub fn accel(&self) -> Accel {
        self.accel
    }

    /// The host's end of port `index`, in the order of the literal; `None` once it was taken. What
    /// is written to it waits until the machine opens the port.
    pub fn take_port(&mut self, index: usize) -> Option<UnixStream> {
        self.ports.get_mut(index)?.take()
    }

    /// Presses the power button.
    pub fn press_power(&mut self) -> Result<()> {
        self.qmp.execute("system_powerdown", &json!({})).map(drop)
    }

    /// QEMU's monitor, for what has no method here.
    pub fn monitor(&mut self) -> &mut Qmp {
        &mut self.qmp
    }

    fn find(&self, texts: &[&str], within: Duration) -> Result<Found> {
        self.find_until(texts, within, self.deadline(within))
    }

    /// `within` is what a failure says of `deadline`.
    fn find_until(&self, texts: &[&str], within: Duration, deadline: Instant) -> Result<Found> {
        let mut patterns = texts.to_vec();
        patterns.push(PANIC);
        match self.console.wait(self.seen, &patterns, deadline) {
            Ok(found) if found.which < texts.len() => Ok(found),
            Ok(_) => Err(self.failure(&format!("panicked; expected {texts:?}"))),
            Err(Missing::Deadline) => {
                Err(self.failure(&format!("did not say {texts:?} within {within:?}")))
            }
            Err(Missing::Closed) => Err(self.failure(&format!("ended without saying {texts:?}"))),
        }
    }

    fn deadline(&self, within: Duration) -> Instant {
        Instant::now() + within * self.accel.deadline_factor()
    }

    /// An error with the whole console.
    pub(crate) fn failure(&self, what: &str) -> Error {
        let Self { name, accel, console, .. } = self;
        anyhow!(
            "{name} ({accel:?}) {what}\n--- console of {name} ---\n{}\n--- end of console ---",
            console.text().trim_end()
        )
    }
}

/// QEMU: however what follows its start ends, it does not stay.
#[derive(Debug)]
struct Guest(Child);

impl Guest {
    fn end(&mut self) {
        // It may have ended already; either way nothing is left to report to.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.end();
    }
}

/// A port's name, and QEMU's end of it.
type NamedEnd<'a> = (&'a str, UnixStream);

/// A pair of sockets for each port: ours, and QEMU's with the port's name.
fn sockets(ports: &[String]) -> Result<(Vec<Option<UnixStream>>, Vec<NamedEnd<'_>>)> {
    let mut pairs = (Vec::new(), Vec::new());
    for name in ports {
        let (ours, theirs) = UnixStream::pair().context("a socket for a port")?;
        pairs.0.push(Some(ours));
        pairs.1.push((name.as_str(), theirs));
    }
    Ok(pairs)
}

/// Port `index`; the first one brings the controller.
fn port(index: usize, name: &str, inherited: &UnixStream) -> Vec<String> {
    let controller = (index == 0).then(|| ["-device".into(), "virtio-serial-pci".into()]);
    let socket = format!("socket,id=port{index},fd={}", inherited.as_raw_fd());
    let device = format!("virtserialport,chardev=port{index},name={name}");
    let own = ["-chardev".into(), socket, "-device".into(), device];
    controller.into_iter().flatten().chain(own).collect()
}

fn monitor(inherited: &UnixStream) -> [String; 4] {
    let socket = format!("socket,id=qmp,fd={}", inherited.as_raw_fd());
    ["-chardev".into(), socket, "-mon".into(), "chardev=qmp,mode=control".into()]
}

#[cfg(test)]
mod tests {
    use super::Guest;
    use rustix::process::{Pid, test_kill_process};
    use std::process::Command;

    #[test]
    fn a_guest_ends_with_what_holds_it() {
        let guest = Guest(Command::new("sleep").arg("1000").spawn().unwrap());
        let pid = Pid::from_child(&guest.0);
        assert!(test_kill_process(pid).is_ok());
        drop(guest);
        assert!(test_kill_process(pid).is_err());
    }
}
