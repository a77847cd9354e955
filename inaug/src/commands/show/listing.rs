//! The nodes of a tree, as `ls -l` shows files.

use crate::text;
use serde::Serialize;
use std::fmt::{self, Write};
use store::tree::{Node, NodeKind, TreeSegment};

/// A node.
#[derive(Serialize)]
pub(super) struct Row {
    path: String,
    /// The path's bytes, where they are no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    kind: &'static str,
    mode: u16,
    uid: u32,
    gid: u32,
    mtime_s: i64,
    mtime_ns: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    /// Of a symbolic link, what it says; of a hard link, the path of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<(u32, u32)>,
    /// Names and values in hexadecimal.
    xattrs: Vec<(String, String)>,
}

impl Row {
    /// The nodes that begin in `segment`.
    pub(super) fn all(segment: &TreeSegment) -> impl Iterator<Item = Self> {
        let begin = segment.nodes.iter().filter(|entry| entry.start_bytes == 0);
        begin.map(|entry| Self::of(&entry.node))
    }

    fn of(node: &Node) -> Self {
        let (mut size_bytes, mut target, mut device) = (None, None, None);
        let kind = match &node.kind {
            NodeKind::Directory => "directory",
            NodeKind::File { size_bytes: size } => {
                size_bytes = Some(*size);
                "file"
            }
            NodeKind::Symlink { target: text } => {
                target = Some(text::path(text));
                "symlink"
            }
            NodeKind::HardLink { to } => {
                target = Some(text::path(to));
                "hard_link"
            }
            NodeKind::Fifo => "fifo",
            NodeKind::CharDevice { major, minor } => {
                device = Some((*major, *minor));
                "char_device"
            }
            NodeKind::BlockDevice { major, minor } => {
                device = Some((*major, *minor));
                "block_device"
            }
        };
        let meta = &node.meta;
        let xattrs = meta.xattrs.iter().map(|x| (text::path(&x.name), hex(&x.value)));
        Self {
            path: text::path(&node.path),
            path_hex: std::str::from_utf8(&node.path).is_err().then(|| hex(&node.path)),
            kind,
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            mtime_s: meta.mtime_s,
            mtime_ns: meta.mtime_ns,
            size_bytes,
            target,
            device,
            xattrs: xattrs.collect(),
        }
    }

    /// As `ls -l` writes kind and mode (POSIX, ls): a hard link is `h`, and all its other columns
    /// are those of the file.
    fn mode_text(&self) -> String {
        let letter = match self.kind {
            "directory" => 'd',
            "symlink" => 'l',
            "hard_link" => 'h',
            "fifo" => 'p',
            "char_device" => 'c',
            "block_device" => 'b',
            _ => '-',
        };
        let mut text = String::from(letter);
        for (shift, special, set) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
            let bits = self.mode >> shift;
            text.push(if bits & 4 > 0 { 'r' } else { '-' });
            text.push(if bits & 2 > 0 { 'w' } else { '-' });
            text.push(match (self.mode & special > 0, bits & 1 > 0) {
                (false, false) => '-',
                (false, true) => 'x',
                (true, false) => set.to_ascii_uppercase(),
                (true, true) => set,
            });
        }
        text.push(if self.xattrs.is_empty() { ' ' } else { '+' });
        text
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "." } else { &self.path };
        if self.kind == "hard_link" {
            let to = self.target.as_deref().unwrap_or_default();
            return write!(f, "{:60}{path} = {to}", "h");
        }
        let size = match self.device {
            Some((major, minor)) => format!("{major}, {minor}"),
            None => self.size_bytes.unwrap_or(0).to_string(),
        };
        let time = text::utc_any(self.mtime_s);
        write!(f, "{} {:>6} {:>6} {size:>12} {time}", self.mode_text(), self.uid, self.gid)?;
        write!(f, "  {path}")?;
        self.target.as_ref().map_or(Ok(()), |target| write!(f, " -> {target}"))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // to a string: cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::tree::Meta;

    #[test]
    fn rows_read_like_those_of_ls() {
        let meta = |mode| Meta { mode, uid: 7, gid: 80, mtime_s: -1, mtime_ns: 5, xattrs: vec![] };
        let row = |path: &str, kind, mode| {
            let path = path.as_bytes().to_vec();
            Row::of(&Node { path, kind, meta: meta(mode) }).to_string()
        };
        let time = "1969-12-31 23:59:59";
        let file = NodeKind::File { size_bytes: 1234 };
        let link = NodeKind::Symlink { target: b"bash".to_vec() };
        let device = NodeKind::CharDevice { major: 1, minor: 3 };
        for (found, expected) in [
            (row("bin/su", file, 0o4755), "-rwsr-xr-x       7     80         1234 TIME  bin/su"),
            (
                row("", NodeKind::Directory, 0o1700),
                "drwx-----T       7     80            0 TIME  .",
            ),
            (row("sh", link, 0o777), "lrwxrwxrwx       7     80            0 TIME  sh -> bash"),
            (row("null", device, 0o666), "crw-rw-rw-       7     80         1, 3 TIME  null"),
        ] {
            assert_eq!(found, expected.replace("TIME", time));
        }
    }
}
