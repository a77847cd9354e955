use std::net::Ipv4Addr;

use super::*;

fn dhcp_on(nic: Option<NicChoice>, mtu: Option<u16>) -> IpArg {
    IpArg { nic, addressing: Addressing::Dhcp, mtu, hostname: None, nameservers: vec![] }
}

fn name(name: &str) -> NicChoice {
    NicChoice::Name(name.to_owned())
}

fn fixed(prefix: u8, peer: Option<[u8; 4]>, gateway: Option<[u8; 4]>) -> IpArg {
    IpArg {
        nic: Some(name("eth0")),
        addressing: Addressing::Static(StaticAddress {
            address: Ipv4Addr::new(192, 0, 2, 7),
            prefix,
            peer: peer.map(Ipv4Addr::from),
            gateway: gateway.map(Ipv4Addr::from),
        }),
        mtu: None,
        hostname: None,
        nameservers: vec![],
    }
}

#[test]
fn ip_forms() {
    let gateway = Some([192, 0, 2, 1]);
    let servers = vec![Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(192, 0, 2, 3)];
    let full = fixed(24, None, gateway);
    for (text, expected) in [
        ("dhcp", dhcp_on(None, None)),
        ("on", dhcp_on(None, None)),
        ("any", dhcp_on(None, None)),
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
        ("dhcp6", "ip= method \"dhcp6\": expected none, off,"),
        ("eth0:auto6", "ip= method \"auto6\""),
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
fn bootif_forms() {
    let mac = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    for (text, expected) in [
        ("01-52-54-00-12-34-56", Some(mac)),
        ("01:52:54:00:12:34:56", Some(mac)),
        ("52-54-00-12-34-56", Some(mac)),
        ("52:54:00:12:34:56", Some(mac)),
        ("06-52-54-00-12-34-56", None),
        ("01-52-54-00-12-34", None),
        ("eth0", None),
    ] {
        assert_eq!(parse_bootif(text).ok(), expected, "{text:?}");
    }
}

#[test]
fn nic_choices() {
    for (text, expected) in [
        ("eth0", Some(name("eth0"))),
        ("driver=igb", Some(NicChoice::Driver("igb".to_owned()))),
        ("52:54:00:12:34:56", Some(NicChoice::Mac(MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56])))),
        ("driver=", None),
        ("", None),
        ("..", None),
        ("e th0", None),
    ] {
        assert_eq!(NicChoice::parse(text).ok(), expected, "{text:?}");
    }
}

#[test]
fn nameservers() {
    assert_eq!(parse_nameserver("192.0.2.2"), Ok(Ipv4Addr::new(192, 0, 2, 2)));
    let error = parse_nameserver("2001:db8::1").expect_err("IPv6 is not supported");
    assert_eq!(
        error.to_string(),
        "nameserver= \"2001:db8::1\": expected an IPv4 address such as 192.0.2.7"
    );
}
