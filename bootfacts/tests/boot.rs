//! Images of the kinds that are met, and how each says it boots.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers outside of #[test]

mod common;

use std::fmt::Write;
use std::path::Path;

use bootfacts::BootFacts;
use common::{
    Bench, ESP_ID, Node, ROOT_UUID, contents, debian_grub_cfg, examine, file, noise, run, uki,
};

const KERNEL: &str = "/boot/vmlinuz-6.1.0-18-amd64";
const INITRD: &str = "/boot/initrd.img-6.1.0-18-amd64";

fn kernel() -> Vec<u8> {
    noise(1, 700_001)
}

fn initrd() -> Vec<u8> {
    noise(2, 1_500_003)
}

/// The facts, and that kernel and initrd are the ones above.
fn boots(image: &Path) -> BootFacts {
    let examination = examine(image);
    let facts = examination.facts.unwrap_or_else(|| panic!("{:#?}", examination.warnings));
    assert!(contents(image, &facts.kernel) == kernel(), "{facts:#?}");
    let initrd_found = facts.initrd.as_ref().map(|initrd| contents(image, initrd));
    assert!(initrd_found.is_none_or(|found| found == initrd()), "{facts:#?}");
    facts
}

fn debian_root() -> Vec<(&'static str, Node)> {
    vec![
        (KERNEL, file(kernel())),
        (INITRD, file(initrd())),
        ("/boot/grub/grub.cfg", file(debian_grub_cfg("/boot"))),
        ("/etc/hostname", file("demo\n")),
    ]
}

#[test]
fn debian_with_grub_on_gpt() {
    let bench = Bench::new();
    let stub = format!(
        "search.fs_uuid {ROOT_UUID} root hd0,gpt2\nset prefix=($root)'/boot/grub'\n\
         configfile $prefix/grub.cfg\n"
    );
    let esp = bench.vfat(
        "esp",
        34,
        &["-F", "32"],
        &[
            ("/EFI/debian/grub.cfg", file(stub)),
            ("/EFI/BOOT/BOOTX64.EFI", file(uki(&[(".text", b"shim")]))),
        ],
    );
    let root = bench.ext4("root", 24, &[], &debian_root());
    let facts = boots(&bench.gpt("disk", &[&esp, &root]));
    assert_eq!(facts.kernel.path, KERNEL);
    assert_eq!(facts.initrd.unwrap().path, INITRD);
    assert_eq!(
        facts.cmdline,
        format!("root=UUID={ROOT_UUID} ro quiet \"dyndbg=file drivers/usb/* +p\"")
    );
    assert_eq!(facts.source, "partition 2 (ext4) /boot/grub/grub.cfg, entry 'Debian GNU/Linux'");
    assert_eq!(facts.warnings, [format!("{}: $vt_handoff is not set, dropped", facts.source)]);
    assert_eq!(facts.kernel.extents.unwrap().len(), 1, "mke2fs lays files out in one piece");
}

#[test]
fn grub_with_sectors_of_4096_bytes() {
    let bench = Bench::new();
    let root = bench.ext4("root", 24, &[], &debian_root());
    let other = bench.ext4("other", 8, &[], &[("/x", file("x"))]);
    let facts = boots(&bench.gpt_4096("disk", &[&other, &root]));
    assert!(facts.source.starts_with("partition 2 (ext4)"), "{}", facts.source);
}

#[test]
fn grub_in_a_logical_partition_of_an_mbr() {
    let bench = Bench::new();
    let root = bench.ext4("root", 24, &[], &debian_root());
    let other = bench.ext4("other", 8, &[], &[("/x", file("x"))]);
    let facts = boots(&bench.mbr("disk", &[&other, &other, &root]));
    assert!(facts.source.starts_with("partition 6 (ext4)"), "{}", facts.source);
}

