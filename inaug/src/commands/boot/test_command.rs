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

/// What a system is called where systemctl does not say.
const UNKNOWN: &str = "unknown";

/// What is said of a command whose output something still holds.
const LEFT_RUNNING: &str = "left-running";

/// A line that the script says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// The system is up: what `systemctl is-system-running` calls it. The command begins.
    Up(String),
    /// The command cannot be run, for this reason.
    Failed(String),
    /// The command has ended so. Something that it started may go on to hold its output, of which
    /// what comes now is lost.
    Status { status: u8, left_running: bool },
}

impl Said {
    /// Reads a line; `None` is one that no script of ours says.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "up" if rest.is_empty() => Some(Self::Up(UNKNOWN.to_owned())),
            "up" => Some(Self::Up(rest.to_owned())),
            "failed" => Some(Self::Failed(rest.to_owned())),
            "status" => {
                let (status, more) = rest.split_once(' ').unwrap_or((rest, ""));
                let left_running = more == LEFT_RUNNING;
                Some(Self::Status { status: status.parse().ok()?, left_running })
            }
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
///
/// A shell that is given an empty file ends with 0: up to there every step is checked, and the file
/// is as long as the command is.
fn script_of(command: &OsStr, directory: &str, shell: &str) -> String {
    let [_, stdout, stderr, status] = PORTS.map(|port| format!("{directory}/{port}"));
    let lines: Vec<String> = base64(command.as_bytes())
        .as_bytes()
        .chunks(76)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    format!(
        "exec 3>{stdout} 4>{stderr} 5>{status}\n\
         fail() {{ echo \"failed $*\" >&5; exit; }}\n\
         export HOME=/root\n\
         cd / || fail 'cd /'\n\
         d=$(mktemp -d 2>&1) || fail \"mktemp -d: $d\"\n\
         base64 -d >$d/command <<'END' || fail \"base64 -d >$d/command: status $?\"\n{}\nEND\n\
         n=$(wc -c <$d/command) || fail \"wc -c <$d/command: status $?\"\n\
         [ $n -eq {length} ] || fail \"$d/command: expected {length} bytes, found $n\"\n\
         mkfifo $d/out $d/err || fail \"mkfifo $d/out $d/err: status $?\"\n\
         s=$(timeout {UP_WITHIN_S} systemctl is-system-running --wait)\n\
         echo \"up ${{s:-{UNKNOWN}}}\" >&5\n\
         (cat <$d/out >&3; : >$d/1) &\n\
         (cat <$d/err >&4; : >$d/2) &\n\
         {shell} $d/command </dev/null >$d/out 2>$d/err 3>&- 4>&- 5>&-\n\
         s=$?\n\
         i=0\n\
         until [ -e $d/1 ] && [ -e $d/2 ]; do\n\
         [ $i -lt {REST_WITHIN_TENTHS} ] || {{ s=\"$s {LEFT_RUNNING}\"; break; }}\n\
         sleep .1\n\
         i=$((i + 1))\n\
         done\n\
         sync\n\
         echo status $s >&5\n\
         exit\n",
        lines.join("\n"),
        length = command.len(),
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
