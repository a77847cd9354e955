//! What would be done to a disk, as a value. Nothing is written.

use super::boot_files::{BootFiles, Booted, check_room};
use super::disk::{self, Disk, Look, Looked};
use super::local::Local;
use super::own::{Facts, Own, SHADOW, names_root};
use super::write::Uuids;
use crate::boot::{Entry, Loaders, Mounts, next_command_line, without_root};
use crate::layout::{Guid, Layout, Role, Table, Wanted, decide};
use crate::meter::Meter;
use crate::tree::{self, Drawn, Keep, Needs, Rights, Root};
use crate::volumes::FileSystem;
use crate::{Error, Label};
use std::sync::Arc;
use store::Digest;
use store::manifest::{Payload, Place};
use store::tree::walk::RESERVED_NAME;

/// The password file of a system with thousands of users is far shorter, bytes.
const SHADOW_MAX_BYTES: u64 = 1 << 20;

/// Where the EFI system partition is mounted in the deployed system.
const ESP_AT: &str = "/boot/efi";

/// Of each node of a tree a file system keeps about so much besides content, bytes: inode, name,
/// the unused end of its last block.
const NODE_BYTES: u64 = 4096;

/// How a tree is put onto a disk.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Paths of the root that stay as they are.
    pub keep: Keep,
    /// Sizes of partitions.
    pub sizes: Sizes,
    /// The kind of root file system; any that is there will do if none is named.
    pub root_kind: Option<FileSystem>,
    /// What the machine has of its own.
    pub own: Own,
    /// Words for the deployed kernel's command line.
    pub append: String,
    /// The command line of the running kernel, whose consoles are handed on.
    pub running: String,
    /// The operator has given all of the disk away, or there is nothing on it.
    pub anew: bool,
    /// What to say to give it away, for refusals.
    pub how_anew: String,
    /// The most bytes that are kept on the data partition of what comes from far; nothing is
    /// without it. To see what is there already, the plan mounts the partition.
    pub local_store_bytes: Option<u64>,
    /// The plan is not carried out: nothing is mounted to be written for it either, so that what
    /// is kept on the data partition does not show in it.
    pub only_planned: bool,
}

/// Sizes of partitions that are to be, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The EFI system partition; chosen if it is not named.
    pub esp_bytes: Option<u64>,
    /// Swap; none without it.
    pub swap_bytes: Option<u64>,
    /// Data; none without it.
    pub data_bytes: Option<u64>,
}

/// What becomes of the root file system.
pub(super) enum RootPlan {
    /// The one that is there gets what it lacks.
    Keep(Box<tree::Plan>, disk::Root),
    /// It is made.
    Make(Box<Drawn>, Needs, Option<String>),
}

/// What would be done.
pub struct Plan {
    pub(super) disk: Disk,
    pub(super) layout: Layout,
    pub(super) root: RootPlan,
    pub(super) root_kind: FileSystem,
    pub(super) root_uuid: String,
    /// For what is made.
    pub(super) uuids: Uuids,
    pub(super) keep: Keep,
    /// What is to be kept on the data partition at most, and where it is kept already.
    pub(super) local_store_bytes: Option<u64>,
    pub(super) local: Option<Local>,
    pub(super) booted: Option<Booted>,
    /// The data partition's file system is made.
    pub(super) lacks_data: bool,
    /// Everything is there, proven but for reading it back.
    pub(super) is_complete: bool,
    pub(super) meter: Arc<Meter>,
}

