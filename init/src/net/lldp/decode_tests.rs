use proptest::prelude::*;

use super::*;

/// As lldpd 1.0.16 of Debian 12 says it on a veth; its description of the system is left out.
const LLDPD: &str = "0180c200000e02013c6d056788cc020704be43b0b1861804070302013c6d0567060200780a04746f72310e04009c\
    008010181102fe80000000000000bc43b0fffeb186180200000002000803737730fe0900120f030100000000fe0900120f\
    0100800000360000";

/// As it says that it ends.
const LLDPD_ENDS: &str =
    "0180c200000e02013c6d056788cc020704be43b0b1861804070302013c6d0567060200000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(char::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
    pairs.map(|pair| u8::from_str_radix(&pair, 16).unwrap()).collect()
}

fn element(kind: u8, value: &[u8]) -> Vec<u8> {
    let head = u16::from(kind) << 9 | u16::try_from(value.len()).unwrap();
    [&head.to_be_bytes(), value].concat()
}

/// A frame of these elements, with its end and what Ethernet adds to short ones.
fn frame(elements: &[(u8, &[u8])]) -> Vec<u8> {
    let head = bytes("0180c200000e 001c730bd943 88cc");
    let body = elements.iter().flat_map(|(kind, value)| element(*kind, value));
    head.into_iter().chain(body).chain([0, 0]).chain([0; 20]).collect()
}

const MAC: &[u8] = b"\x04\x00\x1c\x73\x0b\xd9\x43";
const TTL: (u8, &[u8]) = (3, &[0, 120]);

fn neighbor(chassis: &str, port: &str) -> Neighbor {
    Neighbor { chassis: chassis.into(), port: port.into(), ttl_s: 120, ..Neighbor::default() }
}

/// An aggregated port as EOS says it: numbers of 802.1, the aggregate by 802.1's element.
fn eos() -> Vec<u8> {
    frame(&[
        (1, MAC),
        (2, b"\x05Ethernet48"),
        TTL,
        (4, b"rack 7:Et32"),
        (5, b"tor1.example"),
        (6, b"Arista Networks EOS version 4.13.12M running on an Arista Networks DCS-7140T-8S"),
        (7, &[0, 0x14, 0, 4]),
        (8, &[5, 1, 10, 32, 253, 44, 2, 0, 0x1e, 0x84, 0x80, 0]),
        (127, b"\x00\x80\xc2\x01\x00\x14"),
        (127, b"\x00\x80\xc2\x07\x03\x00\x0f\x42\x6b"),
        (127, b"\x00\x12\x0f\x04\x24\x14"),
    ])
}

/// As JUNOS says it: ports by their numbers in SNMP, and the names of virtual networks.
fn junos() -> Vec<u8> {
    frame(&[
        (1, b"\x04\x88\xa2\x5e\x5c\x36\x00"),
        (2, b"\x07541"),
        TTL,
        (4, b"ge-0/0/17"),
        (5, b"sw"),
        (127, b"\x00\x12\x0f\x03\x01\x00\x00\x00\x00"),
        (127, b"\x00\x80\xc2\x03\x00\x10\x07vlan-16"),
        (127, b"\x00\x80\xc2\x03\x00\x12\x07vlan-18"),
        (127, b"\x00\x90\x69\x01serial"),
    ])
}

/// As NX-OS says it: little, and the aggregate by 802.3's element.
fn nxos() -> Vec<u8> {
    frame(&[
        (1, b"\x04\x88\x5a\x92\xec\x54\x59"),
        (2, b"\x05Ethernet1/18"),
        TTL,
        (5, b"leaf-101"),
        (127, b"\x00\x80\xc2\x01\x00\x01"),
        (127, b"\x00\x12\x0f\x03\x03\x00\x00\x00\x0c"),
    ])
}

