//! A store with two small systems in it, and a machine that is only a disk.

use crate::disks::Loop;
use crate::medium::Wrap;
use deploy::disks::sniff;
use deploy::install::{self, Boots, Disk, Own, Sizes, plan, settle, verify, write};
use deploy::layout::{Role, Table};
use deploy::tree::Keep;
use deploy::volumes::{Access, FileSystem, node_of, show_partitions};
use deploy::{Error, Mark, Meter, ReadBack, Snapshot};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::dir::DirStore;
use store::near::Kept;
use store::push::{BootInput, LEVEL_DEFAULT, PayloadInput, PushTree, TreeInput, push_tree};
use store::source::Source;
use store::tree::walk::Mounts;
use store::{Digest, Hasher};
use tempfile::TempDir;

const DISK_BYTES: u64 = 1 << 30;

/// A disk with large sectors needs a larger EFI system partition.
const LARGE_DISK_BYTES: u64 = 2 << 30;

/// Tests go one at a time: a program that is being started has copies of all descriptors for a
/// moment, of disks and mounts of other tests too, which are busy then.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A store with the labels `first` and `second`.
pub(crate) struct Bench {
    _alone: MutexGuard<'static, ()>,
    work: TempDir,
    store: Arc<dyn Source>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        // A test that failed has left nothing that the next one could meet.
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let work = tempfile::tempdir().unwrap();
        let store = DirStore::create(work.path().join("store")).unwrap();
        let bench = Self { _alone: alone, work, store: Arc::new(store) };
        for label in ["first", "second"] {
            bench.push(label);
        }
        bench
    }

    /// Where the tree of a label is.
    pub(crate) fn tree(&self, label: &str) -> PathBuf {
        self.work.path().join(label)
    }

    /// The store loses all content; labels are still there.
    pub(crate) fn lose_packs(&self) {
        for pack in fs::read_dir(self.work.path().join("store/packs")).unwrap() {
            fs::remove_file(pack.unwrap().path()).unwrap();
        }
    }

    fn push(&self, label: &str) {
        let root = self.tree(label);
        let files: [(&str, &[u8]); 6] = [
            ("boot/linux", &kernel(label)),
            ("boot/initrd", label.as_bytes()),
            ("etc/config", label.as_bytes()),
            ("etc/machine-id", b""),
            ("etc/shadow", b"root:*:1:\nbin:*:2:\n"),
            ("usr/lib/systemd/boot/efi/systemd-bootx64.efi", b"a boot loader"),
        ];
        for (path, content) in files {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), content).unwrap();
        }
        fs::set_permissions(root.join("etc/shadow"), fs::Permissions::from_mode(0o640)).unwrap();
        self.push_tree(label, "root=/dev/sda9 quiet rw");
    }

    /// Pushes the tree of a label as it is now.
    pub(crate) fn push_tree(&self, label: &str, cmdline: &str) {
        let payload = |path: &str| PayloadInput::Tree(path.into());
        let request = PushTree {
            label: label.parse().unwrap(),
            input: TreeInput::Directory {
                path: self.tree(label),
                mounts: Mounts::Refuse,
                allow_changed: false,
            },
            boot: Some(BootInput {
                kernel: payload("boot/linux"),
                initrd: Some(payload("boot/initrd")),
                cmdline: cmdline.into(),
                source: "a test".into(),
            }),
            facts: Vec::new(),
            pushed_unix_s: 1,
            force: true,
            level: LEVEL_DEFAULT,
        };
        let store = DirStore::create(self.work.path().join("store")).unwrap();
        push_tree(&store, &request, &()).unwrap();
    }
}

/// The kernel of a label.
pub(crate) fn kernel(label: &str) -> Vec<u8> {
    (0..300_001_u32).flat_map(|at| (at * label.len() as u32).to_le_bytes()).collect()
}

