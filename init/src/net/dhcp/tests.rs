//! Dialogues with a server that is this file, and frames that no server should send.

use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;
use smoltcp::wire::{DhcpMessageType, DhcpPacket, EthernetFrame, Ipv4Packet, UdpPacket};

use super::*;
use crate::net::{Giver, Lease, Route};

pub(super) const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
pub(super) const OFFERED: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

const OFFER: u8 = 2;
pub(super) const ACK: u8 = 5;
pub(super) const NAK: u8 = 6;

/// What the client sent: kind, transaction, and the options by number.
struct Sent {
    kind: DhcpMessageType,
    xid: u32,
    broadcast: bool,
    options: message::Options,
    length: usize,
}

fn sent(frame: &[u8]) -> Sent {
    let ethernet = EthernetFrame::new_checked(frame).unwrap();
    assert!(ethernet.dst_addr().is_broadcast());
    let ip = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
    assert!(ip.verify_checksum());
    let udp = UdpPacket::new_checked(ip.payload()).unwrap();
    assert!(udp.verify_checksum(&ip.src_addr().into(), &ip.dst_addr().into()));
    assert_eq!((udp.src_port(), udp.dst_port()), (68, 67));
    let packet = DhcpPacket::new_checked(udp.payload()).unwrap();
    let options: message::Options =
        packet.options().map(|option| (option.kind, option.data.to_vec())).collect();
    Sent {
        kind: DhcpMessageType::from(options[&53][0]),
        xid: packet.transaction_id(),
        broadcast: packet.flags().bits() != 0,
        options,
        length: udp.payload().len(),
    }
}

/// What a server sends in a datagram, byte by byte.
pub(super) fn datagram(
    kind: u8,
    xid: u32,
    address: Ipv4Addr,
    options: &[(u8, Vec<u8>)],
) -> Vec<u8> {
    let mut dhcp = vec![2, 1, 6, 0];
    dhcp.extend(xid.to_be_bytes());
    dhcp.extend([0; 8]);
    dhcp.extend(address.octets());
    dhcp.extend([0; 8]);
    dhcp.extend(MAC.0);
    dhcp.resize(236, 0);
    dhcp.extend([0x63, 0x82, 0x53, 0x63, 53, 1, kind]);
    for (number, data) in options {
        dhcp.extend([*number, data.len() as u8]);
        dhcp.extend(data);
    }
    dhcp.push(255);
    dhcp
}

