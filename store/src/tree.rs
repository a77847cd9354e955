//! Trees: a file system's content as files.
//!
//! A tree is its nodes in one order: by path, component by component, as bytes, each directory
//! before what is in it. So the same tree has the same manifest, wherever and in whatever order it
//! was read, and two trees are compared by walking both at once.
//!
//! Paths are bytes, relative to the tree's root, which is the empty path; components are joined by
//! `/`. They may be longer than the kernel takes at once (`PATH_MAX`).

mod continuity;
mod cut;
mod node;
mod path;
mod segment;
#[cfg(feature = "std")]
pub mod walk;
#[cfg(feature = "std")]
mod window;

pub use continuity::Continuity;
pub use cut::{LOOK_AHEAD_BYTES, OBJECT_CUT_MAX_BYTES, Piece, next_piece};
pub use node::{
    MODE_MAX, Meta, Node, NodeKind, TARGET_MAX_BYTES, XATTR_NAME_MAX_BYTES, XATTR_VALUE_MAX_BYTES,
    XATTRS_MAX_BYTES, Xattr,
};
pub use path::{NAME_MAX_BYTES, PATH_MAX_BYTES, check_path, compare, name, parent};
pub use segment::{NodeEntry, SEGMENT_PATHS_MAX_BYTES, TreeSegment, TreeSegmentWriter};
#[cfg(feature = "std")]
pub(crate) use window::stamped;
#[cfg(feature = "std")]
pub use window::{Content, FilePiece, FilePieces};
