//! Bonds and VLANs against the kernel's own at the other end of the cables: a second machine, which
//! makes them with busybox and serves addresses and the store over them. Nothing of ours is there but
//! the kernel.

use crate::case::{Bench, LABEL};
use crate::lab;
use anyhow::{Context, Result, ensure};
use qemu_tests::{Disk, Machine, Nic, NicModel, Running, deadline, environment, newc_of};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Of Debian's package `busybox-static`.
const BUSYBOX: &str = "/bin/busybox";

/// What the other machine does, told the mode of its bond. It says when it serves, and when its bond
/// is as it has to be; by LACP, that it has found a partner of ours.
const SETUP: &str = "\
/busybox mkdir -p /proc /sys /bin
/busybox mount -t proc proc /proc
/busybox mount -t sysfs sysfs /sys
/busybox --install -s /bin
export PATH=/bin
tar xf /store.tar
bond=/sys/class/net/bond0/bonding
ip link set bond0 down
echo MODE > $bond/mode
echo 100 > $bond/miimon
for port in eth0 eth1; do ip link set $port down; echo +$port > $bond/slaves; done
ip link set bond0 up
vconfig add bond0 20
ip addr add 10.77.0.1/24 dev bond0.20
ip link set bond0.20 up
touch /leases
udhcpd /udhcpd.conf
httpd -h /store
echo 'peer: serves'
until grep -q 'CHECK' /proc/net/bonding/bond0; do sleep 1; done
echo 'peer: its bond is as told'
until false; do sleep 1000; done
";

const UDHCPD: &str = "\
start 10.77.0.100
end 10.77.0.110
interface bond0.20
lease_file /leases
pidfile /udhcpd.pid
option subnet 255.255.255.0
option lease 600
";

/// How both ends make their bond.
struct Mode {
    /// The machine's `mode=` and what goes with it.
    options: &'static str,
    /// The other end's.
    there: &'static str,
    /// What that shows when it works.
    shown: &'static str,
}

const MODES: [Mode; 2] = [
    Mode {
        options: "mode=802.3ad,lacp_rate=fast",
        there: "802.3ad",
        shown: "system mac address: 52:54:00:1a:06:0",
    },
    // Which port is in use is each end's own choice, so the other one uses both.
    Mode {
        options: "mode=active-backup",
        there: "broadcast",
        shown: "Bonding Mode: fault-tolerance (broadcast)",
    },
];

#[test]
fn bonds_and_vlans_work_with_the_kernel_at_the_other_end() -> Result<()> {
    let bench = Bench::new()?;
    for mode in &MODES {
        deployed(&bench, mode).with_context(|| format!("bond with {}", mode.options))?;
    }
    Ok(())
}

fn deployed(bench: &Bench, mode: &Mode) -> Result<()> {
    let cables = ["a", "b"].map(|end| bench.path(&format!("{}-{end}", mode.there)));
    let mut peer = peer(bench, mode, &cables)?;
    peer.expect("peer: serves", deadline::INAUGURATE)?;
    let file = bench.path(&format!("{}.disk", mode.there));
    let disk = Disk::empty(&file, fs::metadata(bench.raw())?.len())?;
    let told = format!(
        "inaugurator.store=http://10.77.0.1 inaugurator.label={LABEL} inaugurator.onfail=poweroff \
         inaugurator.then=poweroff bond=up:eth0,eth1:{} vlan=up.20:up",
        mode.options
    );
    let mut machine = Machine {
        memory_mib: 256,
        disks: vec![disk],
        nics: cables.iter().map(|cable| card(Nic::on_socket(cable))).collect(),
        ..Machine::direct(environment::kernel()?, environment::init()?, &told)
    }
    .start()?;
    let ended = machine.expect("init: powering off", deadline::INAUGURATE);
    let (said, there) = (machine.console().text(), peer.console().text());
    ended.with_context(|| format!("{said}\nthe other end:\n{there}"))?;
    peer.expect("peer: its bond is as told", deadline::INAUGURATE)?;
    machine.kill()?;
    peer.kill()?;
    ensure!(said.contains("up.20 has lease 10.77.0.10"), "no lease over the VLAN\n{said}");
    ensure!(lab::same_but_mark(&file, &bench.raw())?, "other bytes\n{said}");
    Ok(())
}

/// The machine at the other end, where the cables begin.
fn peer(bench: &Bench, mode: &Mode, cables: &[impl AsRef<Path>]) -> Result<Running> {
    let tar = bench.path("store.tar");
    let packed = Command::new("tar")
        .args(["cf", "store.tar", "store"])
        .current_dir(tar.parent().context("a file has a directory")?)
        .status()?;
    ensure!(packed.success(), "tar: {packed}");
    let setup = SETUP.replace("MODE", mode.there).replace("CHECK", mode.shown);
    let busybox = fs::read(BUSYBOX).with_context(|| format!("{BUSYBOX} (busybox-static)"))?;
    let archive = newc_of(&[
        ("busybox", &busybox),
        ("setup", setup.as_bytes()),
        ("udhcpd.conf", UDHCPD.as_bytes()),
        ("store.tar", &fs::read(tar)?),
    ])?;
    let initrd = bench.path("peer.img");
    fs::write(&initrd, archive)?;
    let listening = |path: &Path| {
        let netdev = format!("stream,server=on,addr.type=unix,addr.path={}", path.display());
        card(Nic { netdev: Some(netdev), ..Nic::default() })
    };
    let mut nics: Vec<Nic> = cables.iter().map(|cable| listening(cable.as_ref())).collect();
    for (index, nic) in nics.iter_mut().enumerate() {
        nic.mac = format!("52:54:00:9e:e2:{index:02x}");
    }
    Machine {
        name: "peer".to_owned(),
        memory_mib: 256,
        nics,
        ..Machine::direct(environment::kernel()?, initrd, "rdinit=/busybox -- sh /setup")
    }
    .start()
}

/// A card that knows its speed, which LACP wants.
fn card(nic: Nic) -> Nic {
    Nic { model: NicModel::E1000e, ..nic }
}
