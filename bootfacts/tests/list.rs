//! All that a disk could be booted by, in the order of its menus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers outside of #[test]

mod common;

use bootfacts::{Listing, Origin};
use common::{Bench, Node, ROOT_UUID, contents, debian_grub_cfg, file, list, noise, uki};

/// Title, place and command line of each entry; the default is starred.
fn shown(listing: &Listing) -> Vec<String> {
    let line = |facts: &bootfacts::BootFacts| {
        let found = &facts.found;
        let star = if found.is_default { "*" } else { "" };
        let partition = found.partition.map_or("-".to_owned(), |number| number.to_string());
        let place = format!("{partition} {} {}", found.file_system, found.path);
        format!("{star}{} | {} | {place} | {}", found.title, found.origin.name(), facts.cmdline)
    };
    listing.entries.iter().map(line).collect()
}

fn unified(title: &str, cmdline: &str) -> Node {
    let os_release = format!("ID=x\nPRETTY_NAME=\"{title}\"\n");
    let os_release = if title.is_empty() { "ID=x\n" } else { &os_release };
    file(uki(&[
        (".osrel", os_release.as_bytes()),
        (".linux", b"unified kernel"),
        (".ucode", b"12345"),
        (".initrd", b"initrd"),
        (".cmdline", cmdline.as_bytes()),
    ]))
}

fn entry(title: &str, version: &str) -> Node {
    file(format!(
        "title {title}\nversion {version}\nsort-key debian\nlinux /linux\n\
         initrd /ucode\ninitrd /initrd\noptions root=/dev/vda2 v={version}\n"
    ))
}

fn boot_files() -> Vec<(&'static str, Node)> {
    vec![
        ("/linux", file(noise(1, 50_001))),
        ("/initrd", file(noise(2, 70_003))),
        ("/ucode", file(noise(3, 1_022))),
    ]
}

/// Zeroes, and `magic` at `at`.
fn mebibyte(at: usize, magic: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    bytes[at..at + magic.len()].copy_from_slice(magic);
    bytes
}

#[test]
fn a_disk_with_every_kind_of_entry() {
    let bench = Bench::new();
    let mut nodes = boot_files();
    nodes.extend([
        ("/loader/entries/debian-1.conf", entry("Debian", "1")),
        ("/loader/entries/debian-2+3-0.conf", entry("Debian, on probation", "2")),
        ("/loader/entries/debian-3+0-3.conf", entry("Debian, bad", "3")),
        ("/loader/entries/gone.conf", file("title Gone\nlinux /gone\n")),
        ("/loader/entries/firmware.conf", file("title Firmware\nefi /x.efi\n")),
        ("/EFI/Linux/demo-6.9.efi", unified("Demo 6.9", "nine")),
        ("/EFI/Linux/demo-6.10+1-2.EFI", unified("", "ten\n")),
        ("/EFI/Linux/broken.efi", file("MZ and nothing")),
        ("/EFI/BOOT/BOOTX64.EFI", unified("Removable", "no")),
    ]);
    let esp = bench.vfat("esp", 40, &["-F", "32"], &nodes);
    let grub = "set default=two\nmenuentry One --id one { linux /k 1\n }\nsubmenu More {\n\
                menuentry Three { linux /k 3\n }\n}\nmenuentry 'T\u{1b}wo' --id two { linux /k 2\n }\n\
                menuentry Gone { linux /gone\n }\n";
    let root = bench.ext4(
        "root",
        8,
        &[],
        &[
            ("/k", file(noise(4, 9_001))),
            ("/boot/grub/grub.cfg", file(grub)),
            ("/boot/vmlinuz-7", file("not asked for")),
        ],
    );
    let luks = bench.path("luks");
    std::fs::write(&luks, mebibyte(0, b"LUKS\xba\xbe")).unwrap();
    let raid = bench.path("raid");
    std::fs::write(&raid, mebibyte(4096, b"\xfc\x4e\x2b\xa9")).unwrap();
    let disk = bench.gpt("disk", &[&esp, &root, &luks, &raid]);
    let listing = list(&disk);
    let entries = "boot loader entry | 1 vfat /loader/entries";
    let unified = "unified kernel | 1 vfat /EFI/Linux";
    let menu = "GRUB menu entry | 2 ext4 /boot/grub/grub.cfg";
    assert_eq!(
        shown(&listing),
        [
            format!("Debian, on probation | {entries}/debian-2+3-0.conf | root=/dev/vda2 v=2"),
            format!("Debian | {entries}/debian-1.conf | root=/dev/vda2 v=1"),
            format!("Debian, bad | {entries}/debian-3+0-3.conf | root=/dev/vda2 v=3"),
            format!("demo-6.10+1-2.EFI | {unified}/demo-6.10+1-2.EFI | ten"),
            format!("Demo 6.9 | {unified}/demo-6.9.efi | nine"),
            format!("*T?wo | {menu} | 2"),
            format!("One | {menu} | 1"),
            format!("Three | {menu} | 3"),
        ]
    );
    let expected = [
        "partition 3: a LUKS volume is not searched",
        "partition 4: a member of a RAID is not searched",
        "partition 1 (vfat) /loader/entries/firmware.conf: names no kernel",
        "partition 1 (vfat) /loader/entries/gone.conf: /gone: no such file on partition 1 (vfat)",
        "partition 1 (vfat): PE executable: ",
        "partition 2 (ext4) /boot/grub/grub.cfg, entry 'Gone': /gone: no such file on ",
    ];
    assert_eq!(listing.notes.len(), expected.len(), "{:#?}", listing.notes);
    for (note, expected) in listing.notes.iter().zip(expected) {
        assert!(note.starts_with(expected), "{note}");
    }

    let initrd = listing.entries[0].initrd.as_ref().unwrap();
    let padded = [noise(3, 1_022), vec![0, 0], noise(2, 70_003)].concat();
    assert!(contents(&disk, initrd) == padded);
    assert!(contents(&disk, &listing.entries[0].kernel) == noise(1, 50_001));
    assert_eq!(contents(&disk, &listing.entries[3].kernel), b"unified kernel");
    assert_eq!(contents(&disk, listing.entries[3].initrd.as_ref().unwrap()), b"12345\0\0\0initrd");
    let of_grub = &listing.entries[5].kernel;
    assert!(of_grub.extents.is_none(), "not read for its place");
    assert!(contents(&disk, of_grub) == noise(4, 9_001));
}

