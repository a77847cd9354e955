//! Trees onto disks: laid out, kept, made pristine, and never half of anything that boots.
#![allow(clippy::unwrap_used, reason = "a failed step is the test's failure")]

#[path = "../common/disks.rs"]
mod disks;
mod local;
mod machine;
mod medium;
mod refusals;

use deploy::install::Own;
use deploy::layout::Role;
use deploy::volumes::FileSystem;
use deploy::{Category, Error};
use machine::{Bench, Deployed, Machine, kernel, options};
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use store::Digest;

/// Writes until the table of a disk with four partitions is there: mark, first sector, start, end,
/// each partition's start, backup, table, first sector.
const TABLE_WRITES: usize = 11;

#[test]
fn a_blank_disk_boots_what_it_was_given_and_the_same_again_writes_nothing() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    let own = Own { hostname: Some("web1".into()), ..Own::default() };
    let options = || machine::Options { own: own.clone(), ..options() };
    let Deployed { said, snapshot, command_line, .. } = machine.deploy("first", options()).unwrap();
    assert!(said.contains("new: bios 1.0 MiB, esp 64.0 MiB, root"), "{said}");
    assert!(snapshot.fetched_objects > 0);
    assert!(command_line.starts_with("root=UUID=") && command_line.ends_with(" ro quiet"));

    let root = machine.root();
    assert_eq!(fs::read(root.path().join("boot/linux")).unwrap(), kernel("first"));
    assert_eq!(fs::read_to_string(root.path().join("etc/hostname")).unwrap(), "web1\n");
    let fstab = fs::read_to_string(root.path().join("etc/fstab")).unwrap();
    assert!(fstab.contains(" / ext4 errors=remount-ro 0 1\n"), "{fstab}");
    let label = fs::read_to_string(root.path().join("etc/inaugurator/label")).unwrap();
    assert!(label.contains("\nname first\n"), "{label}");
    drop(root);
    let entry = machine.esp_file("loader/entries/inaugurator.conf");
    let entry = String::from_utf8(entry).unwrap();
    assert!(entry.contains(&format!("options {command_line}\n")), "{entry}");
    let on_esp = entry.lines().find_map(|line| line.strip_prefix("linux /")).unwrap();
    assert_eq!(machine.esp_file(on_esp), kernel("first"));
    assert_eq!(machine.esp_file("EFI/BOOT/BOOTX64.EFI"), b"a boot loader");

    let before = machine.bytes();
    let again = machine.deploy("first", options()).unwrap();
    assert!(again.said.ends_with("nothing is to be written"), "{}", again.said);
    assert_eq!((again.snapshot.fetched_objects, again.snapshot.written_bytes), (0, 0));
    assert!(machine.bytes() == before, "a byte of the disk has changed");
}

#[test]
fn a_plan_leaves_a_disk_with_a_journal_to_carry_out_as_it_is() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", options()).unwrap();
    machine.leave_unclean();
    let before = machine.bytes();
    let said = machine.show_plan("first", options()).unwrap();
    assert!(said.contains("kept: bios"), "{said}");
    assert!(machine.bytes() == before, "a plan changed the disk");
    machine.deploy("first", options()).unwrap();
    machine.fsck();
}

#[test]
fn a_disk_with_large_sectors_is_no_other() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 4096);
    machine.deploy("first", options()).unwrap();
    assert_eq!(machine.esp_file("EFI/BOOT/BOOTX64.EFI"), b"a boot loader");
    let again = machine.deploy("first", options()).unwrap();
    assert!(again.said.ends_with("nothing is to be written"), "{}", again.said);
}

