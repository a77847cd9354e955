//! N: cards, cables and what is between them and the network.

use crate::case::{Bench, Case, Ran, dhcp, router};
use anyhow::{Result, ensure};
use qemu_tests::{Fault, Misbehaviour, NicModel, Running, deadline};
use std::thread;
use std::time::Duration;
use wire::{Corruption, Dhcp, Faults, Kind, Manner, Port, Wire};

/// Spanning tree without "portfast" takes 30 s; this shows the same, sooner.
const SPANNING_TREE: Duration = Duration::from_secs(9);

/// A cable that is out for so long, in the middle.
const OUTAGE: Duration = Duration::from_secs(4);

/// How often a link goes down and up.
const FLAPS: usize = 20;

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let mut all = cables(bench);
    all.extend(several(bench));
    all.extend(frames(bench));
    all
}

fn cables(bench: &Bench) -> Vec<Case> {
    let case = |name| Case::of(name, bench);
    let silent_for = SPANNING_TREE;
    vec![
        Case { says: &["eth0 carrier up", "has lease 10.77.0.100/24"], ..case("plain") },
        Case {
            act: |machine, _| {
                machine.set_cable(0, false)?;
                machine.expect("waiting for eth0 (no carrier)", deadline::BOOT)?;
                machine.set_cable(0, true)
            },
            says: &["eth0 carrier up"],
            ..case("no carrier then carrier")
        },
        Case {
            act: |machine, _| machine.set_cable(0, false),
            told: "inaugurator.net-timeout=4",
            ..case("no carrier at all")
        }
        .fails(&["no network card reached the store within 4.0 s", "eth0", "no carrier"]),
        Case { told: "inaugurator.net-timeout=4", ..case("no card").on([]) }
            .fails(&["no network card appeared within 4.0 s: no driver, or none there"]),
        Case {
            act: flap,
            ..case("flap x20")
                .leased_by([dhcp()
                    .behaving(Manner { silent_for: Duration::from_secs(3), ..Manner::default() })])
        },
        Case {
            check: |ran| {
                let discovers = ran.seen.of(Kind::Discover);
                ensure!(
                    discovers > 2,
                    "{discovers} DISCOVERs through {SPANNING_TREE:?} of silence"
                );
                Ok(())
            },
            says: &["waiting for eth0 (carrier up", "DISCOVER sent, no answer"],
            ..case("spanning tree").with(Faults { silent_for, ..Faults::default() })
        },
        Case {
            says: &["waiting for eth0 (carrier up"],
            is_long: true,
            ..case("spanning tree of 50 s")
                .with(Faults { silent_for: Duration::from_secs(50), ..Faults::default() })
        },
        Case {
            told: "inaugurator.net-timeout=4",
            model: NicModel::Rtl8139,
            ..case("card without a driver")
        }
        .fails(&[
            "no network card appeared within 4.0 s",
            "10ec:8139 has no driver in this kernel or image",
        ]),
        Case { act: outage, ..case("cable out for 4 s while fetching") }
            .spoilt(vec![Misbehaviour::always("packs/", Fault::Slow(400_000))]),
    ]
}

fn flap(machine: &mut Running, wire: &Wire) -> Result<()> {
    machine.expect("carrier up", deadline::BOOT)?;
    for _ in 0..FLAPS {
        machine.set_cable(0, false)?;
        wire.replug(0)?;
        machine.set_cable(0, true)?;
    }
    Ok(())
}

fn outage(machine: &mut Running, _: &Wire) -> Result<()> {
    machine.expect("plan: made in", deadline::INAUGURATE)?;
    machine.set_cable(0, false)?;
    thread::sleep(OUTAGE);
    machine.set_cable(0, true)
}