#[test]
fn what_switches_say() {
    let table = [
        (
            bytes(LLDPD),
            Neighbor {
                port_description: Some("sw0".into()),
                system: Some("tor1".into()),
                ..neighbor("be:43:b0:b1:86:18", "02:01:3c:6d:05:67")
            },
            "tor1 port sw0",
        ),
        (
            bytes(LLDPD_ENDS),
            Neighbor { ttl_s: 0, ..neighbor("be:43:b0:b1:86:18", "02:01:3c:6d:05:67") },
            "be:43:b0:b1:86:18 port 02:01:3c:6d:05:67",
        ),
        (
            eos(),
            Neighbor {
                port_description: Some("rack 7:Et32".into()),
                system: Some("tor1.example".into()),
                port_vlan: Some(20),
                aggregate: Some(1_000_043),
                ..neighbor("00:1c:73:0b:d9:43", "Ethernet48")
            },
            "tor1.example port Ethernet48, VLAN 20, aggregated",
        ),
        (
            junos(),
            Neighbor {
                port_description: Some("ge-0/0/17".into()),
                system: Some("sw".into()),
                vlans: vec![16, 18],
                vlans_named: 2,
                ..neighbor("88:a2:5e:5c:36:00", "541")
            },
            "sw port ge-0/0/17, tagged VLANs 16 18",
        ),
        (
            nxos(),
            Neighbor {
                system: Some("leaf-101".into()),
                port_vlan: Some(1),
                aggregate: Some(12),
                ..neighbor("88:5a:92:ec:54:59", "Ethernet1/18")
            },
            "leaf-101 port Ethernet1/18, VLAN 1, aggregated",
        ),
    ];
    for (frame, expected, words) in table {
        let found = decode(&frame).unwrap();
        assert_eq!((&found, found.to_string().as_str()), (&expected, words));
    }
}

#[test]
fn what_is_not_said_by_a_neighbour_is_not_taken() {
    let [chassis, port]: [(u8, &[u8]); 2] = [(1, MAC), (2, b"\x05e1")];
    let good = frame(&[chassis, port, TTL]);
    assert!(decode(&good).is_some());
    let mut other_type = good.clone();
    other_type[13] = 0xcd;
    let mut other_group = good.clone();
    other_group[5] = 0x02;
    let table = [
        (Vec::new(), "nothing"),
        (good[..14].to_vec(), "no element"),
        (good[..20].to_vec(), "cut"),
        (other_type, "another type"),
        (other_group, "another group"),
        (frame(&[port, chassis, TTL]), "another order"),
        (frame(&[chassis, port]), "no time"),
        (frame(&[chassis, port, (3, &[1])]), "half a time"),
        (frame(&[(1, &[4]), port, TTL]), "an identity of nothing"),
    ];
    for (frame, why) in table {
        assert_eq!(decode(&frame), None, "{why}");
    }
}

#[test]
fn oddities_do_no_harm() {
    let named = |id: u16| [b"\x00\x80\xc2\x03", &id.to_be_bytes()[..], b"\x01x"].concat();
    let many: Vec<Vec<u8>> = (0..200).map(named).collect();
    let mut elements: Vec<(u8, &[u8])> =
        vec![(1, b"\x05\x01\x0a\x00\x00\x01"), (2, b"\x07\x1b[2J"), TTL];
    elements.extend(many.iter().map(|value| (127, &value[..])));
    elements.push((127, b"\x00\x80\xc2\x01\x0f\xff"));
    elements.push((127, b"\x00\x80"));
    elements.push((5, &[b'a'; 255]));
    let found = decode(&frame(&elements)).unwrap();
    assert_eq!((found.chassis.as_str(), found.port.as_str()), ("10.0.0.1", "?[2J"));
    assert_eq!((found.vlans.len(), found.vlans_named, found.port_vlan), (VLANS_MAX, 199, None));
    assert_eq!(found.system.as_ref().map(String::len), Some(TEXT_MAX));
    assert!(found.to_string().ends_with(", tagged VLANs 1 2 3 4 and 195 more"), "{found}");
    // What is cut does not take away what was said before it.
    let whole = eos();
    let cut = decode(&whole[..whole.len() - 24]).unwrap();
    assert_eq!(cut.port_vlan, Some(20));
}

proptest! {
    #[test]
    fn any_bytes_are_read_within_bounds(body in prop::collection::vec(any::<u8>(), 0..1600)) {
        let head = bytes("0180c200000e 020000000001 88cc");
        for frame in [&body[..], &[&head[..], &body].concat()] {
            if let Some(found) = decode(frame) {
                prop_assert!(found.vlans.len() <= VLANS_MAX && found.to_string().chars().count() < 200);
                prop_assert!(!found.to_string().contains(char::is_control));
            }
        }
    }

    #[test]
    fn elements_in_any_order_and_of_any_content_are_read(
        rest in prop::collection::vec((3_u8..=127, prop::collection::vec(any::<u8>(), 0..64)), 0..40)
    ) {
        let mut elements: Vec<(u8, &[u8])> = vec![(1, MAC), (2, b"\x05e1"), TTL];
        elements.extend(rest.iter().map(|(kind, value)| (*kind, &value[..])));
        let found = decode(&frame(&elements));
        prop_assert_eq!(found.map(|found| found.ttl_s), Some(120));
    }
}