#[test]
fn a_file_system_without_a_table() {
    let bench = Bench::new();
    for (name, options) in [
        ("ext4", &[][..]),
        ("ext4-1k", &["-b", "1024"]),
        ("ext2", &["-O", "^extent,^64bit,^has_journal,^metadata_csum"]),
    ] {
        let facts = boots(&bench.ext4(name, 24, options, &debian_root()));
        assert!(facts.source.starts_with("whole image (ext4) /boot/grub/"), "{}", facts.source);
        assert!(facts.kernel.extents.is_some(), "{name}");
    }
}

#[test]
fn boot_on_its_own_partition() {
    let bench = Bench::new();
    let boot = bench.ext4(
        "boot",
        24,
        &[],
        &[
            ("/vmlinuz-6.1.0-18-amd64", file(kernel())),
            ("/initrd.img-6.1.0-18-amd64", file(initrd())),
            ("/grub/grub.cfg", file(debian_grub_cfg(""))),
        ],
    );
    let root = bench.ext4("root", 8, &[], &[("/etc/hostname", file("demo\n"))]);
    let facts = boots(&bench.gpt("disk", &[&root, &boot]));
    assert_eq!(facts.kernel.path, "/vmlinuz-6.1.0-18-amd64");
    assert!(facts.source.starts_with("partition 2 (ext4) /grub/grub.cfg"), "{}", facts.source);
}

#[test]
fn a_stub_leads_to_the_configuration() {
    let bench = Bench::new();
    let stub = format!(
        "search.fs_uuid {ROOT_UUID} root\nset prefix=($root)'/odd/place'\nconfigfile $prefix/grub.cfg\n"
    );
    let esp = bench.vfat("esp", 4, &[], &[("/EFI/debian/grub.cfg", file(stub))]);
    let root = bench.ext4(
        "root",
        24,
        &[],
        &[
            (KERNEL, file(kernel())),
            (INITRD, file(initrd())),
            ("/odd/place/grub.cfg", file(debian_grub_cfg("/boot"))),
        ],
    );
    let facts = boots(&bench.gpt("disk", &[&esp, &root]));
    assert!(facts.source.starts_with("partition 2 (ext4) /odd/place/"), "{}", facts.source);
}

#[test]
fn symbolic_links_are_followed() {
    let bench = Bench::new();
    let config = "menuentry Plain { linux /vmlinuz root=/dev/vda1\n initrd /initrd.img\n }";
    let root = bench.ext4(
        "root",
        24,
        &[],
        &[
            (KERNEL, file(kernel())),
            (INITRD, file(initrd())),
            ("/vmlinuz", Node::Link("boot/vmlinuz")),
            ("/boot/vmlinuz", Node::Link("vmlinuz-6.1.0-18-amd64")),
            ("/initrd.img", Node::Link("/usr/../boot/initrd.img-6.1.0-18-amd64")),
            ("/usr/x", file("")),
            ("/boot/grub/grub.cfg", file(config)),
        ],
    );
    let facts = boots(&root);
    assert_eq!(facts.kernel.path, KERNEL);
    assert_eq!(facts.initrd.unwrap().path, INITRD);
    assert_eq!(facts.cmdline, "root=/dev/vda1");
}

#[test]
fn a_circle_of_links_is_a_warning() {
    let bench = Bench::new();
    let config = "menuentry Plain { linux /vmlinuz\n }";
    let root = bench.ext4(
        "root",
        8,
        &[],
        &[
            ("/vmlinuz", Node::Link("a")),
            ("/a", Node::Link("vmlinuz")),
            ("/boot/grub/grub.cfg", file(config)),
        ],
    );
    let found = examine(&root);
    assert!(found.facts.is_none());
    assert!(found.warnings[0].ends_with("/vmlinuz: more than 40 symbolic links"), "{found:?}");
}

