use super::*;
use proptest::prelude::*;
use std::io::Write;
use std::process::{Command, Stdio};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn disk(size_bytes: u64) -> Extent {
    Extent { size_bytes, sector_bytes: 512 }
}

/// Numbers instead of chance: each 16 bytes of the next one.
fn counted() -> impl FnMut() -> [u8; 16] {
    let mut next = 0;
    move || {
        next += 1;
        [next; 16]
    }
}

fn made(size_bytes: u64, wanted: &Wanted) -> Table {
    match decide(disk(size_bytes), None, wanted, false, &mut counted()).unwrap() {
        Layout::Make(table) => table,
        Layout::Keep(_) => panic!("there was nothing to keep"),
    }
}

fn sizes(table: &Table) -> Vec<(&'static str, u64)> {
    let size = |partition: &Partition| (partition.role.unwrap().name(), partition.size_bytes / MIB);
    table.partitions.iter().map(size).collect()
}

/// Size of the disk, what is wanted, and names and MiB of the partitions.
type Case = (u64, Wanted, &'static [(&'static str, u64)]);

#[test]
fn a_blank_disk_is_divided_by_its_size() {
    let plain = Wanted::default();
    let all = Wanted {
        swap_bytes: Some(GIB),
        data_bytes: Some(4 * GIB),
        esp_bytes: Some(100 * MIB),
        ..plain
    };
    let table: [Case; 4] = [
        (GIB, plain, &[("bios", 1), ("esp", 64), ("root", 957)]),
        (16 * GIB, plain, &[("bios", 1), ("esp", 512), ("root", 15_869)]),
        (
            16 * GIB,
            all,
            &[("bios", 1), ("esp", 100), ("root", 11_161), ("swap", 1024), ("data", 4096)],
        ),
        (
            GIB,
            Wanted { boot_bytes: 200 * MIB, ..plain },
            &[("bios", 1), ("esp", 225), ("root", 796)],
        ),
    ];
    for (size, wanted, expected) in table {
        assert_eq!(sizes(&made(size, &wanted)), expected, "{wanted:?}");
    }
}

#[test]
fn what_does_not_fit_is_said_in_a_sentence() {
    let refused = |size, wanted: &Wanted| {
        decide(disk(size), None, wanted, false, &mut counted()).unwrap_err().to_string()
    };
    let large = Wanted { root_bytes: 2 * GIB, ..Wanted::default() };
    assert_eq!(refused(GIB, &large), "the disk is too small: needs 2.2 GB, has 1.0 GB");
    let small = Wanted { esp_bytes: Some(MIB), ..Wanted::default() };
    assert_eq!(
        refused(GIB, &small),
        "an EFI system partition of 1.0 MB is too small: needs 37.7 MB"
    );
}

#[test]
fn what_fits_is_kept_and_what_does_not_only_goes_when_told() {
    let table = made(8 * GIB, &Wanted::default());
    let decided = |wanted: &Wanted, anew| {
        decide(disk(8 * GIB), Some(table.clone()), wanted, anew, &mut counted())
    };
    for anew in [false, true] {
        assert_eq!(decided(&Wanted::default(), anew), Ok(Layout::Keep(table.clone())));
    }
    let other = Wanted {
        esp_bytes: Some(GIB),
        swap_bytes: Some(GIB),
        root_bytes: GIB,
        ..Wanted::default()
    };
    assert_eq!(
        decided(&other, false).unwrap_err().to_string(),
        "its layout does not fit: the esp partition has 536.8 MB, needs 1.0 GB; there is no swap \
         partition"
    );
    assert!(matches!(decided(&other, true), Ok(Layout::Make(_))));
}

#[test]
fn partitions_of_others_do_not_matter() {
    let mut table = made(8 * GIB, &Wanted { data_bytes: Some(GIB), ..Wanted::default() });
    let mut other = table.partitions.pop().unwrap();
    other.role = None;
    table.partitions.push(other);
    let kept = decide(disk(8 * GIB), Some(table), &Wanted::default(), false, &mut counted());
    assert!(matches!(kept, Ok(Layout::Keep(_))), "{kept:?}");
}

proptest! {
    #[test]
    fn a_table_comes_back_from_its_bytes_and_damaged_ones_do_not(
        size_mib in 700..100_000_u64,
        swap in prop::option::of(1..100_u64),
        data in prop::option::of(1..100_u64),
        sector_bytes in prop::sample::select(vec![512_u32, 4096]),
        flip in 0..16_384_usize,
    ) {
        let wanted = Wanted {
            swap_bytes: swap.map(|mib| mib * MIB),
            data_bytes: data.map(|mib| mib * MIB),
            ..Wanted::default()
        };
        // A size that is no multiple of anything but sectors.
        let disk = Extent { size_bytes: size_mib * MIB + 4096 * 3, sector_bytes };
        let layout = decide(disk, None, &wanted, false, &mut counted()).unwrap();
        let table = layout.table();
        let mut head = table.head();
        prop_assert_eq!(head.len() as u64, Table::head_bytes(sector_bytes));
        let parsed = Table::parse(&head, sector_bytes, disk.size_bytes);
        prop_assert_eq!(parsed.as_ref(), Some(table));
        prop_assert_eq!(Table::parse(&head, sector_bytes, disk.size_bytes / 2), None);
        let at = sector_bytes as usize + flip % (head.len() - sector_bytes as usize);
        head[at] ^= 1;
        let is_covered = !(92..sector_bytes as usize).contains(&(at - sector_bytes as usize));
        let parsed = Table::parse(&head, sector_bytes, disk.size_bytes);
        prop_assert_eq!(parsed.is_none(), is_covered, "byte {}", at);
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        sector_bytes in prop::sample::select(vec![512_u32, 4096]),
    ) {
        Table::parse(&bytes, sector_bytes, 1 << 30);
    }
}

/// sgdisk has its own idea of what is right.
#[test]
fn sgdisk_finds_nothing_wrong() {
    let wanted = Wanted { swap_bytes: Some(MIB), data_bytes: Some(MIB), ..Wanted::default() };
    let table = made(700 * MIB + 512, &wanted);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(table.disk_bytes).unwrap();
    file.write_all(&table.head()).unwrap();
    let (offset, tail) = table.tail();
    std::os::unix::fs::FileExt::write_all_at(file.as_file(), &tail, offset).unwrap();
    let mut sgdisk = Command::new("sgdisk");
    let output = sgdisk.args(["-v", "-p"]).arg(file.path()).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("No problems found"), "{text}");
    for line in ["EF02  bios", "EF00  esp", "8304  root", "8200  swap", "8306  data"] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
