//! What switches say of themselves (LLDP), and what comes of it.

use crate::case::{Bench, Case, Ran};
use anyhow::{Result, ensure};
use qemu_tests::NicModel;
use wire::{Announced, Kind, Port};

/// The number of the network that has all services.
const NUMBER: u16 = 20;

/// A port of one switch.
const fn announced(port: &'static str) -> Announced {
    Announced { system: "tor1", port, port_vlan: None, vlans: &[], aggregate: None }
}

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let mut all = told(bench);
    all.extend(followed(bench));
    all
}

fn told(bench: &Bench) -> Vec<Case> {
    let case = |name| Case::of(name, bench);
    let port = |announced| Port { announced: Some(announced), ..Port::default() };
    let tagged = |announced| Port { tagged: Some(NUMBER), ..port(announced) };
    let plain = Announced { port_vlan: Some(NUMBER), ..announced("Ethernet7") };
    let trunk = Announced { vlans: &[5, NUMBER], ..plain };
    let one = |name| Announced { aggregate: Some(1_000_043), ..announced(name) };
    vec![
        Case {
            told: "inaugurator.net-timeout=6",
            ..case("neighbour of a card without a DHCP server").leased_by([]).on([port(plain)])
        }
        .fails(&["eth0 neighbour tor1 port Ethernet7, VLAN 20", "no network card reached the store"]),
        Case {
            told: "inaugurator.net-timeout=9",
            ..case("VLANs that a switch names are hinted at").on([tagged(trunk)])
        }
        .fails(&[
            "eth0 neighbour tor1 port Ethernet7, VLAN 20, tagged VLAN 5",
            "hint: tor1 names the VLANs 5 20 on eth0, where nothing led to the store: \
             vlan=vlan5:eth0 would ask in one of them, vlan=auto in each",
        ]),
        Case {
            told: "inaugurator.net-timeout=9",
            ..case("an aggregate is hinted at")
                .leased_by([])
                .on([port(one("Ethernet7")), port(one("Ethernet8"))])
        }
        .fails(&[
            "eth1 neighbour tor1 port Ethernet8, aggregated",
            "hint: tor1 has eth0 and eth1 as one link: bond=bond0:eth0,eth1:mode=802.3ad would make \
             them one, or bond=auto",
        ]),
    ]
}

fn followed(bench: &Bench) -> Vec<Case> {
    let case = |name| Case::of(name, bench);
    let port = |announced| Port { announced: Some(announced), ..Port::default() };
    let tagged = |port: Port| Port { tagged: Some(NUMBER), ..port };
    let trunk = Announced { vlans: &[5, NUMBER], ..announced("Ethernet7") };
    let plain = Announced { port_vlan: Some(NUMBER), ..announced("Ethernet7") };
    let one = |name| {
        let announced = Announced { aggregate: Some(1_000_043), ..announced(name) };
        Port { aggregate: Some(1), ..port(announced) }
    };
    let on_one = |name| {
        let announced = Announced { vlans: &[NUMBER], aggregate: Some(7), ..announced(name) };
        Port { aggregate: Some(1), ..tagged(port(announced)) }
    };
    // A bond asks its ports how fast they are, which virtio does not know.
    let real = |name| Case { model: NicModel::E1000e, ..case(name) };
    vec![
        Case {
            told: "vlan=auto",
            says: &[
                "tor1 names the VLANs 5 20 on eth0, which are tried",
                "VLAN 20 made on eth0, called lldp20.3",
                "lldp20.3 has lease 10.77.0.100/24",
            ],
            ..case("vlan=auto").on([tagged(port(trunk))])
        },
        Case {
            told: "vlan=auto",
            says: &["VLAN 20 made on eth0, called lldp20.3", "lldp20.3 has lease 10.77.0.100/24"],
            ..case("vlan=auto, the number of frames without a tag").on([tagged(port(plain))])
        },
        Case {
            told: "vlan=auto bond=auto",
            says: &["eth0 has lease 10.77.0.100/24"],
            check: |ran| not_said(ran, "made on eth0"),
            ..case("vlan=auto where none is needed").on([port(trunk)])
        },
        Case {
            told: "bond=auto",
            says: &[
                "tor1 has eth0 and eth1 as one link, and so will this machine",
                "bond lldp-bond0 made",
                "lldp-bond0 has lease 10.77.0.10",
            ],
            check: both_agreed,
            ..real("bond=auto").on([one("Ethernet7"), one("Ethernet8")])
        },
        Case {
            told: "bond=auto vlan=auto",
            says: &[
                "VLAN 20 made on lldp-bond0, called lldp20.b0",
                "lldp20.b0 has lease 10.77.0.100/24",
            ],
            check: both_agreed,
            ..real("bond=auto and vlan=auto").on([on_one("Ethernet7"), on_one("Ethernet8")])
        },
    ]
}

fn both_agreed(ran: &Ran) -> Result<()> {
    let pdus = [0, 1].map(|port| ran.seen.from(port, Kind::Lacp));
    ensure!(pdus.iter().all(|count| *count > 1), "{pdus:?} LACPDUs");
    Ok(())
}

fn not_said(ran: &Ran, words: &str) -> Result<()> {
    ensure!(!ran.console.contains(words), "said: {words}");
    Ok(())
}
