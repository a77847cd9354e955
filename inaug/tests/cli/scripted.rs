//! `inaug boot` of machines that are shell scripts: what they say and when is what the test is about.

use crate::support::{Bench, Ran, command, damage, image};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

/// QEMU's part: it answers on the monitor and then does what `MACHINE` says, which finds the host's
/// ends of the ports in `$script`, `$stdout`, `$stderr` and `$status`. `stay` waits for its end.
const QEMU: &str = r#"#!/bin/bash
names=(script stdout stderr status)
for word; do
    case $word in
    *id=qmp,fd=*) qmp=${word##*fd=} ;;
    *id=port?,fd=*) index=${word#*id=port}; declare "${names[${index%%,*}]}=${word##*fd=}" ;;
    esac
done
stay() { read -r -u "$qmp" _; }
echo '{"QMP": {}}' >&"$qmp"
stay
echo '{"return": {}}' >&"$qmp"
eval "$MACHINE"
"#;

const STARTS: &str = "echo '[    3.914] kexec: starting the deployed kernel'\n";
const UP: &str = "echo up running >&$status\n";

/// A bench with that QEMU and a label.
struct Scripted(Bench);

impl Scripted {
    fn new() -> Self {
        let bench = Bench::new();
        let qemu = bench.file("qemu-system-x86_64", QEMU.as_bytes());
        fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
        bench.push("a", &image(1, 16));
        bench.file("file", b"");
        fs::create_dir(bench.path("tmp")).unwrap();
        Self(bench)
    }

    /// `inaug boot a ARGUMENTS --artifacts kept` of a machine that does this.
    fn boot(&self, machine: &str, arguments: &[&str]) -> Command {
        self.boot_from(&self.0.store(), machine, arguments)
    }

    fn boot_from(&self, store: &str, machine: &str, arguments: &[&str]) -> Command {
        let Self(bench) = self;
        let mut boot = command(&["boot", "a", "--store", store]);
        boot.args(arguments).args(["--artifacts", &bench.text("kept")]);
        boot.args(["--kernel", &bench.text("file"), "--initramfs", &bench.text("file")]);
        boot.env("TMPDIR", bench.text("tmp")).env("KEPT", bench.text("kept"));
        boot.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bench.text("")));
        boot.env("MACHINE", machine);
        boot
    }

    /// Boots it to its end.
    fn ran(&self, machine: &str, arguments: &[&str]) -> Ran {
        self.boot(machine, arguments).output().unwrap().into()
    }

    #[track_caller]
    fn report(&self) -> Value {
        let text = fs::read(self.0.path("kept/report.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    #[track_caller]
    fn assert_tidy(&self) {
        let left: Vec<_> = fs::read_dir(self.0.path("tmp")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn tell(signal: &str, child: &Child) {
    let told = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(told.success());
}

/// Reads until a line has this in it.
fn wait_for(text: &str, child: &mut Child) {
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = lines.map_while(Result::ok).inspect(|line| println!("{line}"));
    assert!(seen.any(|line| line.contains(text)), "{text} was not said");
}

#[test]
fn all_that_a_test_has_said_when_its_status_comes_is_there() {
    let machine = format!(
        "{UP} printf '%065536d' 1 >&$stdout; printf '%065536d' 2 >&$stderr\n\
         echo status 0 left-running >&$status; stay"
    );
    let scripted = Scripted::new();
    let ran = scripted.ran(&machine, &["--test", "x"]).expect(0);
    assert_eq!(ran.stdout.len(), 65536);
    assert_eq!(fs::read(scripted.0.path("kept/test.stderr")).unwrap().len(), 65536);
    let report = scripted.report();
    for (key, expected) in [
        ("begun", Value::from(true)),
        ("status", 0.into()),
        ("stdout_bytes", 65536.into()),
        ("left_running", true.into()),
        ("is_cut", false.into()),
    ] {
        assert_eq!(report["test"][key], expected, "{report:#}");
    }
}

/// What a test says for ever.
fn flood() -> String {
    format!("{UP} while printf '%065536d' 1 >&$stdout; do :; done")
}

#[test]
fn a_stdout_that_nobody_reads_does_not_stop_the_clock() {
    let scripted = Scripted::new();
    let mut boot = scripted.boot(&flood(), &["--test", "x", "--timeout", "2"]);
    let mut child = boot.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(124));
    let report = scripted.report();
    assert_eq!(report["outcome"], "deadline");
    let lost = report["test"]["lost"].to_string();
    assert!(lost.contains("test.stdout: its reader did not take the end of it"), "{lost}");
    scripted.assert_tidy();
}

#[test]
fn a_stdout_that_nobody_reads_does_not_keep_a_signal_off() {
    let scripted = Scripted::new();
    let mut boot = scripted.boot(&flood(), &["--test", "x"]);
    let mut child = boot.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the system is running: running the test", &mut child);
    tell("-HUP", &child);
    assert_eq!(child.wait().unwrap().code(), Some(129));
    assert_eq!(scripted.report()["outcome"], "interrupted");
    scripted.assert_tidy();
}

#[test]
fn a_store_that_does_not_answer_stops_neither_the_clock_nor_a_signal() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let store = format!("http://{}", silent.local_addr().unwrap());
    let scripted = Scripted::new();
    for (more, code) in [(&[][..], 124), (&["--test", "x"], 125)] {
        let more = [more, &["--timeout", "1"]].concat();
        let ran = Ran::from(scripted.boot_from(&store, "", &more).output().unwrap()).expect(code);
        assert!(ran.stderr.contains("did not get there within 1 s"), "{}", ran.stderr);
        assert_eq!(scripted.report()["exit_code"], code);
    }
    let mut boot = scripted.boot_from(&store, "", &[]);
    let mut child = boot.stderr(Stdio::null()).spawn().unwrap();
    // The other two have come and gone.
    for _ in 0..3 {
        drop(silent.accept().unwrap());
    }
    tell("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(scripted.report()["exit_code"], 143);
    scripted.assert_tidy();
}

#[test]
fn a_test_that_had_begun_is_not_said_to_be_never_run() {
    let scripted = Scripted::new();
    let panic = "echo 'Kernel panic - not syncing: x'; echo 'Call Trace:'";
    for (machine, code, begun) in [
        (format!("echo '{STARTS}'"), 125, false),
        (UP.to_owned(), 123, true),
        ("echo up >&$status".to_owned(), 123, true),
        (format!("{UP} {panic}"), 123, true),
        (panic.to_owned(), 125, false),
        ("echo failed mktemp -d: full >&$status; stay".to_owned(), 125, false),
    ] {
        let ran = scripted.ran(&machine, &["--test", "x"]).expect(code);
        let report = scripted.report();
        assert_eq!(report["test"]["begun"], begun, "{machine}: {report:#}");
        let is_panic = machine.contains("panic");
        assert_eq!(ran.stderr.contains("Call Trace:"), is_panic, "{}", ran.stderr);
    }
}

#[test]
fn a_closed_stdout_changes_no_exit_code() {
    let failed = "echo '{\"stage\":\"net\",\"category\":\"network\",\"causes\":[\"no card\"]}'\n\
                  echo '[   13.001] init: powering off in 10 s'; stay";
    let reached = format!("{STARTS} echo -n 'debian login: '; stay");
    let scripted = Scripted::new();
    for (machine, more, code) in [
        (failed, &["--json"][..], 4),
        (failed, &[], 4),
        (&reached, &["--json"], 0),
        (&reached, &[], 0),
    ] {
        let (read, stdout) = std::io::pipe().unwrap();
        drop(read);
        let mut boot = scripted.boot(machine, more);
        let status = boot.stdout(stdout).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{more:?}");
        assert_eq!(scripted.report()["exit_status"], code);
    }
}

#[test]
fn a_report_that_cannot_be_written_is_not_a_test_that_was_not_run() {
    let scripted = Scripted::new();
    let machine = format!("mkdir $KEPT/report.json; {UP} echo status 7 >&$status; stay");
    let ran = scripted.ran(&machine, &["--test", "x"]).expect(7);
    let warning = "inaug: warning: cannot write ";
    assert!(ran.stderr.lines().any(|line| line.starts_with(warning)), "{}", ran.stderr);
    assert!(!ran.stderr.contains("not run"), "{}", ran.stderr);
}

#[test]
fn what_an_earlier_boot_left_does_not_pass_for_this_ones() {
    let scripted = Scripted::new();
    let machine = format!("{UP} echo hello >&$stdout; echo status 0 >&$status; stay");
    scripted.ran(&machine, &["--test", "x"]).expect(0);
    assert_eq!(scripted.report()["schema"], "inaug/boot/1");
    let nowhere = scripted.0.text("nowhere");
    let ran = Ran::from(scripted.boot_from(&nowhere, "", &["--test", "x"]).output().unwrap());
    ran.expect(125);
    let report = scripted.report();
    assert_eq!((&report["schema"], &report["exit_code"]), (&"inaug/failure/1".into(), &125.into()));
    for gone in ["kept/console.log", "kept/test.stdout", "kept/test.stderr"] {
        assert!(!scripted.0.path(gone).exists(), "{gone}");
    }
}

#[test]
fn a_label_that_was_pushed_anew_meanwhile_is_a_failure() {
    let scripted = Scripted::new();
    let machine = "echo '[    2.914] label: a is image 000000000000, 64.0 KiB'; stay";
    let ran = scripted.ran(machine, &[]).expect(1);
    assert!(ran.stderr.contains("label a changed meanwhile: expected "), "{}", ran.stderr);
    assert_eq!(scripted.report()["outcome"], "changed");
}

#[test]
fn files_of_a_machine_that_runs_have_no_names() {
    let scripted = Scripted::new();
    // The deadline ends a wait in vain.
    let machine =
        format!("while ls $TMPDIR/*; do :; done >&2; {STARTS} echo -n 'debian login: '; stay");
    scripted.ran(&machine, &["--timeout", "30"]).expect(0);
    scripted.assert_tidy();
}

#[test]
fn why_a_machine_was_reset_is_said() {
    let scripted = Scripted::new();
    let machine = "echo '[    2.914] kexec: it is locked down; rebooting instead'";
    let ran = scripted.ran(machine, &[]).expect(1);
    let sentence = "inaug: the machine went off before it had done what it should: kexec: it is \
                    locked down; rebooting instead\n";
    assert!(ran.stderr.ends_with(sentence), "{}", ran.stderr);
}

#[test]
fn the_most_serious_reason_for_a_label_that_no_store_gives_is_the_one() {
    let scripted = Scripted::new();
    let bench = &scripted.0;
    // A second store, without the label; and the first one's is damaged.
    let other = bench.text("other");
    let image = bench.text("pushed.img");
    let push = ["push", "b", "--image", &image, "--no-boot", "--store", &other];
    Ran::from(command(&push).output().unwrap()).expect(0);
    bench.stored("labels").iter().for_each(|record| damage(record));
    for store in [format!("{other},{}", bench.store()), format!("{},{other}", bench.store())] {
        let ran = Ran::from(scripted.boot_from(&store, "", &[]).output().unwrap()).expect(3);
        assert!(!ran.stderr.contains("is not in the store"), "{}", ran.stderr);
    }
}
