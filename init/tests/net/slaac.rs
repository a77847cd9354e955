//! Networks of IPv6.

use std::net::{Ipv6Addr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use init::net::{Giver, NetConfig, Network, parse_ip, parse_nameserver, parse_route};

use crate::lab::{Lab, QUICK, SHORT, failure, ip, mac, run, store_of, store_v6_of};

/// `lab` with what an `ip=` word says.
fn with(lab: &Lab, word: &str) -> NetConfig {
    let arg = parse_ip(word).unwrap();
    NetConfig { addressing: arg.addressing, nameservers: arg.nameservers, ..lab.config() }
}

/// The address that NIC `name` makes of the prefix of `network`.
fn made(name: &str, network: u8) -> String {
    let mac = mac(name);
    let bytes: Vec<u8> = mac.split(':').map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    let prefix = [0x20, 1, 0xd, 0xb8, 0, network, 0, 0];
    let half = [&[bytes[0] ^ 2], &bytes[1..3], &[0xff, 0xfe], &bytes[3..]].concat();
    let whole: [u8; 16] = [&prefix[..], &half].concat().try_into().unwrap();
    Ipv6Addr::from(whole).to_string()
}

#[test]
fn a_site_of_ipv6_only_is_reached_by_its_router() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug_v6("nic0", 1);
    lab.store_v6(1);
    let dns = "--dhcp-option=option6:dns-server,[2001:db8:1::5],[fe80::5]";
    lab.router(1, ",ra-only", &[dns, "--dhcp-option=option6:domain-search,example.org"]);
    let (result, said, took) = run(&lab.config(), &mut store_v6_of(1));
    let network = result.unwrap();
    assert!(took < QUICK, "{took:?}");
    assert_eq!(network.address.to_string(), made("nic0", 1));
    let router = network.gateway.unwrap();
    assert!(router.to_string().starts_with("fe80::"), "{router}");
    assert_eq!(network.lease.unwrap().by, Giver::Router);
    let has = format!("nic0 has address {}/64 of router {router}, trying", network.address);
    assert!(said.iter().any(|line| line.contains(&has)), "{said:?}");
    assert!(ip("-6 route").contains(&format!("default via {router} dev nic0 proto dhcp")));
    assert_eq!(
        lab.resolv_conf(),
        "nameserver 2001:db8:1::5\nnameserver fe80::5%nic0\nsearch example.org\n\
         options timeout:2 attempts:2\n"
    );
}

#[test]
fn names_are_resolved_over_ipv6_and_by_the_links_own_addresses() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug_v6("nic0", 1);
    lab.store_v6(1);
    lab.resolver();
    let name = ["--port=53", "--host-record=store.test,2001:db8:1::1"];
    for server in ["[2001:db8:1::1]", "[fe80::]"] {
        // dnsmasq puts its own address of the link in the place of the second.
        let dns = format!("--dhcp-option=option6:dns-server,{server}");
        lab.router(1, ",ra-only", &[name[0], name[1], &dns]);
        let written = lab.path("etc/resolv.conf");
        let mut reach = |_: &Network, _: Duration| {
            // A file that is put over another cannot be replaced, as it is written.
            std::fs::copy(&written, "/etc/resolv.conf").map_err(|error| error.to_string())?;
            let found = "store.test:7000".to_socket_addrs().map_err(|error| error.to_string())?;
            found
                .map(TcpStream::connect)
                .next()
                .unwrap()
                .map(drop)
                .map_err(|error| error.to_string().into())
        };
        let network = run(&lab.config(), &mut reach).0.unwrap();
        let (servers, is_link) = (&network.nameservers, server == "[fe80::]");
        assert_eq!(servers[0].to_string().starts_with("fe80::"), is_link, "{servers:?}");
        lab.end_dhcp(1);
    }
}

#[test]
fn what_the_router_leaves_to_dhcp_is_asked_for() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug_v6("nic0", 1);
    lab.store_v6(1);
    lab.router(1, ",ra-stateless", &["--dhcp-option=option6:ntp-server,[2001:db8:1::9]"]);
    let (result, _, took) = run(&lab.config(), &mut store_v6_of(1));
    let network = result.unwrap();
    assert!(took < QUICK, "{took:?}");
    assert_eq!(network.address.to_string(), made("nic0", 1));
    assert_eq!(network.ntp, ["2001:db8:1::9".parse::<Ipv6Addr>().unwrap()]);
}

#[test]
fn an_address_is_leased_where_the_router_says_so() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug_v6("nic0", 1);
    lab.store_v6(1);
    let dns = "--dhcp-option=option6:dns-server,[2001:db8:1::5]";
    lab.router(1, "100,2001:db8:1::1ff,64,1h", &[dns]);
    for word in ["either6", "dhcp6", "any"] {
        let (result, _, took) = run(&with(&lab, word), &mut store_v6_of(1));
        let network = result.unwrap();
        assert!(took < QUICK, "{took:?}");
        assert!(network.address.to_string().starts_with("2001:db8:1::1"), "{network}");
        let lease = network.lease.unwrap();
        assert_eq!((lease.by, lease.seconds), (Giver::Dhcp, 3600));
        assert_eq!(network.prefix, 64);
        assert!(network.gateway.is_some() && network.server_id.is_some());
        assert_eq!(lab.resolv_conf(), "nameserver 2001:db8:1::5\noptions timeout:2 attempts:2\n");
    }
    // There is no prefix to make an address of.
    let config = NetConfig { deadline: SHORT, ..with(&lab, "auto6") };
    let text = failure(run(&config, &mut store_v6_of(1)).0);
    assert!(text.contains("no prefix to make an address of"), "{text}");
}

