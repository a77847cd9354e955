//! Pushing trees from directories, and reading them back.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::disk::SmallDisk;
use common::tree::{ReadTree, read, request};
use common::{Place, files, label, noise, torture};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use store::Digest;
use store::push::{
    BootInput, Noted, PayloadInput, PushError, PushTree, TreeInput, TreeNote, push_tree,
};
use store::tree::walk::Mounts;
use store::tree::{Node, NodeKind, Xattr};

/// Everything that lstat(2) and friends say of what is at `path`, as a node.
fn look(root: &Path, path: &[u8], names: &mut HashMap<u64, Vec<u8>>) -> Node {
    let full = root.join(OsStr::from_bytes(path));
    let stat = full.symlink_metadata().unwrap();
    let kind = stat.file_type();
    let rdev = stat.rdev();
    let (major, minor) = (rustix::fs::major(rdev), rustix::fs::minor(rdev));
    let first = names.entry(stat.ino()).or_insert_with(|| path.to_vec());
    if first != path {
        let kind = NodeKind::HardLink { to: first.clone() };
        return Node { path: path.to_vec(), kind, meta: store::tree::Meta::default() };
    }
    let kind = if kind.is_dir() {
        NodeKind::Directory
    } else if kind.is_symlink() {
        let target = std::fs::read_link(&full).unwrap();
        NodeKind::Symlink { target: target.as_os_str().as_bytes().to_vec() }
    } else if kind.is_fifo() {
        NodeKind::Fifo
    } else if kind.is_char_device() {
        NodeKind::CharDevice { major, minor }
    } else if kind.is_block_device() {
        NodeKind::BlockDevice { major, minor }
    } else {
        NodeKind::File { size_bytes: stat.len() }
    };
    let meta = store::tree::Meta {
        mode: (stat.mode() & 0o7777).try_into().unwrap(),
        uid: stat.uid(),
        gid: stat.gid(),
        mtime_s: stat.mtime(),
        mtime_ns: stat.mtime_nsec().try_into().unwrap(),
        xattrs: xattrs(&full),
    };
    Node { path: path.to_vec(), kind, meta }
}

fn xattrs(path: &Path) -> Vec<Xattr> {
    let (mut list, mut value) = (vec![0; 65_536], vec![0; 65_536]);
    let length = rustix::fs::llistxattr(path, &mut list[..]).unwrap();
    let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut found: Vec<_> = names
        .map(|name| {
            let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            Xattr { name: name.to_vec(), value: value[..length].to_vec() }
        })
        .collect();
    found.sort();
    found
}

