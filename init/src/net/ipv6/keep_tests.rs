//! What is asked and heard while an address is in use.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::keep::{Keep, Said, Step};
use super::tests::{
    LEASED, MAC, REPLY, ROUTER, SERVER, advert_of, at, lease_of, message, option, prefix,
};
use crate::net::{Giver, Lease, Network, Nic};

fn network(by: Giver, seconds: u32) -> Network {
    let server = if by == Giver::Router { ROUTER } else { SERVER };
    let nic = Nic {
        name: "eth0".into(),
        index: 2,
        mac: MAC,
        bus: String::new(),
        pci_id: None,
        driver: None,
        is_up: true,
        carrier: true,
        speed_mbps: None,
        full_duplex: None,
        neighbor: None,
        heard: String::new(),
    };
    let (renew_s, rebind_s) = (seconds / 2, seconds / 8 * 7);
    Network {
        nic,
        address: LEASED.into(),
        prefix: 64,
        peer: None,
        gateway: Some(ROUTER.into()),
        routes: vec![],
        nameservers: vec![],
        domain: None,
        hostname: None,
        ntp: vec![],
        mtu: None,
        mtu_before: None,
        since: std::time::Instant::now(),
        server_id: (by == Giver::Dhcp).then(|| vec![0, 3, 0, 1, 1, 2, 3, 4, 5, 6]),
        lease: Some(Lease { server: server.into(), by, seconds, renew_s, rebind_s }),
    }
}

fn keep(by: Giver, seconds: u32) -> Keep {
    Keep::new(&network(by, seconds), 7, Duration::ZERO).unwrap()
}

/// The `ICMPv6` message of an advertisement of the address's prefix.
fn advert(router_s: u16, valid_s: u32) -> Vec<u8> {
    advert_of(ROUTER, 0, router_s, &[&prefix(1, 64, 0xc0, valid_s)])[54..].to_vec()
}

#[test]
fn a_router_is_asked_at_half_of_its_time_until_it_is_over() {
    let mut keep = keep(Giver::Router, 80);
    assert_eq!(keep.poll(at(39_999)), None);
    assert_eq!(keep.poll(at(40_000)), Some(Step::Solicit));
    let said = keep.hear_icmp(at(41_000), &advert(1800, 86_400), ROUTER);
    let Some(Said::Renewed(lease)) = said else { panic!("{said:?}") };
    assert_eq!((lease.seconds, lease.renew_s), (1800, 900));
    assert_eq!(keep.next_at(), Some(at(941_000)));
    let (mut asked, mut now) = (0, at(0));
    let lost = loop {
        now = keep.next_at().unwrap().max(now);
        match keep.poll(now) {
            Some(Step::Solicit) => asked += 1,
            other => break other,
        }
    };
    assert_eq!(
        (now, lost),
        (
            at(1_841_000),
            Some(Step::Lost("the router's word of 1800 s has ended, not renewed".into()))
        )
    );
    assert!((4..20).contains(&asked), "{asked}");
}

#[test]
fn what_routers_say_of_the_address() {
    let other = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    let elsewhere = advert_of(ROUTER, 0, 1800, &[&prefix(2, 64, 0xc0, 60)])[54..].to_vec();
    let seconds = |said| match said {
        Some(Said::Renewed(lease)) => Ok(Some(lease.seconds)),
        Some(Said::Lost(why)) => Err(why),
        None => Ok(None),
    };
    let gone = Err("fe80::1 is no router any more".to_owned());
    for (message, from, expected) in [
        (advert(1800, 9000), ROUTER, Ok(Some(1800))),
        (advert(9000, 8000), ROUTER, Ok(Some(8000))),
        // Anybody could say so.
        (advert(9000, 1), ROUTER, Ok(Some(7200))),
        (advert(9000, 0), ROUTER, Ok(Some(7200))),
        (advert(0, 9000), ROUTER, gone),
        (advert(0, 9000), other, Ok(None)),
        (advert(1800, 9000), other, Ok(None)),
        (advert(1800, 9000), LEASED, Ok(None)),
        (elsewhere, ROUTER, Ok(None)),
        (advert(1800, 9000)[..20].to_vec(), ROUTER, Ok(None)),
    ] {
        let said = keep(Giver::Router, 80_000).hear_icmp(at(10), &message, from);
        assert_eq!(seconds(said), expected, "{message:02x?} of {from}");
    }
    // A lease is the server's matter; the way out is the router's.
    assert_eq!(keep(Giver::Dhcp, 80).hear_icmp(at(10), &advert(1800, 9000), ROUTER), None);
    assert!(keep(Giver::Dhcp, 80).hear_icmp(at(10), &advert(0, 9000), ROUTER).is_some());
}

#[test]
fn a_lease_is_renewed_by_its_server_and_then_by_any() {
    let mut keep = keep(Giver::Dhcp, 800);
    let (mut kinds, mut last) = (Vec::new(), Vec::new());
    while keep.next_at().unwrap() < at(800_000) {
        let Some(Step::Ask(message)) = keep.poll(keep.next_at().unwrap()) else { panic!() };
        kinds.push(message[0]);
        last = message;
    }
    let renewals = kinds.iter().take_while(|kind| **kind == 5).count();
    assert!(renewals >= 3 && kinds[renewals..].iter().all(|kind| *kind == 6), "{kinds:?}");
    assert!(kinds.len() - renewals >= 2, "{kinds:?}");
    let xid = [last[1], last[2], last[3]];
    let wrong = [xid[0], xid[1], xid[2] ^ 1];
    assert_eq!(keep.hear_dhcp(at(790_000), &message(REPLY, wrong, &[lease_of(600)])), None);
    let said = keep.hear_dhcp(at(790_000), &message(REPLY, xid, &[lease_of(600)]));
    let Some(Said::Renewed(lease)) = said else { panic!("{said:?}") };
    assert_eq!((lease.seconds, lease.renew_s, lease.server), (600, 300, IpAddr::from(SERVER)));
    assert_eq!(keep.hear_dhcp(at(790_000), &message(REPLY, xid, &[lease_of(600)])), None);

    let Some(Step::Ask(question)) = keep.poll(at(1_090_000)) else { panic!("nothing is asked") };
    let xid = [question[1], question[2], question[3]];
    let failed = option(13, &[0, 1]);
    let kept = keep.hear_dhcp(at(1_090_001), &message(REPLY, xid, &[failed]));
    assert_eq!(kept, None, "a server that fails ends nothing");
    let none = option(3, &[&MAC.0[2..], &[0; 8], &option(13, &[0, 3])].concat());
    let why = "fe80::53 does not renew the lease: it knows no such lease".to_owned();
    assert_eq!(keep.hear_dhcp(at(1_090_001), &message(REPLY, xid, &[none])), Some(Said::Lost(why)));
}

#[test]
fn what_has_no_end_and_what_is_no_address_of_ipv6_is_left_alone() {
    let mut for_ever = keep(Giver::Router, u32::MAX);
    assert_eq!((for_ever.next_at(), for_ever.poll(at(1 << 40))), (None, None));
    let v4 = Network { address: [10, 0, 0, 1].into(), ..network(Giver::Dhcp, 60) };
    assert!(Keep::new(&v4, 7, Duration::ZERO).is_none());
    let fixed = Network { lease: None, ..network(Giver::Router, 60) };
    assert!(Keep::new(&fixed, 7, Duration::ZERO).is_none());
}