#[test]
fn what_a_running_system_left_is_made_pristine_but_for_what_is_kept() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    let kept = || machine::Options { keep: vec!["srv/kept"], ..options() };
    machine.deploy("first", kept()).unwrap();
    let root = machine.root();
    let at = |path: &str| root.path().join(path);
    fs::write(at("etc/config"), "edited").unwrap();
    fs::remove_file(at("boot/linux")).unwrap();
    fs::set_permissions(at("etc"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir_all(at("srv/kept/data")).unwrap();
    fs::write(at("srv/kept/data/file"), "mine").unwrap();
    fs::write(at("log"), vec![1; 1 << 20]).unwrap();
    drop(root);
    // The running system mounted the EFI system partition as well.
    machine.scribble(Role::Esp, 65, b"dirty");
    for label in ["first", "second"] {
        let deployed = machine.deploy(label, kept()).unwrap();
        let layout = "kept: bios 1.0 MiB, esp 64.0 MiB made anew, root";
        assert!(deployed.said.contains(layout), "{}", deployed.said);
        let root = machine.root();
        assert_eq!(fs::read_to_string(root.path().join("srv/kept/data/file")).unwrap(), "mine");
        assert_eq!(fs::read(root.path().join("boot/linux")).unwrap(), kernel(label));
        assert_eq!(fs::read_to_string(root.path().join("etc/config")).unwrap(), label);
        assert!(!root.path().join("log").exists());
        drop(root);
        machine.fsck();
        let again = machine.deploy(label, kept()).unwrap();
        assert!(again.said.ends_with("nothing is to be written"), "{}", again.said);
        assert!(!again.said.contains("made anew"), "{}", again.said);
    }
}

#[test]
fn roots_password_is_changed_and_the_label_is_not_asked_for_it_again() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    let own = Own {
        root_password: Some("$6$salt$hash".into()),
        ssh_keys: vec!["ssh-ed25519 AAAAC3 me".into()],
        ..Own::default()
    };
    let options = || machine::Options { own: own.clone(), ..options() };
    machine.deploy("first", options()).unwrap();
    let root = machine.root();
    let shadow = root.path().join("etc/shadow");
    assert_eq!(fs::read_to_string(&shadow).unwrap(), "root:$6$salt$hash:1:\nbin:*:2:\n");
    assert_eq!(fs::metadata(&shadow).unwrap().permissions().mode() & 0o7777, 0o640);
    let keys = root.path().join("root/.ssh/authorized_keys");
    assert_eq!(fs::read_to_string(keys).unwrap(), "ssh-ed25519 AAAAC3 me\n");
    let mode = fs::metadata(root.path().join("root/.ssh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    fs::write(&shadow, "root::0:\n").unwrap();
    drop(root);
    let again = machine.deploy("first", options()).unwrap();
    assert_eq!(again.snapshot.fetched_objects, 0);
    let root = machine.root();
    let found = fs::read_to_string(root.path().join("etc/shadow")).unwrap();
    assert_eq!(found, "root:$6$salt$hash:1:\nbin:*:2:\n");
}

#[test]
fn a_password_that_cannot_be_set_is_an_error_before_anything_is_written() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    let own = Own { root_password: Some("$6$salt$hash".into()), ..Own::default() };
    let shadow = bench.tree("first").join("etc/shadow");
    let before = machine.bytes();
    let refused = |found: &str| {
        bench.push_tree("first", "quiet");
        let options = machine::Options { own: own.clone(), ..options() };
        let refused = machine.deploy("first", options).unwrap_err();
        assert_eq!(refused.category(), Category::Refused);
        let expected = "root's password cannot be set: expected etc/shadow with root in the label";
        assert_eq!(refused.to_string(), format!("{expected}, found {found}"));
    };
    fs::write(&shadow, "toor:*:1:\n").unwrap();
    refused("no line of root's");
    fs::remove_file(&shadow).unwrap();
    refused("no regular file of at most 1048576 bytes");
    std::os::unix::fs::symlink("/etc/passwd", &shadow).unwrap();
    refused("no regular file of at most 1048576 bytes");
    assert!(machine.bytes() == before, "a refusal wrote something");
}

#[test]
fn a_layout_that_does_not_fit_is_only_changed_when_told() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", options()).unwrap();
    let before = machine.bytes();
    let with_data = |anew| machine::Options { data_bytes: Some(64 << 20), anew, ..options() };
    let refused = machine.deploy("first", with_data(false)).unwrap_err();
    assert_eq!(refused.category(), Category::Refused);
    assert!(matches!(refused, Error::Layout { .. }), "{refused}");
    assert_eq!(
        refused.to_string(),
        format!(
            "{} cannot take the tree; to lay it out anew, losing everything on it, say so",
            machine.name()
        )
    );
    assert!(machine.bytes() == before, "a refusal wrote something");
    let deployed = machine.deploy("first", with_data(true)).unwrap();
    assert!(deployed.said.contains("data 64.0 MiB"), "{}", deployed.said);
    // Fits now, and what is on the data partition stays through labels.
    machine.scribble(Role::Data, 1 << 20, b"precious");
    let next = machine.deploy("second", with_data(false)).unwrap();
    assert!(next.said.contains("kept: bios"), "{}", next.said);
    assert_eq!(machine.read(Role::Data, 1 << 20, 8), b"precious");
}

