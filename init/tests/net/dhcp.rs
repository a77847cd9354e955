//! An address from a server, and who wins.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use init::net::{Addressing, NetConfig, NicChoice, StaticAddress, bring_up, parse_bootif};

use crate::lab::{Lab, QUICK, SHORT, failure, ip, mac, run, store_of};

#[test]
fn dhcp_configures_the_nic_that_reaches_the_store() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    lab.store(1);
    let routes = "--dhcp-option=121,192.0.2.0/24,10.77.1.3,0.0.0.0/0,10.77.1.2";
    let more = ["--dhcp-option=26,1400", "--dhcp-option=42,10.77.1.9", "--domain=example.org"];
    let dns = "--dhcp-option=6,10.77.1.4,10.77.1.5,10.77.1.6,10.77.1.7";
    lab.dhcp(1, &["--no-ping", routes, dns, more[0], more[1], more[2]]);
    let (result, _, took) = run(&lab.config(), &mut store_of(1));
    let network = result.unwrap();

    assert!(took < QUICK, "{took:?}");
    assert_eq!(network.nic.name, "nic0");
    assert!(network.address.to_string().starts_with("10.77.1."));
    assert_eq!(network.prefix, 24);
    assert_eq!(network.gateway, Some([10, 77, 1, 2].into()));
    assert_eq!((network.mtu, network.domain.as_deref()), (Some(1400), Some("example.org")));
    assert_eq!(network.ntp, [Ipv4Addr::new(10, 77, 1, 9)]);
    let lease = network.lease.unwrap();
    assert_eq!((lease.server, lease.seconds), ([10, 77, 1, 1].into(), 3600));

    let address = format!("inet {}/24 brd 10.77.1.255 scope global nic0", network.address);
    assert!(ip("-o addr show nic0").contains(&address));
    assert!(ip("-o link show nic0").contains("mtu 1400"));
    assert!(ip("-o link show lo").contains("LOOPBACK,UP"));
    let routes = ip("route");
    assert!(routes.contains("default via 10.77.1.2 dev nic0"), "{routes}");
    assert!(routes.contains("192.0.2.0/24 via 10.77.1.3 dev nic0"), "{routes}");
    assert_eq!(
        lab.resolv_conf(),
        "nameserver 10.77.1.4\nnameserver 10.77.1.5\nnameserver 10.77.1.6\nsearch example.org\n\
         options timeout:2 attempts:2\n"
    );
}

#[test]
fn a_server_that_pings_before_it_offers_is_heard() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    lab.dhcp(1, &[]);
    let (result, _, took) = run(&lab.config(), &mut |_, _| Ok(()));
    assert!(result.unwrap().lease.is_some());
    assert!(took > Duration::from_secs(2), "this server did not ping: {took:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn a_nic_without_carrier_costs_nothing() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::unplugged("nic0");
    Lab::plug("nic1", 1);
    lab.dhcp(1, &["--no-ping"]);
    lab.store(1);
    // Not even when the machine was booted from it.
    let bootif = Some(parse_bootif(&mac("nic0")).unwrap());
    let (result, _, took) = run(&NetConfig { bootif, ..lab.config() }, &mut store_of(1));
    assert_eq!(result.unwrap().nic.name, "nic1");
    assert!(took < QUICK, "{took:?}");
}

#[test]
fn the_nic_that_reaches_the_store_wins_and_the_other_is_left_clean() {
    let Some(mut lab) = Lab::new() else { return };
    for (name, network) in [("nic0", 1), ("nic1", 2)] {
        Lab::plug(name, network);
        lab.dhcp(network, &["--no-ping", "--dhcp-option=26,1300"]);
    }
    lab.store(2);
    let bootif = Some(parse_bootif(&mac("nic0")).unwrap());
    let (result, said, _) = run(&NetConfig { bootif, ..lab.config() }, &mut store_of(2));
    let network = result.unwrap();
    assert_eq!(network.nic.name, "nic1");
    assert!(said.iter().any(|line| line.starts_with("network: nic0 does not reach the store: ")));
    assert_eq!(ip("-o -4 addr show nic0"), "");
    assert_eq!(ip("route show dev nic0"), "");
    assert!(ip("-o link show nic0").contains("mtu 1500"));
    assert!(ip("route").starts_with("default via 10.77.2.1 dev nic1"));
}