#[test]
fn entries_of_systemd_boot_on_the_esp() {
    let bench = Bench::new();
    let entry = |version: &str, options: &str| {
        file(format!(
            "title Debian GNU/Linux 12\nversion {version}\nsort-key debian\n\
             options {options}\noptions quiet\nlinux /abc/{version}/linux\ninitrd /abc/{version}/initrd\n"
        ))
    };
    let nodes = || {
        vec![
            ("/loader/entries/abc-6.1.0-9.conf", entry("6.1.0-9", "old=$x")),
            ("/loader/entries/abc-6.1.0-18+3.conf", entry("6.1.0-18", "root=/dev/vda2")),
            ("/abc/6.1.0-18/linux", file(kernel())),
            ("/abc/6.1.0-18/initrd", file(initrd())),
            ("/abc/6.1.0-9/linux", file(kernel())),
            ("/abc/6.1.0-9/initrd", file(initrd())),
        ]
    };
    for (name, fat) in [("fat32", "32"), ("fat16", "16")] {
        let esp = bench.vfat(name, 40, &["-F", fat], &nodes());
        let facts = boots(&bench.gpt("disk", &[&esp]));
        assert_eq!(facts.cmdline, "root=/dev/vda2 quiet");
        assert_eq!(
            facts.source,
            "partition 1 (vfat) /loader/entries/abc-6.1.0-18+3.conf, entry 'Debian GNU/Linux 12'"
        );
        assert_eq!(facts.kernel.path, "/abc/6.1.0-18/linux");
    }
    let mut with_default = nodes();
    with_default.push(("/loader/loader.conf", file("timeout 3\ndefault *-9\n")));
    let facts = boots(&bench.vfat("fat12", 10, &["-F", "12", "-s", "8"], &with_default));
    assert_eq!(facts.cmdline, "old=$x quiet");
}

#[test]
fn an_entry_whose_kernel_is_gone_is_passed_over() {
    let bench = Bench::new();
    let esp = bench.vfat(
        "esp",
        8,
        &[],
        &[
            ("/loader/entries/a-2.conf", file("linux /gone\n")),
            ("/loader/entries/a-1.conf", file("linux /linux\n")),
            ("/linux", file(kernel())),
        ],
    );
    let facts = boots(&esp);
    assert_eq!(facts.kernel.path, "/linux");
    assert!(facts.initrd.is_none());
    assert_eq!(
        facts.warnings,
        ["whole image (vfat) /loader/entries/a-2.conf: /gone: no such file on whole image (vfat)"]
    );
}

#[test]
fn fedora_with_variables_of_grub() {
    let bench = Bench::new();
    let entry = |kernel: &str| {
        file(format!(
            "title Fedora Linux ({kernel})\nversion {kernel}\nlinux /vmlinuz-{kernel}\n\
             initrd /initramfs-{kernel}.img $tuned_initrd\noptions $kernelopts rhgb $tuned_params\n\
             grub_users $grub_users\ngrub_arg --unrestricted\ngrub_class fedora\n"
        ))
    };
    let saved = "# GRUB Environment Block\nsaved_entry=id-6.5.6-300.fc39.x86_64\n\
                 kernelopts=root=UUID=77 ro rootflags=subvol=root\n#####";
    let boot = bench.ext4(
        "boot",
        24,
        &[],
        &[
            ("/loader/entries/id-6.5.6-300.fc39.x86_64.conf", entry("6.5.6-300.fc39.x86_64")),
            ("/loader/entries/id-6.6.1-200.fc39.x86_64.conf", entry("6.6.1-200.fc39.x86_64")),
            ("/loader/entries/id-0-rescue.conf", entry("0-rescue")),
            ("/vmlinuz-6.5.6-300.fc39.x86_64", file(kernel())),
            ("/initramfs-6.5.6-300.fc39.x86_64.img", file(initrd())),
            ("/grub2/grubenv", file(saved)),
            ("/grub2/grub.cfg", file("insmod blscfg\nblscfg\nset tuned_params=\n")),
        ],
    );
    let facts = boots(&boot);
    assert_eq!(facts.cmdline, "root=UUID=77 ro rootflags=subvol=root rhgb");
    assert_eq!(facts.kernel.path, "/vmlinuz-6.5.6-300.fc39.x86_64");
    assert!(facts.warnings[0].contains("$tuned_initrd is not set"), "{:?}", facts.warnings);
}