#[test]
fn a_root_that_is_broken_is_made_anew_unless_something_on_it_is_to_be_kept() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", options()).unwrap();
    machine.scribble(Role::Root, 1024, &[0; 1024]);
    let kept = machine::Options { keep: vec!["srv"], ..options() };
    let refused = machine.deploy("first", kept).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "the root partition has no file system that is known: srv on {} cannot be kept; to \
             give it up, say so",
            machine.name()
        )
    );
    let deployed = machine.deploy("first", options()).unwrap();
    assert!(deployed.said.contains("is made: the root partition has no"), "{}", deployed.said);
    machine.fsck();
}

#[test]
fn a_disk_that_stops_at_any_moment_boots_nothing_or_all_of_one_label() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", options()).unwrap();
    let first = machine.save();
    let mut ends = 0;
    for stop_after in 0.. {
        machine.restore(&first);
        let medium = medium::Stopping::after(stop_after);
        let is_stopped = medium.stopped();
        let ended = machine.deploy_over("second", options(), Some(medium));
        let was_stopped = is_stopped.load(Ordering::Relaxed);
        assert_eq!(ended.is_err(), was_stopped, "after {stop_after} writes: {ended:?}");
        if machine.boots() {
            let holds = ["first", "second"].map(|label| machine.holds(label));
            assert!(holds.iter().any(|holds| *holds), "boots a half after {stop_after} writes");
        }
        let next = machine.deploy("second", options()).unwrap();
        assert!(machine.boots() && machine.holds("second"), "{}", next.said);
        if !was_stopped {
            ends = stop_after;
            break;
        }
    }
    // The mark, the gate, the files of the EFI system partition, the gate, the mark.
    assert!((6..40).contains(&ends), "{ends} writes");
}

#[test]
fn a_new_layout_that_is_cut_off_at_any_moment_is_ours_and_is_gone_on_with() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    let blank = machine.save();
    let all = || machine::Options {
        swap_bytes: Some(8 << 20),
        data_bytes: Some(32 << 20),
        keep: vec!["srv/kept"],
        ..options()
    };
    for stop_after in 0.. {
        machine.restore(&blank);
        let medium = medium::Stopping::after(stop_after);
        let is_stopped = medium.stopped();
        let ended = machine.deploy_over("first", all(), Some(medium));
        if !is_stopped.load(Ordering::Relaxed) {
            assert!(ended.is_ok() && machine.has_swap_and_data());
            break;
        }
        assert!(!machine.boots() || machine.holds("first"), "after {stop_after} writes");
        assert!(stop_after == 0 || machine.is_ours(), "after {stop_after} writes");
        if stop_after % 2 == 1 {
            machine.half_make_data();
        }
        machine.deploy("first", all()).unwrap();
        assert!(machine.boots() && machine.holds("first"));
        assert!(machine.has_swap_and_data(), "after {stop_after} writes");
    }
}

