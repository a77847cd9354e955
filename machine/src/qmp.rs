//! QEMU's monitor: one JSON object per line over a socket that QEMU inherits.

use crate::deadline;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

/// The longest answer used here, `query-blockstats` of a machine with many
/// disks, has some 3 KiB a disk.
const LINE_BYTES: u64 = 1 << 20;

/// Events that may stand between a command and its answer.
const EVENTS: usize = 1000;

/// A conversation with QEMU's monitor (qemu-qmp-ref(7)).
#[derive(Debug)]
pub struct Qmp {
    input: BufReader<UnixStream>,
    output: UnixStream,
}

impl Qmp {
    /// Takes QEMU's greeting and says that nothing special is wanted.
    pub(crate) fn greet(socket: UnixStream) -> Result<Self> {
        socket.set_read_timeout(Some(deadline::MONITOR)).context("the monitor's deadline")?;
        let output = socket.try_clone().context("the monitor's second descriptor")?;
        let mut qmp = Self { input: BufReader::new(socket), output };
        let greeting = qmp.line()?;
        ensure!(greeting.get("QMP").is_some(), "the monitor's greeting is {greeting}");
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// One command and its answer; events in between are passed over.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        self.output.write_all(line.as_bytes()).with_context(|| format!("saying {command}"))?;
        for _ in 0..EVENTS {
            let mut answer = self.line().with_context(|| format!("the answer to {command}"))?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                bail!("{command} was refused: {error}");
            }
        }
        bail!("{command}: no answer among {EVENTS} events")
    }

    /// Bytes that the machine has written to the device of this name.
    pub(crate) fn written_bytes(&mut self, device: &str) -> Result<u64> {
        let stats = self.execute("query-blockstats", &json!({}))?;
        stats
            .as_array()
            .into_iter()
            .flatten()
            .find(|entry| entry["qdev"].as_str().is_some_and(|path| names(path, device)))
            .and_then(|entry| entry["stats"]["wr_bytes"].as_u64())
            .with_context(|| format!("no {device} in QEMU's block statistics: {stats}"))
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.input.by_ref().take(LINE_BYTES).read_line(&mut line).context("reading the monitor")?;
        ensure!(!line.is_empty(), "the monitor is closed");
        serde_json::from_str(&line).with_context(|| format!("the monitor said {line:?}"))
    }
}

/// Does QEMU's path `/machine/peripheral/disk0-device/...` name `device`?
fn names(path: &str, device: &str) -> bool {
    path.split('/').any(|part| part == device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn an_answer_is_found_among_events() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let qemu = thread::spawn(move || {
            let mut input = BufReader::new(theirs.try_clone().unwrap());
            let mut output = theirs;
            let mut heard = String::new();
            for reply in [
                "{\"QMP\": {}}\n",
                "{\"return\": {}}\n",
                "{\"event\": \"RESET\"}\n{\"return\": [{\"qdev\": \"/machine/peripheral/disk1-device\", \
                 \"stats\": {\"wr_bytes\": 1}}, {\"qdev\": \
                 \"/machine/peripheral/disk0-device/virtio-backend\", \"stats\": {\"wr_bytes\": 512}}]}\n",
                "{\"error\": {\"class\": \"GenericError\"}}\n",
            ] {
                output.write_all(reply.as_bytes()).unwrap();
                input.read_line(&mut heard).unwrap();
            }
        });
        let mut qmp = Qmp::greet(ours).unwrap();
        assert_eq!(qmp.written_bytes("disk0-device").unwrap(), 512);
        let refusal = qmp.execute("set_link", &json!({})).unwrap_err().to_string();
        assert_eq!(refusal, "set_link was refused: {\"class\":\"GenericError\"}");
        drop(qmp);
        qemu.join().unwrap();
    }
}
