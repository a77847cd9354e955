//! A directory with every kind of node and attribute that trees keep.

use super::noise;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags, chownat, lsetxattr,
    makedev, mkdirat, mkfifoat, mknodat, openat, utimensat,
};
use rustix::fs::{Gid, Uid};
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// `cap_net_raw=ep` as Linux keeps it (capability.h, version 2).
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// `user::rw-,user:1000:r--,group::r--,mask::r--,other::---` as Linux keeps it
/// (`posix_acl_xattr.h`).
pub const ACL: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0, 4, 0, 4, 0, 255, 255,
    255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];

/// Fills `root`, which is there and empty, also with paths that most tools cannot copy if it
/// `is_deep`. Needs root for owners, devices and attributes of the
/// system: without, `false` and nothing is made.
pub fn torture(root: &Path, is_deep: bool) -> bool {
    if !rustix::process::geteuid().is_root() {
        return false;
    }
    let at = |name: &str| root.join(name);
    for directory in ["empty", "etc", "bin", "var/log", "var.d", "dev"] {
        std::fs::create_dir_all(at(directory)).unwrap();
    }
    files(root);
    links(root);
    specials(root);
    metadata(root);
    if is_deep {
        deep(root);
    }
    // Last, and every directory: making what is in them set their times.
    times(root);
    true
}

fn files(root: &Path) {
    let write = |name: &[u8], bytes: &[u8]| {
        std::fs::write(root.join(OsStr::from_bytes(name)), bytes).unwrap();
    };
    write(b"etc/empty", b"");
    write(b"etc/one", b"1");
    write(b"etc/hosts", b"127.0.0.1 localhost\n");
    write(b"bin/large", &noise(3_000_000, 1));
    write(b"bin/copy", &noise(3_000_000, 1));
    write(b"bin/zeroes", &vec![0; 100_000]);
    write(b"etc/not\xffutf\xfe8", b"bytes");
    write(b"etc/new\nline and\ttab", b"white");
    write(b"etc/-rf", b"option");
    write(&[b"etc/", &[b'n'; 255][..]].concat(), b"longest");
    let sparse = File::create(root.join("var/sparse")).unwrap();
    sparse.set_len((200 << 20) + 123).unwrap();
    for offset in [0, 5 << 20, (64 << 20) - 10, 150 << 20] {
        sparse.write_all_at(&noise(100_000, offset), offset).unwrap();
    }
    let tail = File::create(root.join("var/tail")).unwrap();
    tail.write_all_at(b"head", 0).unwrap();
    tail.set_len(1 << 20).unwrap();
}

fn links(root: &Path) {
    let at = |name: &str| root.join(name);
    symlink("hosts", at("etc/link")).unwrap();
    symlink("/nowhere/at all", at("etc/dangling")).unwrap();
    symlink("../../../../out", at("etc/climbing")).unwrap();
    symlink(".", at("etc/self")).unwrap();
    symlink(OsStr::from_bytes(&[b't'; 4095]), at("etc/longest-link")).unwrap();
    std::fs::hard_link(at("etc/hosts"), at("bin/hosts")).unwrap();
    std::fs::hard_link(at("etc/hosts"), at("var/hosts")).unwrap();
    std::fs::hard_link(at("etc/dangling"), at("var/dangling")).unwrap();
}

fn specials(root: &Path) {
    let at = |name: &str| root.join(name);
    mkfifoat(CWD, at("dev/fifo"), Mode::from_raw_mode(0o640)).unwrap();
    std::fs::hard_link(at("dev/fifo"), at("dev/fifo-too")).unwrap();
    let node = |name, kind, major, minor| {
        mknodat(CWD, at(name), kind, Mode::from_raw_mode(0o660), makedev(major, minor)).unwrap();
    };
    node("dev/null", FileType::CharacterDevice, 1, 3);
    node("dev/large", FileType::CharacterDevice, 4095, 0xf_ffff);
    node("dev/disk", FileType::BlockDevice, 254, 17);
    UnixListener::bind(at("var/socket")).unwrap();
}

fn metadata(root: &Path) {
    let at = |name: &str| root.join(name);
    let owner = |name: &str, uid, gid| {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        chownat(CWD, at(name), uid, gid, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    };
    owner("etc/one", 1000, 100);
    owner("etc/link", 65_534, 4_000_000_000);
    owner("dev/null", 7, 8);
    owner("dev/fifo", 1, 2);
    let mode = |name: &str, mode| {
        std::fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
    };
    mode("bin/large", 0o4755);
    mode("bin/copy", 0o2711);
    mode("etc/empty", 0);
    mode("var/log", 0o2775);
    mode("empty", 0o1777);
    mode("var.d", 0o700);
    let xattr = |name: &str, key: &str, value: &[u8]| {
        lsetxattr(at(name), key, value, XattrFlags::empty()).unwrap();
    };
    xattr("bin/large", "security.capability", &CAPABILITY);
    xattr("etc/hosts", "user.comment", b"a value\0with a zero");
    xattr("etc/hosts", "user.a", b"");
    xattr("etc/one", "system.posix_acl_access", &ACL);
    xattr("var/log", "system.posix_acl_default", &ACL);
    xattr("empty", "user.of a directory", &noise(2000, 5));
    xattr("etc/dangling", "trusted.of-a-link", b"link");
    xattr("dev/null", "trusted.of-a-device", b"device");
}

/// Paths longer than the kernel takes at once.
fn deep(root: &Path) {
    let name = "d".repeat(250);
    std::fs::create_dir(root.join("deep")).unwrap();
    let mut directory: rustix::fd::OwnedFd = File::open(root.join("deep")).unwrap().into();
    for _ in 0..20 {
        mkdirat(&directory, &name, Mode::RWXU).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        directory = openat(&directory, &name, flags, Mode::empty()).unwrap();
    }
    let flags = OFlags::CREATE | OFlags::WRONLY;
    let file = openat(&directory, "file", flags, Mode::from_raw_mode(0o600)).unwrap();
    rustix::io::write(&file, b"deep down").unwrap();
    set_time(&directory, "file", 1_600_000_000, 1);
}

fn times(root: &Path) {
    let mut paths = vec![root.to_owned()];
    let mut next = 0;
    while let Some(path) = paths.get(next).cloned() {
        next += 1;
        if path.symlink_metadata().unwrap().is_dir() && path != root.join("deep") {
            paths.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    for (number, path) in (0..).zip(&paths) {
        set_time(CWD, path, 1_500_000_000 + 1000 * number, 123_456_789 + number);
    }
    set_time(CWD, root.join("etc/one"), -86_401, 999_999_999);
    set_time(CWD, root.join("bin/copy"), 0, 0);
}

fn set_time(
    directory: impl rustix::fd::AsFd,
    path: impl rustix::path::Arg,
    seconds: i64,
    nanoseconds: i64,
) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(directory, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// A torture tree in a temporary directory of its own; `None` without root.
pub fn new(is_deep: bool) -> Option<(tempfile::TempDir, PathBuf)> {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    std::fs::create_dir(&root).unwrap();
    torture(&root, is_deep).then_some((place, root))
}
