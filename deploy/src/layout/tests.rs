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
    match decide(disk(size_bytes), Found::Nothing, wanted, false, &mut counted()).unwrap() {
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
        decide(disk(size), Found::Nothing, wanted, false, &mut counted()).unwrap_err().to_string()
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
        decide(disk(8 * GIB), Found::Table(table.clone()), wanted, anew, &mut counted())
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
    let kept =
        decide(disk(8 * GIB), Found::Table(table), &Wanted::default(), false, &mut counted());
    assert!(matches!(kept, Ok(Layout::Keep(_))), "{kept:?}");
}

/// What is wrong with a table, and the sentence that must come of it.
type Misfit<'a> = (&'a dyn Fn(&mut Table), &'a str);

#[test]
fn a_table_that_others_would_boot_or_that_is_in_the_way_is_not_kept() {
    let made = made(8 * GIB, &Wanted { data_bytes: Some(GIB), ..Wanted::default() });
    let table: [Misfit; 6] = [
        (
            &|table| {
                let last = table.partitions.last_mut().unwrap();
                (last.role, last.start_bytes, last.size_bytes) = (None, 40 * 512, 4096);
            },
            "partition 4 starts within the first MiB",
        ),
        (
            &|table| table.partitions[3].role = Some(Role::Esp),
            "there are 2 esp partitions, expected one",
        ),
        (
            &|table| table.partitions[3].role = Some(Role::ExtendedBoot),
            "there is an xbootldr partition, expected none",
        ),
        (
            &|table| table.partitions[0].size_bytes = 32 << 10,
            "the bios partition has 32.7 kB, needs 1.0 MB",
        ),
        (
            &|table| table.partitions[1].start_bytes += 512,
            "the esp partition does not start and end on multiples of 4096 bytes",
        ),
        (&|table| table.partitions.clear(), "there is no bios partition; "),
    ];
    for (change, expected) in table {
        let mut table = made.clone();
        change(&mut table);
        let decided = |anew| {
            let found = Found::Table(table.clone());
            decide(disk(8 * GIB), found, &Wanted::default(), anew, &mut counted())
        };
        let said = decided(false).unwrap_err().to_string();
        assert!(said.starts_with(&format!("its layout does not fit: {expected}")), "{said}");
        assert!(matches!(decided(true), Ok(Layout::Make(_))));
    }
}

#[test]
fn what_is_no_table_only_goes_when_told() {
    let fault = TableFault::Entries { expected: 0x12, found: 0x3456_789a };
    let decided = |anew| {
        let found = Found::Other { contents: "gpt: 1 ext4 \"root\"".into(), fault };
        decide(disk(GIB), found, &Wanted::default(), anew, &mut counted())
    };
    assert_eq!(
        decided(false).unwrap_err().to_string(),
        "it holds gpt: 1 ext4 \"root\": the entries of its GUID partition table: expected \
         checksum 00000012, found 3456789a"
    );
    assert!(matches!(decided(true), Ok(Layout::Make(_))));
}

#[test]
fn sizes_beyond_every_disk_are_too_large_and_nothing_else() {
    for bytes in [u64::MAX, u64::MAX - 1, u64::MAX - ALIGN_BYTES, u64::MAX / 2] {
        let plain = Wanted::default();
        for wanted in [
            Wanted { esp_bytes: Some(bytes), ..plain },
            Wanted { swap_bytes: Some(bytes), ..plain },
            Wanted { data_bytes: Some(bytes), ..plain },
            Wanted { boot_bytes: bytes, ..plain },
            Wanted { root_bytes: bytes, ..plain },
        ] {
            let refused = decide(disk(GIB), Found::Nothing, &wanted, false, &mut counted());
            let is_right = matches!(refused, Err(LayoutRefusal::TooSmall { .. }));
            assert!(is_right, "{wanted:?}: {refused:?}");
            let table = made(GIB, &plain);
            let kept = decide(disk(GIB), Found::Table(table), &wanted, false, &mut counted());
            assert!(matches!(kept, Err(LayoutRefusal::Misfit { .. })), "{wanted:?}: {kept:?}");
        }
    }
}

/// A table of sgdisk's with this many entries and a swap partition of this number.
fn with_entries(entries: u32, number: u32) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(GIB).unwrap();
    let mut sgdisk = Command::new("sgdisk");
    sgdisk.args(["-S", &entries.to_string(), "-n", &format!("{number}:1M:2M")]);
    let output = sgdisk.args(["-t", &format!("{number}:8200")]).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let mut head = std::fs::read(file.path()).unwrap();
    head.truncate(MIB as usize);
    head
}

#[test]
fn a_number_that_cannot_be_written_is_not_read() {
    let read = |entries, number| Table::parse(&with_entries(entries, number), 512, GIB);
    assert_eq!(read(256, 128).unwrap().head().len() as u64, Table::head_bytes(512));
    assert_eq!(read(256, 130), Err(TableFault::Number { number: 130 }));
}

#[test]
fn a_table_beside_another_one_is_none() {
    let table = made(8 * GIB, &Wanted::default());
    let parse = |at: usize, byte: u8| {
        let mut head = table.head();
        head[at] = byte;
        Table::parse(&head, 512, 8 * GIB)
    };
    assert_eq!(parse(0, 0xeb).as_ref(), Ok(&table), "boot code is not the table's");
    // The signature; the type; where it starts; a second entry, of a hybrid table.
    for (at, byte) in [(511, 0), (450, 0x83), (454, 63), (466, 0x83)] {
        assert_eq!(parse(at, byte), Err(TableFault::Unprotected), "byte {at}");
    }
    let mut head = table.head();
    head[..512].fill(0);
    assert_eq!(Table::parse(&head, 512, 8 * GIB), Ok(table.clone()), "the MBR is written last");
    assert_eq!(parse(512, 0), Err(TableFault::Absent { sector_bytes: 512 }));
    assert!(matches!(parse(512 + 60, 0xff), Err(TableFault::Header { .. })));
    assert!(matches!(parse(1024 + 60, 0xff), Err(TableFault::Entries { .. })));
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
        let layout = decide(disk, Found::Nothing, &wanted, false, &mut counted()).unwrap();
        let table = layout.table();
        let mut head = table.head();
        prop_assert_eq!(head.len() as u64, Table::head_bytes(sector_bytes));
        let parsed = Table::parse(&head, sector_bytes, disk.size_bytes);
        prop_assert_eq!(parsed.as_ref(), Ok(table));
        prop_assert!(Table::parse(&head, sector_bytes, disk.size_bytes / 2).is_err());
        let at = sector_bytes as usize + flip % (head.len() - sector_bytes as usize);
        head[at] ^= 1;
        let is_covered = !(92..sector_bytes as usize).contains(&(at - sector_bytes as usize));
        let parsed = Table::parse(&head, sector_bytes, disk.size_bytes);
        prop_assert_eq!(parsed.is_err(), is_covered, "byte {}", at);
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        sector_bytes in prop::sample::select(vec![512_u32, 4096]),
    ) {
        let _ = Table::parse(&bytes, sector_bytes, 1 << 30);
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
