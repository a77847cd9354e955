//! A machine as QEMU's command line: a pure function of its value.

use crate::accel::Accel;
use crate::devices::disk_arguments;
use crate::firmware::firmware_arguments;
use crate::machine::Machine;
use std::path::Path;

/// Everything but the monitor. `variables` is the machine's own copy of what its UEFI keeps.
pub(crate) fn arguments(machine: &Machine, accel: Accel, variables: &Path) -> Vec<String> {
    let mut all = words(&["-nodefaults", "-no-user-config", "-display", "none"]);
    all.extend(words(&["-serial", "stdio"]));
    all.extend(words(&accel.arguments()));
    all.extend(words(&["-m", &machine.memory_mib.to_string(), "-smp", &machine.cpus.to_string()]));
    // Without it a fresh kernel may wait for entropy before it answers.
    all.extend(words(&["-device", "virtio-rng-pci"]));
    if !machine.reboots {
        all.push("-no-reboot".into());
    }
    if let Some(start) = &machine.clock {
        all.extend(words(&["-rtc", &format!("base={start}")]));
    }
    all.extend(firmware_arguments(&machine.firmware, variables));
    all.extend(disk_arguments(&machine.disks));
    all.extend(machine.nics.iter().enumerate().flat_map(|(index, nic)| nic.arguments(index)));
    all.extend(machine.extra.iter().cloned());
    all
}

/// A path as a value in QEMU's `key=value,...`, where a comma is doubled.
pub(crate) fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bus, Disk, Firmware, Nic, NicModel};

    #[test]
    fn a_machine_reads_as_a_command_line() {
        let machine = Machine {
            memory_mib: 256,
            cpus: 2,
            disks: vec![
                Disk { serial: "S1".into(), ..Disk::at("/a,b.raw") },
                Disk { bus: Bus::Nvme, sector_size: 4096, ..Disk::at("/n.raw") },
                Disk { bus: Bus::Ahci, ..Disk::at("/s.raw") },
                Disk { bus: Bus::AhciCd, ..Disk::at("/c.iso") },
                Disk { bus: Bus::Usb, boot_index: Some(1), ..Disk::at("/u.img") },
            ],
            nics: vec![
                Nic { restrict: true, ..Nic::of(NicModel::E1000) },
                Nic { rom: true, boots: Some(1), ..Nic::on_tap("tap0") },
                Nic::on_socket("/a,b.socket"),
            ],
            clock: Some("1970-01-01T00:00:10".into()),
            ..Machine::direct("/k", "/i", "console=ttyS0")
        };
        let found = arguments(&machine, Accel::Tcg, Path::new("/unused")).join(" ");
        for expected in [
            "-m 256 -smp 2",
            "-no-reboot",
            "-rtc base=1970-01-01T00:00:10",
            "-kernel /k -initrd /i -append console=ttyS0",
            "-device ich9-ahci,id=ahci -device qemu-xhci,id=usb -blockdev",
            "file.filename=/a,,b.raw",
            "-device virtio-blk-pci,id=disk0-device,drive=disk0,logical_block_size=512,\
             physical_block_size=512,serial=S1,werror=report,rerror=report",
            "-device nvme,id=disk1-device,drive=disk1,logical_block_size=4096,\
             physical_block_size=4096,serial=nvme1 ",
            "-device ide-hd,bus=ahci.0,id=disk2-device",
            "node-name=disk3,read-only=on",
            "-device ide-cd,bus=ahci.1,id=disk3-device,drive=disk3 ",
            "-device usb-storage,bus=usb.0,removable=on,id=disk4-device,drive=disk4,\
             logical_block_size=512,physical_block_size=512,bootindex=1,",
            "-netdev user,id=nic0-net,restrict=on",
            "-device e1000,id=nic0,netdev=nic0-net,mac=52:54:00:1a:06:00,romfile= ",
            "-netdev tap,ifname=tap0,script=no,downscript=no,id=nic1-net",
            "-device virtio-net-pci,id=nic1,netdev=nic1-net,mac=52:54:00:1a:06:01,bootindex=1",
            "-netdev stream,server=off,addr.type=unix,addr.path=/a,,b.socket,id=nic2-net",
        ] {
            assert!(found.contains(expected), "{expected}\nis not in\n{found}");
        }
        assert!(!found.contains("virtio-scsi"), "{found}");
    }

    #[test]
    fn secure_boot_is_another_build_that_guards_its_variables() {
        let machine = Machine { firmware: Firmware::SecureBoot, ..Machine::default() };
        let found = arguments(&machine, Accel::Tcg, Path::new("/v")).join(" ");
        for expected in [
            "readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
            "-drive if=pflash,format=raw,file=/v",
            "-machine q35,smm=on",
            "-global driver=cfi.pflash01,property=secure,value=on",
        ] {
            assert!(found.contains(expected), "{expected}\nis not in\n{found}");
        }
    }
}
