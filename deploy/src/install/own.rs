//! A machine's own files: what the label does not know and every deployment makes anew.

use crate::Label;
use crate::boot::{Entry, Mounts, fstab, grub_config};
use crate::layout::Guid;
use crate::tree::Overlay;
use store::Digest;
use store::tree::{Meta, Node, NodeKind};

/// What the operator gives a machine of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Own {
    /// Its name.
    pub hostname: Option<String>,
    /// root's password as crypt(5) has it.
    pub root_password: Option<String>,
    /// Public keys by which root may log in (`authorized_keys` of sshd(8)).
    pub ssh_keys: Vec<String>,
    /// More files.
    pub files: Vec<OwnFile>,
}

/// A file that the operator gives a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFile {
    /// Its path in the root.
    pub path: Vec<u8>,
    /// Its permission bits.
    pub mode: u16,
    /// Its content.
    pub content: Vec<u8>,
}

/// What else the files are made of.
pub(crate) struct Facts<'a> {
    pub(crate) labels: &'a [Label],
    pub(crate) mounts: &'a Mounts,
    /// Of the root partition: what is the machine's as long as its layout stays.
    pub(crate) root_guid: Guid,
    /// What GRUB boots, where the tree has GRUB.
    pub(crate) grub: Option<&'a Entry>,
    /// The label has a machine-id to be filled in.
    pub(crate) has_machine_id: bool,
    /// The label's password file and its metadata, where root gets a password.
    pub(crate) shadow: Option<(Meta, Vec<u8>)>,
}

/// Where the label's own password file is kept, so that it need not be fetched again to be edited
/// again.
pub(crate) const SHADOW_COPY: &str = "etc/inaugurator/shadow";

/// How the line of root's begins.
const ROOTS: &[u8] = b"root:";

/// Where it is.
pub(crate) const SHADOW: &str = "etc/shadow";

/// What the kernel gives PID 1 to talk on (`Documentation/admin-guide/devices.txt`: 5, 1).
pub(crate) const CONSOLE: &str = "dev/console";

impl Own {
    /// The files, as they are written, compared and proven like those of the label.
    pub(crate) fn overlay(&self, facts: &Facts<'_>) -> Overlay {
        let mut files = Files::made_at(facts.labels.first().map_or(0, |l| l.record.pushed_unix_s));
        files.text("etc/fstab", 0o644, fstab(facts.mounts));
        files.directory(&facts.mounts.esp.1[1..], 0o755);
        if facts.has_machine_id {
            files.text("etc/machine-id", 0o444, format!("{}\n", machine_id(facts.root_guid)));
        }
        if let Some(entry) = facts.grub {
            files.text("boot/grub/grub.cfg", 0o600, grub_config(entry));
        }
        self.add_to(&mut files, facts.labels, facts.shadow.as_ref());
        files.overlay
    }

    /// The files of a machine that runs from memory: nothing of a disk, another fstab(5) where the
    /// label's has some, an identity for each boot, and the console that the kernel opens before
    /// anything is mounted.
    pub(crate) fn live_overlay(
        &self,
        labels: &[Label],
        (has_machine_id, has_console): (bool, bool),
        shadow: Option<&(Meta, Vec<u8>)>,
        fstab: Option<Vec<u8>>,
    ) -> Overlay {
        let mut files = Files::made_at(labels.first().map_or(0, |l| l.record.pushed_unix_s));
        if let Some(fstab) = fstab {
            files.file("etc/fstab", 0o644, fstab);
        }
        if has_machine_id {
            files.text("etc/machine-id", 0o444, String::new());
        }
        if !has_console {
            let (path, meta) = (CONSOLE.as_bytes().to_vec(), files.meta(0o600));
            let kind = NodeKind::CharDevice { major: 5, minor: 1 };
            files.overlay.node(Node { path, kind, meta });
        }
        self.add_to(&mut files, labels, shadow);
        files.overlay
    }

