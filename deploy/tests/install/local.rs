//! Content that is kept on the disk's data partition.

use crate::machine::{Bench, Deployed, Machine, Options, kernel, options};
use deploy::layout::Role;
use deploy::{Category, Error};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const DATA_BYTES: u64 = 64 << 20;
const STORE_BYTES: u64 = 32 << 20;

fn with_store(max_bytes: u64) -> Options {
    let (data_bytes, local_store_bytes) = (Some(DATA_BYTES), Some(max_bytes));
    Options { data_bytes, local_store_bytes, ..options() }
}

#[test]
fn what_came_from_far_is_on_the_data_partition_the_next_time() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    let cold = machine.deploy("first", with_store(STORE_BYTES)).unwrap();
    assert!(cold.kept.unwrap().kept_bytes > 0 && cold.passed_over.is_empty(), "{cold:?}");
    let next = machine.deploy("second", with_store(STORE_BYTES)).unwrap();
    assert!(next.snapshot.fetched_objects > 0 && next.kept.unwrap().kept_bytes > 0, "{next:?}");
    bench.lose_packs();
    let back = machine.deploy("first", with_store(STORE_BYTES)).unwrap();
    assert_eq!((back.snapshot.fetched_objects, back.kept.unwrap().kept_bytes), (0, 0));
    assert!(back.snapshot.near_objects > 0 && back.passed_over.is_empty(), "{back:?}");
    let near = back.said.lines().find(|line| line.starts_with("near")).unwrap();
    assert!(near.ends_with(&format!(": in local store of {}", machine.name())), "{near}");
    assert_eq!(fs::read(machine.root().path().join("boot/linux")).unwrap(), kernel("first"));

    // It has been unmounted well, and is for nobody but root.
    let fsck = Command::new("e2fsck").args(["-f", "-n"]).arg(machine.node(Role::Data)).output();
    assert!(fsck.unwrap().status.success());
    let data = machine.mounted(Role::Data);
    let mode = fs::metadata(data.path().join(".inaugurator")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(data.path().join(".inaugurator/store/packs").read_dir().unwrap().count() > 0);
}

#[test]
fn a_root_that_has_to_be_made_anew_is_made_of_what_is_near() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", with_store(STORE_BYTES)).unwrap();
    machine.scribble(Role::Root, 1024, &[0; 1024]);
    bench.lose_packs();
    let anew = machine.deploy("first", with_store(STORE_BYTES)).unwrap();
    assert!(anew.said.contains("fetch   0 objects, 0 B: 0 B packed"), "{}", anew.said);
    assert_eq!(anew.snapshot.fetched_objects, 0);
    machine.fsck();
}

#[test]
fn what_was_of_use_the_longest_time_ago_makes_room() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    let first = machine.deploy("first", with_store(STORE_BYTES)).unwrap().kept.unwrap();
    let limit = first.size_bytes + first.size_bytes / 2;
    let second = machine.deploy("second", with_store(limit)).unwrap().kept.unwrap();
    assert!(second.kept_bytes > 0 && second.removed_packs > 0, "{second:?}");
    assert!(second.size_bytes <= limit, "{second:?}");
}

#[test]
fn a_data_partition_that_cannot_be_used_is_passed_over_and_said() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", with_store(STORE_BYTES)).unwrap();
    let sound = machine.save();
    // Where the superblock says what a kernel must know to mount it; and all of the superblock.
    for (offset, bytes, why) in [
        (1024 + 0x60, &[0xff; 4][..], "cannot mount"),
        (1024, &[0; 1024], "the data partition has no file system that is known"),
    ] {
        machine.restore(&sound);
        machine.scribble(Role::Data, offset, bytes);
        let Deployed { kept, passed_over, snapshot, .. } =
            machine.deploy("second", with_store(STORE_BYTES)).unwrap();
        assert!(kept.is_none() && snapshot.fetched_objects > 0);
        assert!(passed_over.len() == 1 && passed_over[0].contains(why), "{passed_over:?}");
        assert!(machine.boots() && machine.holds("second"));
    }
}

#[test]
fn a_local_store_needs_a_data_partition_and_a_plan_leaves_it_alone() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    let blank = machine.bytes();
    let without = Options { data_bytes: None, ..with_store(STORE_BYTES) };
    let refused = machine.deploy("first", without).unwrap_err();
    assert_eq!(refused.category(), Category::Refused);
    assert!(matches!(refused, Error::NowhereLocal { .. }), "{refused}");
    assert!(machine.bytes() == blank, "a refusal wrote something");
    machine.deploy("first", with_store(STORE_BYTES)).unwrap();
    let before = machine.bytes();
    let said = machine.show_plan("second", with_store(STORE_BYTES)).unwrap();
    assert!(said.contains("fetch ") && !said.contains("near "), "{said}");
    assert!(machine.bytes() == before, "a plan wrote something");
}