#[test]
fn a_data_partition_is_somebodys_once_somebody_elses_table_is_there() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    let with_data = || machine::Options { data_bytes: Some(32 << 20), ..options() };
    let medium = medium::Stopping::after(TABLE_WRITES);
    machine.deploy_over("first", with_data(), Some(medium)).unwrap_err();
    let renamed = Command::new("sgdisk").args(["-U", "R", &machine.name()]).output().unwrap();
    assert!(renamed.status.success());
    machine.half_make_data();
    machine.scribble(Role::Data, 9000, b"precious");
    machine.deploy("first", with_data()).unwrap();
    assert_eq!(machine.read(Role::Data, 9000, 8), b"precious");
    assert_eq!(machine.read(Role::Data, 1024, 4), [0; 4]);
}

#[test]
fn swap_is_made_each_time_and_data_where_there_is_none() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    let all =
        || machine::Options { swap_bytes: Some(8 << 20), data_bytes: Some(32 << 20), ..options() };
    machine.deploy("first", all()).unwrap();
    // As a system leaves it that hibernates.
    machine.scribble(Role::Swap, 4086, b"S1SUSPEND\0");
    machine.scribble(Role::Data, 20 << 20, b"precious");
    machine.deploy("second", all()).unwrap();
    assert!(machine.has_swap_and_data());
    assert_eq!(machine.read(Role::Data, 20 << 20, 8), b"precious");
    machine.scribble(Role::Data, 0, &vec![0; 1 << 20]);
    machine.deploy("second", all()).unwrap();
    assert!(machine.has_swap_and_data());
    // What nobody knows is somebody's.
    machine.scribble(Role::Data, 0, &vec![0; 1 << 20]);
    machine.scribble(Role::Data, 9000, b"precious");
    machine.deploy("first", all()).unwrap();
    assert_eq!(machine.read(Role::Data, 9000, 8), b"precious");
    assert_eq!(machine.read(Role::Data, 1024, 4), [0; 4]);
}

#[test]
fn a_table_that_no_firmware_sees_is_mended() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", options()).unwrap();
    let first = || {
        let mut sector = [0; 512];
        machine.file().read_exact_at(&mut sector, 0).map(|()| sector).unwrap()
    };
    let before = first();
    let device = fs::File::options().write(true).open(machine.name()).unwrap();
    device.write_all_at(&[0; 512], 0).unwrap();
    device.sync_all().unwrap();
    assert!(!machine.boots());
    let mended = machine.deploy("first", options()).unwrap();
    assert!(mended.said.contains("kept: bios"), "{}", mended.said);
    assert!(machine.boots());
    assert_eq!(first(), before);
}

#[test]
fn what_reads_back_wrong_outside_of_the_root_is_an_error_and_does_not_boot() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", options()).unwrap();
    let esp = machine.table().partition(Role::Esp).unwrap().clone();
    // Within the second FAT and the first file: not the gate.
    let lost = medium::Losing::writes_to(esp.start_bytes + 4096..esp.start_bytes + esp.size_bytes);
    let refused = machine.deploy_over("second", options(), Some(lost)).unwrap_err();
    assert_eq!(refused.category(), Category::Verification, "{refused}");
    let Error::ReadBack { offset_bytes, bytes, expected, found, .. } = refused else {
        panic!("{refused}")
    };
    assert!(offset_bytes >= esp.start_bytes && bytes <= 1 << 20);
    let digest = |at: u64, length: u64| {
        let bytes = machine.read(Role::Esp, at - esp.start_bytes, length as usize);
        Digest::of(&bytes).to_string()
    };
    assert_eq!(found, digest(offset_bytes, bytes));
    assert_ne!(expected, found);
    assert!(!machine.boots());
}

