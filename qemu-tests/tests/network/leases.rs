//! D: DHCP servers.

use crate::case::{Bench, Case, ROUTER, Ran, dhcp};
use anyhow::{Result, ensure};
use qemu_tests::{Fault, Misbehaviour};
use std::net::Ipv4Addr;
use std::time::Duration;
use wire::{Deaf, Dhcp, Host, Kind, Manner, Station, Sums};

/// Until a failure is said: several DISCOVERs and REQUESTs go out in that.
const SOON: &str = "inaugurator.net-timeout=7";

/// What is said where there is no mask to be used.
const ASSUMED: &[&str] = &["eth0: no usable mask given, /24 assumed"];

/// Nobody has it.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 99);

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let mut all = manners(bench);
    all.extend(lies(bench));
    all.extend(ways(bench));
    all.extend(in_use(bench));
    all
}

/// Leases that end, or change, while a label is fetched.
fn in_use(bench: &Bench) -> Vec<Case> {
    let well = Manner::default();
    let short = |name, manner| {
        let server = Dhcp { lease_s: Some(8), ..dhcp().behaving(manner) };
        Case::of(name, bench)
            .leased_by([server])
            // Some 14 s for all.
            .spoilt(vec![Misbehaviour::always("packs/", Fault::Slow(300_000))])
    };
    vec![
        Case {
            says: &["eth0 lease renewed by 10.77.0.2 for 8 s"],
            check: |ran| at_least(ran, Kind::Renew, 2),
            ..short("lease of 8 s", well)
        },
        Case {
            says: &["eth0 lease renewed by 10.77.0.2 for 8 s"],
            check: |ran| at_least(ran, Kind::Renew, 1),
            ..short("lease renewed by asking everyone", Manner { deaf: Deaf::ToRenewals, ..well })
        },
        Case {
            says: &["does not renew the lease: NAK (not here)"],
            check: |ran| at_least(ran, Kind::Discover, 2),
            ..short("lease refused in the middle", Manner { renewal_naks: 1, ..well })
        },
        Case {
            told: "inaugurator.dhcp-release=yes",
            says: &["eth0 lease of 10.77.0.100 given back to 10.77.0.2"],
            check: |ran| at_least(ran, Kind::Release, 1),
            ..Case::of("lease given back on the way out", bench)
        },
        {
            let mut case = Case {
                says: &["eth0 has lease 10.77.0.101/24"],
                check: |ran| {
                    at_least(ran, Kind::ArpProbe, 1)?;
                    at_least(ran, Kind::Decline, 1)
                },
                ..Case::of("address that another machine has", bench)
            };
            let other = Host::at([10, 77, 0, 100].into());
            case.network.stations.push((0, other.into()));
            case
        },
    ]
}

fn at_least(ran: &Ran, kind: Kind, least: u64) -> Result<()> {
    let found = ran.seen.of(kind);
    ensure!(found >= least, "{found} {kind:?}, at least {least} expected");
    Ok(())
}

fn manners(bench: &Bench) -> Vec<Case> {
    let case = |name| Case { told: SOON, ..Case::of(name, bench) };
    let well = Manner::default();
    let late = |name, manner| Case::of(name, bench).leased_by([dhcp().behaving(manner)]);
    let bad = |name, manner| case(name).leased_by([dhcp().behaving(manner)]);
    vec![
        case("no DHCP server").leased_by([]).fails(&[
            "no network card reached the store within 7.0 s",
            "eth0 52:54:00:1a:06:00",
            "DISCOVER sent, no answer",
        ]),
        Case {
            check: |ran| {
                let discovers = ran.seen.of(Kind::Discover);
                ensure!(discovers >= 4, "{discovers} DISCOVERs in 8 s");
                Ok(())
            },
            ..late("DHCP server late by 8 s", Manner { silent_for: Duration::from_secs(8), ..well })
        },
        late(
            "DHCP server pings before it offers",
            Manner { thinks_for: Duration::from_millis(2500), ..well },
        ),
        Case {
            check: |ran| {
                let requests = ran.seen.of(Kind::Request);
                ensure!(requests == 4, "{requests} REQUESTs for 3 NAKs and an ACK");
                Ok(())
            },
            ..late("three NAKs, then an ACK", Manner { naks: 3, ..well })
        },
        Case {
            check: |ran| {
                let requests = ran.seen.of(Kind::Request);
                ensure!(requests <= 8, "{requests} REQUESTs in 7 s flood the server");
                Ok(())
            },
            ..bad("NAK storm", Manner { naks: u32::MAX, ..well })
                .fails(&["NAK from 10.77.0.2 (not here)"])
        },
        bad("offers without an ACK", Manner { deaf: Deaf::ToRequests, ..well })
            .fails(&["OFFER (last 10.77.0.100 from 10.77.0.2)", "REQUEST sent, no ACK"]),
        bad("answers to somebody else", Manner { other_xid: true, ..well })
            .fails(&["DISCOVER sent, no answer"]),
        late("no UDP checksum", Manner { sums: Sums::NoUdp, ..well }),
        late("UDP checksum left to a card", Manner { sums: Sums::UdpWrong, ..well }),
        bad("wrong checksum of IP", Manner { sums: Sums::IpWrong, ..well })
            .fails(&["DISCOVER sent, no answer"]),
        Case {
            says: &["waiting for eth0 (carrier up"],
            told: "inaugurator.net-timeout=120",
            is_long: true,
            ..late(
                "DHCP server late by 90 s",
                Manner { silent_for: Duration::from_secs(90), ..well },
            )
        },
        late("options in the fields of file and name", Manner { overloads: true, ..well }),
    ]
}

