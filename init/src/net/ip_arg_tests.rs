use std::net::Ipv6Addr;

use super::*;
use crate::net::mac::MacAddr;

fn dhcp_on(nic: Option<NicChoice>, mtu: Option<u16>) -> IpArg {
    IpArg { nic, addressing: Addressing::Dhcp, mtu, hostname: None, nameservers: vec![] }
}

fn asked_on(nic: Option<NicChoice>, addressing: Addressing) -> IpArg {
    IpArg { addressing, ..dhcp_on(nic, None) }
}

fn name(name: &str) -> NicChoice {
    NicChoice::Name(name.to_owned())
}

fn fixed(prefix: u8, peer: Option<[u8; 4]>, gateway: Option<[u8; 4]>) -> IpArg {
    IpArg {
        nic: Some(name("eth0")),
        addressing: Addressing::Static(StaticAddress {
            address: Ipv4Addr::new(192, 0, 2, 7).into(),
            prefix,
            peer: peer.map(IpAddr::from),
            gateway: gateway.map(IpAddr::from),
        }),
        mtu: None,
        hostname: None,
        nameservers: vec![],
    }
}

#[test]
fn ip_forms() {
    let gateway = Some([192, 0, 2, 1]);
    let servers = vec![[192, 0, 2, 2].into(), [192, 0, 2, 3].into()];
    let full = fixed(24, None, gateway);
    for (text, expected) in [
        ("dhcp", dhcp_on(None, None)),
        ("single-dhcp", dhcp_on(None, None)),
        ("on", asked_on(None, Addressing::Any)),
        ("any", asked_on(None, Addressing::Any)),
        ("auto6", asked_on(None, Addressing::Ipv6(Ipv6Mode::Auto))),
        ("eth0:dhcp6", asked_on(Some(name("eth0")), Addressing::Ipv6(Ipv6Mode::Dhcp))),
        ("either6", asked_on(None, Addressing::Ipv6(Ipv6Mode::Either))),
        ("link6", asked_on(None, Addressing::Ipv6(Ipv6Mode::LinkLocal))),
        (
            ":::::eth0:link-local",
            asked_on(Some(name("eth0")), Addressing::Ipv6(Ipv6Mode::LinkLocal)),
        ),
        ("eth0:dhcp", dhcp_on(Some(name("eth0")), None)),
        ("eth0:dhcp:9000", dhcp_on(Some(name("eth0")), Some(9000))),
        (":::::eth0:dhcp", dhcp_on(Some(name("eth0")), None)),
        ("::::::dhcp", dhcp_on(None, None)),
        (
            "::::node7:52-54-00-12-34-56:dhcp:1400",
            IpArg {
                hostname: Some("node7".to_owned()),
                ..dhcp_on(
                    Some(NicChoice::Mac(MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]))),
                    Some(1400),
                )
            },
        ),
        ("192.0.2.7::192.0.2.1:255.255.255.0::eth0:none", full.clone()),
        ("192.0.2.7::192.0.2.1:24::eth0:off", full.clone()),
        ("192.0.2.7::192.0.2.1:24::eth0:static", full.clone()),
        ("192.0.2.7::192.0.2.1:24::eth0:", full.clone()),
        ("192.0.2.7:::25::eth0:none", fixed(25, None, None)),
        ("192.0.2.7:192.0.2.8::32::eth0:none", fixed(32, Some([192, 0, 2, 8]), None)),
        ("192.0.2.7::192.0.2.1:24::eth0:none:", full.clone()),
        ("192.0.2.7::192.0.2.1:24::eth0:none:9000", IpArg { mtu: Some(9000), ..full.clone() }),
        (
            "192.0.2.7::192.0.2.1:24:node-7.example:eth0:none:192.0.2.2:192.0.2.3",
            IpArg { nameservers: servers, hostname: Some("node-7.example".to_owned()), ..full },
        ),
    ] {
        assert_eq!(parse_ip(text), Ok(expected), "{text:?}");
    }
}