    /// What does not depend on where the root is. What the operator names comes last.
    fn add_to(&self, files: &mut Files, labels: &[Label], shadow: Option<&(Meta, Vec<u8>)>) {
        let records: Vec<String> = labels.iter().map(|l| l.record.encode()).collect();
        files.text("etc/inaugurator/label", 0o644, records.join("\n"));
        for (number, label) in (1..).zip(labels) {
            let name = if number == 1 { String::new() } else { format!(".{number}") };
            let path = format!("etc/inaugurator/manifest{name}");
            files.file(&path, 0o644, label.manifest.encode());
        }
        if let Some(name) = &self.hostname {
            files.text("etc/hostname", 0o644, format!("{name}\n"));
        }
        if let (Some(hash), Some((meta, shadow))) = (&self.root_password, shadow) {
            files.overlay.file(SHADOW.as_bytes(), meta.clone(), with_password(shadow, hash));
            files.file(SHADOW_COPY, 0o600, shadow.clone());
        }
        if !self.ssh_keys.is_empty() {
            files.directory("root/.ssh", 0o700);
            files.text("root/.ssh/authorized_keys", 0o600, self.ssh_keys.join("\n") + "\n");
        }
        for OwnFile { path, mode, content } in &self.files {
            files.overlay.file(path, files.meta(*mode), content.clone());
        }
    }
}

/// Nodes of root's, all made at the same time.
struct Files {
    overlay: Overlay,
    mtime_s: i64,
}

impl Files {
    fn made_at(unix_s: u64) -> Self {
        let mtime_s = i64::try_from(unix_s).unwrap_or(0);
        Self { overlay: Overlay::default(), mtime_s }
    }

    fn meta(&self, mode: u16) -> Meta {
        Meta { mode, mtime_s: self.mtime_s, ..Meta::default() }
    }

    fn text(&mut self, path: &str, mode: u16, text: String) {
        self.file(path, mode, text.into_bytes());
    }

    fn file(&mut self, path: &str, mode: u16, content: Vec<u8>) {
        let meta = self.meta(mode);
        self.overlay.file(path.as_bytes(), meta, content);
    }

    fn directory(&mut self, path: &str, mode: u16) {
        let (path, meta) = (path.as_bytes().to_vec(), self.meta(mode));
        self.overlay.node(Node { path, kind: NodeKind::Directory, meta });
    }
}

/// machine-id(5) that a machine keeps through all labels: 32 hex digits, as of a random UUID.
fn machine_id(root: Guid) -> String {
    let mut bytes = [0; 16];
    let digest = Digest::of(format!("machine-id of {root}").as_bytes());
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    Guid::random(bytes).to_string().replace('-', "")
}

/// Whether this shadow(5) has a line of root's.
pub(crate) fn names_root(shadow: &[u8]) -> bool {
    shadow.split(|byte| *byte == b'\n').any(|line| line.starts_with(ROOTS))
}

/// shadow(5) with root's password. What is no line of root's stays as it is.
fn with_password(shadow: &[u8], hash: &str) -> Vec<u8> {
    let lines = shadow.split_inclusive(|byte| *byte == b'\n');
    let changed = lines.map(|line| match line.strip_prefix(ROOTS) {
        Some(rest) => {
            let end = rest.iter().position(|byte| *byte == b':').unwrap_or(rest.len());
            [ROOTS, hash.as_bytes(), &rest[end..]].concat()
        }
        None => line.to_vec(),
    });
    changed.collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roots_password_is_changed() {
        let table = [
            ("root:*:1:0:\nbin:*:2\n", "root:$6$x:1:0:\nbin:*:2\n"),
            ("bin:*:2\nroot:$y$old:1\n", "bin:*:2\nroot:$6$x:1\n"),
            ("toor:*:2\nrooted:*:3", "toor:*:2\nrooted:*:3"),
            ("root:", "root:$6$x"),
            ("", ""),
        ];
        for (shadow, expected) in table {
            let changed = with_password(shadow.as_bytes(), "$6$x");
            assert_eq!(names_root(shadow.as_bytes()), changed != shadow.as_bytes());
            assert_eq!(String::from_utf8(changed).unwrap(), expected);
        }
    }

    #[test]
    fn a_machine_keeps_its_id_and_it_is_one() {
        let id = machine_id(Guid([3; 16]));
        assert_eq!(id.len(), 32);
        assert!(id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
        assert_eq!(id, machine_id(Guid([3; 16])));
        assert_ne!(id, machine_id(Guid([4; 16])));
    }
}