/// The tree's nodes against what lstat(2) says, but for what is too deep for a path.
fn compare(tree: &ReadTree, root: &Path) {
    let mut names = HashMap::new();
    for whole in &tree.nodes {
        let path = &whole.node.path;
        if path.len() > 3000 {
            continue;
        }
        assert_eq!(whole.node, look(root, path, &mut names));
        if matches!(whole.node.kind, NodeKind::File { .. }) {
            let expected = std::fs::read(root.join(OsStr::from_bytes(path))).unwrap();
            let shown = path.escape_ascii();
            let Ok(text) = std::str::from_utf8(path) else { continue };
            assert!(tree.bytes(text) == expected, "content of {shown}");
        }
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

#[test]
fn every_kind_and_attribute_comes_back() {
    let Some((_place, root)) = torture::new(true) else { return };
    let place = Place::new();
    let report = push_tree(&place.store, &request("debian", &root), &()).unwrap();
    let tree = read(&place.store, &label("debian"));
    compare(&tree, &root);
    // The kernel's own list of what is there: the socket is left out.
    let mut find = Command::new("find");
    let listed = find.arg(&root).args(["!", "-type", "s", "-printf", "."]).output().unwrap();
    assert_eq!(tree.nodes.len(), listed.stdout.len());
    let deep = tree.nodes.iter().find(|whole| whole.node.path.ends_with(b"/file")).unwrap();
    assert_eq!((deep.node.path.len(), deep.node.meta.mtime_ns), (4 + 20 * 251 + 5, 1));
    let told = report.tree.clone().unwrap();
    let socket = TreeNote { path: b"var/socket".to_vec(), what: Noted::Socket };
    assert_eq!((told.nodes, told.notes), (tree.nodes.len() as u64, vec![socket]));
    // A file of 200 MiB with four islands: the rest is zeroes in no object.
    assert!(report.zero_bytes > 200 << 20 && report.new_raw_bytes < 5 << 20, "{report:?}");
    assert_eq!(report.reused_bytes, 3_000_000, "what is there twice is stored once");
}

#[test]
fn the_same_tree_elsewhere_has_the_same_manifest() {
    let Some((place, root)) = torture::new(false) else { return };
    let store = Place::new();
    let first = push_tree(&store.store, &request("here", &root), &()).unwrap();
    let Some(memory) = SmallDisk::mount(400 << 10) else { return };
    let mounted = Ext4::new(place.path());
    for elsewhere in [memory.path().join("copy"), mounted.0.join("copy")] {
        let mut rsync = Command::new("sh");
        rsync.args(["-c", "umask 0077; exec rsync -aHAXS --numeric-ids \"$1/\" \"$2\"", "sh"]);
        run(rsync.args([&root, &elsewhere]));
        let second = push_tree(&store.store, &request("there", &elsewhere), &());
        let second = second.unwrap();
        let [here, there] = ["here", "there"].map(|name| read(&store.store, &label(name)).nodes);
        let differs = here.iter().zip(&there).find(|(here, there)| here != there);
        assert_eq!(differs, None, "{}", elsewhere.display());
        assert_eq!(second.manifest, first.manifest);
        assert_eq!(second.objects_new, 0);
    }
}

/// An ext4 file system in a file of `directory`.
struct Ext4(std::path::PathBuf);

impl Ext4 {
    fn new(directory: &Path) -> Self {
        let (image, mount) = (directory.join("ext4"), directory.join("mounted"));
        std::fs::File::create(&image).unwrap().set_len(400 << 20).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-b", "4096"]).arg(&image));
        std::fs::create_dir(&mount).unwrap();
        run(Command::new("mount").args(["-o", "loop"]).args([&image, &mount]));
        Self(mount)
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().unwrap();
    }
}

#[test]
fn the_same_again_changes_nothing_and_little_is_new_after_a_change() {
    let place = Place::new();
    let root = place.root.path().join("tree");
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    std::fs::write(root.join("a/b/file"), noise(2_000_000, 1)).unwrap();
    std::fs::write(root.join("small"), b"small").unwrap();
    push_tree(&place.store, &request("a", &root), &()).unwrap();
    let before = files(&place.store);
    let again = push_tree(&place.store, &request("a", &root), &()).unwrap();
    assert_eq!((again.objects_new, again.packs.len()), (0, 0));
    assert_eq!(files(&place.store), before);
    let mut bytes = noise(2_000_000, 1);
    bytes.splice(700_000..700_000, b"inserted".iter().copied());
    std::fs::write(root.join("a/b/file"), &bytes).unwrap();
    let error = push_tree(&place.store, &request("a", &root), &()).unwrap_err();
    assert!(matches!(error, PushError::Taken { .. }), "{error}");
    let next = push_tree(&place.store, &request("b", &root), &()).unwrap();
    assert!(next.new_raw_bytes < 600_000, "{next:?}");
    assert!(read(&place.store, &label("b")).bytes("a/b/file") == bytes);
}

#[test]
fn a_tree_of_many_segments_is_continuous() {
    let place = Place::new();
    let root = place.root.path().join("tree");
    std::fs::create_dir(&root).unwrap();
    // 150 MiB of data and holes in one file: it goes on twice, and ends at a segment's end.
    let large = std::fs::File::create(root.join("large")).unwrap();
    large.set_len(192 << 20).unwrap();
    for at in [0, 63, 64, 100, 127, 191] {
        let bytes = noise(1 << 20, at);
        std::os::unix::fs::FileExt::write_all_at(&large, &bytes, at << 20).unwrap();
    }
    for number in 0..3000 {
        let name = format!("{number:04}-{}", "n".repeat(240));
        std::fs::write(root.join("z").join(&name), name.as_bytes())
            .or_else(|_| {
                std::fs::create_dir(root.join("z"))?;
                std::fs::write(root.join("z").join(&name), name.as_bytes())
            })
            .unwrap();
    }
    std::fs::write(root.join("zz"), b"").unwrap();
    let report = push_tree(&place.store, &request("a", &root), &()).unwrap();
    let tree = read(&place.store, &label("a"));
    assert!(tree.segments.len() >= 4, "{} segments", tree.segments.len());
    compare(&tree, &root);
    assert_eq!(report.size_bytes, tree.manifest.size_bytes());
}

#[test]
fn what_a_tree_cannot_be_is_refused() {
    let place = Place::new();
    let root = place.root.path().join("tree");
    let error = push_tree(&place.store, &request("a", &root), &()).unwrap_err();
    assert_eq!(error.to_string(), format!("read {}", root.display()));
    let file = place.file("file", b"x");
    let error = push_tree(&place.store, &request("a", &file), &()).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: expected a directory", file.display()));
    std::fs::create_dir(&root).unwrap();
    let boot = |payload| BootInput {
        kernel: payload,
        initrd: None,
        cmdline: String::new(),
        source: "given".into(),
    };
    let missing = boot(PayloadInput::Tree(b"boot/vmlinuz".to_vec()));
    let push = PushTree { boot: Some(missing), ..request("a", &root) };
    let error = push_tree(&place.store, &push, &()).unwrap_err();
    let expected = "/boot/vmlinuz: expected a regular file of the tree to boot it with, found none";
    assert_eq!(error.to_string(), expected);
    assert!(files(&place.store).iter().all(|(path, _)| !path.to_string_lossy().contains("pack")));
}

#[test]
fn what_is_mounted_is_refused_left_out_or_taken() {
    let Some(disk) = SmallDisk::mount(1024) else { return };
    let place = Place::new();
    let root = place.root.path().join("tree");
    let inner = root.join("proc");
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::write(disk.path().join("inside"), b"x").unwrap();
    run(Command::new("mount").arg("--bind").args([disk.path(), &inner]));
    let push = |mounts| {
        let input = TreeInput::Directory { path: root.clone(), mounts, allow_changed: false };
        push_tree(&place.store, &PushTree { input, force: true, ..request("a", &root) }, &())
    };
    let results = [Mounts::Refuse, Mounts::Empty].map(push);
    let emptied = read(&place.store, &label("a"));
    let included = push(Mounts::Include);
    Command::new("umount").arg(&inner).status().unwrap();
    let [refused, empty] = results;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("found another mounted there"), "{refused}");
    let note = TreeNote { path: b"proc".to_vec(), what: Noted::Mounted };
    let empty = empty.unwrap().tree.unwrap();
    let proc = emptied.find("proc").node.clone();
    assert_eq!(proc.meta, store::tree::Meta { mode: 0o755, ..store::tree::Meta::default() });
    assert_eq!((empty.nodes, empty.notes), (2, vec![note]));
    assert_eq!(included.unwrap().tree.unwrap().nodes, 3);
}

#[test]
fn kernel_and_initrd_are_files_of_the_tree() {
    let place = Place::new();
    let root = place.root.path().join("tree");
    std::fs::create_dir_all(root.join("boot")).unwrap();
    let (kernel, initrd) = (noise(300_000, 1), [noise(5000, 2), vec![0; 20_000]].concat());
    std::fs::write(root.join("boot/vmlinuz-6.1"), &kernel).unwrap();
    std::fs::write(root.join("boot/initrd"), &initrd).unwrap();
    // The node is the first of a file's names.
    std::fs::hard_link(root.join("boot/vmlinuz-6.1"), root.join("boot/a")).unwrap();
    let boot = BootInput {
        kernel: PayloadInput::Tree(b"boot/vmlinuz-6.1".to_vec()),
        initrd: Some(PayloadInput::Tree(b"boot/initrd".to_vec())),
        cmdline: "quiet".into(),
        source: "given".into(),
    };
    let push = PushTree { boot: Some(boot), ..request("a", &root) };
    push_tree(&place.store, &push, &()).unwrap();
    let boot = read(&place.store, &label("a")).manifest.boot.unwrap();
    let place_of = |path: &[u8]| store::manifest::Place::Path(path.to_vec());
    assert_eq!((boot.kernel.place, boot.kernel.size_bytes), (place_of(b"boot/a"), 300_000));
    assert_eq!(boot.kernel.digest, Digest::of(&kernel));
    let initrd_found = boot.initrd.unwrap();
    assert_eq!(initrd_found.place, place_of(b"boot/initrd"));
    assert_eq!(initrd_found.digest, Digest::of(&initrd));
}

#[test]
fn a_kernel_that_none_can_be_is_refused_before_it_is_read() {
    let place = Place::new();
    let root = place.root.path().join("tree");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("good"), b"good").unwrap();
    std::fs::write(root.join("empty"), b"").unwrap();
    std::fs::File::create(root.join("sparse")).unwrap().set_len(1 << 40).unwrap();
    let inside = |path: &str| PayloadInput::Tree(path.into());
    let limit = "expected 1 to 469762048 bytes, found";
    for (kernel, initrd, expected) in [
        ("sparse", None, format!("kernel: {limit} 1099511627776 in /sparse")),
        ("empty", None, format!("kernel: {limit} 0 in /empty")),
        ("good", Some("sparse"), format!("initrd: {limit} 1099511627776 in /sparse")),
    ] {
        let boot = BootInput {
            kernel: inside(kernel),
            initrd: initrd.map(inside),
            cmdline: String::new(),
            source: String::new(),
        };
        let push = PushTree { boot: Some(boot), ..request("a", &root) };
        let error = push_tree(&place.store, &push, &()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_store_in_the_tree_is_refused() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("srv")).unwrap();
    let path = root.path().join("srv/store");
    let store = store::dir::DirStore::create(&path).unwrap();
    // By whatever name.
    std::os::unix::fs::symlink(&path, root.path().join("srv/link")).unwrap();
    let linked = store::dir::DirStore::open(root.path().join("srv/link")).unwrap();
    for store in [&store, &linked] {
        let error = push_tree(store, &request("a", root.path()), &()).unwrap_err();
        assert!(
            matches!(&error, PushError::StoreInTree { path: found } if *found == path),
            "{error}"
        );
    }
    assert_eq!(store.labels("*").unwrap(), []);
}

/// Does something once, when so much has been read.
struct Meddler<'a> {
    at_bytes: u64,
    work: std::sync::Mutex<Option<&'a mut (dyn FnMut() + Send)>>,
}

