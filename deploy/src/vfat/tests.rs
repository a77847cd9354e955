use super::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

const MIB: u64 = 1 << 20;

fn shape(size_bytes: u64, sector_bytes: u32) -> Shape {
    Shape { size_bytes, sector_bytes, start_bytes: 2 * MIB, id: 0x1a06_a7e0, label: "ESP" }
}

fn file(path: &str, size_bytes: u64) -> File {
    File { path: path.to_owned(), size_bytes }
}

/// Bytes that say which file they are of.
fn bytes_of(index: usize, size_bytes: u64) -> Vec<u8> {
    (0..size_bytes).map(|at| (at % 251) as u8 ^ index as u8).collect()
}

/// Writes the volume over garbage, as it is written to a disk.
fn write(volume: &Volume, files: &[File], to: &Path) {
    let disk = fs::File::create(to).unwrap();
    disk.set_len(volume.shape.size_bytes).unwrap();
    disk.write_all_at(&volume.gate(), 0).unwrap();
    for Extent { range, content } in volume.extents() {
        let mut bytes = match content {
            Content::Bytes(bytes) => bytes,
            Content::File(index) => bytes_of(index, files[index].size_bytes),
        };
        bytes.resize((range.end - range.start) as usize, 0);
        disk.write_all_at(&bytes, range.start).unwrap();
    }
}

fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{program}: {text}{:?}", output.stderr);
    output.stdout
}

/// Others find nothing wrong, and every file.
fn others_agree(shape: Shape, files: &[File]) {
    let volume = Volume::plan(shape, files).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("esp");
    write(&volume, files, &disk);
    let name = disk.to_str().unwrap();
    let found = run("fsck.vfat", &["-n", "-v", name]);
    let text = String::from_utf8_lossy(&found);
    assert!(!text.contains("differences") && !text.contains("Dirty"), "{text}");
    for (index, file) in files.iter().enumerate() {
        let found = run("mtype", &["-i", name, &format!("::{}", file.path)]);
        assert!(found == bytes_of(index, file.size_bytes), "{}", file.path);
    }
}

#[test]
fn fsck_and_mtools_find_nothing_wrong() {
    let files = [
        file("EFI/BOOT/BOOTX64.EFI", 200_001),
        file("EFI/systemd/systemd-bootx64.efi", 200_001),
        file("loader/loader.conf", 17),
        file("loader/entries/debian-12-demo.conf", 300),
        file("inaugurator/0a1b2c3d4e5f/vmlinuz-6.1.0-50-cloud-amd64", 14_000_000),
        file("inaugurator/0a1b2c3d4e5f/initrd.img-6.1.0-50-cloud-amd64", 6_000_000),
        file("inaugurator/empty", 0),
        file("exactly-thirte", 4096),
        file("exactly-thirt", 1),
        file("a.b.c", 1),
        file("~1", 1),
    ];
    for shape in [shape(64 * MIB, 512), shape(512 * MIB, 512), shape(300 * MIB, 4096)] {
        others_agree(shape, &files);
    }
}

#[test]
fn what_is_in_use_is_one_piece_in_whole_blocks() {
    let files = [file("A/B", 5000), file("C", 0)];
    let volume = Volume::plan(shape(512 * MIB, 512), &files).unwrap();
    let mut at = GATE_BYTES as u64;
    for Extent { range, .. } in volume.extents() {
        assert_eq!((range.start, range.end % ALIGN_BYTES), (at, 0));
        at = range.end;
    }
    assert_eq!(volume.files(), 2);
}

#[test]
fn what_cannot_be_is_refused_in_a_sentence() {
    let long = "x".repeat(256);
    let table: [(u64, &[File], &str); 7] = [
        (32 * MIB, &[], "expected a volume of at least 65541 clusters, found 64464"),
        (
            64 * MIB,
            &[file("big", 65 * MIB)],
            "no room on the EFI system partition: needs 68157952 bytes, has 66035712",
        ),
        (9 << 30, &[file("big", 5 << 30)], "no room on the EFI system partition: needs"),
        (64 * MIB, &[file("a/b", 1), file("A/B", 1)], "\"A/B\" is there twice"),
        (64 * MIB, &[file("a", 1), file("A/B", 1)], "\"A/B\" is there twice"),
        (
            64 * MIB,
            &[file("a/../b", 1)],
            "\"a/../b\": expected names of letters, digits and ._+~-, found \"..\"",
        ),
        (64 * MIB, &[file(&long, 1)], "expected names of letters"),
    ];
    for (size, files, expected) in table {
        let refused = Volume::plan(shape(size, 512), files).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_files_come_back(
        sizes in prop::collection::vec(0..20_000_u64, 1..200),
        names in prop::collection::vec("[A-Za-z0-9_+.-]{0,30}[a-z0-9]", 200),
        size_mib in 40..300_u64,
    ) {
        let place = |(index, (size, name)): (usize, (&u64, &String))| {
            file(&format!("{}/{}{index}{name}", index % 3, index / 3 % 5), *size)
        };
        let files: Vec<File> = sizes.iter().zip(&names).enumerate().map(place).collect();
        others_agree(shape(size_mib * MIB, 512), &files[..files.len().min(40)]);
    }
}
