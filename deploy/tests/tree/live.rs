//! Trees run from memory: what the archive has is what cpio(1) takes out of it, and what cannot run
//! is refused before anything is fetched.

use crate::fidelity::push_booting;
use crate::run::chain;
use crate::torture;
use deploy::install::{Own, OwnFile};
use deploy::live::{Draft, LiveRefusal, Memory, Options, look, verify, write};
use deploy::{Error, Meter, ReadBack};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use store::push::{BootInput, PayloadInput};

/// Mounts something of a disk.
const FSTAB: &str = "LABEL=data /srv auto nofail 0 2\n";

fn boot() -> BootInput {
    BootInput {
        kernel: PayloadInput::Tree(b"boot/vmlinuz".to_vec()),
        initrd: None,
        cmdline: "root=/dev/sda1 ro quiet".to_owned(),
        source: "the operator".to_owned(),
    }
}

/// Adds what makes it run: a kernel, and PID 1 behind links.
fn runnable(root: &Path) {
    fs::create_dir_all(root.join("boot")).unwrap();
    fs::write(root.join("boot/vmlinuz"), "the kernel").unwrap();
    fs::create_dir_all(root.join("usr/sbin")).unwrap();
    fs::write(root.join("usr/init-program"), "program").unwrap();
    symlink("/usr/init-program", root.join("usr/sbin/init")).unwrap();
    symlink("usr/sbin", root.join("sbin")).unwrap();
}

fn looked(
    place: &Path,
    root: &Path,
    boot: Option<BootInput>,
    memory: Option<Memory>,
) -> (Result<Draft, Error>, Arc<Meter>) {
    let store = push_booting(place, root, boot);
    let meter = Arc::new(Meter::new());
    let label = deploy::label::resolve(&[store], &"torture".parse().unwrap(), &meter).unwrap();
    (look(vec![label], memory, Arc::clone(&meter)), meter)
}

fn run(program: &mut Command) -> String {
    let output = program.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_kind_arrives_by_cpio() {
    let Some((place, root)) = torture::new(false) else {
        eprintln!("SKIPPED: needs root");
        return;
    };
    runnable(&root);
    // Neither can be said in an archive: a time before 1970, and a second name of a link.
    let later = UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    File::open(root.join("etc/one")).unwrap().set_modified(later).unwrap();
    fs::remove_file(root.join("var/dangling")).unwrap();
    fs::write(root.join("etc/fstab"), FSTAB).unwrap();
    fs::write(root.join("etc/machine-id"), "0123\n").unwrap();
    let (draft, _) = looked(place.path(), &root, Some(boot()), None);
    let own = OwnFile { path: b"etc/own".to_vec(), mode: 0o600, content: b"mine".to_vec() };
    let own = Own { hostname: Some("web1".into()), files: vec![own], ..Own::default() };
    let (append, running) = ("debug".to_owned(), "console=ttyS0".to_owned());
    let plan = draft.unwrap().plan(&Options { own, append, running }).unwrap();
    let shown = plan.to_string();
    for expected in [
        "nodes lose their extended attributes and capabilities",
        "fstab   left out, being of a disk: LABEL=data at /srv",
        "boot    /boot/vmlinuz quiet rdinit=/sbin/init debug console=ttyS0",
    ] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
    let archive = place.path().join("archive");
    let file = File::options().read(true).write(true).create_new(true).open(&archive).unwrap();
    let bytes = plan.archive_bytes();
    let written = write(plan, &file).unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(file.metadata().unwrap().len(), bytes);
    let verified = verify(written, &file, ReadBack::Yes).unwrap();
    let kernel = tempfile::tempfile().unwrap();
    verified.copy_kernel(&file, &kernel).unwrap();
    let mut found = [0; 10];
    kernel.read_exact_at(&mut found, 0).unwrap();
    assert_eq!(&found, b"the kernel");

    let to = place.path().join("to");
    fs::create_dir(&to).unwrap();
    let mut cpio = Command::new("cpio");
    let options = ["-idm", "--quiet", "--sparse", "--no-absolute-filenames"];
    run(cpio.args(options).current_dir(&to).stdin(File::open(&archive).unwrap()));
    is_own(&to);
    let mut rsync = Command::new("rsync");
    rsync.args(["-aHn", "--checksum", "--itemize-changes", "--delete", "--numeric-ids"]);
    // Sockets are no part of trees; cpio gives links no times, and makes second names last, into
    // directories that have theirs.
    rsync.args(["--omit-link-times", "--omit-dir-times", "--exclude=/var/socket"]);
    for own in ["hostname", "machine-id", "inaugurator", "own", "fstab"] {
        rsync.arg(format!("--exclude=/etc/{own}"));
    }
    rsync.arg("--exclude=/dev/console");
    let differences = run(rsync.args([root.join(""), to.join("")]));
    assert_eq!(differences, "", "rsync sees differences");
    let mtime = |root: &Path| fs::metadata(root.join("var/log")).unwrap().mtime();
    assert_eq!(mtime(&to), mtime(&root));
}

fn is_own(to: &Path) {
    assert_eq!(fs::read_to_string(to.join("etc/hostname")).unwrap(), "web1\n");
    assert_eq!(fs::read_to_string(to.join("etc/machine-id")).unwrap(), "");
    assert_eq!(fs::read_to_string(to.join("etc/own")).unwrap(), "mine");
    let fstab = fs::read_to_string(to.join("etc/fstab")).unwrap();
    assert_eq!(fstab, format!("# not while this runs from memory: {FSTAB}"));
    assert_eq!(fs::metadata(to.join("etc/own")).unwrap().permissions().mode(), 0o100_600);
    let console = fs::metadata(to.join("dev/console")).unwrap();
    assert!(console.file_type().is_char_device());
    assert_eq!(console.rdev(), rustix::fs::makedev(5, 1));
    let record = fs::read_to_string(to.join("etc/inaugurator/label")).unwrap();
    assert!(record.contains("torture"), "{record}");
}

#[test]
fn what_is_changed_behind_our_back_is_not_handed_on() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    runnable(&root);
    fs::write(root.join("zeroes"), vec![0; 100_000]).unwrap();
    // In a header, in an object, in zeroes.
    for (number, needle) in [&b"070701"[..], b"program\0", &[0; 4096]].into_iter().enumerate() {
        let place = tempfile::tempdir().unwrap();
        let (draft, _) = looked(place.path(), &root, Some(boot()), None);
        let plan = draft.unwrap().plan(&Options::default()).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let written = write(plan, &file).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
        file.write_all_at(&[bytes[at + 3] ^ 1], at as u64 + 3).unwrap();
        let found = verify(written, &file, ReadBack::Yes).err();
        assert!(matches!(found, Some(Error::ReadBack { .. })), "{number}: {found:?}");
    }
}