/// A server's frame, with a UDP checksum that only covers the pseudo header, as virtio leaves it.
fn reply(kind: u8, xid: u32, address: Ipv4Addr, options: &[(u8, &[u8])]) -> Vec<u8> {
    let options: Vec<_> = options.iter().map(|(number, data)| (*number, data.to_vec())).collect();
    let dhcp = datagram(kind, xid, address, &options);
    let udp_len = dhcp.len() as u16 + 8;
    let mut frame = MAC.0.to_vec();
    frame.extend([0x52, 0x55, 10, 0, 2, 2, 8, 0, 0x45, 0]);
    frame.extend((udp_len + 20).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend(SERVER.octets());
    frame.extend(address.octets());
    Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
    frame.extend([0, 67, 0, 68]);
    frame.extend(udp_len.to_be_bytes());
    frame.extend([0xde, 0xad]);
    frame.extend(dhcp);
    frame
}

fn full(kind: u8, xid: u32) -> Vec<u8> {
    reply(
        kind,
        xid,
        OFFERED,
        &[
            (54, &SERVER.octets()),
            (1, &[255, 255, 255, 0]),
            (3, &[10, 0, 2, 2, 10, 0, 2, 3]),
            (6, &[10, 0, 2, 3, 0, 0, 0, 0, 10, 0, 2, 4, 10, 0, 2, 5, 10, 0, 2, 6]),
            (12, b"node7"),
            (15, b"example.org\0"),
            (26, &1400u16.to_be_bytes()),
            (42, &[10, 0, 2, 9]),
            (51, &3600u32.to_be_bytes()),
        ],
    )
}

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn client() -> (Client, Sent) {
    let mut client = Client::new(MAC, 7, at(0));
    let discover = sent(&client.poll(at(0)).unwrap());
    (client, discover)
}

/// A client that has had its OFFER and sent its REQUEST.
fn requesting() -> (Client, Sent) {
    let (mut client, discover) = client();
    assert_eq!(client.receive(at(10), &full(OFFER, discover.xid)), None);
    let request = sent(&client.poll(at(10)).unwrap());
    (client, request)
}

#[test]
fn discover_offer_request_ack() {
    let (mut client, discover) = client();
    assert_eq!(discover.kind, DhcpMessageType::Discover);
    assert_eq!(discover.options[&55], [1, 121, 3, 6, 12, 15, 119, 26, 42]);
    assert_eq!(discover.options[&60], b"inaugurator");
    assert_eq!(discover.options[&61], [1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    assert!(!discover.options.contains_key(&93));
    assert!(discover.length >= 300, "BOOTP's shortest message");
    assert_eq!(client.poll(at(10)), None, "nothing is due");

    assert_eq!(client.receive(at(20), &full(OFFER, discover.xid)), None);
    let request = sent(&client.poll(at(20)).unwrap());
    assert_eq!(request.kind, DhcpMessageType::Request);
    assert_eq!(request.xid, discover.xid);
    assert_eq!(request.options[&50], OFFERED.octets());
    assert_eq!(request.options[&54], SERVER.octets());

    let answer = client.receive(at(30), &full(ACK, request.xid)).unwrap();
    let expected = Answer {
        address: OFFERED.into(),
        prefix: 24,
        gateway: Some(SERVER.into()),
        routes: vec![],
        nameservers: [3, 4, 5].map(|host| [10, 0, 2, host].into()).to_vec(),
        domain: Some("example.org".to_owned()),
        hostname: Some("node7".to_owned()),
        ntp: vec![[10, 0, 2, 9].into()],
        mtu: Some(1400),
        lease: Lease {
            server: SERVER.into(),
            by: Giver::Dhcp,
            seconds: 3600,
            renew_s: 1800,
            rebind_s: 3150,
        },
        remarks: vec!["resolver 0.0.0.0 of the lease not taken".to_owned()],
        server_id: None,
    };
    assert_eq!(answer, expected);
    assert_eq!(client.next_at(), None);
    assert_eq!(client.poll(at(100_000)), None);
}

#[test]
fn an_offer_for_any_of_its_discovers_counts() {
    let (mut client, first) = client();
    let mut times = vec![0];
    for _ in 0..6 {
        let due = client.next_at().unwrap();
        let again = sent(&client.poll(due).unwrap());
        times.push(due.as_millis() as u64);
        assert_eq!(again.xid, first.xid, "a slow server answers the first DISCOVER");
        assert_eq!(again.broadcast, times.len() >= 3);
    }
    for (pair, least) in times.windows(2).zip([500, 1000, 2000, 4000, 4000, 4000]) {
        let wait = pair[1] - pair[0];
        assert!((least..=least * 5 / 4).contains(&wait), "{wait} ms after at least {least}");
    }
    assert_eq!(client.heard().to_string(), "7 DISCOVER sent, no answer");
    client.receive(at(30_000), &full(OFFER, first.xid));
    assert_eq!(sent(&client.poll(at(30_000)).unwrap()).kind, DhcpMessageType::Request);
}

#[test]
fn a_server_that_led_nowhere_is_taken_if_no_other_offers() {
    let other = Ipv4Addr::new(10, 9, 9, 2);
    let offer = |server: Ipv4Addr, xid| reply(OFFER, xid, OFFERED, &[(54, &server.octets())]);
    let asked = |client: &mut Client, now| client.poll(at(now)).map(|frame| sent(&frame));
    for (avoided, second, expected) in [
        (vec![SERVER], Some(other), (200, other)),
        (vec![SERVER], None, (3100, SERVER)),
        (vec![other, SERVER], Some(other), (3100, other)),
        (vec![SERVER, other], Some(other), (3100, SERVER)),
    ] {
        let avoided: Vec<IpAddr> = avoided.into_iter().map(IpAddr::from).collect();
        let mut client = Client::new(MAC, 7, at(0)).avoiding(&avoided);
        let discover = asked(&mut client, 0).unwrap();
        client.receive(at(100), &offer(SERVER, discover.xid));
        if let Some(second) = second {
            client.receive(at(200), &offer(second, discover.xid));
        }
        let mut now = 200;
        let request = loop {
            match asked(&mut client, now).filter(|sent| sent.kind == DhcpMessageType::Request) {
                Some(request) => break request,
                // Times are jittered by less than a millisecond too.
                None => now = client.next_at().unwrap().as_micros().div_ceil(1000) as u64,
            }
        };
        assert_eq!((now, &request.options[&54][..]), (expected.0, &expected.1.octets()[..]));
    }
}

#[test]
fn options_in_the_fields_of_file_and_name_are_read() {
    let (mut client, discover) = client();
    let mut offer = reply(OFFER, discover.xid, OFFERED, &[(52, &[3])]);
    let dhcp = 14 + 20 + 8;
    offer[dhcp + 108..dhcp + 116].copy_from_slice(&[0, 54, 4, 10, 0, 2, 2, 255]);
    offer[dhcp + 44..dhcp + 51].copy_from_slice(&[12, 3, b'n', b'o', b'd', 15, 99]);
    client.receive(at(10), &offer);
    let request = sent(&client.poll(at(10)).unwrap());
    assert_eq!(request.options[&54], SERVER.octets());
}

#[test]
fn silence_after_the_request_starts_over() {
    let (mut client, request) = requesting();
    for _ in 0..3 {
        let due = client.next_at().unwrap();
        assert_eq!(sent(&client.poll(due).unwrap()).kind, DhcpMessageType::Request);
    }
    let due = client.next_at().unwrap();
    let discover = sent(&client.poll(due).unwrap());
    assert_eq!(discover.kind, DhcpMessageType::Discover);
    assert_ne!(discover.xid, request.xid);
    assert_eq!(
        client.heard().to_string(),
        "2 DISCOVER sent, 1 OFFER (last 10.0.2.15 from 10.0.2.2), 4 REQUEST sent, no ACK"
    );
}

#[test]
fn nak_waits_and_starts_over() {
    let (mut client, request) = requesting();
    let options: [(u8, &[u8]); 2] = [(54, &SERVER.octets()), (56, b"wrong\x1b network")];
    client.receive(at(1000), &reply(NAK, request.xid, Ipv4Addr::UNSPECIFIED, &options));
    assert_eq!(client.next_at(), Some(at(2000)));
    assert_eq!(client.poll(at(1999)), None);
    assert_ne!(sent(&client.poll(at(2000)).unwrap()).xid, request.xid);
    let heard = client.heard().to_string();
    assert!(heard.ends_with("NAK from 10.0.2.2 (wrong network)"), "{heard}");
}

#[test]
fn an_address_that_another_has_is_given_back() {
    let (mut client, request) = requesting();
    let answer = client.receive(at(20), &full(ACK, request.xid)).unwrap();
    let mut now = at(200);
    for wait in [100, 1000, 10_000, 10_000, 10_000] {
        let declined = sent(&client.decline(&answer, MacAddr([2, 0, 0, 0, 0, 7]), now).unwrap());
        assert_eq!(declined.kind, DhcpMessageType::Decline);
        assert_eq!(declined.options[&50], OFFERED.octets());
        assert_eq!(declined.options[&54], SERVER.octets());
        let options: Vec<u8> = declined.options.keys().copied().collect();
        assert_eq!(options, [50, 53, 54, 61]);
        assert_eq!(client.next_at(), Some(now + at(wait)));
        now += at(wait);
        let again = sent(&client.poll(now).unwrap());
        assert_eq!(again.kind, DhcpMessageType::Discover);
        assert_ne!(again.xid, declined.xid);
    }
    assert_eq!(
        client.heard().to_string(),
        "6 DISCOVER sent, 1 OFFER (last 10.0.2.15 from 10.0.2.2), 1 REQUEST sent, 1 ACK, \
         10.0.2.15 of 10.0.2.2 declined: 02:00:00:00:00:07 has it"
    );
}

#[test]
fn what_is_not_for_this_client_changes_nothing() {
    let (mut client, discover) = client();
    let other_server: [(u8, &[u8]); 1] = [(54, &[10, 0, 2, 77])];
    let xid = discover.xid;
    let good = full(OFFER, xid);
    let mut other_mac = good.clone();
    other_mac[14 + 20 + 8 + 28 + 5] ^= 1;
    let mut fragment = good.clone();
    fragment[14 + 6] = 0x20;
    Ipv4Packet::new_unchecked(&mut fragment[14..]).fill_checksum();
    let mut bad_ip = good.clone();
    bad_ip[14 + 12] ^= 1;
    let mut not_ip = good.clone();
    not_ip[12] = 0x86;
    let cases = [
        ("another transaction", full(OFFER, xid ^ 1)),
        ("another machine", other_mac),
        ("a fragment", fragment),
        ("a damaged IPv4 header", bad_ip),
        ("not IPv4", not_ip),
        ("an ACK before any REQUEST", full(ACK, xid)),
        ("no address (ProxyDHCP)", reply(OFFER, xid, Ipv4Addr::UNSPECIFIED, &other_server)),
        ("a multicast address", reply(OFFER, xid, Ipv4Addr::new(224, 0, 0, 1), &other_server)),
        ("no server identifier", reply(OFFER, xid, OFFERED, &[])),
        ("cut", good[..good.len() - 20].to_vec()),
        ("empty", Vec::new()),
    ];
    for (what, frame) in cases {
        assert_eq!(client.receive(at(10), &frame), None, "{what}");
        assert_eq!(client.poll(at(10)), None, "{what}");
    }
    let heard = client.heard().to_string();
    assert_eq!(heard, "1 DISCOVER sent, OFFER without a server identifier");

    let (mut client, request) = requesting();
    let strange = reply(ACK, request.xid, OFFERED, &other_server);
    assert_eq!(client.receive(at(20), &strange), None, "an ACK of a server not asked");
    let strange = reply(NAK, request.xid, Ipv4Addr::UNSPECIFIED, &other_server);
    client.receive(at(20), &strange);
    assert!(
        client.receive(at(30), &full(ACK, request.xid)).is_some(),
        "a NAK of a server not asked"
    );
}

fn answer_to(options: &[(u8, &[u8])]) -> Answer {
    let (mut client, request) = requesting();
    let mut all: Vec<(u8, &[u8])> = vec![(54, &[10, 0, 2, 2])];
    all.extend(options);
    client.receive(at(20), &reply(ACK, request.xid, OFFERED, &all)).unwrap()
}

#[test]
fn the_architecture_is_said_where_it_is_known() {
    let mut client = Client::new(MAC, 7, at(0)).of_architecture(Some(7));
    let discover = sent(&client.poll(at(0)).unwrap());
    assert_eq!(discover.options[&93], [0, 7]);
    assert_eq!(discover.options[&60], b"inaugurator");
}

#[test]
fn masks() {
    for (options, expected) in [
        (&[][..], (24, true)),
        (&[(1, &[255, 255, 254, 0][..])][..], (23, false)),
        (&[(1, &[255, 255, 255, 255][..])][..], (32, false)),
        (&[(1, &[255, 0, 255, 0][..])][..], (24, true)),
        (&[(1, &[0, 0, 0, 0][..])][..], (24, true)),
        (&[(1, &[255, 255][..])][..], (24, true)),
    ] {
        let answer = answer_to(options);
        let assumed = answer.remarks.iter().any(|text| text.starts_with("no usable mask given"));
        assert_eq!((answer.prefix, assumed), expected, "{options:?}");
    }
}

#[test]
fn lease_times() {
    let (hour, t1, t2) = (3600u32.to_be_bytes(), 600u32.to_be_bytes(), 1200u32.to_be_bytes());
    for (options, expected) in [
        (vec![], (120, 60, 105)),
        (vec![(51, &hour)], (3600, 1800, 3150)),
        (vec![(51, &hour), (58, &t1), (59, &t2)], (3600, 600, 1200)),
        (vec![(51, &hour), (58, &t2), (59, &t1)], (3600, 600, 600)),
        (vec![(51, &hour), (59, &t2)], (3600, 1200, 1200)),
        (vec![(51, &[255; 4])], (u32::MAX, u32::MAX / 2, u32::MAX - u32::MAX / 8)),
        (vec![(51, &[0; 4])], (120, 60, 105)),
    ] {
        let options: Vec<(u8, &[u8])> = options.iter().map(|(n, d)| (*n, &d[..])).collect();
        let lease = answer_to(&options).lease;
        assert_eq!((lease.seconds, lease.renew_s, lease.rebind_s), expected, "{options:?}");
    }
}

#[test]
fn what_is_searched_comes_before_the_domain() {
    let search = b"\x03lab\x07example\x03org\x00\x03two\xc0\x04";
    for (options, expected) in [
        (&[(15, &b"example.org"[..])][..], Some("example.org")),
        (&[(119, &search[..]), (15, b"example.org")], Some("lab.example.org")),
        (&[(119, b"\xc0\x04"), (15, b"example.org")], Some("example.org")),
    ] {
        assert_eq!(answer_to(options).domain.as_deref(), expected, "{options:?}");
    }
}

#[test]
fn strange_values_are_left_out() {
    let low = 68u16.to_be_bytes();
    let answer = answer_to(&[
        (26, &low),
        (15, b"evil\nnameserver 6.6.6.6"),
        (12, b"-x"),
        (6, &[127, 0, 0, 1, 224, 0, 0, 1, 8]),
        (3, &[0, 0, 0, 0]),
    ]);
    assert_eq!((answer.mtu, answer.domain, answer.hostname), (None, None, None));
    assert_eq!((answer.nameservers, answer.gateway), (vec![], None));
    assert_eq!(
        answer.remarks,
        [
            "no usable mask given, /24 assumed",
            "MTU 68 of the lease not taken, expected 576 to 9216 bytes",
            "no usable time of the lease given, 120 s assumed",
            "gateway 0.0.0.0 of the lease not taken",
            "resolver 127.0.0.1 of the lease not taken",
        ]
    );
}

#[test]
fn classless_routes_replace_the_router() {
    let gateway = IpAddr::from([10, 0, 2, 1]);
    let to =
        |octets: [u8; 4], prefix, gateway| Route { destination: octets.into(), prefix, gateway };
    let router: (u8, &[u8]) = (3, &[10, 0, 2, 99]);
    for (data, expected) in [
        (&[0, 10, 0, 2, 1][..], (Some(gateway), vec![])),
        (
            &[25, 192, 0, 2, 255, 10, 0, 2, 1, 0, 10, 0, 2, 1],
            (Some(gateway), vec![to([192, 0, 2, 128], 25, Some(gateway))]),
        ),
        (&[8, 172, 0, 0, 0, 0], (None, vec![to([172, 0, 0, 0], 8, None)])),
        (&[32, 1, 2, 3, 4, 10, 0, 2, 1], (None, vec![to([1, 2, 3, 4], 32, Some(gateway))])),
        // Doubtful: too long a prefix, and data that end early. The router option stands again.
        (&[33, 1, 2, 3, 4, 5, 10, 0, 2, 1], (Some([10, 0, 2, 99].into()), vec![])),
        (&[24, 192, 0, 2, 10, 0], (Some([10, 0, 2, 99].into()), vec![])),
    ] {
        let answer = answer_to(&[router, (121, data)]);
        assert_eq!((answer.gateway, answer.routes), expected, "{data:?}");
    }
    // RFC 3396: one option in two pieces.
    let answer = answer_to(&[(121, &[8, 172]), (121, &[0, 0, 0, 0])]);
    assert_eq!(answer.routes, [to([172, 0, 0, 0], 8, None)]);
}

proptest! {
    #[test]
    fn no_frame_is_too_strange(frame in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (mut client, _) = requesting();
        prop_assert_eq!(client.receive(at(20), &frame), None);
    }

    #[test]
    fn no_options_are_too_strange(options in proptest::collection::vec(any::<u8>(), 0..200), flip in 42usize..280, with in any::<u8>()) {
        let (mut client, request) = requesting();
        let mut frame = full(ACK, request.xid);
        let end = frame.len() - options.len().min(80);
        frame[end..].copy_from_slice(&options[..options.len().min(80)]);
        frame[flip] = with;
        let _ = client.receive(at(20), &frame);
    }
}

#[test]
fn a_release_says_who_gives_what_back_to_whom_and_nothing_else() {
    let bytes = release(MAC, OFFERED, SERVER, 7).unwrap();
    let packet = DhcpPacket::new_checked(&bytes[..]).unwrap();
    assert_eq!((packet.client_ip(), packet.client_hardware_address().0), (OFFERED, MAC.0));
    let options: message::Options =
        packet.options().map(|option| (option.kind, option.data.to_vec())).collect();
    let mac = [&[1][..], &MAC.0].concat();
    let expected = [(53, vec![7]), (54, SERVER.octets().to_vec()), (61, mac)];
    assert_eq!(options, message::Options::from(expected));
}