#[test]
fn one_family_does_not_wait_for_the_other() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug_v6("nic0", 1);
    Lab::plug("nic1", 2);
    lab.router(1, ",ra-only", &[]);
    lab.dhcp(2, &["--no-ping"]);
    lab.store_v6(1);
    lab.store(2);
    let (result, _, took) = run(&lab.config(), &mut store_v6_of(1));
    assert_eq!(result.unwrap().address.to_string(), made("nic0", 1));
    assert!(took < QUICK, "{took:?}");
    let (result, _, took) = run(&lab.config(), &mut store_of(2));
    assert!(result.unwrap().address.is_ipv4());
    assert!(took < QUICK, "{took:?}");
    // Nothing is left of what was tried.
    assert!(!ip("-6 -o addr").contains("2001:db8:1:"), "{}", ip("-6 -o addr"));
    assert!(!ip("-6 route").contains("default"), "{}", ip("-6 route"));
}

#[test]
fn silence_is_reported_of_both_families() {
    let Some(lab) = Lab::new() else { return };
    Lab::plug_v6("nic0", 1);
    let config = NetConfig { deadline: SHORT, ..lab.config() };
    let text = failure(run(&config, &mut |_, _| Ok(())).0);
    let line = text.lines().find(|line| line.contains("nic0 ")).unwrap();
    assert!(line.contains(" DISCOVER sent, no answer; "), "{line}");
    assert!(line.ends_with(" router solicitations sent, no answer"), "{line}");
    assert_eq!(line.matches("carrier up").count(), 1, "{line}");
}

#[test]
fn an_address_that_somebody_has_is_not_taken() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug_v6("nic0", 1);
    lab.store_v6(1);
    let taken = made("nic0", 1);
    ip(&format!("-n far1 addr add {taken}/64 dev far1 nodad"));
    lab.router(1, ",ra-only", &[]);
    let network = run(&with(&lab, "auto6"), &mut store_v6_of(1)).0.unwrap();
    assert_ne!(network.address.to_string(), taken);
    assert!(network.address.to_string().starts_with("2001:db8:1:0:"), "{network}");
    let heard = &network.nic.heard;
    assert!(heard.contains(&format!("{taken} declined: ")), "{heard}");
}

#[test]
fn the_links_own_address() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug_v6("nic0", 1);
    lab.store_v6(1);
    let network = run(&with(&lab, "link6"), &mut |_, _| Ok(())).0.unwrap();
    assert!(network.to_string().starts_with("nic0 fe80::"), "{network}");
    assert_eq!((network.gateway, network.lease), (None, None));
}

#[test]
fn a_static_address_with_routes() {
    let Some(mut lab) = Lab::new() else { return };
    Lab::plug_v6("nic0", 1);
    lab.store_v6(1);
    let word = "[2001:db8:1::7]::[2001:db8:1::1]:64:host:nic0:none:[2001:db8:1::5]";
    let routes = ["[2001:db8:9::/48]:[fe80::9]:nic0", "[2001:db8:8::/48]:[fe80::8]:nic9"];
    let config = NetConfig {
        routes: routes.map(|route| parse_route(route).unwrap()).to_vec(),
        ..with(&lab, word)
    };
    let config = NetConfig {
        nameservers: vec![parse_nameserver("fe80::5").unwrap(), config.nameservers[0]],
        ..config
    };
    let (result, said, took) = run(&config, &mut store_v6_of(1));
    let network = result.unwrap();
    assert!(took < QUICK, "{took:?}");
    assert_eq!(network.to_string(), "nic0 2001:db8:1::7/64, gateway 2001:db8:1::1, static");
    assert!(said.iter().any(|line| line.contains("static address 2001:db8:1::7/64, trying")));
    assert!(ip("-6 -o addr show nic0").contains("inet6 2001:db8:1::7/64 scope global nodad"));
    let found = ip("-6 route show dev nic0");
    assert!(found.contains("default via 2001:db8:1::1 proto dhcp"), "{found}");
    assert!(found.contains("2001:db8:9::/48 via fe80::9 "), "{found}");
    assert!(!found.contains("fe80::8"), "{found}");
    assert_eq!(
        lab.resolv_conf(),
        "nameserver fe80::5%nic0\nnameserver 2001:db8:1::5\n\
         options timeout:2 attempts:2\n"
    );

    // The next attempt begins without it.
    let none = run(&with(&lab, "[2001:db8:1::8]:::64::nic0:none"), &mut store_v6_of(1));
    assert_eq!(none.0.unwrap().gateway, None);
    let left = ip("-6 route show dev nic0");
    assert!(!left.contains("default") && !left.contains("2001:db8:9::"), "{left}");
    assert!(!ip("-6 -o addr show nic0").contains("2001:db8:1::7"));
}
