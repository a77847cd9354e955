//! Archives put together by hand, block by block.

use super::*;
use crate::tree::NodeKind::{Directory, File as Regular};
use std::io::Write;
use std::sync::OnceLock;

/// A member with its content.
fn member(kind: u8, path: &str, target: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, path.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0001750\0");
    put(116, b"0000144\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000007\0");
    put(156, &[kind]);
    put(157, target.as_bytes());
    put(257, b"ustar\x0000");
    put(148, b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = vec![0; (512 - content.len() % 512) % 512];
    [&header[..], content, &padding].concat()
}

fn file(path: &str, content: &str) -> Vec<u8> {
    member(b'0', path, "", content.as_bytes())
}

fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    [&members.concat()[..], &[0; 1024]].concat()
}

/// As a stream; a plain file is to be read the same.
fn read(bytes: &[u8], relative: bool) -> Result<TarTree, TarError> {
    static STORE: OnceLock<(tempfile::TempDir, DirStore)> = OnceLock::new();
    let (_, store) = STORE.get_or_init(|| {
        let place = tempfile::tempdir().unwrap();
        let store = DirStore::create(place.path().join("store")).unwrap();
        (place, store)
    });
    let name = Path::new("a.tar");
    let streamed = TarTree::read(store, &mut &*bytes, name, relative);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let in_place = TarTree::read_file(file, name, relative);
    let text = |tree: &Result<TarTree, TarError>| tree.as_ref().map(rows).map_err(chain);
    assert_eq!(text(&streamed), text(&in_place));
    streamed
}

fn chain(error: &TarError) -> String {
    crate::verify::chain(error)
}

/// Path, and content or kind.
fn rows(tree: &TarTree) -> Vec<(String, String)> {
    let row = |(path, _): &(Vec<u8>, usize)| {
        let mut content = String::new();
        match (tree.open(path), tree.look(path)) {
            (Some(mut file), _) => {
                file.read_to_string(&mut content).unwrap();
            }
            (None, kind) => content = format!("{:?}", kind.unwrap()),
        }
        (String::from_utf8(path.clone()).unwrap(), content)
    };
    tree.tree.names.iter().map(row).collect()
}

fn expect(members: &[Vec<u8>], expected: &[(&str, &str)]) {
    let found = rows(&read(&archive(members), false).unwrap());
    let found: Vec<_> = found.iter().map(|(path, text)| (&**path, &**text)).collect();
    assert_eq!(found, expected);
}

#[test]
fn of_members_with_one_path_the_last_one_counts() {
    let members = [
        member(b'5', "./", "", b""),
        file("b", "first"),
        member(b'1', "link", "b", b""),
        file("./a", "a"),
        file("b", "second"),
        member(b'1', "b-too", "b", b""),
    ];
    // A hard link is to what was there when it came, as it is when an archive is unpacked.
    let expected =
        [("", "Directory"), ("a", "a"), ("b", "second"), ("b-too", "second"), ("link", "first")];
    expect(&members, &expected);
}

#[test]
fn links_may_come_before_what_they_link_to() {
    let root = || member(b'5', ".", "", b"");
    let link = |path: &str, to: &str| member(b'1', path, to, b"");
    let members = [root(), link("a", "b"), link("b", "c"), file("c", "x"), link("d", "d")];
    expect(&members, &[("", "Directory"), ("a", "x"), ("b", "x"), ("c", "x")]);
    let error = read(&archive(&[root(), link("a", "b")]), false).unwrap_err();
    assert_eq!(error.to_string(), "a.tar: a: expected b, which it links to, found no such member");
}

#[test]
fn directories_that_are_missing_are_implied() {
    let tree = read(&archive(&[file("a/b/c", "x"), member(b'5', "a/", "", b"")]), false).unwrap();
    let implied = |path: &[u8]| TreeNote { path: path.to_vec(), what: Noted::Implied };
    assert_eq!(tree.notes, [implied(b""), implied(b"a/b")]);
    let mode = |path: &[u8]| tree.tree.inodes[tree.tree.find(path).unwrap()].meta.mode;
    assert_eq!((mode(b"a"), mode(b"a/b")), (0o644, 0o755));
    let empty = read(&archive(&[]), false).unwrap();
    assert_eq!((empty.look(b""), empty.notes.len()), (Some(&Directory), 1));
}

#[test]
fn paths_out_of_the_tree_are_refused_or_taken_relative() {
    for (path, target) in [("/etc/passwd", ""), ("a/../../b", ""), ("a", "/etc/passwd")] {
        let kind = if target.is_empty() { b'0' } else { b'1' };
        let members = [file("etc/passwd", "x"), member(kind, path, target, b"")];
        let error = read(&archive(&members), false).unwrap_err();
        let out = if target.is_empty() { path } else { target };
        let expected = format!("a.tar: {path}: expected a path below the root, found {out}");
        assert_eq!(error.to_string(), expected);
        assert!(read(&archive(&members), true).is_ok(), "{path}");
    }
    // What a symbolic link says is nobody's path.
    assert!(read(&archive(&[member(b'2', "a", "/../b", b"")]), false).is_ok());
}

