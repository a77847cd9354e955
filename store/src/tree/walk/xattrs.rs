//! Extended attributes, of whatever kind of node.

use super::error::WalkError;
use super::open::Opened;
use crate::tree::{XATTR_VALUE_MAX_BYTES, XATTRS_MAX_BYTES, Xattr};
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{fgetxattr, flistxattr, getxattr, listxattr};
use rustix::io::Errno;
use std::path::PathBuf;

/// `XATTR_LIST_MAX` of Linux (xattr(7)): all names of a node together.
const LIST_MAX_BYTES: usize = 64 << 10;

/// Attributes of the namespace `security` that say what a host's policy thought of a file, not
/// what the file is: they are made anew where a tree is deployed, and a tree built in a container
/// carries those of the container's host.
const OF_THE_HOST: [&[u8]; 4] =
    [b"security.selinux", b"security.ima", b"security.evm", b"security.apparmor"];

/// Of the namespace `system`, only access control lists are the file's own.
const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// Whether trees have attributes of this name: `user.`, `trusted.` but overlayfs' own,
/// `security.` but a host's policies (`SELinux`, SMACK, `AppArmor`, IMA, EVM), and ACLs.
pub fn is_kept(name: &[u8]) -> bool {
    match name.split(|byte| *byte == b'.').next() {
        Some(b"user") => true,
        Some(b"trusted") => !name.starts_with(b"trusted.overlay."),
        Some(b"security") => !OF_THE_HOST.contains(&name) && !name.starts_with(b"security.SMACK64"),
        _ => ACLS.contains(&name),
    }
}

/// Reads attributes into buffers that are kept.
#[derive(Debug, Default)]
pub(super) struct XattrReader {
    list: Vec<u8>,
    value: Vec<u8>,
}

/// Why attributes could not be read; where is not known here.
pub(super) enum Failed {
    Read(Errno),
    TooMany { found: usize },
}

impl Failed {
    pub(super) fn at(self, path: PathBuf) -> WalkError {
        match self {
            Self::Read(error) => WalkError::Xattrs { path, source: error.into() },
            Self::TooMany { found } => {
                let what = "extended attributes";
                WalkError::Limit { path, what, max: XATTRS_MAX_BYTES, found }
            }
        }
    }
}

impl XattrReader {
    /// The attributes that a tree has of `opened`, in order.
    pub(super) fn read(&mut self, opened: &Opened) -> Result<Vec<Xattr>, Failed> {
        self.list.resize(LIST_MAX_BYTES, 0);
        let length = match list(opened, &mut self.list) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(error) => return Err(Failed::Read(error)),
        };
        let names = self.list[..length].split(|byte| *byte == 0);
        let mut found = Vec::new();
        for name in names.filter(|name| !name.is_empty() && is_kept(name)) {
            if let Some(value) = get(opened, name, &mut self.value).map_err(Failed::Read)? {
                found.push(Xattr { name: name.to_vec(), value });
            }
        }
        found.sort();
        let bytes = found.iter().map(|xattr| xattr.name.len() + xattr.value.len()).sum();
        if bytes > XATTRS_MAX_BYTES { Err(Failed::TooMany { found: bytes }) } else { Ok(found) }
    }
}

/// Where the kernel shows what `opened` holds: a descriptor that only holds a file gives no
/// attributes itself, and those of a symbolic link cannot be had otherwise (proc(5)).
fn held(opened: &Opened) -> String {
    format!("/proc/self/fd/{}", opened.as_fd().as_raw_fd())
}

fn list(opened: &Opened, into: &mut [u8]) -> Result<usize, Errno> {
    if opened.is_read() { flistxattr(opened, into) } else { listxattr(held(opened), into) }
}

/// The value of an attribute; `None` if it is gone, or one that only readers of the file may see
/// and we are none.
fn get(opened: &Opened, name: &[u8], buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Errno> {
    buffer.resize(XATTR_VALUE_MAX_BYTES, 0);
    let into = &mut buffer[..];
    let found = if opened.is_read() {
        fgetxattr(opened, name, into)
    } else {
        getxattr(held(opened), name, into)
    };
    match found {
        Ok(length) => Ok(Some(buffer[..length].to_vec())),
        Err(Errno::NODATA) => Ok(None),
        Err(Errno::ACCESS) if opened.refused.is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_thinks_of_a_file_is_not_kept() {
        let kept: [&[u8]; 6] = [
            b"user.a",
            b"user.overlay.opaque",
            b"trusted.a",
            b"security.capability",
            b"security.NTACL",
            b"system.posix_acl_default",
        ];
        for name in kept {
            assert!(is_kept(name), "{}", name.escape_ascii());
        }
        let left: [&[u8]; 6] = [
            b"trusted.overlay.opaque",
            b"security.selinux",
            b"security.SMACK64EXEC",
            b"security.ima",
            b"system.nfs4_acl",
            b"btrfs.compression",
        ];
        for name in left {
            assert!(!is_kept(name), "{}", name.escape_ascii());
        }
    }
}