#[test]
fn what_an_earlier_attempt_left_is_taken_back_first() {
    let Some(mut lab) = Lab::new() else { return };
    for (name, network) in [("nic0", 1), ("nic1", 2)] {
        Lab::plug(name, network);
        lab.dhcp(network, &["--no-ping"]);
        lab.store(network);
    }
    assert_eq!(run(&lab.config(), &mut store_of(1)).0.unwrap().nic.name, "nic0");
    ip("addr add 10.77.1.200/24 dev nic0");
    ip("addr add 192.0.2.7/32 dev nic0");
    assert!(ip("route show dev nic0").starts_with("default via 10.77.1.1"));
    assert_eq!(run(&lab.config(), &mut store_of(2)).0.unwrap().nic.name, "nic1");
    assert_eq!(ip("-o -4 addr show nic0"), "");
    assert_eq!(ip("route show dev nic0"), "");
    assert!(ip("route").starts_with("default via 10.77.2.1 dev nic1"));
}

#[test]
fn bootif_comes_first() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    Lab::plug("nic1", 2);
    lab.dhcp(1, &["--no-ping"]);
    lab.dhcp(2, &["--no-ping"]);
    for boot in ["nic0", "nic1"] {
        let bootif = Some(parse_bootif(&mac(boot)).unwrap());
        let (result, _, took) = run(&NetConfig { bootif, ..lab.config() }, &mut |_, _| Ok(()));
        assert_eq!(result.unwrap().nic.name, boot);
        assert!(took < QUICK, "{took:?}");
    }
}

#[test]
fn bootif_without_a_server_is_not_waited_for_long() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    Lab::plug("nic1", 2);
    lab.dhcp(2, &["--no-ping"]);
    let bootif = Some(parse_bootif(&mac("nic0")).unwrap());
    let (result, _, took) = run(&NetConfig { bootif, ..lab.config() }, &mut |_, _| Ok(()));
    assert_eq!(result.unwrap().nic.name, "nic1");
    assert!((2.0..6.0).contains(&took.as_secs_f32()), "{took:?}");
}

#[test]
fn only_the_chosen_nic_is_used() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    Lab::plug("nic1", 2);
    lab.dhcp(1, &["--no-ping"]);
    lab.dhcp(2, &["--no-ping"]);
    let nic = Some(NicChoice::parse(&mac("nic1")).unwrap());
    let (result, _, _) = run(&NetConfig { nic, ..lab.config() }, &mut |_, _| Ok(()));
    assert_eq!(result.unwrap().nic.name, "nic1");

    let nic = Some(NicChoice::parse("eth9").unwrap());
    let deadline = Duration::from_millis(300);
    let (result, _, _) = run(&NetConfig { nic, deadline, ..lab.config() }, &mut |_, _| Ok(()));
    let text = failure(result);
    assert!(text.contains("and none is eth9"), "{text}");
    assert!(text.contains(" not the NIC that was asked for"), "{text}");
}

#[test]
fn a_static_address_with_a_gateway_outside_its_subnet() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    lab.store(1);
    let addressing = Addressing::Static(StaticAddress {
        address: [10, 77, 1, 200].into(),
        prefix: 32,
        peer: None,
        gateway: Some([10, 77, 1, 1].into()),
    });
    let nameservers = vec![[10, 77, 1, 1].into()];
    let config = NetConfig { addressing, nameservers, mtu: Some(1280), ..lab.config() };
    let (result, _, took) = run(&config, &mut store_of(1));
    let network = result.unwrap();
    assert!(took < QUICK, "{took:?}");
    assert_eq!(network.lease, None);
    assert!(ip("route").starts_with("default via 10.77.1.1 dev nic0"));
    assert!(ip("-o link show nic0").contains("mtu 1280"));
    assert_eq!(lab.resolv_conf(), "nameserver 10.77.1.1\noptions timeout:2 attempts:2\n");
}

