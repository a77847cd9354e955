//! Trees, and how each says it boots.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers outside of #[test]

mod common;

use bootfacts::{Examination, Tree, TreeEntry, examine_tree, read_located_in_tree};
use common::uki;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::rc::Rc;

/// Files and links of a tree; directories are what is before slashes.
struct Files(BTreeMap<String, Result<Vec<u8>, String>>);

impl Tree for Files {
    fn look(&self, path: &str) -> io::Result<Option<TreeEntry>> {
        Ok(match self.0.get(path) {
            Some(Ok(bytes)) => Some(TreeEntry::File { size_bytes: bytes.len() as u64 }),
            Some(Err(target)) => Some(TreeEntry::Symlink { target: target.clone() }),
            None if self.0.keys().any(|key| key.starts_with(&format!("{path}/"))) => {
                Some(TreeEntry::Directory)
            }
            None => None,
        })
    }

    fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let rests = self.0.keys().filter_map(|key| key.strip_prefix(&prefix));
        let mut names: Vec<_> = rests.map(|rest| rest.split('/').next().unwrap().into()).collect();
        names.dedup();
        Ok(names)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read>> {
        let bytes = self.0.get(path).and_then(|file| file.as_ref().ok());
        Ok(Box::new(Cursor::new(bytes.expect("a file").clone())))
    }
}

fn tree(files: &[(&str, &str)]) -> Rc<dyn Tree> {
    let file = |(path, text): &(&str, &str)| {
        let link = text.strip_prefix("-> ").map(str::to_owned);
        (path.to_string(), link.map_or_else(|| Ok(text.as_bytes().to_vec()), Err))
    };
    Rc::new(Files(files.iter().map(file).collect()))
}

/// Kernel, initrd, command line and source.
fn facts(files: &[(&str, &str)]) -> [String; 4] {
    let Examination { facts, warnings } = examine_tree(&tree(files));
    let facts = facts.unwrap_or_else(|| unreachable!("{warnings:?}"));
    assert!(facts.kernel.is_whole_file);
    let initrd = facts.initrd.map_or_else(String::new, |initrd| initrd.path);
    [facts.kernel.path, initrd, facts.cmdline, facts.source]
}

const KERNELS: [(&str, &str); 5] = [
    ("/boot/vmlinuz-6.1.0-9-amd64", "nine"),
    ("/boot/initrd.img-6.1.0-9-amd64", "initrd nine"),
    ("/boot/vmlinuz-6.1.0-10-amd64", "ten"),
    ("/boot/initrd.img-6.1.0-10-amd64", "initrd ten"),
    ("/vmlinuz", "-> boot/vmlinuz-6.1.0-10-amd64"),
];

#[test]
fn the_newest_kernel_where_nothing_describes_the_boot() {
    let grub = (
        "/etc/default/grub",
        "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX='console=ttyS0 root=/dev/sda1'\n",
    );
    let kernel_install = ("/etc/kernel/cmdline", "# why\nroot=UUID=1 rw splash\n");
    let (kernel, initrd) = ("/boot/vmlinuz-6.1.0-10-amd64", "/boot/initrd.img-6.1.0-10-amd64");
    let source = format!("tree {kernel}, the newest");
    let table = [
        (vec![], "", ""),
        (vec![grub], "console=ttyS0 quiet", ", command line of /etc/default/grub"),
        (vec![grub, kernel_install], "splash", ", command line of /etc/kernel/cmdline"),
    ];
    for (more, cmdline, origin) in table {
        let found = facts(&[&KERNELS[..], &more].concat());
        assert_eq!(found, [kernel, initrd, cmdline, &format!("{source}{origin}")]);
    }
}

#[test]
fn the_configuration_of_a_boot_loader_is_followed() {
    let entry = "title Debian\nlinux /boot/vmlinuz-6.1.0-9-amd64\ninitrd /boot/initrd.img-6.1.0-9-amd64\noptions root=UUID=5 ro quiet BOOT_IMAGE=/x\n";
    let entry = ("/boot/loader/entries/debian.conf", entry);
    let grub = "menuentry 'Debian' {\n search --no-floppy --fs-uuid --set=root 1234\n linux /vmlinuz-6.1.0-9-amd64 root=/dev/sda2 ro net.ifnames=0\n initrd /initrd.img-6.1.0-9-amd64\n}\n";
    let grub = ("/boot/grub/grub.cfg", grub);
    let (kernel, initrd) = ("/boot/vmlinuz-6.1.0-9-amd64", "/boot/initrd.img-6.1.0-9-amd64");
    // The paths of this one are those of a boot partition.
    let found = facts(&[&KERNELS[..], &[grub]].concat());
    assert_eq!(found[..3], [kernel, initrd, "net.ifnames=0"]);
    assert_eq!(found[3], "tree /boot/grub/grub.cfg, entry 'Debian'");
    let found = facts(&[&KERNELS[..], &[grub, entry]].concat());
    let source = "tree /boot/loader/entries/debian.conf, entry 'Debian'";
    assert_eq!(found, [kernel, initrd, "quiet", source]);
}

#[test]
fn links_are_followed_within_the_tree() {
    let files = [
        ("/boot", "-> /usr/lib/kernels"),
        ("/usr/lib/kernels/vmlinuz-7", "-> ../../../../../usr/share/kernel"),
        ("/usr/share/kernel", "seven"),
    ];
    let [kernel, initrd, ..] = facts(&files);
    assert_eq!((kernel.as_str(), initrd.as_str()), ("/usr/share/kernel", ""));
    let looped = tree(&[("/boot/vmlinuz-7", "-> vmlinuz-7")]);
    let examined = examine_tree(&looped);
    assert!(examined.facts.is_none());
    assert_eq!(examined.warnings, ["tree: /boot/vmlinuz-7: more than 40 symbolic links"]);
}

#[test]
fn a_boot_directory_that_is_a_link_is_one_of_the_tree() {
    let entry = "title Debian\nlinux /vmlinuz\noptions quiet\n";
    let files = [
        ("/boot", "-> usr/boot"),
        ("/usr/boot/efi/vmlinuz", "kernel"),
        ("/usr/boot/efi/loader/entries/debian.conf", entry),
    ];
    let [kernel, _, cmdline, source] = facts(&files);
    assert_eq!((kernel.as_str(), cmdline.as_str()), ("/usr/boot/efi/vmlinuz", "quiet"));
    assert_eq!(source, "/boot/efi /loader/entries/debian.conf, entry 'Debian'");
    let looped = [("/boot", "-> boot"), ("/boot/efi/vmlinuz", "kernel")];
    assert!(examine_tree(&tree(&looped)).facts.is_none());
}

#[test]
fn parts_of_a_unified_kernel_are_read() {
    let image = uki(&[(".linux", b"kernel"), (".initrd", b"initrd"), (".cmdline", b"root=/x a=b")]);
    let path = "/efi/EFI/Linux/debian.efi".to_owned();
    let tree: Rc<dyn Tree> = Rc::new(Files([(path, Ok(image))].into()));
    let facts = examine_tree(&tree).facts.unwrap();
    assert_eq!((facts.cmdline.as_str(), facts.kernel.is_whole_file), ("a=b", false));
    let mut kernel = Vec::new();
    read_located_in_tree(&tree, &facts.kernel).unwrap().read_to_end(&mut kernel).unwrap();
    assert_eq!(kernel, b"kernel");
}

#[test]
fn nothing_to_boot_is_none() {
    assert!(examine_tree(&tree(&[("/etc/hostname", "x")])).facts.is_none());
}
