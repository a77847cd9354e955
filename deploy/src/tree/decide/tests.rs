//! What is done with each node, as tables.

use super::*;
use crate::tree::rights::Rights;
use crate::tree::wanted::From;
use std::collections::HashSet;
use store::Digest;
use store::manifest::Entry;
use store::tree::{Meta, Node, NodeKind};

/// A node of a tree or of a target: path, what it is, mode.
type Row = (&'static str, Is, u16);

#[derive(Clone, Copy)]
enum Is {
    Directory,
    /// A file with one object of this byte.
    File(u8),
    Symlink(&'static str),
    Link(&'static str),
    Fifo,
    Socket,
}
use Is::{Directory, Fifo, File, Link, Socket, Symlink};

/// What is wanted, what there is, what is kept, and what is done.
type Kept<'a> = (&'a [Row], &'a [Row], &'a [&'a str], &'a str);

const ROOT: Row = ("", Directory, 0o755);

fn entry(byte: u8) -> Entry {
    Entry::Data { digest: Digest::of(&[byte]), length: 1 }
}

fn meta(mode: u16) -> Meta {
    Meta { mode, ..Meta::default() }
}

fn wanted(rows: &[Row]) -> Wanted {
    let mut wanted = Wanted::default();
    for (path, is, mode) in [&[ROOT], rows].concat() {
        let kind = match is {
            Directory => NodeKind::Directory,
            File(_) => NodeKind::File { size_bytes: 1 },
            Symlink(to) => NodeKind::Symlink { target: to.into() },
            Link(to) => NodeKind::HardLink { to: to.into() },
            Fifo | Socket => NodeKind::Fifo,
        };
        let node = Node { path: path.into(), kind, meta: meta(mode) };
        wanted.push(&node, Rights::Root, &mut HashSet::new()).unwrap();
        if let File(byte) = is {
            wanted.push_piece(&entry(byte), From::Label(0));
            wanted.end_file();
        }
    }
    wanted
}

fn has(rows: &[Row]) -> Inventory {
    let mut has = Inventory::default();
    for (path, is, mode) in [&[ROOT], rows].concat() {
        let what = match is {
            Directory => What::Directory,
            File(byte) => has.add_file(&entry(byte)),
            Symlink(to) => What::Symlink(has.nodes.keep_text(to.as_bytes()).unwrap()),
            Link(to) => {
                let first = has.nodes.find(to.as_bytes()).unwrap();
                has.linked.insert(first);
                What::Link(first)
            }
            Fifo => What::Fifo,
            Socket => What::Socket,
        };
        has.nodes.push(path.as_bytes(), what, &meta(mode)).unwrap();
    }
    has
}

/// What is done with the wanted nodes behind the root, and with those of the target, a letter for
/// each: keep, meta, make, link, leave (`k c m l -`); wanted, removed, staying (`w r s`).
#[track_caller]
fn decided(wanted_rows: &[Row], has: &Inventory, kept: &[&str]) -> Result<String, String> {
    let keep = Keep::new(kept).unwrap();
    let shown = |path: &[u8]| format!("/{}", path.escape_ascii());
    let decisions = decide(&wanted(wanted_rows), has, &keep, &shown);
    let decisions = decisions.map_err(|refusal| refusal.to_string())?;
    let actions = decisions.actions[1..].iter().map(|action| match action {
        Action::Keep => 'k',
        Action::Meta => 'c',
        Action::Make => 'm',
        Action::Link => 'l',
        Action::Leave => '-',
    });
    let fates = decisions.fates[1..].iter().map(|fate| match fate {
        Fate::Wanted => 'w',
        Fate::Remove => 'r',
        Fate::Stay => 's',
    });
    Ok(actions.chain([' ']).chain(fates).collect())
}

#[test]
fn nodes_are_kept_changed_made_and_removed() {
    let table: [(&[Row], &[Row], &str); 12] = [
        (&[], &[], " "),
        (&[("a", File(1), 0o644)], &[], "m "),
        (&[], &[("a", File(1), 0o644)], " r"),
        (&[("a", File(1), 0o644)], &[("a", File(1), 0o644)], "k w"),
        (&[("a", File(1), 0o644)], &[("a", File(1), 0o600)], "c w"),
        (&[("a", File(1), 0o644)], &[("a", File(2), 0o644)], "m w"),
        (&[("a", Symlink("x"), 0o777)], &[("a", Symlink("y"), 0o777)], "m w"),
        // Symbolic links have no mode of their own.
        (&[("a", Symlink("x"), 0o777)], &[("a", Symlink("x"), 0o755)], "k w"),
        (&[("a", Fifo, 0o644)], &[("a", Socket, 0o644)], "m w"),
        (&[("a", File(1), 0o644)], &[("a", Directory, 0o755), ("a/b", File(1), 0o644)], "m wr"),
        (
            &[("a", Directory, 0o755), ("a/b", File(1), 0o644)],
            &[("a", Symlink("/out"), 0o777), ("b", File(1), 0o644)],
            "mm wr",
        ),
        (
            &[("b", Directory, 0o755), ("b-c", File(1), 0o644)],
            &[("b", Directory, 0o700), ("b/x", Fifo, 0o600), ("c", Directory, 0o755)],
            "cm wrr",
        ),
    ];
    for (number, (wants, there, expected)) in table.into_iter().enumerate() {
        assert_eq!(decided(wants, &has(there), &[]).as_deref(), Ok(expected), "row {number}");
    }
}

#[test]
fn hard_links_are_regrouped() {
    let file = |path, byte| (path, File(byte), 0o644);
    let link = |path, to| (path, Link(to), 0);
    let table: [(&[Row], &[Row], &str); 6] = [
        // As they are.
        (&[file("a", 1), link("b", "a")], &[file("a", 1), link("b", "a")], "kk ww"),
        // Two files that become one, and one that becomes two.
        (&[file("a", 1), link("b", "a")], &[file("a", 1), file("b", 1)], "kl ww"),
        (&[file("a", 1), file("b", 1)], &[file("a", 1), link("b", "a")], "km ww"),
        // The first name is made anew: so are all others.
        (&[file("a", 1), link("b", "a")], &[file("a", 2), link("b", "a")], "ml ww"),
        // One name more than is wanted.
        (&[file("a", 1)], &[file("a", 1), link("b", "a")], "k wr"),
        // The wanted name is not the first one.
        (&[file("b", 1)], &[file("a", 1), link("b", "a")], "k rw"),
    ];
    for (number, (wants, there, expected)) in table.into_iter().enumerate() {
        assert_eq!(decided(wants, &has(there), &[]).as_deref(), Ok(expected), "row {number}");
    }
    // What others have a name of is kept, but never changed.
    let mut there = has(&[("a", File(1), 0o600)]);
    there.shared.insert(1);
    assert_eq!(decided(&[("a", File(1), 0o600)], &there, &[]).as_deref(), Ok("k w"));
    assert_eq!(decided(&[("a", File(1), 0o644)], &there, &[]).as_deref(), Ok("m w"));
}

#[test]
fn kept_paths_stay_with_what_is_above_them() {
    let srv = [("srv", Directory, 0o755), ("srv/a", File(1), 0o644), ("srv/b", File(1), 0o644)];
    // A kept directory is not walked.
    let table: [Kept<'_>; 5] = [
        (&[], &srv, &["srv/b"], " srs"),
        (&srv, &srv[..1], &["srv"], "--- s"),
        (&srv, &[], &["srv"], "mmm "),
        (&[("srv", Directory, 0o700)], &srv[..1], &["srv"], "- s"),
        (&[("srv", Directory, 0o700)], &srv, &["srv/a"], "c wsr"),
    ];
    for (number, (wants, there, kept, expected)) in table.into_iter().enumerate() {
        assert_eq!(decided(wants, &has(there), kept).as_deref(), Ok(expected), "row {number}");
    }
    let linked = [("srv", Symlink("x"), 0o777)];
    let table: [(&[Row], &[Row], &str); 3] = [
        (&[("srv", Fifo, 0o600)], &srv, "/srv/a is to be kept, and the label has a fifo at /srv"),
        (
            &linked,
            &srv,
            "cannot keep \"srv/a\": expected only directories above it, found /srv, a symbolic link to x in the label",
        ),
        (
            &srv,
            &linked,
            "cannot keep \"srv/a\": expected only directories above it, found /srv, a symbolic link to x",
        ),
    ];
    for (wants, there, expected) in table {
        assert_eq!(decided(wants, &has(there), &["srv/a"]), Err(expected.into()));
    }
}

#[test]
fn what_is_mounted_is_left_or_refused() {
    let mut there = has(&[("m", Directory, 0o700), ("n", Directory, 0o755)]);
    there.mounts.insert(1);
    assert_eq!(decided(&[], &there, &[]).as_deref(), Ok(" sr"));
    assert_eq!(decided(&[("m", Directory, 0o755)], &there, &[]).as_deref(), Ok("- sr"));
    let inside = [("m", Directory, 0o755), ("m/a", Fifo, 0o600)];
    let table: [(&[Row], &str); 2] = [
        (&inside, "the label has something in it"),
        (&[("m", Fifo, 0o600)], "the label has something else there"),
    ];
    for (wants, why) in table {
        let expected =
            format!("/m is a mount point, and {why}: unmount it, or keep it with --keep");
        assert_eq!(decided(wants, &there, &[]), Err(expected));
    }
    assert_eq!(decided(&inside, &there, &["m"]).as_deref(), Ok("-- sr"));
}
