//! Links that are made of others: VLANs and bonds, by the machine's own kernel.

use crate::case::{Bench, Case, Ran};
use anyhow::{Result, ensure};
use qemu_tests::{Fault, Misbehaviour, NicModel, Running, deadline};
use wire::{Faults, Kind, Port, Wire};

/// The number of the network that has all services.
const NUMBER: u16 = 5;

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let mut all = vlans(bench);
    all.extend(bonds(bench));
    all
}

fn vlans(bench: &Bench) -> Vec<Case> {
    let case = |name| Case::of(name, bench);
    let plain = Port::default();
    let tagged = Port { tagged: Some(NUMBER), ..plain };
    let elsewhere = Port { segment: 1, ..plain };
    vec![
        Case {
            told: "vlan=vlan5:eth0",
            says: &["VLAN 5 made on eth0, called vlan5", "vlan5 has lease 10.77.0.100/24"],
            ..case("VLAN").on([tagged])
        },
        Case {
            told: "vlan=eth0.5:52:54:00:1a:06:01",
            says: &["VLAN 5 made on eth1, called eth0.5", "eth0.5 has lease"],
            ..case("VLAN on the card with this address").on([elsewhere, tagged])
        },
        Case {
            told: "vlan=vlan6:eth0 inaugurator.net-timeout=6",
            ..case("VLAN with another number").on([tagged])
        }
        .fails(&["vlan6 52:54:00:1a:06:00", "DISCOVER sent, no answer", "carries vlan6"]),
        Case {
            told: "vlan=vlan5:eth0 ip=10.77.0.50::10.77.0.1:255.255.255.0::vlan5:none",
            says: &["vlan5 has static address 10.77.0.50/24"],
            ..case("static address on a VLAN").on([tagged])
        },
    ]
}

fn bonds(bench: &Bench) -> Vec<Case> {
    let case = |name| Case::of(name, bench);
    let plain = Port::default();
    let one = Port { aggregate: Some(1), ..plain };
    // A bond asks its ports how fast they are, which virtio does not know.
    let real = |name| Case { model: NicModel::E1000e, ..case(name) };
    let slow = || vec![Misbehaviour::always("packs/", Fault::Slow(300_000))];
    vec![
        Case {
            told: "bond=bond0:eth0,eth1:mode=active-backup",
            act: |machine, _| machine.set_cable(0, false),
            says: &["bond bond0 made", "eth1 is a port of bond0", "bond0 has lease 10.77.0.100/24"],
            ..case("bond, one port cabled").on([plain; 2])
        },
        Case {
            told: "bond=bond0:52-54-00-1a-06-00,52-54-00-1a-06-01",
            act: first_port_dies,
            says: &["bond0 has lease"],
            check: |ran| over(ran, 1, 20),
            ..case("bond, the port in use dies").on([plain; 2]).spoilt(slow())
        },
        Case {
            told: "bond=bond0:eth0,eth1:mode=802.3ad,lacp_rate=fast",
            says: &["bond0 has lease 10.77.0.100/24"],
            check: |ran| {
                let pdus = [0, 1].map(|port| ran.seen.from(port, Kind::Lacp));
                ensure!(pdus.iter().all(|count| *count > 1), "{pdus:?} LACPDUs");
                Ok(())
            },
            ..real("bond by LACP").on([one; 2])
        },
        Case {
            told: "bond=bond0:eth0,eth1:mode=802.3ad,lacp_rate=fast",
            act: second_port_dies,
            says: &["bond0 has lease"],
            ..real("bond by LACP, a port dies").on([one; 2]).spoilt(slow())
        },
        Case {
            told: "bond=bond0:eth0,eth1:mode=802.3ad vlan=vlan5:bond0",
            says: &["VLAN 5 made on bond0, called vlan5", "vlan5 has lease 10.77.0.100/24"],
            ..real("VLAN on a bond").on([Port { tagged: Some(NUMBER), ..one }; 2])
        },
        Case {
            told: "bond=bond0:eth0,eth1 inaugurator.net-timeout=6",
            ..case("bond without a cable that leads anywhere")
                .on([Port { faults: Faults { dead: true, ..Faults::default() }, ..plain }; 2])
        }
        .fails(&["bond0 52:54:00:1a:06:00", "a port of bond0", "DISCOVER sent, no answer"]),
    ]
}

fn first_port_dies(machine: &mut Running, _: &Wire) -> Result<()> {
    machine.expect("plan: made in", deadline::INAUGURATE)?;
    machine.set_cable(0, false)
}

fn second_port_dies(machine: &mut Running, _: &Wire) -> Result<()> {
    machine.expect("plan: made in", deadline::INAUGURATE)?;
    machine.set_cable(1, false)
}

/// At least so many segments went by this port.
fn over(ran: &Ran, port: usize, least: u64) -> Result<()> {
    let found = ran.seen.from(port, Kind::Tcp);
    ensure!(found >= least, "{found} segments by port {port}, at least {least} expected");
    Ok(())
}