#[test]
fn silence_is_reported_for_each_nic() {
    let Some(lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    Lab::unplugged("nic1");
    let (result, said, took) =
        run(&NetConfig { deadline: SHORT, ..lab.config() }, &mut |_, _| Ok(()));
    let text = failure(result);
    assert!(took >= SHORT, "{took:?}");
    assert!(text.starts_with("no network card reached the store within "), "{text}");
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
    let (silent, loose) = (line("nic0 "), line("nic1 "));
    assert!(silent.contains(" 10000M carrier up "), "{silent}");
    // At 0, 0.5, 1.5 and, if jitter allows, 3.5 s.
    let counts = [" 3 DISCOVER sent, no answer", " 4 DISCOVER sent, no answer"];
    assert!(counts.iter().any(|count| silent.contains(count)), "{silent}");
    assert!(loose.ends_with(" no carrier"), "{loose}");
    let waiting = said.iter().find(|line| line.starts_with("network: waiting for nic")).unwrap();
    assert!(waiting.contains("DISCOVER sent, no answer"), "{waiting}");
    assert!(waiting.ends_with("; 0 s left"), "{waiting}");
}

#[test]
fn an_unreachable_store_is_reported_with_the_lease() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    lab.dhcp(1, &["--no-ping"]);
    let (result, _, _) = run(&NetConfig { deadline: SHORT, ..lab.config() }, &mut store_of(1));
    let text = failure(result);
    assert!(text.contains(" lease 10.77.1."), "{text}");
    let why = "/24 from 10.77.1.1 but store not reachable: 10.77.1.1:7000: Connection refused";
    assert!(text.contains(why), "{text}");
    assert_eq!(ip("-o -4 addr show nic0"), "");
}

#[test]
fn without_a_nic_the_error_says_so() {
    let Some(lab) = Lab::new() else { return };
    let deadline = Duration::from_millis(200);
    let (result, _, _) = run(&NetConfig { deadline, ..lab.config() }, &mut |_, _| Ok(()));
    let expected = "no network card appeared within 0.2 s: no driver, or none there";
    assert_eq!(failure(result), expected);
}

#[test]
fn a_link_that_flaps_is_asked_again() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    let began = Instant::now();
    let mut flapped = false;
    let result = bring_up(&lab.config(), &mut |_, _| Ok(()), &mut |line| {
        eprintln!("{:6} ms {line}", began.elapsed().as_millis());
        if line.starts_with("network: waiting") && !flapped {
            flapped = true;
            // So fast that the race only ever sees the link up, but its socket is broken.
            ip("link set nic0 down");
            ip("link set nic0 up");
            lab.dhcp(1, &["--no-ping"]);
        }
    });
    assert!(result.unwrap().lease.is_some());
    assert!(began.elapsed() < Duration::from_secs(3) + QUICK, "{:?}", began.elapsed());
}

#[test]
fn a_nic_and_a_cable_that_come_late() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    lab.dhcp(1, &["--no-ping"]);
    ip("-n far1 link set far1 down");
    // The same NIC first without carrier; it is plugged when the race says what it waits for.
    let (began, mut plugged) = (Instant::now(), None);
    let result = bring_up(&lab.config(), &mut |_, _| Ok(()), &mut |line| {
        eprintln!("{line}");
        if line.starts_with("network: waiting for nic0 (no carrier)") {
            ip("-n far1 link set far1 up");
            plugged = Some(began.elapsed());
        }
    });
    assert_eq!(result.unwrap().nic.name, "nic0");
    let late = began.elapsed().checked_sub(plugged.unwrap()).unwrap();
    assert!(late < QUICK, "{late:?}");

    ip("link del nic0");
    let mut there = false;
    let far = "link add nic9 type veth peer name far9 netns far1";
    let config = NetConfig { deadline: Duration::from_secs(8), ..lab.config() };
    let fixed =
        StaticAddress { address: [10, 77, 1, 9].into(), prefix: 24, peer: None, gateway: None };
    let config = NetConfig { addressing: Addressing::Static(fixed), ..config };
    let result = bring_up(&config, &mut |_, _| Ok(()), &mut |line| {
        eprintln!("{line}");
        if line.starts_with("network: waiting for a network card") && !there {
            there = true;
            ip(far);
            ip("-n far1 link set far9 up");
        }
    });
    assert_eq!(result.unwrap().nic.name, "nic9");
}

#[test]
fn an_address_that_somebody_has_is_declined() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug("nic0", 1);
    // Somebody of whom the server knows nothing has the first address that it offers.
    ip("-n far1 addr add 10.77.1.50/24 dev far1");
    lab.dhcp(1, &["--no-ping", "--dhcp-sequential-ip"]);
    let (result, _, _) = run(&lab.config(), &mut |_, _| Ok(()));
    let network = result.unwrap();
    assert_ne!(network.address, Ipv4Addr::new(10, 77, 1, 50));
    let far = ip("-n far1 -o link show far1");
    let far = far.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap();
    let heard = format!("10.77.1.50 of 10.77.1.1 declined: {far} has it");
    assert!(network.nic.heard.contains(&heard), "{}", network.nic.heard);
}