/// What a test says of a deployment.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) own: Own,
    pub(crate) keep: Vec<&'static str>,
    pub(crate) swap_bytes: Option<u64>,
    pub(crate) data_bytes: Option<u64>,
    pub(crate) root_kind: Option<FileSystem>,
    pub(crate) anew: bool,
    pub(crate) local_store_bytes: Option<u64>,
    pub(crate) only_planned: bool,
}

/// Nothing in particular.
pub(crate) fn options() -> Options {
    Options::default()
}

/// What became of a deployment.
#[derive(Debug)]
pub(crate) struct Deployed {
    /// The plan.
    pub(crate) said: String,
    pub(crate) snapshot: Snapshot,
    pub(crate) command_line: String,
    pub(crate) kept: Option<Kept>,
    /// Why stores were passed over.
    pub(crate) passed_over: Vec<String>,
    pub(crate) boots: Boots,
    /// Why one kind of firmware has no boot loader.
    pub(crate) lacks: Option<String>,
}

/// A disk.
pub(crate) struct Machine<'a> {
    bench: &'a Bench,
    directory: TempDir,
    disk: Loop,
    sector_bytes: u32,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(bench: &'a Bench, sector_bytes: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("disk");
        let size = if sector_bytes > 512 { LARGE_DISK_BYTES } else { DISK_BYTES };
        File::create(&file).unwrap().set_len(size).unwrap();
        let disk = Loop::over(&file, sector_bytes);
        Self { bench, directory, disk, sector_bytes }
    }

    pub(crate) fn name(&self) -> String {
        self.disk.path().display().to_string()
    }

    pub(crate) fn deploy(&self, label: &str, options: Options) -> Result<Deployed, Error> {
        self.deploy_over::<Wrap>(label, options, None)
    }

    pub(crate) fn deploy_over<W: Into<Wrap>>(
        &self,
        label: &str,
        options: Options,
        medium: Option<W>,
    ) -> Result<Deployed, Error> {
        let (plan, meter) = self.plan(label, options, medium, Access::ReadOnly)?;
        let said = plan.to_string();
        let settled = settle(verify(write(plan)?, ReadBack::Yes)?)?;
        let command_line = settled.command_line().unwrap_or_default().to_owned();
        let passed_over = meter.passed_over().into_iter().map(|one| one.why).collect();
        let (snapshot, kept) = (meter.snapshot(), settled.kept());
        let (boots, lacks) = (settled.boots(), settled.lacks().map(str::to_owned));
        Ok(Deployed { said, snapshot, command_line, kept, passed_over, boots, lacks })
    }

    /// The plan, of which nothing comes.
    pub(crate) fn show_plan(&self, label: &str, options: Options) -> Result<String, Error> {
        let options = Options { only_planned: true, ..options };
        Ok(self.plan::<Wrap>(label, options, None, Access::AsItIs)?.0.to_string())
    }

    pub(crate) fn plan<W: Into<Wrap>>(
        &self,
        label: &str,
        options: Options,
        medium: Option<W>,
        access: Access,
    ) -> Result<(install::Plan, Arc<Meter>), Error> {
        let meter = Arc::new(Meter::new());
        let mut disk = Disk::open(self.disk.path())?;
        if let Some(medium) = medium {
            disk = disk.over_medium(medium.into());
        }
        let keep = Keep::new(&options.keep).unwrap();
        let look = disk.look(&keep, access, &meter)?;
        let chain = [Arc::clone(&self.bench.store)];
        let label = deploy::label::resolve(&chain, &label.parse().unwrap(), &meter)?;
        let options = install::Options {
            keep,
            sizes: Sizes {
                swap_bytes: options.swap_bytes,
                data_bytes: options.data_bytes,
                ..Sizes::default()
            },
            own: options.own,
            root_kind: options.root_kind,
            anew: options.anew || disk.is_blank(),
            how_anew: "say so".into(),
            local_store_bytes: options.local_store_bytes,
            only_planned: options.only_planned,
            ..install::Options::default()
        };
        let plan = plan(disk, look, vec![label], options, Arc::clone(&meter), &[7; 32])?;
        Ok((plan, meter))
    }

    /// Whether nothing would have to be written for this label.
    pub(crate) fn holds(&self, label: &str) -> bool {
        let plan = self.plan::<Wrap>(label, options(), None, Access::ReadOnly);
        plan.is_ok_and(|(plan, _)| is_all_but_marked(&plan))
    }

    /// Has the root as a machine leaves it that loses power: mounted, with something in the
    /// journal that is nowhere else.
    pub(crate) fn leave_unclean(&self) {
        let root = self.root();
        fs::write(root.path().join("unclean"), "x").unwrap();
        File::open(root.path()).unwrap().sync_all().unwrap();
        let unclean = self.save();
        drop(root);
        self.restore(&unclean);
    }

    /// Whether UEFI finds something to boot; the labels have nothing for a BIOS.
    pub(crate) fn boots(&self) -> bool {
        let Some(table) = self.try_table() else { return false };
        let Some(esp) = table.partition(Role::Esp) else { return false };
        let mut sector = [0; 512];
        self.file().read_exact_at(&mut sector, 0).unwrap();
        let is_protective = sector[450] == 0xee && sector[510..] == [0x55, 0xaa];
        self.file().read_exact_at(&mut sector, esp.start_bytes).unwrap();
        is_protective && sector[510..] == [0x55, 0xaa]
    }

    /// Swap and data are there as everybody sees them.
    pub(crate) fn has_swap_and_data(&self) -> bool {
        let magic = self.read(Role::Swap, 4086, 10);
        let node = self.node(Role::Data);
        let checked = Command::new("e2fsck").args(["-f", "-n"]).arg(node).output().unwrap();
        magic == b"SWAPSPACE2" && checked.status.success()
    }

    /// A mke2fs that was cut off: it writes what the file system is found by last.
    pub(crate) fn half_make_data(&self) {
        let Some(table) = self.try_table() else { return };
        let Some(data) = table.partition(Role::Data) else { return };
        let mut half = vec![0; 1 << 20];
        half[8192..12288].fill(7);
        self.file().write_all_at(&half, data.start_bytes).unwrap();
        self.forget();
    }

    pub(crate) fn is_ours(&self) -> bool {
        let mut head = vec![0; 1 << 20];
        self.file().read_exact_at(&mut head, 0).unwrap();
        Mark::read(&head).is_some_and(|mark| mark.owns(&head))
    }

    /// The device, to be read past what is cached.
    pub(crate) fn file(&self) -> File {
        File::options().read(true).write(true).open(self.backing()).unwrap()
    }

    fn backing(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    pub(crate) fn table(&self) -> Table {
        self.try_table().unwrap()
    }

    fn try_table(&self) -> Option<Table> {
        let mut head = vec![0; 1 << 20];
        self.file().read_exact_at(&mut head, 0).unwrap();
        let size = self.file().metadata().unwrap().len();
        Table::parse(&head, self.sector_bytes, size).ok()
    }

    /// What is on the disk, all of it.
    pub(crate) fn bytes(&self) -> Digest {
        let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 1 << 20]);
        let mut file = self.file();
        loop {
            match file.read(&mut buffer).unwrap() {
                0 => return hasher.finish(),
                count => hasher.update(&buffer[..count]),
            }
        }
    }

    /// Keeps the disk as it is.
    pub(crate) fn save(&self) -> PathBuf {
        self.save_as("saved")
    }

    /// The same under a name.
    pub(crate) fn save_as(&self, name: &str) -> PathBuf {
        let to = self.directory.path().join(name);
        copy(&self.backing(), &to);
        to
    }

    /// Puts back what was kept, into the same file, and makes the kernel forget what it knew.
    pub(crate) fn restore(&self, saved: &Path) {
        copy(saved, &self.backing());
        self.forget();
    }

    fn forget(&self) {
        let flushed = Command::new("blockdev").arg("--flushbufs").arg(self.disk.path()).status();
        assert!(flushed.unwrap().success());
    }

    pub(crate) fn scribble(&self, role: Role, offset: u64, bytes: &[u8]) {
        self.overwrite(self.table().partition(role).unwrap().start_bytes + offset, bytes);
    }

    /// Writes anywhere on the disk.
    pub(crate) fn overwrite(&self, at: u64, bytes: &[u8]) {
        let device = File::options().write(true).open(self.disk.path()).unwrap();
        device.write_all_at(bytes, at).unwrap();
        device.sync_all().unwrap();
    }

    pub(crate) fn read(&self, role: Role, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let at = self.table().partition(role).unwrap().start_bytes + offset;
        self.file().read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    /// The root, mounted as a running system has it.
    pub(crate) fn root(&self) -> MountedRoot {
        self.mounted(Role::Root)
    }

    /// A partition, mounted.
    pub(crate) fn mounted(&self, role: Role) -> MountedRoot {
        let at = tempfile::tempdir().unwrap();
        let node = self.node(role);
        let mounted = Command::new("mount").arg(node).arg(at.path()).status().unwrap();
        assert!(mounted.success());
        MountedRoot(at)
    }

    /// Changes the first bytes of a file of the root on the disk, when it is called.
    pub(crate) fn rotting(&self, path: &'static str) -> impl FnOnce() + Send + 'static {
        let (node, disk) = (self.node(Role::Root), self.disk.path().to_owned());
        let start = self.table().partition(Role::Root).unwrap().start_bytes;
        move || {
            let request = format!("bmap {path} 0");
            let output = Command::new("debugfs").args(["-R", &request]).arg(node).output().unwrap();
            let block: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
            let device = File::options().write(true).open(disk).unwrap();
            device.write_all_at(b"rotten", start + block * 4096).unwrap();
            device.sync_all().unwrap();
        }
    }

    /// The device node of a partition.
    pub(crate) fn node(&self, role: Role) -> PathBuf {
        let device = File::options().read(true).write(true).open(self.disk.path()).unwrap();
        let table = self.table();
        show_partitions(&device, "disk", &table).unwrap();
        node_of(&device, "disk", table.partition(role).unwrap()).unwrap()
    }

    /// Others find nothing wrong with what is on the disk.
    pub(crate) fn fsck(&self) {
        let esp = self.table().partition(Role::Esp).unwrap().clone();
        let copy = self.directory.path().join("esp");
        fs::write(&copy, self.read(Role::Esp, 0, esp.size_bytes as usize)).unwrap();
        for (program, arguments, on) in [
            ("fsck.vfat", ["-n", "-v"], copy),
            ("e2fsck", ["-f", "-n"], self.node(Role::Root)),
            ("sgdisk", ["-v", "-p"], self.disk.path().to_owned()),
        ] {
            let output = Command::new(program).args(arguments).arg(on).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let wrong = text.contains("Problem:") || text.contains("caution");
            assert!(output.status.success() && !wrong, "{program}: {text}");
        }
        let size = self.file().metadata().unwrap().len();
        let contents = sniff(&self.file(), size, self.sector_bytes).to_string();
        assert!(contents.contains("2 vfat \"ESP\", 3 ext4 \"root\""), "{contents}");
    }

    pub(crate) fn esp_file(&self, path: &str) -> Vec<u8> {
        let at = self.table().partition(Role::Esp).unwrap().start_bytes;
        let disk = format!("{}@@{at}", self.backing().display());
        let output = Command::new("mtype").args(["-i", &disk, &format!("::{path}")]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

/// Whether a plan has nothing to write but the mark.
fn is_all_but_marked(plan: &install::Plan) -> bool {
    let nodes = plan.totals().nodes;
    nodes.kept == nodes.all && nodes.removed == 0
}

/// Copies a sparse file over another.
fn copy(from: &Path, to: &Path) {
    let mut cp = Command::new("cp");
    let copied = cp.arg("--sparse=always").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// A mounted root; unmounted when dropped.
pub(crate) struct MountedRoot(TempDir);

impl MountedRoot {
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for MountedRoot {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}