#[test]
fn the_default_of_systemd_boot_may_be_of_either_kind() {
    for (default, expected) in [
        ("", ["Debian", "Bcd", "Abc"]),
        ("default debian*", ["*Debian", "Bcd", "Abc"]),
        ("default a.efi", ["*Abc", "Debian", "Bcd"]),
        ("default none", ["Debian", "Bcd", "Abc"]),
        ("default @saved", ["Debian", "Bcd", "Abc"]),
    ] {
        let mut nodes = boot_files();
        nodes.extend([
            ("/loader/entries/debian.conf", entry("Debian", "1")),
            ("/EFI/Linux/a+3.efi", unified("Abc", "a")),
            ("/EFI/Linux/b.efi", unified("Bcd", "b")),
            ("/loader/loader.conf", file(format!("timeout 3\n{default}\n"))),
        ]);
        let listing = list(&Bench::new().vfat("esp", 8, &[], &nodes));
        let titles: Vec<_> = shown(&listing)
            .iter()
            .map(|line| line.split(" | ").next().unwrap().to_owned())
            .collect();
        assert_eq!(titles, expected, "{default}");
    }
}

#[test]
fn debians_menu_is_listed_once_however_many_stubs_lead_to_it() {
    let bench = Bench::new();
    let stub = format!(
        "search.fs_uuid {ROOT_UUID} root\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n"
    );
    let stubs = [("/EFI/debian/grub.cfg", file(&stub)), ("/EFI/BOOT/grub.cfg", file(&stub))];
    let esp = bench.vfat("esp", 4, &[], &stubs);
    let root = bench.ext4(
        "root",
        16,
        &[],
        &[
            ("/boot/vmlinuz-6.1.0-18-amd64", file(noise(1, 9_000))),
            ("/boot/initrd.img-6.1.0-18-amd64", file(noise(2, 9_000))),
            ("/boot/grub/grub.cfg", file(debian_grub_cfg("/boot"))),
        ],
    );
    let listing = list(&bench.gpt("disk", &[&esp, &root]));
    let titles: Vec<_> = listing.entries.iter().map(|facts| &*facts.found.title).collect();
    assert_eq!(titles[0], "Debian GNU/Linux");
    assert!(titles[1..].iter().all(|title| title.starts_with("Debian GNU/Linux, with")));
    assert_eq!(listing.entries.iter().filter(|facts| facts.found.is_default).count(), 1);
    assert_eq!(listing.entries[0].found.origin, Origin::Grub);
}

#[test]
fn the_newest_kernel_where_nothing_describes_the_boot() {
    let bench = Bench::new();
    let kernel = || ("/boot/vmlinuz-6.1", file(noise(1, 9_000)));
    let initrd = || ("/boot/initrd.img-6.1", file(noise(2, 9_000)));
    let told = || ("/etc/kernel/cmdline", file("root=/dev/vda1 rw\n"));
    let implied = format!("root=UUID={ROOT_UUID} ro");
    let table = [
        (vec![kernel(), initrd()], Some(implied.as_str())),
        (vec![kernel(), told()], Some("root=/dev/vda1 rw")),
        (vec![kernel()], None),
    ];
    for (nodes, cmdline) in table {
        let listing = list(&bench.ext4("root", 8, &[], &nodes));
        let found = listing.entries.first().map(|facts| facts.cmdline.as_str());
        assert_eq!(found, cmdline);
        match listing.entries.first() {
            Some(facts) => assert_eq!(facts.found.title, "Linux 6.1"),
            None => assert_eq!(
                listing.notes,
                ["whole image (ext4) /boot/vmlinuz-6.1, the newest: nothing says what its root is"]
            ),
        }
        std::fs::remove_dir_all(bench.path("root.tree")).unwrap();
    }
}

#[test]
fn nothing_to_boot_says_what_was_not_read() {
    let bench = Bench::new();
    let volumes: [(&str, usize, &[u8], &str); 3] = [
        ("lvm", 512, b"LABELONE", "an LVM volume"),
        ("xfs", 0, b"XFSB", "an xfs file system"),
        ("btrfs", 0x10040, b"_BHRfS_M", "a btrfs file system"),
    ];
    for (name, at, magic, what) in volumes {
        let volume = bench.path(name);
        std::fs::write(&volume, mebibyte(at, magic)).unwrap();
        let listing = list(&bench.gpt("disk", &[&volume]));
        assert!(listing.entries.is_empty());
        assert_eq!(listing.notes[0], format!("partition 1: {what} is not searched"));
    }
}
