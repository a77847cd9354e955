//! What the one who deploys may give to files: root all of it, others what is theirs.

use store::tree::{Meta, NodeKind};

/// Bits that only root can give to files of others, and that mean nothing on one's own.
const SET_ID: u16 = 0o6000;

/// Who deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Root: everything is as in the label.
    Root,
    /// A user, who gets the files as their own.
    User {
        /// Owner of all files.
        uid: u32,
        /// Their group.
        gid: u32,
    },
}

/// What the files are given otherwise than in the label, and how many of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Adapted {
    /// Owner and group are the user's.
    pub owners: u64,
    /// Setuid and setgid are left out.
    pub set_id: u64,
    /// The owner may read files, and read, change and enter directories, that the label closes
    /// to its owner too.
    pub opened: u64,
    /// Extended attributes that only root can give are left out.
    pub attributes: u64,
    /// Devices are left out.
    pub devices: u64,
}

impl Adapted {
    /// What is otherwise than in the label, a line for each thing.
    pub fn lacking(&self) -> Vec<String> {
        let rows = [
            (self.owners, "belong to the user instead of their owner"),
            (self.set_id, "are not setuid or setgid"),
            (self.opened, "are open to their owner"),
            (self.attributes, "lack attributes that only root can give"),
            (self.devices, "are devices, and left out"),
        ];
        let rows = rows.into_iter().filter(|(count, _)| *count > 0);
        rows.map(|(count, what)| format!("{count} {what}")).collect()
    }

    /// The counts of both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            owners: self.owners + other.owners,
            set_id: self.set_id + other.set_id,
            opened: self.opened + other.opened,
            attributes: self.attributes + other.attributes,
            devices: self.devices + other.devices,
        }
    }
}

impl Rights {
    /// Those of this process (geteuid(2)).
    pub fn of_process() -> Self {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        if uid.is_root() {
            return Self::Root;
        }
        Self::User { uid: uid.as_raw(), gid: gid.as_raw() }
    }

    /// Whether a node of this kind can be made at all.
    pub(crate) fn allow(self, kind: &NodeKind, adapted: &mut Adapted) -> bool {
        let is_device = matches!(kind, NodeKind::CharDevice { .. } | NodeKind::BlockDevice { .. });
        if self == Self::Root || !is_device {
            return true;
        }
        adapted.devices += 1;
        false
    }

    /// The metadata that a node of this kind is given for that in the label.
    pub(crate) fn adapt(self, kind: &NodeKind, meta: Meta, adapted: &mut Adapted) -> Meta {
        let Self::User { uid, gid } = self else { return meta };
        let mut meta = meta;
        adapted.owners += u64::from((meta.uid, meta.gid) != (uid, gid));
        adapted.set_id += u64::from(meta.mode & SET_ID > 0);
        let open = match kind {
            NodeKind::Directory => 0o700,
            NodeKind::File { .. } => 0o400,
            _ => 0,
        };
        adapted.opened += u64::from(meta.mode & open != open);
        let count = meta.xattrs.len();
        meta.xattrs.retain(|xattr| !needs_root(&xattr.name));
        adapted.attributes += u64::from(meta.xattrs.len() < count);
        Meta { mode: meta.mode & !SET_ID | open, uid, gid, ..meta }
    }
}

/// Whether only root can give files this extended attribute (xattr(7)).
fn needs_root(name: &[u8]) -> bool {
    name.starts_with(b"security.") || name.starts_with(b"trusted.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::tree::Xattr;

    #[test]
    fn a_user_gets_files_as_their_own() {
        let xattr = |name: &str| Xattr { name: name.into(), value: vec![1] };
        let label = Meta {
            mode: 0o4111,
            uid: 0,
            gid: 8,
            mtime_s: 5,
            mtime_ns: 6,
            xattrs: vec![xattr("security.capability"), xattr("user.a")],
        };
        let file = NodeKind::File { size_bytes: 1 };
        let mut adapted = Adapted::default();
        assert_eq!(Rights::Root.adapt(&file, label.clone(), &mut adapted), label);
        assert_eq!(adapted, Adapted::default());
        let user = Rights::User { uid: 1000, gid: 100 };
        let expected =
            Meta { mode: 0o511, uid: 1000, gid: 100, xattrs: vec![xattr("user.a")], ..label };
        assert_eq!(user.adapt(&file, label.clone(), &mut adapted), expected);
        let device = NodeKind::CharDevice { major: 1, minor: 3 };
        assert!(Rights::Root.allow(&device, &mut adapted) && user.allow(&file, &mut adapted));
        assert!(!user.allow(&device, &mut adapted));
        let counts = Adapted { owners: 1, set_id: 1, opened: 1, attributes: 1, devices: 1 };
        assert_eq!(adapted, counts);
    }
}