#[test]
fn a_kernel_that_reads_wrong_after_the_root_was_proven_goes_nowhere() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", options()).unwrap();
    let esp = machine.table().partition(Role::Esp).unwrap().clone();
    // Once the EFI system partition is written behind its gate, the root is proven already.
    let behind_gate = esp.start_bytes + 4096..esp.start_bytes + esp.size_bytes;
    let spoiling = medium::Spoiling::when_written(behind_gate, machine.rotting("boot/linux"));
    let refused = machine.deploy_over("second", options(), Some(spoiling)).unwrap_err();
    assert_eq!(refused.category(), Category::Verification, "{refused}");
    assert!(refused.to_string().contains("boot/linux reads back wrong at 0, "), "{refused}");
    assert!(!machine.boots());
}

#[test]
fn a_core_that_cannot_be_made_is_done_without_where_there_is_another_loader() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    let tree = bench.tree("first");
    for (path, content) in [
        ("usr/bin/grub-mkimage", &b"#!/bin/nothing"[..]),
        ("usr/lib/grub/i386-pc/normal.mod", b""),
        ("usr/lib/grub/i386-pc/boot.img", &[0; 512]),
    ] {
        fs::create_dir_all(tree.join(path).parent().unwrap()).unwrap();
        fs::write(tree.join(path), content).unwrap();
    }
    let mkimage = tree.join("usr/bin/grub-mkimage");
    fs::set_permissions(mkimage, fs::Permissions::from_mode(0o755)).unwrap();
    bench.push_tree("first", "quiet");
    let deployed = machine.deploy("first", options()).unwrap();
    assert_eq!((deployed.boots.uefi, deployed.boots.bios), (true, false));
    let why = deployed.lacks.unwrap();
    let expected = "no boot loader for a BIOS: cannot make GRUB's core: cannot run ";
    assert!(why.starts_with(expected), "{why}");
    assert!(machine.boots());
    let again = machine.deploy("first", options()).unwrap();
    assert!(again.said.ends_with("nothing is to be written"), "{}", again.said);
    // Without another one it is an error.
    fs::remove_file(tree.join("usr/lib/systemd/boot/efi/systemd-bootx64.efi")).unwrap();
    bench.push_tree("first", "quiet");
    let failed = machine.deploy("first", options()).unwrap_err();
    assert!(matches!(failed, Error::Core(_)), "{failed}");
}

#[test]
fn a_file_system_that_cannot_be_made_is_refused_before_anything_is_written() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", options()).unwrap();
    let before = machine.bytes();
    let kind = [FileSystem::Xfs, FileSystem::Btrfs].into_iter().find(|kind| {
        let path = |dir: &str| Path::new(dir).join(kind.maker());
        !["/usr/sbin", "/sbin", "/usr/bin", "/bin"].iter().any(|dir| path(dir).exists())
    });
    // A host that has all of them refuses none.
    let Some(root_kind) = kind else { return };
    let anew = machine::Options { root_kind: Some(root_kind), anew: true, ..options() };
    let refused = machine.deploy("first", anew).unwrap_err();
    assert_eq!(refused.category(), Category::Refused, "{refused}");
    assert!(matches!(refused, Error::Unmakeable { role: Role::Root, .. }), "{refused}");
    assert!(machine.bytes() == before, "a refusal wrote something");
    // Too small for the data partition that is to be made.
    let small = machine::Options { data_bytes: Some(2 << 20), anew: true, ..options() };
    let refused = machine.deploy("first", small).unwrap_err();
    assert!(matches!(refused, Error::Unmakeable { role: Role::Data, .. }), "{refused}");
    assert!(machine.bytes() == before, "a refusal wrote something");
}

#[test]
fn the_same_bytes_are_read_by_others() {
    let bench = Bench::new();
    let machine = Machine::new(&bench, 512);
    machine.deploy("first", options()).unwrap();
    machine.fsck();
    let mut magic = [0; 2];
    machine.file().read_exact_at(&mut magic, 510).unwrap();
    assert_eq!(magic, [0x55, 0xaa]);
}
