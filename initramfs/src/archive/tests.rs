use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

fn small() -> Archive {
    let mut archive = Archive::default();
    archive.add("/init", Node::File { permissions: 0o755, bytes: b"hello".to_vec() }).unwrap();
    archive
        .add("/dev/console", Node::Character { permissions: 0o600, major: 5, minor: 1 })
        .unwrap();
    archive
}

#[test]
fn golden_bytes() {
    let expected = concat!(
        // magic ino     mode    uid     gid     nlink   mtime   size    devmaj  devmin  rmaj    rmin    namesize check
        "070701",
        "00000001",
        "000041ED",
        "00000000",
        "00000000",
        "00000002",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000004",
        "00000000",
        "dev\0\0\0",
        "070701",
        "00000002",
        "00002180",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000005",
        "00000001",
        "0000000C",
        "00000000",
        "dev/console\0\0\0",
        "070701",
        "00000003",
        "000081ED",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000005",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000005",
        "00000000",
        "init\0\0",
        "hello\0\0\0",
        "070701",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "0000000B",
        "00000000",
        "TRAILER!!!\0\0\0\0",
    );
    let bytes = small().newc();
    assert_eq!(bytes.len(), 512);
    let (used, padding) = bytes.split_at(expected.len());
    assert_eq!(String::from_utf8_lossy(used), expected);
    assert!(padding.iter().all(|&byte| byte == 0));
}

#[test]
fn cpio_lists_it() {
    let Ok(mut cpio) = Command::new("cpio")
        .args(["-itv", "--quiet", "--numeric-uid-gid"])
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    else {
        return; // a host without cpio
    };
    cpio.stdin.take().unwrap().write_all(&small().newc()).unwrap();
    let output = cpio.wait_with_output().unwrap();
    assert!(output.status.success());
    let listing = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<String> =
        listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 dev",
            "crw------- 1 0 0 5, 1 Jan 1 1970 dev/console",
            "-rwxr-xr-x 1 0 0 5 Jan 1 1970 init",
        ]
    );
}

#[test]
fn directories_count_their_subdirectories() {
    let mut archive = Archive::default();
    archive.add("/a/b/c", Node::Directory(0o755)).unwrap();
    archive.add("/a/d", Node::Directory(0o755)).unwrap();
    archive.add("/a-x", Node::Directory(0o755)).unwrap();
    assert_eq!(archive.subdirectories("a"), 2);
    assert_eq!(archive.subdirectories("a/b"), 1);
    assert_eq!(archive.subdirectories("a/b/c"), 0);
}

#[test]
fn names_that_cannot_be() {
    let cases = [
        ("init", "it must start with /"),
        ("/", "it has an empty part, `.` or `..`"),
        ("/a/../b", "it has an empty part, `.` or `..`"),
        ("/a//b", "it has an empty part, `.` or `..`"),
        ("/init", "it is there twice"),
        ("/init/x", "a part of it is a file"),
        ("/a\0b", "it contains a NUL"),
        ("/TRAILER!!!", "the name ends an archive"),
    ];
    for (path, expected) in cases {
        let error = small().add(path, Node::Directory(0o755)).unwrap_err();
        assert_eq!(error.to_string(), format!("{path:?} cannot be in the archive: {expected}"));
    }
}