fn lies(bench: &Bench) -> Vec<Case> {
    let lie = |name, server: Dhcp| Case::of(name, bench).leased_by([server]);
    let mask = |mask: [u8; 4]| Dhcp { mask: Some(mask.into()), ..dhcp() };
    let routers = |router: [u8; 4]| Dhcp { routers: vec![router.into()], ..dhcp() };
    let resolver = |resolver: [u8; 4]| Dhcp { resolvers: vec![resolver.into()], ..dhcp() };
    let named = |name, server| Case { url: "http://depot.lab", ..lie(name, server) };
    vec![
        Case { says: ASSUMED, ..lie("mask 0.0.0.0", mask([0; 4])) },
        Case { says: ASSUMED, ..lie("mask 255.0.255.0", mask([255, 0, 255, 0])) },
        Case { says: ASSUMED, ..lie("no mask", Dhcp { mask: None, ..dhcp() }) },
        lie("gateway off the subnet", routers([192, 168, 9, 1])),
        Case {
            says: &["eth0 cannot add route 0.0.0.0/0 via 10.77.0.100: Invalid argument"],
            ..lie("own address as the gateway", routers([10, 77, 0, 100]))
        },
        Case {
            says: &["eth0: gateway 0.0.0.0 of the lease not taken"],
            ..lie("gateway 0.0.0.0", routers([0; 4]))
        },
        Case {
            says: &["eth0 cannot add route 0.0.0.0/0 via 10.77.0.255: Invalid argument"],
            ..lie("gateway is the broadcast address", routers([10, 77, 0, 255]))
        },
        Case {
            says: &["eth0: MTU 68 of the lease not taken, expected 576 to 9216 bytes"],
            ..lie("MTU 68", Dhcp { mtu: Some(68), ..dhcp() })
        },
        lie("MTU 9000", Dhcp { mtu: Some(9000), ..dhcp() }),
        lie("MTU 1400", Dhcp { mtu: Some(1400), ..dhcp() }),
        Case {
            says: &["eth0: no usable time of the lease given, 120 s assumed"],
            ..lie("no time of the lease", Dhcp { lease_s: None, ..dhcp() })
        },
        Case {
            says: &["eth0: no usable time of the lease given, 120 s assumed"],
            ..lie("a lease of 0 s", Dhcp { lease_s: Some(0), ..dhcp() })
        },
        Case {
            says: &["eth0: resolver 0.0.0.0 of the lease not taken"],
            ..lie("resolver 0.0.0.0, store by address", resolver([0; 4]))
        },
        Case { told: SOON, ..named("resolver 0.0.0.0, store by name", resolver([0; 4])) }.fails(&[
            "eth0 does not reach the store: no resolver was given that knows the host depot.lab",
        ]),
        Case { told: SOON, ..named("resolver that is none", resolver([10, 77, 0, 2])) }.fails(&[
            "eth0 does not reach the store: no answer from the resolver 10.77.0.2, which was asked \
             for the host depot.lab",
            "no network card reached the store within 7.",
        ]),
        Case { told: SOON, url: "http://nowhere.lab", ..lie("name that nobody knows", dhcp()) }
            .fails(&["the resolver 10.77.0.1 does not know the host nowhere.lab"]),
        named("store by name", dhcp()),
        two_addresses(bench),
    ]
}

/// Of a name's addresses the first leads to nobody.
fn two_addresses(bench: &Bench) -> Case {
    let mut case = Case { url: "http://depot.lab", ..Case::of("store of two addresses", bench) };
    for (_, station) in &mut case.network.stations {
        if let Station::Host(Host { names: Some(names), .. }) = station {
            names.insert(0, ("depot.lab".to_owned(), NOBODY));
        }
    }
    case
}

fn ways(bench: &Bench) -> Vec<Case> {
    let case = |name| Case::of(name, bench);
    let behind = |name| Case { url: "http://10.88.0.5", ..case(name) };
    let route = |to: &[u8], by: Ipv4Addr| [to, &by.octets()].concat();
    let classless = Dhcp {
        // That of the router option must be ignored (RFC 3442).
        routers: vec![Ipv4Addr::new(10, 77, 0, 9)],
        more: vec![(121, route(&[24, 10, 88, 0], ROUTER))],
        ..dhcp()
    };
    let rogue = Dhcp::at([10, 66, 0, 2].into());
    let slower = Manner { thinks_for: Duration::from_millis(300), ..Manner::default() };
    vec![
        behind("store behind the router"),
        behind("store behind a classless route").leased_by([classless]),
        Case {
            told: "ip=10.77.0.50::10.77.0.1:255.255.255.0::eth0:none",
            says: &["static address 10.77.0.50/24"],
            check: |ran| {
                let discovers = ran.seen.of(Kind::Discover);
                ensure!(discovers == 0, "{discovers} DISCOVERs with a static address");
                Ok(())
            },
            ..behind("static address, no DHCP server").leased_by([])
        },
        case("two servers, the faster one leads nowhere")
            .leased_by([rogue, dhcp().behaving(slower)]),
    ]
}
