//! What goes wrong, and the sentence that says so; and what is wrong on disk after it was written.

use crate::gates::FailKind;
use crate::model::{Item, Tree, noise};
use crate::oracle::assert_is;
use crate::run::{Run, chain};
use crate::shelf::Shelf;
use deploy::tree::{Call, Gate, settle, verify, write};
use deploy::{Category, Meter, ReadBack};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

const ENOSPC: i32 = rustix::io::Errno::NOSPC.raw_os_error();
const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

fn shelf() -> (Arc<Shelf>, Tree) {
    let tree = Tree::new().file("a/one", noise(1, 300_000)).file("b", b"two");
    let tree = tree.with("c", Item::Link(b"b".into())).with("d", Item::Symlink(b"a".into()));
    let shelf = Shelf::new();
    shelf.put("label", &tree);
    (shelf, tree)
}

/// A call that fails is said with its path, and the next run goes on.
#[test]
fn calls_that_fail_are_said_and_gone_on_from() {
    let table = [
        (Call::Create, 0, ENOSPC, "cannot write TO/"),
        (Call::Write, 1, ENOSPC, "cannot write TO/"),
        (Call::Rename, 1, EIO, "cannot make TO/b: Input/output error (os error 5)"),
        (Call::Link, 0, EIO, "cannot link TO/c: Input/output error (os error 5)"),
        (Call::MakeSymlink, 0, EIO, "cannot make TO/d: Input/output error (os error 5)"),
        (Call::MakeDirectory, 2, ENOSPC, "cannot make TO/a: No space left on device (os error 28)"),
        (Call::Sync, 0, EIO, "cannot flush the file system of TO: Input/output error (os error 5)"),
        (Call::Unlink, 0, EIO, "cannot remove TO/old: Input/output error (os error 5)"),
    ];
    let (shelf, tree) = shelf();
    for (kind, after, errno, said) in table {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("old"), b"old").unwrap();
        let gate = FailKind { kind, after: AtomicU64::new(after), errno };
        let (result, _) = Run::new(&shelf, &["label"], dir.path()).with_gate(Arc::new(gate)).go();
        let error = result.unwrap_err();
        let expected = said.replace("TO", &dir.path().display().to_string());
        assert!(chain(&error).starts_with(&expected), "{kind:?}: {}", chain(&error));
        assert_eq!(error.category(), Category::Storage);
        Run::new(&shelf, &["label"], dir.path()).done();
        assert_is(dir.path(), &tree, "gone on");
    }
}

/// Writes, lets `harm` do what a bad disk does, and verifies.
fn harmed(gate: Option<FailKind>, harm: impl Fn(&Path)) -> (Result<(), String>, Vec<u8>) {
    let (shelf, tree) = shelf();
    let dir = tempfile::tempdir().unwrap();
    let meter = Arc::new(Meter::new());
    let mut run = Run::new(&shelf, &["label"], dir.path());
    run.gate = gate.map(|gate| Arc::new(gate) as _);
    let written = write(run.plan(&meter).unwrap()).unwrap();
    harm(dir.path());
    let verified = verify(written, ReadBack::Yes).map(settle);
    if verified.is_ok() {
        assert_is(dir.path(), &tree, "repaired");
    }
    let prefix = dir.path().display().to_string();
    let result = verified.map(|_| ()).map_err(|error| chain(&error).replace(&prefix, "TO"));
    (result, std::fs::read(dir.path().join("a/one")).unwrap_or_default())
}

fn flip(path: &Path) {
    let modified = path.metadata().unwrap().modified().unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    bytes[200_000] ^= 1;
    std::fs::write(path, bytes).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

#[test]
fn what_reads_back_wrong_is_written_once_more() {
    let mode = std::os::unix::fs::PermissionsExt::from_mode;
    let harms: [fn(&Path); 5] = [
        |to| flip(&to.join("a/one")),
        |to| std::fs::remove_file(to.join("b")).unwrap(),
        |to| std::fs::write(to.join("more"), b"x").unwrap(),
        |to| std::fs::remove_dir_all(to.join("a")).unwrap(),
        |_| {},
    ];
    for harm in harms {
        assert_eq!(harmed(None, harm).0, Ok(()));
    }
    let chmod = |to: &Path| std::fs::set_permissions(to.join("a/one"), mode(0o600)).unwrap();
    assert_eq!(harmed(None, chmod).0, Ok(()));
}

/// Whenever everything was made durable, puts a file where none belongs.
struct Intruder(std::path::PathBuf);

impl Gate for Intruder {
    fn pass(&self, call: Call) -> std::io::Result<()> {
        if call == Call::Sync { std::fs::write(&self.0, b"x") } else { Ok(()) }
    }
}

#[test]
fn what_stays_wrong_is_an_error() {
    let (shelf, _) = shelf();
    let dir = tempfile::tempdir().unwrap();
    let intruder = Arc::new(Intruder(dir.path().join("intruder")));
    let (result, _) = Run::new(&shelf, &["label"], dir.path()).with_gate(intruder).go();
    let error = result.unwrap_err();
    let said = chain(&error).replace(&dir.path().display().to_string(), "TO");
    let expected = "TO/intruder reads back wrong: expected nothing, found a file of 1 bytes (";
    assert!(said.starts_with(expected), "{said}");
    assert_eq!(error.category(), Category::Verification);
}

#[test]
fn a_read_only_target_is_refused_and_one_that_is_right_is_not_written_to() {
    let (shelf, tree) = shelf();
    let dir = tempfile::tempdir().unwrap();
    Run::new(&shelf, &["label"], dir.path()).done();
    let gate = FailKind { kind: Call::Write, after: AtomicU64::new(0), errno: EIO };
    Run::new(&shelf, &["label"], dir.path()).with_gate(Arc::new(gate)).done();
    assert_is(dir.path(), &tree, "again");
}