#[test]
fn unified_kernels() {
    let bench = Bench::new();
    let image = |cmdline: &str| {
        let cmdline = format!("{cmdline}\n\0");
        let (kernel, initrd) = (kernel(), initrd());
        file(uki(&[
            (".osrel", b"ID=demo"),
            (".cmdline", cmdline.as_bytes()),
            (".linux", &kernel),
            (".initrd", &initrd),
            (".profile", b"ID=other"),
            (".cmdline", b"other"),
        ]))
    };
    let esp = bench.vfat(
        "esp",
        40,
        &["-F", "32"],
        &[
            ("/EFI/Linux/demo-6.9.efi", image("old")),
            ("/EFI/Linux/demo-6.10.efi", image("root=/dev/vda2 quiet")),
            ("/EFI/Linux/note.txt", file("x")),
        ],
    );
    let facts = boots(&bench.gpt("disk", &[&esp]));
    assert_eq!(facts.cmdline, "root=/dev/vda2 quiet");
    assert_eq!(facts.kernel.path, "/EFI/Linux/demo-6.10.efi#.linux");
    assert_eq!(facts.source, "partition 1 (vfat) /EFI/Linux/demo-6.10.efi, unified kernel");
    assert!(facts.kernel.extents.is_some() && facts.initrd.unwrap().extents.is_some());

    let removable = bench.vfat("removable", 8, &[], &[("/EFI/BOOT/BOOTX64.EFI", image("a"))]);
    assert_eq!(boots(&removable).cmdline, "a");
    let root = bench.ext4("root", 24, &["-b", "1024"], &[("/boot/EFI/Linux/d.efi", image("b"))]);
    assert_eq!(boots(&root).cmdline, "b");
}

#[test]
fn files_in_many_pieces() {
    let bench = Bench::new();
    for (name, options) in
        [("extents", &["-b", "1024"][..]), ("map", &["-b", "1024", "-O", "^extent,^64bit"])]
    {
        let root = bench.ext4(
            name,
            16,
            options,
            &[("/boot/grub/grub.cfg", file(debian_grub_cfg("/boot")))],
        );
        let small = bench.path("small");
        std::fs::write(&small, noise(9, 3000)).unwrap();
        let (kernel_path, initrd_path) = (bench.path("kernel"), bench.path("initrd"));
        std::fs::write(&kernel_path, kernel()).unwrap();
        std::fs::write(&initrd_path, initrd()).unwrap();
        // The volume is filled with small files; every other one makes room.
        let mut script = String::new();
        for index in 0..3400 {
            writeln!(script, "write {} f{index}", small.display()).unwrap();
        }
        for index in (0..3400).step_by(2) {
            writeln!(script, "rm f{index}").unwrap();
        }
        writeln!(script, "write {} {KERNEL}", kernel_path.display()).unwrap();
        writeln!(script, "write {} {INITRD}", initrd_path.display()).unwrap();
        run("debugfs", &["-w", root.to_str().unwrap()], &script);
        let facts = boots(&root);
        let pieces = facts.kernel.extents.unwrap().len();
        assert!(pieces > 100, "{name}: {pieces} pieces");
    }
}

#[test]
fn a_hole_leaves_the_bytes_but_not_the_extents() {
    let bench = Bench::new();
    let mut holed = kernel();
    holed[8192..8192 + 40_960].fill(0);
    let config = "menuentry Plain { linux /k\n initrd /i\n }";
    let root = bench.ext4(
        "root",
        16,
        &[],
        &[("/k", file(&holed)), ("/i", file(initrd())), ("/boot/grub/grub.cfg", file(config))],
    );
    let facts = examine(&root).facts.unwrap();
    assert_eq!(facts.kernel.extents, None);
    assert!(contents(&root, &facts.kernel) == holed);
    assert!(facts.initrd.unwrap().extents.is_some());

    // The same zeroes written out are no hole.
    let marked = noise(3, holed.len());
    let root = bench.ext4(
        "written",
        16,
        &[],
        &[("/k", file(&marked)), ("/i", file(initrd())), ("/boot/grub/grub.cfg", file(config))],
    );
    let mut image = std::fs::read(&root).unwrap();
    let at = image.windows(64).position(|window| window == &marked[..64]).unwrap();
    image[at..at + holed.len()].copy_from_slice(&holed);
    std::fs::write(&root, image).unwrap();
    let kernel = examine(&root).facts.unwrap().kernel;
    assert_eq!(kernel.extents.as_ref().map(Vec::len), Some(1));
    assert!(contents(&root, &kernel) == holed);
}

