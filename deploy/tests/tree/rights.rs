//! A user gets the files as their own.

use crate::model::{Item, Tree, noise};
use crate::oracle::{assert_is, see};
use crate::run::{Run, chain};
use crate::shelf::Shelf;
use deploy::tree::{Adapted, Rights};
use rustix::fs::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::os::unix::fs::{PermissionsExt, chown};
use store::tree::{Meta, Xattr};

const UID: u32 = 1234;
const GID: u32 = 4321;

/// Does `work` in a thread, and in those that it starts, as a user that is not root
/// (credentials(7): the kernel keeps them by thread).
fn as_user(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let user = scope.spawn(|| {
            let (uid, gid) = (Uid::from_raw(UID), Gid::from_raw(GID));
            set_thread_groups(&[]).unwrap();
            set_thread_res_gid(gid, gid, gid).unwrap();
            set_thread_res_uid(uid, uid, uid).unwrap();
            work();
        });
        user.join().unwrap();
    });
}

fn with_meta(mut tree: Tree, path: &str, change: impl FnOnce(&mut Meta)) -> Tree {
    let names: Vec<Vec<u8>> = path.split('/').map(|name| name.as_bytes().to_vec()).collect();
    change(&mut tree.0.get_mut(&names).unwrap().1);
    tree
}

#[test]
fn a_user_gets_the_files_as_their_own() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can be another user");
        return;
    }
    let tree = Tree::new()
        .file("sudo", b"1")
        .file("shadow", b"2")
        .file("closed/file", noise(3, 200_000))
        .with("link", Item::Link(b"closed/file".into()))
        .with("null", Item::Device(1, 3))
        .with("null-2", Item::Link(b"null".into()))
        .with("to", Item::Symlink(b"sudo".into()));
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
    let xattrs = [(&b"security.capability"[..], capability), (b"user.a", b"b".to_vec())];
    let xattrs = xattrs.map(|(name, value)| Xattr { name: name.to_vec(), value }).to_vec();
    let tree = with_meta(tree, "sudo", |meta| (meta.mode, meta.xattrs) = (0o4711, xattrs));
    let tree = with_meta(tree, "shadow", |meta| (meta.mode, meta.gid) = (0o000, 42));
    let tree = with_meta(tree, "closed", |meta| meta.mode = 0o555);
    let shelf = Shelf::new();
    shelf.put("label", &tree);
    shelf.put("next", &tree.clone().file("closed/more", b"more"));

    let mut own = tree.clone();
    for name in ["null", "null-2"] {
        own.0.remove(&vec![name.as_bytes().to_vec()]);
    }
    for (_, meta) in own.0.values_mut() {
        (meta.uid, meta.gid) = (UID, GID);
        meta.xattrs.retain(|xattr| xattr.name.starts_with(b"user."));
    }
    let own = with_meta(own, "sudo", |meta| meta.mode = 0o711);
    let own = with_meta(own, "shadow", |meta| meta.mode = 0o400);
    let own = with_meta(own, "closed", |meta| meta.mode = 0o755);

    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let to = dir.path().join("to");
    std::fs::create_dir(&to).unwrap();
    chown(&to, Some(UID), Some(GID)).unwrap();
    as_user(|| {
        let meter = std::sync::Arc::new(deploy::Meter::new());
        let run = Run::new(&shelf, &["label"], &to);
        assert_eq!(run.options.rights, Rights::User { uid: UID, gid: GID });
        let plan = run.plan(&meter).unwrap();
        let expected = Adapted { owners: 6, set_id: 1, opened: 2, attributes: 1, devices: 1 };
        assert_eq!(plan.adapted(), expected);
        Run::new(&shelf, &["label"], &to).done();
        assert_is(&to, &own, "as a user");
        let again = Run::new(&shelf, &["label"], &to).done();
        assert_eq!(again.written_bytes, 0);
        // Directories and files that were closed by hand are opened to be changed.
        let mode = |mode| PermissionsExt::from_mode(mode);
        std::fs::set_permissions(to.join("closed"), mode(0o500)).unwrap();
        std::fs::set_permissions(to.join("sudo"), mode(0o400)).unwrap();
        Run::new(&shelf, &["next"], &to).done();
        // What cannot be looked at is removed or replaced, and nothing in it is kept.
        for (path, closed) in
            [("closed/dark/inner", "closed/dark"), ("dark/in", "dark"), ("shadow/x", "shadow")]
        {
            drop(std::fs::remove_file(to.join(closed)));
            std::fs::create_dir_all(to.join(path)).unwrap();
            std::fs::write(to.join(path).join("file"), b"").unwrap();
            std::fs::set_permissions(to.join(closed), mode(0o000)).unwrap();
        }
        std::fs::set_permissions(to.join("closed"), mode(0o600)).unwrap();
        let (result, _) = Run::new(&shelf, &["next"], &to).keeping(&["dark/in"]).go();
        let said = chain(&result.unwrap_err());
        assert!(said.contains("something that cannot be looked at"), "{said}");
        Run::new(&shelf, &["next"], &to).done();
    });
    let next = own.clone().file("closed/more", b"more");
    let mut next = next;
    for (_, meta) in next.0.values_mut() {
        (meta.uid, meta.gid) = (UID, GID);
    }
    assert_is(&to, &next, "next as a user");
    assert!(see(&to).len() > 6);
}
