//! Partitions and file systems on a block device.
#![allow(clippy::unwrap_used, reason = "a failed step is the test's failure")]

mod common;

use common::disks::Loop;
use deploy::layout::{Extent, Found, Guid, Layout, Role, Wanted, decide};
use deploy::volumes::{Access, FileSystem, Mounted, node_of, show_partitions};
use rustix::fs::{Mode, OFlags, openat};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::process::Command;

/// 2^30 bytes.
const GIB: u64 = 1 << 30;

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_made_layout_is_seen_formatted_mounted_and_released() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(GIB).unwrap();
    let disk = Loop::over(file.path(), 512);
    let device = File::options().read(true).write(true).open(disk.path()).unwrap();
    let extent = Extent { size_bytes: GIB, sector_bytes: 512 };
    let wanted = Wanted { swap_bytes: Some(8 << 20), ..Wanted::default() };
    for _ in 0..2 {
        let layout = decide(extent, Found::Nothing, &wanted, false, &mut random).unwrap();
        let Layout::Make(table) = layout else { panic!("there is nothing to keep") };
        device.write_all_at(&table.head(), 0).unwrap();
        show_partitions(&device, "disk", &table).unwrap();
        let root = table.partition(Role::Root).unwrap();
        let node = node_of(&device, "disk", root).unwrap();
        let uuid = Guid::random(random());
        FileSystem::Ext4.make(&node, uuid, "root").unwrap();
        let mut blkid = Command::new("blkid");
        let said = blkid.args(["-p", "-s", "UUID", "-o", "value"]).arg(&node).output().unwrap();
        let said = said.stdout;
        assert_eq!(String::from_utf8(said).unwrap().trim(), uuid.to_string());

        let mounted = Mounted::open(&node, FileSystem::Ext4, Access::ReadWrite).unwrap();
        let flags = OFlags::CREATE | OFlags::WRONLY;
        let made = openat(mounted.root(), "file", flags, Mode::RUSR).unwrap();
        File::from(made).write_all(b"content").unwrap();
        mounted.release().unwrap();

        let mounted = Mounted::open(&node, FileSystem::Ext4, Access::ReadOnly).unwrap();
        let found = openat(mounted.root(), "file", OFlags::RDONLY, Mode::empty()).unwrap();
        let mut content = String::new();
        File::from(found).read_to_string(&mut content).unwrap();
        assert_eq!(content, "content");
        assert!(mounted.release().is_ok(), "a file that was closed holds nothing");
    }
}

#[test]
fn what_is_still_open_is_said() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(GIB / 8).unwrap();
    let disk = Loop::over(file.path(), 512);
    FileSystem::Ext4.make(disk.path(), Guid::random(random()), "root").unwrap();
    let mounted = Mounted::open(disk.path(), FileSystem::Ext4, Access::ReadWrite).unwrap();
    let held = openat(mounted.root(), ".", OFlags::DIRECTORY, Mode::empty()).unwrap();
    let refused = mounted.release().unwrap_err().to_string();
    assert!(refused.starts_with("cannot look at /dev/loop"), "{refused}");
    drop(held);
}