#[test]
fn ip_refusals_name_the_field() {
    for (text, expected) in [
        ("", "ip= \"\": expected dhcp,"),
        ("dchp", "ip= \"dchp\": expected dhcp,"),
        ("eth0:ibft", "ip= method \"ibft\": expected none, off,"),
        ("[2001:db8::2", "ip= \"[2001:db8::2\": expected dhcp,"),
        ("[2001:db8::2]x::[2001:db8::1]:64::eth0:none", "ip= \"[2001"),
        ("[ff02::1]::[2001:db8::1]:64::eth0:none", "ip= client \"ff02::1\""),
        ("[2001:db8::2]::192.0.2.1:64::eth0:none", "ip= gateway \"192.0.2.1\": expected an IPv6"),
        ("192.0.2.7::[2001:db8::1]:24::eth0:none", "ip= gateway \"2001:db8::1\": expected an IPv4"),
        ("[2001:db8::2]::[2001:db8::1]:129::eth0:none", "ip= netmask \"129\": expected a prefix"),
        ("[2001:db8::2]::[2001:db8::1]:255.255.255.0::eth0:none", "ip= netmask \"255"),
        ("eth0:dhcp:90000", "ip= MTU \"90000\": expected a number of bytes from 576 to 9216"),
        ("eth0:dhcp:100", "ip= MTU \"100\""),
        ("a/b:dhcp", "NIC \"a/b\""),
        ("averyveryverylongname:dhcp", "NIC \"averyveryverylongname\""),
        ("192.0.2.7::192.0.2.1:24::eth0:ibft", "ip= method \"ibft\""),
        ("192.0.2::192.0.2.1:24::eth0:none", "ip= client \"192.0.2\""),
        ("0.0.0.0::192.0.2.1:24::eth0:none", "ip= client \"0.0.0.0\""),
        ("224.0.0.1::192.0.2.1:24::eth0:none", "ip= client \"224.0.0.1\""),
        ("192.0.2.7::192.0.2.1:::eth0:none", "ip= netmask \"\""),
        ("192.0.2.7::192.0.2.1:33::eth0:none", "ip= netmask \"33\""),
        ("192.0.2.7::192.0.2.1:0::eth0:none", "ip= netmask \"0\""),
        ("192.0.2.7::192.0.2.1:255.0.255.0::eth0:none", "ip= netmask \"255.0.255.0\""),
        ("192.0.2.7::gw:24::eth0:none", "ip= gateway \"gw\""),
        ("192.0.2.7:x::24::eth0:none", "ip= peer \"x\""),
        ("192.0.2.7:::24:no de:eth0:none", "ip= hostname \"no de\""),
        ("192.0.2.7:::24::eth0:none:1.1.1.1:dns", "ip= dns \"dns\""),
        ("192.0.2.7:::24::eth0:none:1.1.1.1:1.1.1.2:1.1.1.3", "ip= \"192"),
    ] {
        let error = parse_ip(text).expect_err(text).to_string();
        assert!(error.starts_with(expected), "{text:?} gave {error:?}");
    }
}

#[test]
fn ipv6_stands_in_brackets() {
    let v6 = |text: &str| text.parse::<Ipv6Addr>().unwrap().into();
    let fixed = IpArg {
        addressing: Addressing::Static(StaticAddress {
            address: v6("2001:db8::2"),
            prefix: 64,
            peer: None,
            gateway: Some(v6("2001:db8::1")),
        }),
        hostname: Some("host".to_owned()),
        ..dhcp_on(Some(name("eth0")), None)
    };
    let nameservers = vec![v6("2001:db8::3"), [192, 0, 2, 3].into()];
    for (text, expected) in [
        ("[2001:db8::2]::[2001:db8::1]:64:host:eth0:none", fixed.clone()),
        (
            "[2001:db8::2]::[2001:db8::1]:64:host:eth0:none:9000",
            IpArg { mtu: Some(9000), ..fixed.clone() },
        ),
        (
            "[2001:db8::2]::[2001:db8::1]:64:host:eth0:none:[2001:db8::3]:192.0.2.3",
            IpArg { nameservers: nameservers.clone(), ..fixed.clone() },
        ),
        (
            "[2001:db8::2]::[2001:db8::1]:64:host:eth0:none:[2001:db8::3]",
            IpArg { nameservers: nameservers[..1].to_vec(), ..fixed },
        ),
    ] {
        assert_eq!(parse_ip(text), Ok(expected), "{text:?}");
    }
}

#[test]
fn routes() {
    for (text, expected, nic) in [
        ("192.0.2.0/24:10.0.0.1", "192.0.2.0/24 via 10.0.0.1", None),
        ("192.0.2.7/255.255.255.0:10.0.0.1:eth0", "192.0.2.0/24 via 10.0.0.1", Some("eth0")),
        ("0.0.0.0/0:10.0.0.1", "0.0.0.0/0 via 10.0.0.1", None),
        (
            "[2001:db8:3::/48]:[2001:db8:2::1]:ens10",
            "2001:db8:3::/48 via 2001:db8:2::1",
            Some("ens10"),
        ),
        ("[::/0]:[fe80::1]:", "::/0 via fe80::1", None),
    ] {
        let found = parse_route(text).expect(text);
        assert_eq!(found.route.to_string(), expected);
        assert_eq!(found.nic, nic.map(name), "{text:?}");
    }
    for (text, expected) in [
        ("192.0.2.0/24", "rd.route= \"192.0.2.0/24\": expected <net>/<netmask>:<gateway>"),
        ("192.0.2.0:10.0.0.1", "rd.route= \"192"),
        ("192.0.2.0/33:10.0.0.1", "rd.route= netmask \"33\""),
        ("192.0.2.0/24:gw", "rd.route= gateway \"gw\""),
        ("192.0.2.0/24:[2001:db8::1]", "rd.route= gateway \"2001:db8::1\": expected an IPv4"),
        ("2001:db8::/64:[2001:db8::1]", "rd.route= \"2001"),
        ("192.0.2.0/24:10.0.0.1:a/b", "NIC \"a/b\""),
        ("192.0.2.0/24:10.0.0.1:eth0:x", "rd.route= \"192"),
    ] {
        let error = parse_route(text).expect_err(text).to_string();
        assert!(error.starts_with(expected), "{text:?} gave {error:?}");
    }
}