#[test]
fn what_a_tree_cannot_have_is_named() {
    let link = |path: &str, to: &str| member(b'1', path, to, b"");
    for (members, expected) in [
        (
            vec![file("a", "x"), file("a/b", "y")],
            "a/b: expected a directory above it, found something else there",
        ),
        (
            vec![member(b'5', "a", "", b""), link("b", "a")],
            "b: expected a link to something that is no directory, found one to a directory",
        ),
        (
            vec![member(b'M', "a", "", b"")],
            "a: expected a file, link, directory, device or fifo, found kind 'M'",
        ),
        (vec![file(".", "x")], ": expected a directory as the root, found something else"),
    ] {
        let error = read(&archive(&members), false).unwrap_err();
        assert_eq!(error.to_string(), format!("a.tar: {expected}"));
    }
}

#[test]
fn the_reserved_name_is_left_out() {
    let members = [
        member(b'5', ".", "", b""),
        member(b'5', ".inaugurator/", "", b""),
        file(".inaugurator/a", "content"),
        file("b", "b"),
    ];
    expect(&members, &[("", "Directory"), ("b", "b")]);
}

#[test]
fn an_archive_that_is_cut_is_never_taken() {
    let members = [file("first", "content"), file("second", &"x".repeat(1500))];
    let whole = archive(&members);
    // The last block of zeroes may be missing.
    for length in 0..whole.len() - 512 {
        let error = read(&whole[..length], false).unwrap_err();
        assert!(matches!(error, TarError::Short { .. }), "{length}: {error}");
    }
    for length in [whole.len() - 512, whole.len()] {
        assert!(read(&whole[..length], false).is_ok());
    }
    let sentence = |length: usize| read(&whole[..length], false).unwrap_err().to_string();
    assert_eq!(
        sentence(1024 + 512 + 100),
        "a.tar is cut short: expected 1500 bytes in second, found its end after 100"
    );
    let expected = "expected a block of zeroes at the end, after first in the archive";
    assert_eq!(
        sentence(1024),
        format!("a.tar is cut short: {expected}, found its end after 1024 bytes")
    );
}

#[test]
fn damage_is_an_error_or_another_tree() {
    let whole = archive(&[file("first", "content"), member(b'2', "l", "to", b"")]);
    for at in (0..whole.len() - 1024).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x5a;
        drop(read(&bytes, false));
    }
    let error = read(b"PK\x03\x04 is no archive of this kind".repeat(40).as_slice(), false);
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("a.tar at byte 0: expected a header"), "{error}");
}

#[test]
fn sparse_members_are_read_with_their_holes() {
    let records = "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n25 GNU.sparse.name=large\n\
                   30 GNU.sparse.realsize=100000\n";
    let mut content = b"2\n10\n5\n90000\n3\n".to_vec();
    content.resize(512, 0);
    content.extend(b"firstend");
    let members = [
        member(b'x', "x", "", records.as_bytes()),
        member(b'0', "GNUSparseFile.1/x", "", &content),
    ];
    let tree = read(&archive(&members), false).unwrap();
    assert_eq!(tree.look(b"large"), Some(&Regular { size_bytes: 100_000 }));
    let mut bytes = Vec::new();
    tree.open(b"large").unwrap().read_to_end(&mut bytes).unwrap();
    let expected = [&[0; 10][..], b"first", &vec![0; 90_000 - 15], b"end", &vec![0; 9997]].concat();
    assert!(bytes == expected);
}

#[test]
fn access_control_lists_come_as_text_too() {
    let record = |name: &str, value: &[u8]| {
        let record = [b" ", name.as_bytes(), b"=", value, b"\n"].concat();
        let digits = if record.len() + 2 < 100 { 2 } else { 3 };
        [(record.len() + digits).to_string().as_bytes(), &record].concat()
    };
    let text = |who: &str| {
        let text = format!("user::rw-\nuser:{who}:r--\ngroup::r--\nmask::r--\nother::---\n");
        record("SCHILY.acl.access", text.as_bytes())
    };
    let attribute = record("SCHILY.xattr.system.posix_acl_access", b"binary");
    for (records, expected) in [
        (text("1000"), Some(44)),
        ([text("lisa"), attribute.clone()].concat(), Some(6)),
        (text("lisa"), None),
    ] {
        let members = [member(b'x', "x", "", &records), file("a", "")];
        let tree = read(&archive(&members), false).ok();
        let xattrs = tree.map(|tree| {
            let inode = &tree.tree.inodes[tree.tree.find(b"a").unwrap()];
            inode.meta.xattrs.iter().map(|xattr| xattr.value.len()).collect::<Vec<_>>()
        });
        assert_eq!(xattrs, expected.map(|length| vec![length]));
    }
}