fn several(bench: &Bench) -> Vec<Case> {
    let case = |name| Case::of(name, bench);
    let good = Port::default();
    let elsewhere = Port { segment: 1, ..good };
    vec![
        Case {
            act: |machine, _| machine.set_cable(0, false),
            says: &["eth1 has lease 10.77.0.100/24"],
            ..case("two cards, the second cabled").on([good; 2])
        },
        Case {
            act: |machine, _| (0..3).try_for_each(|card| machine.set_cable(card, false)),
            says: &["eth3 has lease 10.77.0.100/24"],
            ..case("four cards, the last cabled").on([good; 4])
        },
        case("two cards on one network").on([good; 2]),
        Case {
            told: "BOOTIF=01-52-54-00-1a-06-01",
            says: &["eth1 has lease"],
            check: |ran| not_said(ran, "eth0 has lease"),
            ..case("BOOTIF names the second card").on([good; 2])
        },
        Case {
            says: &["eth0 does not reach the store", "eth1 has lease 10.77.0.100/24"],
            ..leads_nowhere(case("first card leads nowhere").on([elsewhere, good]))
        },
        Case {
            told: "BOOTIF=01-52-54-00-1a-06-00",
            act: |machine, _| {
                machine.expect("plan: made in", deadline::INAUGURATE)?;
                machine.set_cable(0, false)
            },
            says: &["eth0 has lease", "eth0 carrier lost", "eth1 has lease"],
            ..case("the card dies while fetching, another works").on([good; 2])
        }
        .spoilt(vec![Misbehaviour::always("packs/", Fault::Slow(400_000))]),
        Case {
            told: "BOOTIF=01-52-54-00-1a-06-00",
            act: |machine, wire| {
                machine.expect("plan: made in", deadline::INAUGURATE)?;
                wire.set_faults(0, Faults { dead: true, ..Faults::default() })
            },
            says: &[
                "eth0 has lease",
                "eth0: it has carrier and hears nothing: neither the store nor 10.77.0.1 answers",
                "eth1 has lease",
            ],
            ..case("the card hears nothing any more while fetching, another works").on([good; 2])
        }
        .spoilt(vec![Misbehaviour::always("packs/", Fault::Slow(400_000))]),
        Case {
            told: "inaugurator.nic=eth0 inaugurator.net-timeout=6",
            ..leads_nowhere(case("the card that is asked for leads nowhere").on([elsewhere, good]))
        }
        .fails(&["eth0 does not reach the store", "not the NIC that was asked for"]),
    ]
}

/// The other network has a DHCP server, and no store.
fn leads_nowhere(mut case: Case) -> Case {
    let server = Dhcp { routers: Vec::new(), ..Dhcp::at([10, 66, 0, 2].into()) };
    case.network.stations.push((1, server.into()));
    // The network with the store is the slower one.
    let thinks_for = Duration::from_millis(1500);
    case.leased_by([dhcp().behaving(Manner { thinks_for, ..Manner::default() })])
}

fn not_said(ran: &Ran, words: &str) -> Result<()> {
    ensure!(!ran.console.contains(words), "said: {words}");
    Ok(())
}

fn frames(bench: &Bench) -> Vec<Case> {
    let case = |name| Case::of(name, bench);
    let none = Faults::default();
    let lost = |lost_percent| Faults { lost_percent, ..none };
    let corrupt = |how| Faults { corrupt: Some((5, how)), ..none };
    let vanish = |bytes| Faults { packet_max: Some(bytes), ..none };
    let deaf = |mut case: Case, deaf_to_syns| {
        case.network.stations.pop();
        let host = wire::Host { deaf_to_syns, ..router(&case.shelf) };
        case.network.stations.push((0, host.into()));
        case
    };
    vec![
        case("1 % of frames lost").with(lost(1)),
        case("10 % of frames lost").with(lost(10)),
        case("frames overtaken").with(Faults { overtaken_percent: 20, ..none }),
        case("frames doubled").with(Faults { doubled_percent: 20, ..none }),
        case("bits flipped on the cable").with(corrupt(Corruption::Told)),
        case("bits flipped, checksums made right").with(corrupt(Corruption::Hidden)).fails(&[
            "write: FAILED: object",
            "expected",
            "found",
        ]),
        case("100 ms there and back").with(Faults { delay: Duration::from_millis(50), ..none }),
        Case {
            told: "inaugurator.net-timeout=6",
            ..case("carrier, and nothing passes").with(Faults { dead: true, ..none })
        }
        .fails(&["eth0 52:54:00:1a:06:00", "carrier up", "DISCOVER sent, no answer"]),
        deaf(case("two SYNs without an answer"), 2),
        Case {
            says: &["short answers come from http://10.77.0.1", "trying with an MTU of 1400"],
            check: |ran| not_said(ran, "MTU of 1280"),
            ..case("packets over 1450 bytes vanish").with(vanish(1450))
        },
        Case {
            says: &["trying with an MTU of 1400", "trying with an MTU of 1280"],
            ..case("packets over 1300 bytes vanish").with(vanish(1300))
        },
    ]
}
