//! Disks with something on them that is not laid out anew unless somebody says so.

use crate::machine::{self, Bench, Deployed, Machine, options};
use crate::medium::{Stopping, Wrap};
use deploy::install::{Disk, write};
use deploy::layout::Role;
use deploy::volumes::{Access, FileSystem};
use deploy::{Category, Error};
use std::error::Error as _;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

/// The name of the fourth entry of a table for sectors of 512 bytes, bytes from the disk's start.
const FOURTH_NAME_AT: u64 = 1024 + 3 * 128 + 56;

/// A deployment that must be refused and write nothing, and why it was.
fn refused(machine: &Machine<'_>, options: machine::Options) -> String {
    let before = machine.bytes();
    let refused = machine.deploy("first", options).unwrap_err();
    assert!(machine.bytes() == before, "a refusal wrote something");
    assert_eq!(refused.category(), Category::Refused, "{refused}");
    assert!(matches!(refused, Error::Layout { .. }), "{refused}");
    assert!(refused.to_string().ends_with("losing everything on it, say so"), "{refused}");
    refused.source().unwrap().to_string()
}

fn with_data() -> machine::Options {
    machine::Options { data_bytes: Some(64 << 20), ..options() }
}

fn anew() -> machine::Options {
    machine::Options { anew: true, ..options() }
}

#[test]
fn a_table_with_a_wrong_byte_is_not_taken_for_none() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", with_data()).unwrap();
    machine.scribble(Role::Data, 1 << 20, b"precious");
    let finished = machine.save();
    machine.deploy_over("second", with_data(), Some(Stopping::after(2))).unwrap_err();
    let unfinished = machine.save_as("unfinished");
    for (saved, is_finished) in [(&finished, true), (&unfinished, false)] {
        // The array, the header, and the sector that protects them.
        let table: [(u64, &[u8], &str); 3] = [
            (FOURTH_NAME_AT, b"D", "the entries of its GUID partition table: expected checksum"),
            (512 + 32, b"\x01\x02", "the header of its GUID partition table: expected checksum"),
            (450, b"\x83", "the first sector does not say that the GUID partition table"),
        ];
        for (at, bytes, why) in table {
            machine.restore(saved);
            machine.overwrite(at, bytes);
            assert!(machine.is_ours());
            for keep in [vec![], vec!["srv/kept"]] {
                let said = refused(&machine, machine::Options { keep, ..with_data() });
                let contents = "it holds gpt: 1 unknown \"bios\", 2 ";
                assert!(said.starts_with(contents) && said.contains(why), "{is_finished}: {said}");
            }
        }
    }
    let Deployed { said, .. } = machine.deploy("first", anew()).unwrap();
    assert!(said.contains("new: bios"), "{said}");
}

#[test]
fn an_emptied_first_sector_is_written_again_and_nothing_is_lost() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", with_data()).unwrap();
    machine.scribble(Role::Data, 1 << 20, b"precious");
    machine.overwrite(0, &[0; 512]);
    let Deployed { said, .. } = machine.deploy("first", with_data()).unwrap();
    assert!(said.contains("kept: bios"), "{said}");
    assert!(machine.boots() && machine.read(Role::Data, 1 << 20, 8) == b"precious");
    // Where there is no sound table behind it, what is there is seen.
    machine.deploy_over("second", with_data(), Some(Stopping::after(2))).unwrap_err();
    machine.overwrite(0, &[0; 512]);
    machine.overwrite(FOURTH_NAME_AT, b"D");
    let said = refused(&machine, with_data());
    assert!(said.contains("3 ext4 \"root\""), "{said}");
}

#[test]
fn what_somebody_else_has_on_a_disk_stays() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    let path = machine.name();
    let path = Path::new(&path);
    FileSystem::Ext4.make(path, deploy::layout::Guid([7; 16]), "precious").unwrap();
    let said = refused(&machine, options());
    let none = "there is no GUID partition table for sectors of 512 bytes";
    assert_eq!(said, format!("it holds ext4 \"precious\": {none}"));

    machine.overwrite(0, &vec![0; 1 << 20]);
    partition(path, "label: dos\n2048,100M,83\n");
    let said = refused(&machine, machine::Options { keep: vec!["srv"], ..options() });
    assert_eq!(said, format!("it holds mbr: 1 unknown: {none}"));

    partition(path, "label: gpt\n");
    let said = refused(&machine, options());
    assert!(said.starts_with("its layout does not fit: there is no bios partition"), "{said}");
    machine.deploy("first", anew()).unwrap();
}

fn partition(disk: &Path, script: &str) {
    let mut sfdisk = Command::new("sfdisk");
    let sfdisk = sfdisk.args(["-q", "--wipe", "always", "--no-reread", "--no-tell-kernel"]);
    let mut child = sfdisk.arg(disk).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_disk_that_was_given_away_is_gone_on_with_wherever_it_was_cut_off() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", options()).unwrap();
    let first = machine.save();
    let given = || machine::Options { anew: true, ..with_data() };
    for stop_after in 0.. {
        machine.restore(&first);
        let medium = Stopping::after(stop_after);
        let is_stopped = medium.stopped();
        let ended = machine.deploy_over("second", given(), Some(medium));
        if !is_stopped.load(Ordering::Relaxed) {
            assert!(ended.is_ok());
            break;
        }
        let holds = || ["first", "second"].iter().any(|label| machine.holds(label));
        assert!(!machine.boots() || holds(), "after {stop_after} writes");
        // What was there before is refused as long as all of it is there, and only then.
        if let Err(refused) = machine.deploy("second", with_data()) {
            assert!(matches!(refused, Error::Layout { .. }), "{refused}");
            assert!(stop_after < 3, "after {stop_after} writes: {refused}");
            machine.deploy("second", given()).unwrap();
        }
        assert!(machine.boots() && machine.holds("second"), "after {stop_after} writes");
    }
}

#[test]
fn a_partition_is_no_disk() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", with_data()).unwrap();
    let before = machine.bytes();
    let node = machine.node(Role::Data);
    let refused = Disk::open(&node).unwrap_err();
    assert_eq!(refused.category(), Category::Refused);
    let expected =
        format!("{}: expected a disk that takes partitions, found a partition", node.display());
    assert_eq!(refused.to_string(), expected);
    assert!(machine.bytes() == before, "a refusal wrote something");
}

#[test]
fn what_was_mounted_since_the_plan_is_not_wiped() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", with_data()).unwrap();
    let larger = machine::Options { data_bytes: Some(96 << 20), anew: true, ..options() };
    let (plan, _) = machine.plan::<Wrap>("second", larger, None, Access::ReadOnly).unwrap();
    let mounted = machine.mounted(Role::Data);
    let before = machine.bytes();
    let refused = write(plan).err().unwrap();
    assert!(refused.to_string().contains(" is in use: mounted, or held by"), "{refused}");
    assert!(machine.bytes() == before, "a refusal wrote something");
    drop(mounted);
}
