//! Giving nodes their metadata, in an order in which nothing given is taken away again: a new
//! owner costs a file its setuid bit and its capabilities (chown(2)), a new ACL changes the mode
//! (acl(5)), and every change of a directory's content its time.

use super::gate::{At, Hands};
use super::nodes::What;
use rustix::fs;
use rustix::io::Errno;
use std::io;
use store::tree::walk::is_kept;
use store::tree::{Meta, Xattr};

/// The longest list of names that xattr(7) gives, bytes (`XATTR_LIST_MAX`).
const NAMES_MAX_BYTES: usize = 64 << 10;

/// Gives what is at `at` the metadata `wants`, where it has `has`.
pub(crate) fn change(
    hands: &Hands,
    at: At<'_>,
    what: What,
    wants: &Meta,
    has: &Meta,
) -> io::Result<()> {
    let is_chowned = (wants.uid, wants.gid) != (has.uid, has.gid);
    if is_chowned {
        hands.set_owner(at, wants.uid, wants.gid)?;
    }
    // A directory's mode may have been changed to get at what is in it.
    let is_changed = is_chowned
        || wants.mode != has.mode
        || wants.xattrs != has.xattrs
        || what == What::Directory;
    if is_changed && !matches!(what, What::Symlink(_)) {
        hands.set_mode(at, wants.mode)?;
    }
    for Xattr { name, .. } in &has.xattrs {
        if !wants.xattrs.iter().any(|wanted| wanted.name == *name) {
            match hands.remove_attribute(at, name) {
                // It went with the owner.
                Err(error) if error.raw_os_error() == Some(Errno::NODATA.raw_os_error()) => {}
                result => result?,
            }
        }
    }
    for xattr in &wants.xattrs {
        if is_changed || !has.xattrs.contains(xattr) {
            hands.set_attribute(at, &xattr.name, &xattr.value)?;
        }
    }
    if what == What::Directory || (wants.mtime_s, wants.mtime_ns) != (has.mtime_s, has.mtime_ns) {
        hands.set_times(at, wants)?;
    }
    Ok(())
}

/// Metadata of what this process has just made, without extended attributes, and not modified at
/// any time that is wanted. Whose it is is not known: what is made in a setgid directory, or where
/// groups go by directories (mount(8), `bsdgroups`), has the group of that.
pub(crate) fn of_new(mode: u16) -> Meta {
    let (uid, gid) = (u32::MAX, u32::MAX);
    Meta { mode, uid, gid, mtime_s: i64::MIN, mtime_ns: 0, xattrs: Vec::new() }
}

/// The extended attributes that a directory has got from the one above it (acl(5)): names only.
pub(crate) fn inherited(dir: impl rustix::fd::AsFd) -> io::Result<Vec<Xattr>> {
    let mut names = vec![0_u8; NAMES_MAX_BYTES];
    let length = match fs::flistxattr(dir, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        length => length?,
    };
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let names = names.filter(|name| is_kept(name));
    Ok(names.map(|name| Xattr { name: name.to_vec(), value: Vec::new() }).collect())
}