/// What is done to a tree that would run, its boot entry, and what is said of it.
type Row = (fn(&Path), Option<BootInput>, Option<Memory>, &'static str);

#[test]
fn what_cannot_run_is_refused_and_nothing_is_fetched() {
    let memory = |total_bytes: u64| Memory {
        total_bytes,
        available_bytes: total_bytes,
        copies: 3,
        margin_bytes: 32 << 20,
    };
    let table: [Row; 6] = [
        (
            |root| File::create(root.join("huge")).unwrap().set_len(5 << 30).unwrap(),
            Some(boot()),
            None,
            "torture cannot run live: /huge: expected a file of less than 4 GiB, found one of \
             5368709120 bytes",
        ),
        (
            |root| {
                for name in ["a", "b"] {
                    File::create(root.join(name)).unwrap().set_len(3 << 30).unwrap();
                }
            },
            Some(boot()),
            None,
            "torture cannot run live: its root is 6.0 GiB as an initramfs, kernels take less than \
             4 GiB",
        ),
        (
            |root| fs::write(root.join("TRAILER!!!"), "").unwrap(),
            Some(boot()),
            None,
            "torture cannot run live: /TRAILER!!!: expected another name, found the one that ends \
             an archive",
        ),
        (
            |root| {
                fs::create_dir_all(root.join("etc")).unwrap();
                fs::write(root.join("etc/initrd-release"), "").unwrap();
            },
            Some(boot()),
            None,
            "torture cannot run live: it has /etc/initrd-release, by which systemd takes it for an \
             initrd",
        ),
        (|_| {}, None, None, "torture cannot run live: it names no kernel"),
        (
            |root| File::create(root.join("a")).unwrap().set_len(600 << 20).unwrap(),
            Some(boot()),
            Some(memory(512 << 20)),
            "torture needs 1.8 GiB of RAM to run live, this machine has 512.0 MiB",
        ),
    ];
    for (change, boot, memory, expected) in table {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        runnable(&root);
        change(&root);
        let (draft, meter) = looked(place.path(), &root, boot, memory);
        assert_eq!(chain(&draft.err().unwrap()), expected);
        assert_eq!(meter.snapshot().fetched_objects, 0);
    }
}

#[test]
fn a_root_without_a_pid_1_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    runnable(&root);
    fs::remove_file(root.join("usr/init-program")).unwrap();
    let (draft, _) = looked(place.path(), &root, Some(boot()), None);
    let refused = draft.unwrap().plan(&Options::default()).err();
    let refused = refused.map(|error| chain(&error));
    let expected = "torture cannot run live: expected a program at /sbin/init, found none";
    assert_eq!(refused.as_deref(), Some(expected));
    let is_refusal = LiveRefusal::NoKernel { label: "a".into() };
    assert_eq!(Error::from(is_refusal).category(), deploy::Category::Refused);
}
