//! `inaug boot`: machines for CI, started as an ordinary user would.

use crate::lab::{Lab, push_tree};
use anyhow::{Context, Result, ensure};
use qemu_tests::{TestImage, environment};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Nobody in particular, as Debian numbers it: may write nothing but what is given to it.
const NOBODY: u32 = 65_534;

const TREE: &str = "debian/12/tree";

/// What a user without rights has: a directory, and the programs.
struct User {
    home: TempDir,
}

impl User {
    fn new() -> Result<Self> {
        let home = tempfile::tempdir()?;
        chown(home.path(), Some(NOBODY), Some(NOBODY))?;
        for (name, program) in
            [("inaug", environment::inaug()?), ("init", environment::init_program()?)]
        {
            let copy = home.path().join(name);
            fs::copy(program, &copy)?;
            fs::set_permissions(copy, Permissions::from_mode(0o755))?;
        }
        let user = Self { home };
        for directory in ["tmp", "kernel"] {
            fs::create_dir(user.path(directory))?;
            chown(user.path(directory), Some(NOBODY), Some(NOBODY))?;
        }
        Ok(user)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// `inaug boot ARGUMENTS --artifacts artifacts`, as this user.
    fn boot(&self, store: &Path, arguments: &[&str]) -> Command {
        let mut boot = Command::new(self.path("inaug"));
        boot.arg("boot").args(arguments).arg("--store").arg(store);
        boot.uid(NOBODY).gid(NOBODY).env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        boot.env("HOME", self.home.path()).env("TMPDIR", self.path("tmp"));
        boot.current_dir(self.home.path()).stdin(Stdio::null());
        boot
    }

    /// The report that was left.
    fn report(&self, artifacts: &str) -> Result<Value> {
        let path = self.path(artifacts).join("report.json");
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Nothing of a machine is left in its directory for such things.
    fn is_tidy(&self) -> Result<()> {
        let left: Vec<_> = fs::read_dir(self.path("tmp"))?.flatten().map(|e| e.path()).collect();
        ensure!(left.is_empty(), "left behind: {left:?}");
        Ok(())
    }
}

/// Everybody may read a store that root has pushed to.
fn readable(store: &Path) -> Result<()> {
    let done = Command::new("chmod").args(["-R", "a+rX"]).arg(store).status()?;
    ensure!(done.success(), "chmod of {}", store.display());
    let parent = store.parent().context("a store in a directory")?;
    Ok(fs::set_permissions(parent, Permissions::from_mode(0o755))?)
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\nstdout: {}\nstderr: {}", output.status, text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn ended(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
}

#[test]
fn an_ordinary_user_runs_a_command_in_a_real_debian_and_gets_its_status() -> Result<()> {
    let work = tempfile::tempdir()?;
    let store = work.path().join("store");
    push_tree(&store, TREE, &environment::tree()?)?;
    readable(&store)?;
    let user = User::new()?;
    let test = "id -u; uname -r; systemctl is-system-running; printf 'a\\0b\\377' >&2; exit 7";
    let output = user.boot(&store, &[TREE, "--artifacts", "kept", "--test", test]).output()?;
    ended(&output, 7);
    let report = user.report("kept")?;
    let kernel = report["kernel"]["version"].as_str().context("the kernel's version")?;
    let expected = format!("0\n{kernel}\nrunning\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert!(output.stderr.windows(4).any(|four| four == b"a\0b\xff"), "{}", said(&output));
    assert_eq!(fs::read(user.path("kept/test.stdout"))?, expected.as_bytes());
    assert_eq!(fs::read(user.path("kept/test.stderr"))?, b"a\0b\xff");
    for (key, expected) in [
        ("/schema", Value::from("inaug/boot/1")),
        ("/label", TREE.into()),
        ("/kernel/from", "label".into()),
        ("/outcome", "tested".into()),
        ("/exit_status", 7.into()),
        ("/error", Value::Null),
        ("/test/status", 7.into()),
        ("/test/system", "running".into()),
        ("/test/begun", true.into()),
        ("/test/lost", Value::Array(Vec::new())),
        ("/test/stderr_bytes", 4.into()),
    ] {
        assert_eq!(report.pointer(key), Some(&expected), "{key} of {report:#}");
    }
    for stage in ["kernel", "net", "write", "verify", "kexec", "system", "test"] {
        assert!(report["stages"][stage].is_number(), "{stage} of {report:#}");
    }
    let console = fs::read_to_string(user.path("kept/console.log"))?;
    assert!(console.contains("kexec: starting the deployed kernel"), "{console}");
    println!("{report:#}");
    user.is_tidy()
}

/// A lab whose images an ordinary user boots with a kernel and an initramfs that are given.
fn lab(user: &User) -> Result<Lab> {
    let lab = Lab::of(TestImage::of(environment::kernel()?, environment::witness()?))?;
    readable(&lab.store())?;
    for (name, file) in [("vmlinuz", environment::kernel()?), ("none.img", environment::init()?)] {
        let copy = user.path("kernel").join(name);
        fs::copy(file, &copy)?;
        fs::set_permissions(copy, Permissions::from_mode(0o644))?;
    }
    Ok(lab)
}

/// The options that name these.
const GIVEN: [&str; 4] = ["--kernel", "kernel/vmlinuz", "--initramfs", "kernel/none.img"];

#[test]
fn two_machines_at_once_on_one_host_both_say_what_is_expected() -> Result<()> {
    let user = User::new()?;
    let lab = lab(&user)?;
    let tree = lab.path("tree");
    lab.image.write_tree(&tree)?;
    push_tree(&lab.store(), "lab/tree", &tree)?;
    readable(&lab.store())?;
    let (greeting, more) = (lab.image.greeting(), ["--memory", "256", "--json"]);
    let start = |label: &str, artifacts: &str| {
        let expect = [label, "--expect", &greeting, "--artifacts", artifacts];
        let mut boot = user.boot(&lab.store(), &[&expect[..], &GIVEN, &more].concat());
        boot.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    let both = [("lab/first", "image"), ("lab/tree", "tree")];
    let started = [start(both[0].0, both[0].1)?, start(both[1].0, both[1].1)?];
    for (child, (label, artifacts)) in started.into_iter().zip(both) {
        let output = child.wait_with_output()?;
        ended(&output, 0);
        let printed: Value = serde_json::from_slice(&output.stdout)?;
        assert_eq!(printed, user.report(artifacts)?);
        assert_eq!(printed["label"], label);
        assert_eq!(printed["outcome"], "reached");
        let line = printed["line"].as_str().context("the line that was expected")?;
        assert!(line.ends_with(&greeting), "{line}");
        assert!(printed["plan"].to_string().contains(label), "{printed:#}");
    }
    user.is_tidy()
}

#[test]
fn what_fails_in_the_machine_is_the_exit_code() -> Result<()> {
    let user = User::new()?;
    let lab = lab(&user)?;
    let boot = |label: &str, more: &[&str]| -> Result<Output> {
        let all = [&[label, "--memory", "256", "--json"], &GIVEN[..], more].concat();
        Ok(user.boot(&lab.store(), &all).output()?)
    };
    let wrong = boot("lab/wrong", &[])?;
    ended(&wrong, 1);
    assert!(said(&wrong).contains("label lab/wrong is not in the store"), "{}", said(&wrong));

    let small = boot("lab/first", &["--disk", "16Mi"])?;
    ended(&small, 6);
    let report: Value = serde_json::from_slice(&small.stdout)?;
    assert_eq!(report["outcome"], "failed");
    assert!(report["failure"]["events"].is_array(), "{report:#}");
    let stderr = String::from_utf8_lossy(&small.stderr);
    assert!(stderr.contains("== FAILED: "), "the console's end is shown: {stderr}");
    let sentence = stderr.lines().find(|line| line.starts_with("inaug: ")).unwrap_or_default();
    assert!(sentence.starts_with("inaug: the machine failed in "), "{stderr}");

    // Before the kernel has said a word.
    let late = boot("lab/first", &["--timeout", "1"])?;
    ended(&late, 124);
    assert!(said(&late).contains("did not get there within 1 s"), "{}", said(&late));
    let never = boot("lab/first", &["--timeout", "1", "--test", "true"])?;
    ended(&never, 125);
    user.is_tidy()
}

#[test]
fn a_boot_that_is_told_to_stop_leaves_no_machine_and_no_file() -> Result<()> {
    let user = User::new()?;
    let lab = lab(&user)?;
    let never = ["lab/first", "--memory", "256", "--expect", "what nobody says"];
    let mut boot = user.boot(&lab.store(), &[&never[..], &GIVEN].concat());
    let mut child = boot.stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stderr.take().context("its stderr")?).lines();
    let is_up = |line: &String| line.contains("config: label lab/first from http://10.0.2.2:");
    ensure!(lines.by_ref().map_while(Result::ok).any(|line| is_up(&line)), "it never came up");
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
    ensure!(told.success(), "kill");
    // QEMU has the other end of none of our pipes: the end of these is that of the command alone.
    let last: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait()?.code(), Some(143), "{last:?}");
    assert_eq!(last.last().map(String::as_str), Some("inaug: stopped by signal 15"));
    user.is_tidy()
}
