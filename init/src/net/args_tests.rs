use super::*;

fn name(name: &str) -> NicChoice {
    NicChoice::Name(name.to_owned())
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
    for (text, expected) in [
        ("192.0.2.2", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("fe80::1", "fe80::1"),
    ] {
        assert_eq!(parse_nameserver(text), Ok(expected.parse().unwrap()), "{text:?}");
    }
    for text in ["", "[2001:db8::1", "::", "::1", "ff02::1", "::ffff:192.0.2.2", "127.0.0.1", "dns"]
    {
        let error = parse_nameserver(text).expect_err(text).to_string();
        assert!(error.ends_with("or an IPv6 address"), "{error}");
    }
}
