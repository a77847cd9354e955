//! The plan carried out: gates closed, partitions and file systems made where they are, files.

use super::boot_files::Booted;
use super::disk::Disk;
use super::gates;
use super::local::Local;
use super::plan::{Plan, RootPlan};
use super::region::put_proven;
use crate::Error;
use crate::layout::{Guid, Layout, Role, Table};
use crate::mark::Mark;
use crate::meter::Meter;
use crate::target::ALIGN_BYTES;
use crate::tree::{self, Drawn, Inventory, Keep, Root};
use crate::volumes::{Access, FileSystem, Mounted, release, swap_header};
use std::path::PathBuf;
use std::sync::Arc;

/// The tree is on the disk; nothing is proven yet, and nothing boots.
pub struct Written {
    pub(super) site: Site,
    pub(super) tree: tree::Written,
    /// All of it was there before.
    pub(super) is_untouched: bool,
}

/// Where the tree is.
pub(super) struct Site {
    pub(super) disk: Disk,
    pub(super) table: Table,
    /// The root partition.
    pub(super) node: PathBuf,
    pub(super) root_kind: FileSystem,
    pub(super) booted: Option<Booted>,
    pub(super) local: Option<Local>,
    /// What the disk says of itself while it is not finished.
    pub(super) mark: Mark,
    pub(super) meter: Arc<Meter>,
}

/// Carries out `plan`. From here to the end of [`super::settle`] the disk does not boot.
pub fn write(plan: Plan) -> Result<Written, Error> {
    let mark = plan.mark()?;
    let (is_complete, lacks_data) = (plan.is_complete, plan.lacks_data);
    let local_store_bytes = plan.local_store_bytes;
    let Plan { disk, layout, root, root_kind, uuids, keep, booted, local, meter, .. } = plan;
    let is_new = matches!(layout, Layout::Make(_));
    let (Layout::Keep(table) | Layout::Make(table)) = layout;
    if is_complete && let RootPlan::Keep(plan, found) = root {
        let node = found.node;
        let site = Site { disk, table, node, root_kind, booted, local, mark, meter };
        return Ok(Written { site, tree: plan.untouched(), is_untouched: true });
    }
    if is_new {
        // Since the disk was opened somebody may have mounted what goes now.
        let alone = disk.alone()?;
        gates::mark_unfinished(&disk.target, &mark)?;
        gates::lay_out(&disk.target, &table)?;
        drop(alone);
    } else {
        gates::mark_unfinished(&disk.target, &mark)?;
        gates::close(&disk.target, &table)?;
    }
    let partition = table.partition(Role::Root).ok_or(Error::NoPartition { role: Role::Root })?;
    let node = disk.node(&table, partition)?;
    let mut site = Site { disk, table, node, root_kind, booted, local, mark, meter };
    site.make_swap(uuids.swap)?;
    if lacks_data {
        site.make_data(uuids.data)?;
        site.open_local(local_store_bytes);
    }
    let plan = match root {
        RootPlan::Keep(plan, _) => plan.reached_anew(&mut |root| site.reopen(root))?,
        RootPlan::Make(drawn, ..) => site.make_root(*drawn, uuids.root, keep)?,
    };
    let tree = tree::write(plan)?;
    Ok(Written { site, tree, is_untouched: false })
}

/// Identities of what is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Uuids {
    pub(super) root: Guid,
    pub(super) swap: Guid,
    pub(super) data: Guid,
}

impl Site {
    /// Unmounts the root and mounts it again, so that what is read comes from the disk.
    pub(super) fn reopen(&self, root: Arc<Root>) -> Result<Arc<Root>, Error> {
        self.reopen_for(root, Access::ReadWrite)
    }

    pub(super) fn reopen_for(&self, root: Arc<Root>, access: Access) -> Result<Arc<Root>, Error> {
        // Whoever else had it has ended; if not, releasing it fails.
        drop(root);
        release(&self.node)?;
        self.mount(access)
    }

    fn mount(&self, access: Access) -> Result<Arc<Root>, Error> {
        let mounted = Mounted::open(&self.node, self.root_kind, access)?;
        Ok(Arc::new(Root::of(mounted.into_root(), &self.node)))
    }

    /// Makes the root file system, and plans for it as it is then.
    fn make_root(&self, mut drawn: Drawn, uuid: Guid, keep: Keep) -> Result<tree::Plan, Error> {
        if let Some(local) = &self.local {
            drawn.take_near(&local.near);
        }
        self.root_kind.make(&self.node, uuid, Role::Root.name())?;
        let root = self.mount(Access::ReadWrite)?;
        let inventory = Inventory::take(&root, &keep, &self.meter)?;
        drawn.plan(root, keep, inventory)
    }

    /// Makes swap anew, each time: an image of a system that hibernated would be resumed over the
    /// new root.
    fn make_swap(&self, uuid: Guid) -> Result<(), Error> {
        let Some(swap) = self.table.partition(Role::Swap) else { return Ok(()) };
        let mut header = swap_header(swap.size_bytes, uuid, Role::Swap.name());
        header.resize(header.len().next_multiple_of(ALIGN_BYTES), 0);
        put_proven(&self.disk.target, swap.start_bytes, &header)
    }

    /// Makes the file system of the data partition, and mounts it from the disk once. Until the
    /// disk is finished its mark says that this may have been cut off.
    fn make_data(&self, uuid: Guid) -> Result<(), Error> {
        let Some(data) = self.table.partition(Role::Data) else { return Ok(()) };
        let node = self.disk.node(&self.table, data)?;
        self.root_kind.make(&node, uuid, Role::Data.name())?;
        release(&node)?;
        Ok(Mounted::open(&node, self.root_kind, Access::ReadOnly)?.release()?)
    }

    /// Makes the store on the data partition that was just made.
    fn open_local(&mut self, max_bytes: Option<u64>) {
        self.local = max_bytes.and_then(|max_bytes| {
            Local::made((&self.disk, self.root_kind), &self.table, max_bytes, &self.meter)
        });
    }
}

impl Plan {
    /// What the disk is to say of itself until it is finished.
    fn mark(&self) -> Result<Mark, Error> {
        let record = &self.labels().first().ok_or(Error::Stopped)?.record;
        let holds = self.disk.mark.as_ref().map(Mark::holds).unwrap_or_default();
        let lays_out = match &self.layout {
            Layout::Make(table) => Some(table),
            Layout::Keep(table) => Some(table).filter(|_| self.disk.is_laid_out_unfinished()),
        };
        let mark = Mark::unfinished(&record.name, record.manifest, holds);
        Ok(mark.laying_out(lays_out.map(|table| table.disk_guid.0)))
    }
}