impl store::push::Progress for Meddler<'_> {
    fn advance(&self, done: &store::push::Done) {
        let due = done.read_bytes >= self.at_bytes;
        if let Some(work) = due.then(|| self.work.lock().unwrap().take()).flatten() {
            work();
        }
    }
}

/// Pushes the tree `root` while `work` is done to it.
fn push_meddled(
    place: &Place,
    root: &Path,
    allow_changed: bool,
    mut work: impl FnMut() + Send,
) -> Result<Vec<TreeNote>, PushError> {
    let mounts = Mounts::Refuse;
    let input = TreeInput::Directory { path: root.to_owned(), mounts, allow_changed };
    let request = PushTree { input, ..request("a", root) };
    let meddler = Meddler { at_bytes: 100_000, work: Some(&mut work as _).into() };
    let pushed = push_tree(&place.store, &request, &meddler);
    assert!(meddler.work.lock().unwrap().is_none(), "nothing was done");
    Ok(pushed?.tree.unwrap().notes)
}

#[test]
fn what_changes_while_it_is_read_is_refused_or_noted() {
    type Work<'a> = &'a (dyn Fn(&Path) + Sync);
    let overwrite: Work<'_> = &|root| {
        // The time is set back, as some tools do; clocks of file systems go on in steps.
        let file = std::fs::File::options().write(true).open(root.join("d/file")).unwrap();
        let before = file.metadata().unwrap();
        let time = |stat: std::fs::Metadata| (stat.ctime(), stat.ctime_nsec());
        while time(file.metadata().unwrap()) == time(before.clone()) {
            std::os::unix::fs::FileExt::write_all_at(&file, b"other", 2_999_000).unwrap();
            file.set_modified(before.modified().unwrap()).unwrap();
        }
    };
    let add: Work<'_> = &|root| std::fs::write(root.join("d/a"), b"new").unwrap();
    let remove: Work<'_> = &|root| std::fs::remove_file(root.join("d/z")).unwrap();
    for (work, changed) in [(overwrite, "d/file"), (add, "d"), (remove, "d")] {
        for allow_changed in [false, true] {
            let place = Place::new();
            let root = place.root.path().join("tree");
            std::fs::create_dir_all(root.join("d")).unwrap();
            std::fs::write(root.join("d/file"), noise(3_000_000, 1)).unwrap();
            std::fs::write(root.join("d/z"), b"z").unwrap();
            let long_ago = std::time::SystemTime::UNIX_EPOCH;
            std::fs::File::open(root.join("d")).unwrap().set_modified(long_ago).unwrap();
            let pushed = push_meddled(&place, &root, allow_changed, || work(&root));
            let labels = place.store.labels("*").unwrap().len();
            if allow_changed {
                let note = TreeNote { path: changed.into(), what: Noted::Changed };
                assert_eq!((pushed.unwrap(), labels), (vec![note], 1));
                read(&place.store, &label("a"));
            } else {
                let error = pushed.unwrap_err().to_string();
                assert!(error.contains(" changed while it was "), "{error}");
                assert_eq!(labels, 0);
            }
        }
    }
}
