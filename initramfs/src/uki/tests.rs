use std::collections::BTreeMap;
use std::rc::Rc;

use bootfacts::{Tree, TreeEntry, examine_tree, read_located_in_tree};

use super::fields::{put_u16, put_u32};
use super::*;

/// An executable with one section, whose headers take `headers_bytes`.
pub(super) fn stub(headers_bytes: usize) -> Vec<u8> {
    let mut stub = vec![0; headers_bytes];
    stub[..2].copy_from_slice(b"MZ");
    put_u32(&mut stub, 0x3c, 0x40);
    stub[0x40..0x44].copy_from_slice(b"PE\0\0");
    let (coff, optional, section) = (0x44, 0x58, 0x58 + 240);
    put_u16(&mut stub, coff, 0x8664);
    put_u16(&mut stub, coff + 2, 1);
    put_u16(&mut stub, coff + 16, 240);
    put_u16(&mut stub, optional, 0x20b);
    put_u32(&mut stub, optional + 32, 512);
    put_u32(&mut stub, optional + 36, 512);
    put_u32(&mut stub, optional + 60, headers_bytes as u32);
    stub[section..section + 5].copy_from_slice(b".text");
    put_u32(&mut stub, section + 8, 0x300);
    put_u32(&mut stub, section + 12, 0x1000);
    put_u32(&mut stub, section + 16, 0x400);
    put_u32(&mut stub, section + 20, headers_bytes as u32);
    stub.extend_from_slice(&[0xcc; 0x400]);
    stub
}

/// As much of a kernel as is looked at.
fn kernel() -> Vec<u8> {
    let mut kernel = vec![0; 0x600];
    kernel[..2].copy_from_slice(b"MZ");
    put_u32(&mut kernel, 0x3c, 0x40);
    kernel[0x40..0x44].copy_from_slice(b"PE\0\0");
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    put_u16(&mut kernel, 0x20e, 0x300);
    kernel[0x500..0x513].copy_from_slice(b"6.1.0-1-amd64 (who)");
    kernel
}

/// The parts, to be changed.
struct Given {
    stub: Vec<u8>,
    kernel: Vec<u8>,
    initrd: Vec<u8>,
    cmdline: String,
}

fn with(change: impl FnOnce(&mut Given)) -> Result<Uki, UkiError> {
    let cmdline = "console=ttyS0 quiet".into();
    let initrd = b"an initramfs".to_vec();
    let mut given = Given { stub: stub(1024), kernel: kernel(), initrd, cmdline };
    change(&mut given);
    let Given { stub, kernel, initrd, cmdline } = &given;
    assemble(&Parts { stub, kernel, initrd, cmdline })
}

/// One file, where firmware looks for it on a stick.
struct Stick(Vec<u8>);

impl Tree for Stick {
    fn look(&self, path: &str) -> io::Result<Option<TreeEntry>> {
        let entries = BTreeMap::from([
            ("/EFI", TreeEntry::Directory),
            ("/EFI/BOOT", TreeEntry::Directory),
            ("/EFI/BOOT/BOOTX64.EFI", TreeEntry::File { size_bytes: self.0.len() as u64 }),
        ]);
        Ok(entries.get(path).cloned())
    }

    fn names(&self, _: &str) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn open(&self, _: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(io::Cursor::new(self.0.clone())))
    }
}

#[test]
fn what_was_put_in_is_read_back_by_the_reader_of_unified_kernels() {
    let uki = with(|_| ()).unwrap();
    assert_eq!(uki.release, "6.1.0-1-amd64");
    let sizes: Vec<_> = uki.sections.iter().map(|s| (s.name, s.size_bytes)).collect();
    let osrel_bytes = OS_RELEASE.len() as u64;
    assert_eq!(
        sizes,
        [
            (".osrel", osrel_bytes),
            (".uname", 13),
            (".cmdline", 19),
            (".initrd", 12),
            (".linux", 0x600)
        ]
    );
    let tree: Rc<dyn Tree> = Rc::new(Stick(uki.bytes));
    let facts = examine_tree(&tree).facts.unwrap();
    assert_eq!(facts.cmdline, "console=ttyS0 quiet");
    let mut read = Vec::new();
    read_located_in_tree(&tree, &facts.kernel).unwrap().read_to_end(&mut read).unwrap();
    assert!(read == kernel());
    read.clear();
    read_located_in_tree(&tree, &facts.initrd.unwrap()).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, b"an initramfs");
}

#[test]
fn parts_that_make_no_boot_are_refused() {
    let table: [(Result<Uki, UkiError>, &str); 7] = [
        (
            with(|given| given.kernel = b"\x7fELF".to_vec()),
            "kernel: expected a bzImage for x86-64, found no setup header",
        ),
        (
            with(|given| given.kernel[0] = 0xea),
            "kernel: expected a kernel that firmware can start, found none (CONFIG_EFI_STUB)",
        ),
        (
            with(|given| put_u16(&mut given.kernel, 0x20e, 0xfff0)),
            "kernel: expected a kernel that names its release, found none in its setup header",
        ),
        (with(|given| given.initrd.clear()), "initramfs: expected 1 to 1073741824 bytes, found 0"),
        (
            with(|given| given.cmdline = "x".repeat(2048)),
            "command line: expected 1 to 2047 bytes, found 2048",
        ),
        (
            with(|given| given.cmdline = "quiet\nsplash".into()),
            "command line: expected one line of printable ASCII, found '\\n' at byte 5",
        ),
        (
            with(|given| given.stub = b"MZ".to_vec()),
            "stub: expected a PE header, found none where the DOS header points",
        ),
    ];
    for (result, expected) in table {
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_stub_that_is_not_there_names_its_package_only_where_the_package_puts_it() {
    let given = read_stub(Some(Path::new("/nowhere/stub"))).unwrap_err();
    assert_eq!(given.to_string(), "cannot read /nowhere/stub");
    let missing = UkiError::NoStub { path: STUB.into() }.to_string();
    assert!(missing.contains("package systemd-boot-efi"), "{missing}");
}
