//! A disk as it is found: its table, what we left on it, and whether its root can be used as it
//! is. Nothing is written.

use crate::Error;
use crate::disks::{Contents, TableKind, sniff};
use crate::held::HEAD_BYTES;
use crate::layout::{Extent, Found, Partition, Role, Table, TableFault};
use crate::mark::Mark;
use crate::meter::Meter;
use crate::stop::Stopper;
use crate::target::{Medium, Target, TargetError, alone};
use crate::tree::{self, Inventory, Keep, Taking};
use crate::volumes::{
    Access, FileSystem, Mounted, VolumeError, check_takes_partitions, node_of, show_partitions,
};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::cut::is_zero;

/// `s_state` of the superblock of ext4, bytes from the start of the volume, and its bit that says
/// that the kernel met errors (`Documentation/filesystems/ext4/super.rst`).
const EXT4_STATE_AT: u64 = 1024 + 0x3a;
const EXT4_HAS_ERRORS: u8 = 2;

/// A disk that a tree is to be put on. Nobody else has any of it when it is opened.
#[derive(Debug)]
pub struct Disk {
    pub(crate) target: Target,
    pub(crate) file: File,
    pub(crate) table: Result<Table, TableFault>,
    pub(crate) mark: Option<Mark>,
    contents: Contents,
    /// The first sector has nothing at all.
    is_first_empty: bool,
}

/// A root file system that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) kind: FileSystem,
    /// Its UUID as text.
    pub(crate) uuid: String,
    pub(crate) node: PathBuf,
}

