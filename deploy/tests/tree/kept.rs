//! What the operator keeps, whatever the label has there.

use crate::model::{Item, Tree};
use crate::oracle::see;
use crate::run::{Run, chain};
use crate::shelf::Shelf;
use deploy::Meter;
use std::path::Path;
use std::sync::Arc;

fn write(to: &Path, path: &str, bytes: &[u8]) {
    let path = to.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn read(to: &Path, path: &str) -> Option<Vec<u8>> {
    std::fs::read(to.join(path)).ok()
}

/// The other names of a file whose first name is kept are a file of the label's.
#[test]
fn links_to_what_is_kept_become_files() {
    let shelf = Shelf::new();
    let link = || Item::Link(b"etc/x".into());
    let tree = Tree::new().file("etc/x", b"label").with("etc/z", link());
    shelf.put("a", &tree.with("usr/y", link()).with("usr/z", link()));
    let table: [(&[&str], &[&str], &str); 3] = [
        (&["etc/x"], &["etc/x"], "link to etc/z"),
        (&["etc"], &["etc/other"], "link to usr/y"),
        (&["etc/x"], &[], "link to etc/z"),
    ];
    for (keep, there, seen) in table {
        let dir = tempfile::tempdir().unwrap();
        for path in there {
            write(dir.path(), path, b"mine");
        }
        Run::new(&shelf, &["a"], dir.path()).keeping(keep).done();
        for path in there {
            assert_eq!(read(dir.path(), path).unwrap(), b"mine", "{keep:?}");
        }
        for path in ["usr/y", "usr/z"] {
            assert_eq!(read(dir.path(), path).unwrap(), b"label", "{keep:?}: {path}");
        }
        assert_eq!(see(dir.path())[&b"usr/z"[..]], seen);
        let again = Run::new(&shelf, &["a"], dir.path()).keeping(keep).done();
        assert_eq!(again.written_bytes, 0, "{keep:?}");
    }
}

/// A path that leads through a link names nothing of the tree: it would keep nothing. A link of the
/// label's would be there only afterwards.
#[test]
fn a_path_through_a_link_is_refused() {
    let (shelf, dir) = (Shelf::new(), tempfile::tempdir().unwrap());
    let plain = Tree::new().file("x", b"1");
    shelf.put("linked", &plain.clone().with("var", Item::Symlink(b"srv".into())));
    shelf.put("plain", &plain);
    write(dir.path(), "srv/real/data", b"data");
    let refusal = |label: &str| {
        let (result, _) = Run::new(&shelf, &[label], dir.path()).keeping(&["var/data"]).go();
        chain(&result.unwrap_err())
    };
    let start = format!(
        "refused: cannot keep \"var/data\": expected only directories above it, found {}/var, a symbolic link to ",
        dir.path().display()
    );
    assert_eq!(refusal("linked"), format!("{start}srv in the label"));
    std::os::unix::fs::symlink("srv/real", dir.path().join("var")).unwrap();
    assert_eq!(refusal("plain"), format!("{start}srv/real"));
    assert_eq!(read(dir.path(), "srv/real/data").unwrap(), b"data");
    Run::new(&shelf, &["plain"], dir.path()).keeping(&["var", "srv/real/data"]).done();
    assert_eq!(read(dir.path(), "var/data").unwrap(), b"data");
}

#[test]
fn the_plan_says_which_kept_paths_are_not_there() {
    let (shelf, dir) = (Shelf::new(), tempfile::tempdir().unwrap());
    shelf.put("a", &Tree::new().file("x", b"1"));
    write(dir.path(), "there", b"");
    let run = Run::new(&shelf, &["a"], dir.path()).keeping(&["there", "no/where"]);
    let screen = run.plan(&Arc::new(Meter::new())).unwrap().to_string();
    let absent: Vec<_> = screen.lines().filter(|line| line.starts_with("absent")).collect();
    let to = dir.path().display();
    assert_eq!(absent, [format!("absent  {to}/no/where: it is to be kept, and is not there")]);
}
