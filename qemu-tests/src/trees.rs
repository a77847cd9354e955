//! Are two trees of files the same? Asked of rsync(1), which shares no code with us.

use crate::volume::said;
use anyhow::{Context, Result};
use std::fmt;
use std::path::Path;
use std::process::Command;

/// One thing in which a tree is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How, as rsync(1) itemizes changes: what it would do to put it right.
    pub what: String,
    /// Where, below the root; a directory ends with a slash. Bytes that are not printable are
    /// written as `\#ooo`.
    pub path: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<11} {}", self.what, self.path)
    }
}

/// All in which the tree `found` differs from `expected`: content, kinds, owners, modes, times to
/// the nanosecond, hard links, ACLs and extended attributes, what lacks and what is too much.
pub fn differences(expected: &Path, found: &Path) -> Result<Vec<Difference>> {
    let mut rsync = Command::new("rsync");
    rsync.args(["-aHAXn", "--numeric-ids", "--checksum", "--modify-window=-1"]);
    rsync.args(["--delete", "--itemize-changes"]);
    // The slashes: what is in them, and they themselves.
    for directory in [expected, found] {
        let mut path = directory.as_os_str().to_owned();
        path.push("/");
        rsync.arg(path);
    }
    said(&mut rsync)?.lines().map(difference).collect()
}

fn difference(line: &str) -> Result<Difference> {
    let (what, path) = line.split_once(' ').with_context(|| format!("rsync said {line:?}"))?;
    Ok(Difference { what: what.to_owned(), path: path.trim_start().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::differences;
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    use std::fs::{self, FileTimes, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    /// A change to a tree, and what is told of it.
    type Row = (fn(&Path), &'static [&'static str]);

    /// A tree of one of everything that a user may make.
    fn tree(root: &Path) {
        fs::create_dir_all(root.join("d/e")).unwrap();
        fs::write(root.join("d/file"), "content").unwrap();
        fs::write(root.join("d/other"), "content").unwrap();
        fs::hard_link(root.join("d/file"), root.join("d/link")).unwrap();
        symlink("nowhere", root.join("d/symlink")).unwrap();
        for path in ["d/file", "d/other", "d/e", "d", ""] {
            set_time(&root.join(path), 7);
        }
        let time = Timespec { tv_sec: 1_000_000_000, tv_nsec: 7 };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, root.join("d/symlink"), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }

    fn set_time(path: &Path, nanoseconds: u32) {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, nanoseconds);
        let file = fs::File::open(path).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    fn itemized(change: fn(&Path)) -> Vec<String> {
        let (expected, found) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for root in [&expected, &found] {
            tree(root.path());
        }
        change(found.path());
        for path in ["d/e", "d", ""] {
            set_time(&found.path().join(path), 7);
        }
        let found = differences(expected.path(), found.path()).unwrap();
        found.iter().map(|difference| format!("{} {}", difference.what, difference.path)).collect()
    }

    #[test]
    fn every_difference_is_told() {
        let table: [Row; 8] = [
            (|_| (), &[]),
            (|root| set_time(&root.join("d/other"), 8), &[".f..t...... d/other"]),
            (
                |root| {
                    fs::write(root.join("d/other"), "CONTENT").unwrap();
                    set_time(&root.join("d/other"), 7);
                },
                &[">fc........ d/other"],
            ),
            (
                |root| {
                    fs::set_permissions(root.join("d/e"), Permissions::from_mode(0o700)).unwrap();
                },
                &[".d...p..... d/e/"],
            ),
            (|root| fs::write(root.join("a line\n"), "").unwrap(), &["*deleting a line\\#012"]),
            (|root| fs::remove_file(root.join("d/other")).unwrap(), &[">f+++++++++ d/other"]),
            (
                |root| {
                    fs::remove_dir(root.join("d/e")).unwrap();
                    fs::write(root.join("d/e"), "").unwrap();
                },
                &["cd+++++++++ d/e/"],
            ),
            (
                |root| {
                    fs::remove_file(root.join("d/link")).unwrap();
                    fs::write(root.join("d/link"), "content").unwrap();
                    set_time(&root.join("d/link"), 7);
                },
                &["hf d/link => d/file"],
            ),
        ];
        for (number, (change, expected)) in table.into_iter().enumerate() {
            assert_eq!(itemized(change), expected, "row {number}");
        }
    }
}