impl Disk {
    /// Opens the disk at `path`, which nobody may be using.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let (target, file) = Target::beside_partitions(path)?;
        check_takes_partitions(&file, target.name())?;
        let mut head = vec![0; (target.size_bytes() as usize).min(HEAD_BYTES)];
        let read = file.read_exact_at(&mut head, 0);
        read.map_err(|source| TargetError::Io {
            operation: "read",
            target: target.name().to_owned(),
            offset_bytes: 0,
            bytes: head.len() as u64,
            source,
        })?;
        let sector_bytes = target.sector_bytes.unwrap_or(512);
        let table = Table::parse(&head, sector_bytes, target.size_bytes());
        let mark = Mark::read(&head).filter(|mark| mark.owns(&head));
        let contents = sniff(&file, target.size_bytes(), sector_bytes);
        let is_first_empty = head.get(..sector_bytes as usize).is_some_and(is_zero);
        Ok(Self { target, file, table, mark, contents, is_first_empty })
    }

    /// The same over another medium, made of its own: where tests put disks that fail. File
    /// systems are mounted past it.
    #[must_use]
    pub fn over_medium(self, wrap: impl FnOnce(Box<dyn Medium>) -> Box<dyn Medium>) -> Self {
        Self { target: self.target.over_medium(wrap), ..self }
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        self.target.name()
    }

    /// Whether what it holds is ours to replace.
    pub fn is_ours(&self) -> bool {
        self.mark.is_some()
    }

    /// Whether there is nothing on it that could be lost.
    pub fn is_blank(&self) -> bool {
        self.contents.is_blank()
    }

    /// Whether a deployment that made all partitions was cut off: nothing in them could be lost. Not
    /// where somebody else's table, or anything else, has taken the place of that one.
    pub(crate) fn is_laid_out_unfinished(&self) -> bool {
        let Some(identity) = self.mark.as_ref().and_then(Mark::lays_out) else { return false };
        match &self.table {
            Ok(table) => table.disk_guid.0 == identity,
            Err(_) => self.is_bare(),
        }
    }

    /// Whether the disk is as it is while its layout is made: no table, or a part of one behind a
    /// first sector that is still empty, and nothing that anybody would miss.
    fn is_bare(&self) -> bool {
        let is_known = |partition: &crate::disks::Partition| partition.signature.is_some();
        let Contents { table, partitions, whole, unreadable, .. } = &self.contents;
        let is_partial = self.is_first_empty && !partitions.iter().any(is_known);
        let has_none = *table == TableKind::None || is_partial;
        has_none && whole.is_none() && unreadable.is_none()
    }

    /// Whether the data partition of `table`, which stays, was never made or not to its end. One
    /// with anything else than zeroes where file systems begin is somebody's.
    pub(crate) fn lacks_data(&self, table: &Table) -> bool {
        let Some(data) = table.partition(Role::Data) else { return false };
        let mut head = vec![0; data.size_bytes.min(HEAD_BYTES as u64) as usize];
        let read = self.file.read_exact_at(&mut head, data.start_bytes);
        self.is_laid_out_unfinished() || (read.is_ok() && is_zero(&head))
    }

    /// Whether `table` has swap that was never made.
    pub(crate) fn lacks_swap(&self, table: &Table) -> bool {
        let Some(swap) = table.partition(Role::Swap) else { return false };
        let mut all = self.contents.partitions.iter();
        let found = all.find(|one| one.start_bytes == swap.start_bytes);
        let signature = found.and_then(|found| found.signature.as_ref());
        signature.is_none_or(|signature| signature.kind != "swap")
    }

    /// What it holds.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// What is there in place of a table, or the table.
    pub(crate) fn found(&self) -> Found {
        match &self.table {
            Ok(table) => Found::Table(table.clone()),
            Err(_) if self.is_blank() || self.is_laid_out_unfinished() => Found::Nothing,
            Err(fault) => Found::Other { contents: self.contents.to_string(), fault: *fault },
        }
    }

    /// Takes all of the disk: fails if anybody has a partition of it, and keeps them from it until
    /// what is returned is dropped.
    pub(crate) fn alone(&self) -> Result<OwnedFd, TargetError> {
        alone(&self.file, self.name())
    }

    /// Its size and sectors.
    pub(crate) fn extent(&self) -> Extent {
        let sector_bytes = self.target.sector_bytes.unwrap_or(512);
        Extent { size_bytes: self.target.size_bytes(), sector_bytes }
    }

    /// The device node of a partition, which the kernel is told of if need be.
    pub(crate) fn node(&self, table: &Table, partition: &Partition) -> Result<PathBuf, Error> {
        show_partitions(&self.file, self.name(), table)?;
        Ok(node_of(&self.file, self.name(), partition)?)
    }

    /// Begins to look through the root file system that is there, or says why it cannot be used as
    /// it is. It needs no label, so a machine does it while it waits for its own. A plan that
    /// nothing comes of looks at it [`Access::AsItIs`].
    pub fn look(
        &self,
        keep: &Keep,
        access: Access,
        meter: &Arc<Meter>,
    ) -> Result<Result<Look, String>, Error> {
        let table = match &self.table {
            Ok(table) => table,
            Err(fault) => return Ok(Err(fault.to_string())),
        };
        let (kind, partition, id) = match self.volume(table, Role::Root) {
            Ok(volume) => volume,
            Err(why) => return Ok(Err(why)),
        };
        let node = self.node(table, partition)?;
        let fd = match Mounted::open(&node, kind, access) {
            Ok(mounted) => mounted.into_root(),
            Err(VolumeError::Mount { source, .. }) => {
                return Ok(Err(format!("the root file system cannot be mounted ({source})")));
            }
            Err(error) => return Err(error.into()),
        };
        let root = Arc::new(tree::Root::of(fd, &node).that_becomes_writable());
        let found = Root { kind, uuid: uuid_text(&id), node };
        let taking = Inventory::start(Arc::clone(&root), keep.clone(), Arc::clone(meter));
        Ok(Ok(Look { root, found, taking }))
    }

    /// The file system of a partition by its magic number: kind, partition, UUID in hex. Or why
    /// it cannot be used.
    pub(super) fn volume<'a>(
        &self,
        table: &'a Table,
        role: Role,
    ) -> Result<(FileSystem, &'a Partition, String), String> {
        let partition =
            table.partition(role).ok_or_else(|| format!("there is no {role} partition"))?;
        let mut all = self.contents.partitions.iter();
        let found = all.find(|one| one.number == partition.number);
        let signature = found.and_then(|found| found.signature.as_ref());
        let signature = signature
            .ok_or_else(|| format!("the {role} partition has no file system that is known"))?;
        let kind = FileSystem::named(signature.kind);
        let kind = kind.ok_or_else(|| format!("the {role} partition has {}", signature.kind))?;
        if kind == FileSystem::Ext4 && self.has_errors(partition) {
            return Err(format!("the {role} file system is marked as damaged"));
        }
        Ok((kind, partition, signature.id.clone()))
    }

    /// Whether the kernel met errors in the ext4 of this partition. One that cannot be read has
    /// some.
    fn has_errors(&self, partition: &Partition) -> bool {
        let mut state = [0];
        let read = self.file.read_exact_at(&mut state, partition.start_bytes + EXT4_STATE_AT);
        read.is_err() || state[0] & EXT4_HAS_ERRORS != 0
    }
}

/// A look at a root file system that is under way. Nothing of it is changed.
pub struct Look {
    root: Arc<tree::Root>,
    pub(super) found: Root,
    taking: Taking,
}

/// What a root file system has.
pub(super) struct Looked {
    pub(super) root: Arc<tree::Root>,
    pub(super) inventory: Inventory,
    pub(super) found: Root,
}

impl Look {
    /// Waits for its end.
    pub(super) fn finish(self) -> Result<Looked, Error> {
        let Self { root, found, taking } = self;
        Ok(Looked { root, inventory: taking.finish()?, found })
    }

    /// Gives it up.
    pub fn stop(self) {
        self.taking.stop();
    }

    /// What gives it up from elsewhere, while a plan waits for it.
    pub fn stopper(&self) -> Stopper {
        self.taking.stopper()
    }
}

/// Hex digits as a UUID is written.
fn uuid_text(hex: &str) -> String {
    let mut text = String::with_capacity(36);
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_as_fstab_has_it() {
        assert_eq!(
            uuid_text("1a06a7e00012400080000000000000f5"),
            "1a06a7e0-0012-4000-8000-0000000000f5"
        );
    }
}