#[test]
fn several_initrd_files_are_one() {
    let bench = Bench::new();
    for (first_bytes, has_extents) in [(4096, true), (4098, false)] {
        let first = noise(5, first_bytes);
        let config = "menuentry Plain { linux /k\n initrd /ucode /i\n }";
        let root = bench.ext4(
            "root",
            16,
            &[],
            &[
                ("/k", file(kernel())),
                ("/i", file(initrd())),
                ("/ucode", file(&first)),
                ("/boot/grub/grub.cfg", file(config)),
            ],
        );
        let both = examine(&root).facts.unwrap().initrd.unwrap();
        assert_eq!(both.path, "/ucode, /i");
        assert_eq!(both.extents.is_some(), has_extents);
        let mut expected = first;
        expected.resize(first_bytes.next_multiple_of(4), 0);
        expected.extend(initrd());
        assert!(contents(&root, &both) == expected);
    }
}

#[test]
fn search_by_uuid_decides_between_two_kernels() {
    let bench = Bench::new();
    let config = format!(
        "menuentry A {{ search --fs-uuid --set=root {}\n linux /k\n }}",
        ESP_ID.to_uppercase()
    );
    let esp = bench.vfat("esp", 8, &[], &[("/k", file(kernel()))]);
    let root = bench.ext4(
        "root",
        16,
        &[],
        &[("/k", file("not this one")), ("/boot/grub/grub.cfg", file(config))],
    );
    boots(&bench.gpt("disk", &[&root, &esp]));
}

#[test]
fn nothing_to_boot() {
    let bench = Bench::new();
    let root = bench.ext4("root", 8, &[], &[("/etc/hostname", file("demo\n"))]);
    assert!(examine(&bench.gpt("disk", &[&root])).facts.is_none());

    let zeroes = bench.path("zeroes");
    std::fs::write(&zeroes, vec![0; 1 << 20]).unwrap();
    let found = examine(&zeroes);
    assert!(found.facts.is_none());
    assert_eq!(found.warnings, ["image: no vfat or ext4 file system found"]);

    let empty = bench.path("empty");
    std::fs::write(&empty, b"").unwrap();
    assert!(examine(&empty).facts.is_none());

    let mut luks = vec![0; 1 << 20];
    luks[..6].copy_from_slice(b"LUKS\xba\xbe");
    std::fs::write(&zeroes, luks).unwrap();
    let luks = bench.gpt("disk", &[&zeroes]);
    assert_eq!(examine(&luks).warnings[0], "partition 1: a LUKS volume is not searched");
}

#[test]
fn a_damaged_primary_table_is_read_from_the_backup() {
    let bench = Bench::new();
    let root = bench.ext4("root", 24, &[], &debian_root());
    let disk = bench.gpt("disk", &[&root]);
    let mut bytes = std::fs::read(&disk).unwrap();
    bytes[512 + 56] ^= 1;
    std::fs::write(&disk, bytes).unwrap();
    let facts = boots(&disk);
    assert!(facts.warnings[0].contains("header CRC"), "{:?}", facts.warnings);
}

#[test]
fn the_files_position_stays() {
    use std::io::{Seek, SeekFrom};
    let bench = Bench::new();
    let root = bench.ext4("root", 24, &[], &debian_root());
    let mut image = std::fs::File::open(root).unwrap();
    image.seek(SeekFrom::Start(77)).unwrap();
    assert!(bootfacts::find(&image).unwrap().is_some());
    assert_eq!(image.stream_position().unwrap(), 77);
}
