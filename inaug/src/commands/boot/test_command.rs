//! A command inside the deployed system: how it gets in there, and how what it says gets out.
//!
//! Nothing of the label changes. The kernel's command line has `systemd.run=` start a small
//! bootstrap (systemd-run-generator(8), systemd 240), which reads a script from a virtio-serial
//! port. The script waits until the system is up, runs the command, and sends output and status
//! through ports of their own: bytes as they are, of whatever kind.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The ports, in the order of [`Port`].
pub(super) const PORTS: [&str; 4] =
    ["inaug.script", "inaug.stdout", "inaug.stderr", "inaug.status"];

/// What goes through a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// The script, to the machine.
    Script = 0,
    /// What the command writes on its standard output.
    Stdout = 1,
    /// And on its standard error.
    Stderr = 2,
    /// Lines of [`Said`].
    Status = 3,
}

/// Where the ports are in the machine.
const DIRECTORY: &str = "/dev/virtio-ports";

/// What the bootstrap says on the console where there are no ports.
pub(super) const NO_PORT: &str = "inaug-test: no virtio-serial port";

/// How long the ports are waited for, seconds: udev makes them while the system starts.
const PORTS_WITHIN_S: u32 = 120;

/// How long a system may take to come up before the command is run all the same, seconds.
const UP_WITHIN_S: u32 = 600;

/// Tenths of a second that output is waited for after the command ended: what it left running may
/// hold its ends for ever.
const REST_WITHIN_TENTHS: u32 = 50;

/// A line that the script says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// The system is up: what `systemctl is-system-running` calls it. The command begins.
    Up(String),
    /// The command has ended so.
    Status(u8),
}

impl Said {
    /// Reads a line; `None` is one that no script of ours says.
    pub(super) fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ')? {
            ("up", state) => Some(Self::Up(state.trim().to_owned())),
            ("status", status) => Some(Self::Status(status.trim().parse().ok()?)),
            _ => None,
        }
    }
}

/// Words for the deployed kernel's command line. No double quote is in them, so that they fit
/// between some.
///
/// What `systemd.run=` names is started while the system still comes up, and the system is up only
/// once it has ended: so it leaves a service behind. By default it would also be all that is
/// started, and its end that of the system.
pub(super) fn kernel_words() -> String {
    let ports = PORTS.map(|port| format!("{DIRECTORY}/{port}")).join(" ");
    let script = format!("{DIRECTORY}/{}", PORTS[Port::Script as usize]);
    let bootstrap = format!(
        "exec systemd-run --no-block --unit=inaug-test sh -c 'timeout {PORTS_WITHIN_S} sh -c \
         \"until ls {ports};do sleep .1;done\">/dev/null 2>&1&&exec sh {script}||\
         echo {NO_PORT} >/dev/console'"
    );
    // Blanks and quotes would have to survive the kernel, boot loaders and systemd, each of which
    // has rules of its own: there are none but around the whole and before the only argument.
    format!(
        "systemd.unit=multi-user.target systemd.wants=kernel-command-line.service \
         systemd.run_success_action=none systemd.run_failure_action=none \
         systemd.run='/bin/sh -c echo$${{IFS}}{}|base64$${{IFS}}-d|sh'",
        base64(bootstrap.as_bytes())
    )
}

/// The script for port [`Port::Script`]: POSIX shell, and programs of coreutils.
pub(super) fn script(command: &OsStr) -> String {
    script_of(command, DIRECTORY, "sh")
}

/// The same with the ports in `directory`, and another program to run the file with the command.
fn script_of(command: &OsStr, directory: &str, shell: &str) -> String {
    let [_, stdout, stderr, status] = PORTS.map(|port| format!("{directory}/{port}"));
    let lines: Vec<String> = base64(command.as_bytes())
        .as_bytes()
        .chunks(76)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    format!(
        "exec 3>{stdout} 4>{stderr} 5>{status}\n\
         export HOME=/root\n\
         cd /\n\
         d=$(mktemp -d)\n\
         base64 -d >$d/command <<'END'\n{}\nEND\n\
         echo up $(timeout {UP_WITHIN_S} systemctl is-system-running --wait) >&5\n\
         mkfifo $d/out $d/err\n\
         (cat <$d/out >&3; : >$d/1) &\n\
         (cat <$d/err >&4; : >$d/2) &\n\
         {shell} $d/command </dev/null >$d/out 2>$d/err 3>&- 4>&- 5>&-\n\
         s=$?\n\
         i=0\n\
         until [ -e $d/1 ] && [ -e $d/2 ] || [ $i -ge {REST_WITHIN_TENTHS} ]; do\n\
         sleep .1\n\
         i=$((i + 1))\n\
         done\n\
         sync\n\
         echo status $s >&5\n\
         exit\n",
        lines.join("\n")
    )
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for index in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * index)) as usize & 63];
            text.push(if index > three.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests;
