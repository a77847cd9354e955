//! What can go wrong between a tree and a directory.

use crate::Category;
use crate::plan::human;
use std::io;
use store::tree::walk::WalkError;

/// Why a directory cannot hold a tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A call on the target failed.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what, the target's own path included.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The target could not be walked.
    #[error("cannot look through {target}")]
    Walk {
        /// The target.
        target: String,
        /// Why.
        source: WalkError,
    },
    /// A label's nodes do not make a tree.
    #[error("label {label}: {path}: expected {expected}, found {found}")]
    Node {
        /// The label.
        label: String,
        /// The path of the node.
        path: String,
        /// What would have been right.
        expected: &'static str,
        /// What the label has.
        found: String,
    },
    /// The target has more, or other, than can be told apart.
    #[error("{path}: expected {expected}, found {found}")]
    Misplaced {
        /// Where.
        path: String,
        /// What would have been right.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// Labels that are to be joined have different things at one path.
    #[error(
        "labels {first} and {second} cannot be joined: {path} is {of_first} in the one and {of_second} in the other"
    )]
    Conflict {
        /// The first label.
        first: String,
        /// The second label.
        second: String,
        /// The path.
        path: String,
        /// What the first has there.
        of_first: String,
        /// What the second has there.
        of_second: String,
    },
    /// What is on the target is not what is to be there, even after it was written a second time.
    #[error("{path} reads back wrong: expected {expected}, found {found}")]
    ReadBack {
        /// Where.
        path: String,
        /// What is to be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// What is on the target is not what is to be there, and it cannot be written a second time.
    #[error("what was written reads back wrong, and cannot be repaired")]
    Repair {
        /// Why not.
        source: TreeRefusal,
    },
}

impl TreeError {
    /// What kind of failure this is.
    pub(crate) fn category(&self) -> Category {
        match self {
            Self::Io { .. } | Self::Walk { .. } | Self::Misplaced { .. } => Category::Storage,
            Self::Node { .. } | Self::ReadBack { .. } | Self::Repair { .. } => {
                Category::Verification
            }
            Self::Conflict { .. } => Category::Refused,
        }
    }
}

/// Why a tree is not put onto a directory; nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeRefusal {
    /// The file system has no room for it.
    #[error("{target} needs {needs_bytes} bytes more ({}), its file system has {has_bytes} ({})", human(*needs_bytes), human(*has_bytes))]
    NoRoom {
        /// The target.
        target: String,
        /// What is needed besides what will be freed, bytes.
        needs_bytes: u64,
        /// What is free, bytes.
        has_bytes: u64,
    },
    /// The file system has too few inodes left.
    #[error("{target} needs {needs} files more, its file system has room for {has}")]
    NoInodes {
        /// The target.
        target: String,
        /// How many are needed besides those that will be freed.
        needs: u64,
        /// How many are free.
        has: u64,
    },
    /// The file system is mounted read-only.
    #[error("{target} is on a file system that is read-only")]
    ReadOnly {
        /// The target.
        target: String,
    },
    /// Something else is mounted where the label has content, or where something has to go.
    #[error("{path} is a mount point, and {why}: unmount it, or keep it with --keep")]
    MountPoint {
        /// The mount point.
        path: String,
        /// What the label wants there.
        why: &'static str,
    },
    /// What is kept stands where the label has something else.
    #[error("{kept} is to be kept, and the label has {found} at {path}")]
    Kept {
        /// The path that is kept.
        kept: String,
        /// Where the label has it.
        path: String,
        /// What the label has there.
        found: &'static str,
    },
    /// Another deployment has the target.
    #[error("{target} is in use: another deployment writes to it")]
    Busy {
        /// The target.
        target: String,
    },
    /// The target is this machine's own root.
    #[error("{target} is the root of the running system")]
    OwnRoot {
        /// The target.
        target: String,
    },
    /// The target holds the store that it is to be made from.
    #[error(
        "the store {store} is inside {target}, where everything that the label does not know is removed"
    )]
    HoldsStore {
        /// The target.
        target: String,
        /// The store.
        store: String,
    },
    /// A path to keep is none.
    #[error("cannot keep {path:?}: expected {expected}, found {found}")]
    KeepPath {
        /// As given.
        path: String,
        /// What would have been right.
        expected: &'static str,
        /// What is wrong.
        found: String,
    },
}

/// A path as people read it: what is not printable is escaped.
pub(crate) fn shown(path: &[u8]) -> String {
    format!("/{}", path.escape_ascii())
}