/// Finds out what it takes to make `disk` boot what `labels` joined are. `look` is at the root that
/// is there, or says why it cannot stay. From `seed`, random bytes, come the identities of what is
/// new.
pub fn plan(
    disk: Disk,
    look: Result<Look, String>,
    labels: Vec<Label>,
    mut options: Options,
    meter: Arc<Meter>,
    seed: &[u8; 32],
) -> Result<Plan, Error> {
    options.anew |= disk.is_laid_out_unfinished();
    let mut next = identities(seed);
    let mut drawn = Drawn::of(labels, Rights::Root, Arc::clone(&meter))?;
    let layout = layout(&disk, &drawn, &options, &mut next)?;
    let table = layout.table().clone();
    let found = usable(&layout, look, &disk, &options)?;
    let local = local(&layout, &disk, &options, &meter)?;
    if let Some(local) = &local {
        drawn.take_near(&local.near);
    }
    let [root, swap, data] = std::array::from_fn(|_| Guid::random(next()));
    let uuids = Uuids { root, swap, data };
    let (root_kind, root_uuid) = match &found {
        Ok(looked) => (looked.found.kind, looked.found.uuid.clone()),
        Err(_) => (options.root_kind.unwrap_or_default(), uuids.root.to_string()),
    };
    let booted = booted(&drawn, &options, &root_uuid, root_kind)?;
    let mounts = mounts(&table, root_kind, &root_uuid)?;
    let there = found.as_ref().ok().map(|looked| (&*looked.root, &looked.inventory));
    let facts = Facts {
        labels: drawn.labels(),
        mounts: &mounts,
        root_guid: table.partition(Role::Root).map_or_else(Guid::default, |root| root.guid),
        grub: booted
            .as_ref()
            .filter(|_| Loaders::of(|path| drawn.has_file(path.as_bytes())).has_grub())
            .map(|booted| &booted.entry),
        has_machine_id: drawn.has_file(b"etc/machine-id"),
        shadow: shadow(&drawn, &options.own, there)?,
    };
    let overlay = options.own.overlay(&facts);
    let drawn = drawn.under(&overlay)?;
    if let Some(booted) = &booted {
        let loaders = Loaders::of(|path| drawn.has_file(path.as_bytes()));
        check_room(&table, booted, &loaders, &|path| drawn.proof(path))?;
    }
    let root = match found {
        Ok(Looked { root, inventory, found }) => {
            let plan = drawn.plan(root, options.keep.clone(), inventory)?;
            RootPlan::Keep(Box::new(plan), found)
        }
        Err(why) => {
            let needs = drawn.needs();
            RootPlan::Make(Box::new(drawn), needs, why)
        }
    };
    let lacks_data = matches!(layout, Layout::Make(_)) || disk.lacks_data(&table);
    let makes_root = matches!(root, RootPlan::Make(..)).then_some(Role::Root);
    let makes = makes_root.into_iter().chain(lacks_data.then_some(Role::Data));
    for partition in makes.filter_map(|role| table.partition(role)) {
        let role = partition.role.unwrap_or(Role::Root);
        let checked = root_kind.check(partition.size_bytes);
        checked.map_err(|source| Error::Unmakeable { role, source })?;
    }
    let keep = options.keep;
    let mut plan = Plan {
        disk,
        layout,
        root,
        root_kind,
        root_uuid,
        uuids,
        keep,
        local_store_bytes: options.local_store_bytes,
        local,
        booted,
        lacks_data,
        is_complete: false,
        meter,
    };
    plan.is_complete = plan.is_all_there()?;
    Ok(plan)
}

impl Plan {
    /// Whether nothing has to be written.
    pub fn nothing_to_do(&self) -> bool {
        self.is_complete
    }

    /// The disk.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The labels, in the order in which they were given.
    pub fn labels(&self) -> &[Label] {
        match &self.root {
            RootPlan::Keep(plan, _) => plan.labels(),
            RootPlan::Make(drawn, ..) => drawn.labels(),
        }
    }

    /// What there is and what is missing.
    pub fn totals(&self) -> tree::Totals {
        match &self.root {
            RootPlan::Keep(plan, _) => plan.totals(),
            RootPlan::Make(_, needs, _) => {
                let mut totals = tree::Totals::default();
                (totals.nodes.all, totals.nodes.new) = (needs.nodes, needs.nodes);
                totals.objects.missing_objects = needs.objects;
                totals.objects.missing_bytes = needs.bytes;
                totals.objects.packed_bytes = needs.packed_bytes;
                totals.objects.near_objects = needs.near_objects;
                totals.objects.near_bytes = needs.near_bytes;
                totals
            }
        }
    }

    /// Live counters.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Whether the root, the boot files and the mark are what they should be.
    fn is_all_there(&self) -> Result<bool, Error> {
        let RootPlan::Keep(plan, _) = &self.root else { return Ok(false) };
        let label = self.labels().first().map(|label| label.record.manifest);
        let mark = self.disk.mark.as_ref();
        let is_marked = mark.is_some_and(|mark| mark.is_finished() && Some(mark.manifest) == label);
        let lacks = self.lacks_data || self.disk.lacks_swap(self.layout.table());
        if lacks || !is_marked || !plan.nothing_to_do() || plan.root().has(RESERVED_NAME) {
            return Ok(false);
        }
        let files =
            BootFiles::prepare(plan.root(), self.layout.table(), self.booted.as_ref(), &|path| {
                plan.proof(path)
            })?;
        files.are_there(&self.disk.target, &self.meter)
    }
}

/// As many as are asked for, none like another.
fn identities(seed: &[u8; 32]) -> impl FnMut() -> [u8; 16] {
    let mut count = 0_u64;
    move || {
        count += 1;
        let digest = Digest::of(&[&seed[..], &count.to_le_bytes()].concat());
        let (half, _) = digest.as_bytes().split_at(16);
        std::array::from_fn(|at| half[at])
    }
}

fn layout(
    disk: &Disk,
    drawn: &Drawn,
    options: &Options,
    random: &mut dyn FnMut() -> [u8; 16],
) -> Result<Layout, Error> {
    let needs = drawn.needs();
    let boots = drawn.labels().iter().filter_map(|label| label.manifest.boot.as_ref());
    let boot_bytes = boots.map(|boot| {
        let initrd = boot.initrd.as_ref().map_or(0, |initrd| initrd.size_bytes);
        boot.kernel.size_bytes.saturating_add(initrd)
    });
    let wanted = Wanted {
        esp_bytes: options.sizes.esp_bytes,
        swap_bytes: options.sizes.swap_bytes,
        data_bytes: options.sizes.data_bytes,
        boot_bytes: boot_bytes.max().unwrap_or(0),
        root_bytes: needs.bytes.saturating_add(needs.nodes.saturating_mul(NODE_BYTES)),
    };
    let decided = decide(disk.extent(), disk.found(), &wanted, options.anew, random);
    decided.map_err(|source| Error::Layout {
        disk: disk.name().to_owned(),
        how: options.how_anew.clone(),
        source,
    })
}

