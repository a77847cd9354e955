use std::path::Path;

use super::*;

/// The unpacked kernel that `variable` names. Without it the test fails: a skipped one would
/// be taken for a passed one.
fn debian(variable: &str, made_by: &str) -> KernelTree {
    let Some(tree) = std::env::var_os(variable) else {
        panic!("{variable} is not set: it must name what {made_by} prints. scripts/test does")
    };
    KernelTree::only(Path::new(&tree)).unwrap()
}

/// A kernel directory of indexes alone.
fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Index) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let index = Index::read(dir.path()).unwrap();
    (dir, index)
}

#[test]
fn hard_and_soft_dependencies_come_first() {
    // Lines as depmod writes them: the first to load is last.
    let (_dir, index) = tree(&[
        (
            "modules.dep",
            "kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/lib/libcrc32c.ko.xz\n\
             kernel/fs/jbd2/jbd2.ko.xz:\n\
             kernel/lib/libcrc32c.ko.xz:\n\
             kernel/crypto/crc32c_generic.ko.xz:\n\
             kernel/arch/x86/crypto/crc32c-intel.ko.xz:\n",
        ),
        (
            "modules.softdep",
            "# head\nsoftdep libcrc32c pre: crc32c not-there post: jbd2\nsoftdep cifs gcm\n",
        ),
        ("modules.alias", "alias crc32c crc32c_generic\nalias crc32c crc32c_intel\n"),
    ]);
    assert_eq!(
        index.load_order("ext4").unwrap(),
        ["crc32c_generic", "crc32c_intel", "libcrc32c", "jbd2", "ext4"]
    );
}

#[test]
fn refusals_name_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("modules.dep");
    assert_eq!(
        Index::read(dir.path()).unwrap_err().to_string(),
        format!("cannot read {}", path.display())
    );
    fs::write(&path, "kernel/a.ko:\nkernel/b.ko\n").unwrap();
    assert_eq!(
        Index::read(dir.path()).unwrap_err().to_string(),
        format!(
            "{}, line 2: expected `module: dependency ...`, found \"kernel/b.ko\"",
            path.display()
        )
    );
    fs::write(&path, "kernel/a.ko: kernel/b.ko\n").unwrap();
    assert_eq!(
        Index::read(dir.path()).unwrap().load_order("a").unwrap_err().to_string(),
        "module a wants b, which modules.dep does not list; run depmod"
    );
    fs::create_dir_all(dir.path().join("lib/modules/6.1")).unwrap();
    fs::create_dir_all(dir.path().join("lib/modules/6.12")).unwrap();
    assert_eq!(
        KernelTree::only(dir.path()).unwrap_err().to_string(),
        format!(
            "{}: expected one kernel below lib/modules, found [6.1, 6.12]",
            dir.path().display()
        )
    );
    assert_eq!(modinfo::values(b"not ELF", "firmware").unwrap_err(), "Could not read file magic");
}

fn packed(kernel: &KernelTree, modules: Modules) -> (Packed, Table) {
    let mut archive = Archive::default();
    let packed = pack(&mut archive, kernel, modules).unwrap();
    let text = archive.file(table::PATH).unwrap();
    let table = Table::parse(std::str::from_utf8(text).unwrap()).unwrap();
    for module in table.modules.values() {
        assert!(archive.file(&module.path).unwrap().starts_with(b"\x7fELF"), "{}", module.path);
    }
    (packed, table)
}

fn must_load_before(table: &Table, first: &str, then: &str) {
    let order: Vec<_> = table.load_order(then).into_iter().map(|module| module.0).collect();
    assert!(order.contains(&first), "{then} needs {first}, found {order:?}");
}

#[test]
fn debians_cloud_kernel() {
    let kernel = debian("INAUG_TEST_DEBIAN_TREE", "scripts/kernel --debian");
    let (packed, table) = packed(&kernel, Modules::Thin);
    assert_eq!(table.kernel, kernel.version);
    assert_eq!(table.for_modalias("virtio:d00000001v00001AF4"), ["virtio_net"]);
    must_load_before(&table, "net_failover", "virtio_net");
    // Built in there, so neither packed nor absent.
    assert!(!table.modules.contains_key("nvme"));
    assert!(!packed.absent.contains(&"nvme".to_owned()));
    assert!(packed.absent.contains(&"e1000".to_owned()), "{:?}", packed.absent);
}

#[test]
fn debians_generic_kernel() {
    let kernel = debian("INAUG_TEST_GENERIC_TREE", "scripts/kernel --debian=generic");
    let (thin, table) = packed(&kernel, Modules::Thin);
    assert_eq!(
        table.for_modalias("pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00"),
        ["e1000"]
    );
    let ahci = "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01";
    assert_eq!(table.for_modalias(ahci), ["ahci"]);
    must_load_before(&table, "libata", "ahci");
    must_load_before(&table, "nvme_core", "nvme");
    assert_eq!(thin.firmware.get("rtl_nic/rtl8168g-2.fw").map(String::as_str), Some("r8169"));
    assert_eq!(thin.absent, [""; 0]);

    let (fat, table) = packed(&kernel, Modules::Fat);
    assert!(fat.modules.len() > 3 * thin.modules.len());
    for name in ["bnxt_en", "mlx5_core", "usb_storage", "hv_storvsc", "vmxnet3", "realtek"] {
        assert!(table.modules.contains_key(name), "{name}");
    }
    assert!(!table.modules.contains_key("scsi_debug"));
    assert!(Path::new(&table.modules["nvme"].path).starts_with("/lib/modules"));
}
