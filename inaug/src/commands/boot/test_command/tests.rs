use super::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A directory with ports that are files, and programs of systemd that are not it.
fn machine() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("systemctl", "#!/bin/sh\necho running\n"),
        ("systemd-run", "#!/bin/sh\nfor word; do echo \"[$word]\"; done\n"),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    dir
}

fn sh(dir: &Path, arguments: &[&str]) -> Command {
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    let mut sh = Command::new("/bin/sh");
    sh.args(arguments).env("PATH", path).env("TMPDIR", dir).stdin(Stdio::null());
    sh
}

/// Runs the script; returns what came out of the ports.
fn run(command: &[u8], shell: &str) -> (Vec<u8>, Vec<u8>, Vec<Said>) {
    run_in(&machine(), command, shell, &[])
}

/// The same in a machine with these variables.
fn run_in(
    dir: &TempDir,
    command: &[u8],
    shell: &str,
    variables: &[(&str, &str)],
) -> (Vec<u8>, Vec<u8>, Vec<Said>) {
    let script = script_of(OsStr::from_bytes(command), dir.path().to_str().unwrap(), shell);
    let file = dir.path().join("script");
    fs::write(&file, script).unwrap();
    let mut sh = sh(dir.path(), &[file.to_str().unwrap()]);
    // What is left running must not be waited for here either.
    sh.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::null());
    sh.status().unwrap();
    let read = |port: Port| fs::read(dir.path().join(PORTS[port as usize])).unwrap();
    let status = String::from_utf8(read(Port::Status)).unwrap();
    let said = status.lines().map(|line| Said::parse(line).unwrap()).collect();
    (read(Port::Stdout), read(Port::Stderr), said)
}

#[test]
fn a_command_is_run_and_everything_comes_out() {
    let status_of = |status| Said::Status { status, left_running: false };
    let ended = |status| vec![Said::Up("running".into()), status_of(status)];
    for (command, stdout, stderr, status) in [
        ("exit 7", "", "", 7),
        ("echo a; echo b >&2", "a\n", "b\n", 0),
        ("cat; printf 'no end of line'", "no end of line", "", 0),
        ("printf '\\000\\377\\r\\n\\033'", "\0\u{fffd}\r\n\x1b", "", 0),
        ("echo \"it's $HOME\" | tee /dev/stderr; false", "it's /root\n", "it's /root\n", 1),
        ("echo x >/dev/stdout; kill -9 $$", "x\n", "Killed", 137),
        ("# $(touch /nowhere) `x` \\\nEND\n%s %% $$", "", "END: not found", 127),
    ] {
        let (out, err, said) = run(command.as_bytes(), "sh");
        assert_eq!(String::from_utf8_lossy(&out), stdout, "{command}");
        let err = String::from_utf8_lossy(&err);
        assert!(err.contains(stderr) && (err.is_empty() || !stderr.is_empty()), "{command}: {err}");
        let said_status = said.last() == Some(&status_of(status));
        assert!(said == ended(status) || (status == 127 && said_status), "{command}: {said:?}");
    }
}

#[test]
fn what_is_left_running_does_not_keep_the_status() {
    let (out, _, said) = run(b"sleep 20 & echo started", "sh");
    assert_eq!(out, b"started\n");
    assert_eq!(said.last(), Some(&Said::Status { status: 0, left_running: true }));
}

/// A program of the machine's that does only this.
fn replace(dir: &TempDir, program: &str, what: &str) {
    let path = dir.path().join(program);
    fs::write(&path, format!("#!/bin/sh\n{what}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_command_that_cannot_be_put_there_has_failed_and_has_no_status() {
    for (program, what, variables, expected) in [
        ("true", "", &[("TMPDIR", "/nowhere")][..], "mktemp -d: "),
        ("base64", "cat >/dev/null; exit 1", &[], "base64 -d >"),
        // A full disk that only close(2) would tell of.
        ("base64", "cat >/dev/null", &[], "expected 6 bytes, found 0"),
        ("base64", "cat >/dev/null; echo exit", &[], "expected 6 bytes, found 5"),
        ("mkfifo", "exit 1", &[], "mkfifo "),
    ] {
        let dir = machine();
        replace(&dir, program, what);
        let (out, err, said) = run_in(&dir, b"exit 7", "sh", variables);
        let [Said::Failed(why)] = &said[..] else { panic!("{program}: {said:?}") };
        assert!(why.contains(expected), "{program}: {why}");
        assert!(out.is_empty() && err.is_empty(), "{program}");
    }
}

#[test]
fn a_system_that_calls_itself_nothing_is_up_all_the_same() {
    let dir = machine();
    replace(&dir, "systemctl", "exit 1");
    let (_, _, said) = run_in(&dir, b"exit 3", "sh", &[]);
    let status = Said::Status { status: 3, left_running: false };
    assert_eq!(said, [Said::Up(UNKNOWN.into()), status]);
}

#[test]
fn the_kernels_words_come_through_systemd_as_a_bootstrap() {
    let words = kernel_words();
    assert!(!words.contains('"') && !words.contains('%') && !words.contains('\\'), "{words}");
    // As systemd.syntax(7) and systemd.service(5) have it: quotes hold the value together, a blank
    // parts its words, and $$ is a $.
    let (_, value) = words.split_once("systemd.run='").unwrap();
    let command = value.strip_suffix('\'').unwrap().replace("$$", "$");
    let parts: Vec<&str> = command.splitn(3, ' ').collect();
    assert_eq!(parts[..2], ["/bin/sh", "-c"]);
    assert!(!parts[2].contains([' ', '\'']), "{}", parts[2]);
    let dir = machine();
    let said = sh(dir.path(), &["-c", parts[2]]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let start = "[--no-block]\n[--unit=inaug-test]\n[sh]\n[-c]\n[timeout 120 sh -c \"until ls ";
    assert!(said.starts_with(start), "{said}");
    assert!(said.contains("exec sh /dev/virtio-ports/inaug.script"), "{said}");
    // systemd would take $ and % in it for its own.
    assert!(!said.contains(['$', '%']), "{said}");
}

#[test]
fn the_bootstrap_leaves_room_on_the_command_line() {
    assert!(kernel_words().len() < 1024, "{}", kernel_words().len());
}

#[test]
fn base64_is_that_of_the_rfc() {
    let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
    for (bytes, expected) in pairs {
        assert_eq!(base64(bytes.as_bytes()), expected);
    }
    assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
}

#[test]
fn lines_of_others_are_none_of_ours() {
    for (line, expected) in [
        ("up degraded", Some(Said::Up("degraded".into()))),
        ("up\n", Some(Said::Up("unknown".into()))),
        ("failed mktemp -d: full\n", Some(Said::Failed("mktemp -d: full".into()))),
        ("status 255", Some(Said::Status { status: 255, left_running: false })),
        ("status 1 left-running\n", Some(Said::Status { status: 1, left_running: true })),
        ("status 256", None),
        ("status", None),
        ("hello world", None),
    ] {
        assert_eq!(Said::parse(line), expected, "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever an operator writes arrives as it is.
    #[test]
    fn any_command_arrives(command in prop::collection::vec(1_u8..=255, 0..400)) {
        let (out, _, said) = run(&command, "cat");
        prop_assert_eq!(out, command);
        prop_assert_eq!(said.last(), Some(&Said::Status { status: 0, left_running: false }));
    }
}