/// The store on the data partition, where there is one already; later, where there is none yet.
fn local(
    layout: &Layout,
    disk: &Disk,
    options: &Options,
    meter: &Meter,
) -> Result<Option<Local>, Error> {
    let Some(max_bytes) = options.local_store_bytes else { return Ok(None) };
    if layout.table().partition(Role::Data).is_none() {
        return Err(Error::NowhereLocal { disk: disk.name().to_owned() });
    }
    Ok(match layout {
        // One whose file system is to be made is not mounted before.
        Layout::Keep(table) if !options.only_planned && !disk.lacks_data(table) => {
            Local::kept(disk, table, max_bytes, meter)
        }
        Layout::Keep(_) | Layout::Make(_) => None,
    })
}

/// What there is on a root that stays, or why it does not.
fn usable(
    layout: &Layout,
    look: Result<Look, String>,
    disk: &Disk,
    options: &Options,
) -> Result<Result<Looked, Option<String>>, Error> {
    let (name, how) = (disk.name().to_owned(), options.how_anew.clone());
    match (look, layout) {
        (look, Layout::Make(_)) => {
            look.into_iter().for_each(Look::stop);
            Ok(Err(None))
        }
        (Ok(look), _) => match options.root_kind {
            Some(wanted) if look.found.kind != wanted => {
                let found = look.found.kind;
                look.stop();
                if options.anew {
                    return Ok(Err(Some(format!("the root file system is {found}"))));
                }
                Err(Error::OtherRoot { disk: name, found, wanted, how })
            }
            _ => Ok(Ok(look.finish()?)),
        },
        (Err(why), _) => match options.keep.paths().next() {
            Some(kept) if !options.anew => {
                let kept = kept.escape_ascii().to_string();
                Err(Error::KeptLost { disk: name, why, kept, how })
            }
            _ => Ok(Err(Some(why))),
        },
    }
}

fn booted(
    drawn: &Drawn,
    options: &Options,
    root_uuid: &str,
    root_kind: FileSystem,
) -> Result<Option<Booted>, Error> {
    let labels = drawn.labels();
    let Some((label, boot)) =
        labels.iter().find_map(|label| Some((label, label.manifest.boot.as_ref()?)))
    else {
        return Ok(None);
    };
    let path = |file: &'static str, payload: &Payload| match &payload.place {
        Place::Path(path) => match std::str::from_utf8(path) {
            Ok(path) if !path.contains(char::is_whitespace) => Ok(format!("/{path}")),
            _ => Err(path.escape_ascii().to_string()),
        }
        .map_err(|found| Error::BootPath { file, found }),
        // Not a file of the root: no boot loader finds it.
        _ => Err(Error::BootPath { file, found: "no file of the tree".to_owned() }),
    };
    let own = format!("root=UUID={root_uuid} ro {}", without_root(&boot.cmdline));
    let title: Vec<String> = labels.iter().map(|label| label.record.name.to_string()).collect();
    let entry = Entry {
        title: title.join("+"),
        version: label.record.manifest.short(),
        kernel: path("kernel", &boot.kernel)?,
        initrd: boot.initrd.as_ref().map(|initrd| path("initrd", initrd)).transpose()?,
        cmdline: next_command_line(&own, &options.append, &options.running),
    };
    Ok(Some(Booted { entry, root_uuid: root_uuid.to_owned(), root_kind }))
}

fn mounts(table: &Table, root_kind: FileSystem, root_uuid: &str) -> Result<Mounts, Error> {
    let guid = |role| table.partition(role).map(|partition| partition.guid);
    let esp = guid(Role::Esp).ok_or(Error::NoPartition { role: Role::Esp })?;
    Ok(Mounts {
        root_uuid: root_uuid.to_owned(),
        root_kind: root_kind.word(),
        esp: (esp, ESP_AT.to_owned()),
        swap: guid(Role::Swap),
        data: guid(Role::Data),
    })
}

/// The label's password file, where it is to be changed.
pub(crate) fn shadow(
    drawn: &Drawn,
    own: &Own,
    seen: Option<(&Root, &tree::Inventory)>,
) -> Result<Option<(store::tree::Meta, Vec<u8>)>, Error> {
    if own.root_password.is_none() {
        return Ok(None);
    }
    let content = drawn.read(SHADOW.as_bytes(), SHADOW_MAX_BYTES, seen)?;
    let found = drawn.meta(SHADOW.as_bytes()).zip(content);
    let no_file = || format!("no regular file of at most {SHADOW_MAX_BYTES} bytes");
    let Some((meta, shadow)) = found else { return Err(Error::Password { found: no_file() }) };
    if !names_root(&shadow) {
        return Err(Error::Password { found: "no line of root's".to_owned() });
    }
    Ok(Some((meta, shadow)))
}
