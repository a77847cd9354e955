//! Dialogues with routers and servers that are this file, and frames that nobody should send.

use std::time::Duration;

use proptest::prelude::*;
use smoltcp::wire::{EthernetFrame, Icmpv6Packet, Ipv6Packet, UdpPacket};

use super::*;

pub(super) const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
const ROUTER_MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
pub(super) const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
pub(super) const SERVER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x53);
pub(super) const LEASED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x100);
const OWN: &str = "2001:db8:1:0:5054:ff:fe12:3456";

const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;

pub(super) fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn client(mode: Ipv6Mode) -> Client {
    Client::new(MAC, mode, 7, at(0))
}

/// An IPv6 packet in an Ethernet frame.
fn frame(from: Ipv6Addr, to: Ipv6Addr, (protocol, hops): (u8, u8), payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = [&[0x33, 0x33, 0, 0, 0, 1][..], &ROUTER_MAC, &[0x86, 0xdd]].concat();
    bytes.extend([0x60, 0, 0, 0, length[0], length[1], protocol, hops]);
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    bytes.extend(payload);
    bytes
}

/// A router's advertisement: RFC 4861, 4.2.
pub(super) fn advert_of(
    router: Ipv6Addr,
    flags: u8,
    lifetime_s: u16,
    options: &[&[u8]],
) -> Vec<u8> {
    let to = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut payload = vec![134, 0, 0, 0, 64, flags];
    payload.extend(lifetime_s.to_be_bytes());
    payload.extend([0; 8]);
    payload.extend(options.concat());
    Icmpv6Packet::new_unchecked(&mut payload[..]).fill_checksum(&router, &to);
    frame(router, to, (58, 255), &payload)
}

fn advert(flags: u8, options: &[&[u8]]) -> Vec<u8> {
    advert_of(ROUTER, flags, 1800, options)
}

/// 2001:db8:`subnet`::/`length`.
pub(super) fn prefix(subnet: u16, length: u8, flags: u8, valid_s: u32) -> Vec<u8> {
    let address = Ipv6Addr::new(0x2001, 0xdb8, subnet, 0, 0, 0, 0, 0);
    let mut option = vec![3, 4, length, flags];
    option.extend(valid_s.to_be_bytes());
    option.extend(valid_s.to_be_bytes());
    option.extend([0; 4]);
    option.extend(address.octets());
    option
}

pub(super) fn usual_prefix() -> Vec<u8> {
    prefix(1, 64, 0xc0, 86_400)
}

/// RFC 8106, 5.1.
fn resolver(lifetime_s: u32) -> Vec<u8> {
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
    [&[25, 3, 0, 0][..], &lifetime_s.to_be_bytes(), &address.octets()].concat()
}

/// Options by number.
type Options = Vec<(u16, Vec<u8>)>;

/// What the client asked of DHCPv6 servers: the kind, the transaction and the options.
fn asked(frame: &[u8]) -> (u8, [u8; 3], Options) {
    let ethernet = EthernetFrame::new_checked(frame).unwrap();
    assert_eq!(ethernet.dst_addr().0, [0x33, 0x33, 0, 1, 0, 2]);
    let packet = Ipv6Packet::new_checked(ethernet.payload()).unwrap();
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    assert_eq!((from, to), (link_local(MAC), "ff02::1:2".parse().unwrap()));
    let udp = UdpPacket::new_checked(packet.payload()).unwrap();
    assert!(udp.verify_checksum(&from.into(), &to.into()));
    assert_eq!((udp.src_port(), udp.dst_port()), (546, 547));
    let message = udp.payload();
    let (mut options, mut rest) = (Vec::new(), &message[4..]);
    while let [a, b, c, d, data @ ..] = rest {
        let (data, after) = data.split_at(u16::from_be_bytes([*c, *d]).into());
        options.push((u16::from_be_bytes([*a, *b]), data.to_vec()));
        rest = after;
    }
    (message[0], [message[1], message[2], message[3]], options)
}

pub(super) fn option(number: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&number.to_be_bytes()[..], &length.to_be_bytes(), data].concat()
}

pub(super) fn server_id() -> Vec<u8> {
    option(2, &[0, 3, 0, 1, 1, 2, 3, 4, 5, 6])
}

fn client_id() -> Vec<u8> {
    option(1, &[&[0, 3, 0, 1][..], &MAC.0].concat())
}

/// An `IA_NA` with LEASED for so many seconds.
pub(super) fn lease_of(valid_s: u32) -> Vec<u8> {
    let times = [valid_s.to_be_bytes(), valid_s.to_be_bytes()].concat();
    let inner = option(5, &[&LEASED.octets()[..], &times].concat());
    option(3, &[&MAC.0[2..], &[0; 8], &inner].concat())
}

/// A DHCPv6 server's message.
pub(super) fn message(kind: u8, xid: [u8; 3], options: &[Vec<u8>]) -> Vec<u8> {
    [&[kind][..], &xid, &server_id(), &client_id(), &options.concat()].concat()
}

fn said(kind: u8, xid: [u8; 3], options: &[Vec<u8>]) -> Vec<u8> {
    let message = message(kind, xid, options);
    let length = u16::try_from(message.len() + 8).unwrap().to_be_bytes();
    // The checksum is partial.
    let udp = [&[2, 35, 2, 34][..], &length, &[0xab, 0xcd], &message].concat();
    frame(SERVER, link_local(MAC), (17, 64), &udp)
}

const ADVERTISE: u8 = 2;
pub(super) const REPLY: u8 = 7;

fn hear(client: &mut Client, now: Duration, frame: &[u8]) -> Option<Answer> {
    client.receive(now, frame);
    client.answer(now)
}

#[test]
fn routers_are_asked_fast_first_and_on_and_on() {
    let mut client = client(Ipv6Mode::Either);
    let mut times = Vec::new();
    for _ in 0..6 {
        let due = client.next_at().unwrap();
        let solicit = client.poll(due).unwrap();
        assert_eq!(client.poll(due), None);
        let packet = Ipv6Packet::new_checked(&solicit[14..]).unwrap();
        assert_eq!((packet.hop_limit(), packet.payload().len()), (255, 8));
        assert_eq!(packet.dst_addr(), "ff02::2".parse::<Ipv6Addr>().unwrap());
        assert!(packet.src_addr().is_unspecified());
        times.push(due);
    }
    let waits = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]).as_millis());
    for (wait, least) in waits.zip([500, 1000, 2000, 4000, 4000]) {
        assert!((least..=least * 5 / 4).contains(&wait), "{wait} ms after at least {least}");
    }
    assert_eq!(client.heard().to_string(), "6 router solicitations sent, no answer");
}

#[test]
fn an_address_is_made_of_the_first_prefix_that_may_be() {
    let mtu = [&[5, 1, 0, 0][..], &1400u32.to_be_bytes()].concat();
    let domain = [&[31, 3, 0, 0][..], &60u32.to_be_bytes(), b"\x07example\x03org\0\0\0\0"].concat();
    let frame = advert(
        0,
        &[
            &prefix(7, 64, 0x80, 60),
            &prefix(8, 56, 0xc0, 60),
            &prefix(9, 64, 0xc0, 0),
            &usual_prefix(),
            &mtu,
            &resolver(60),
            &resolver(0),
            &domain,
        ],
    );
    let mut client = client(Ipv6Mode::Auto);
    client.poll(at(0));
    let answer = hear(&mut client, at(10), &frame).unwrap();
    assert_eq!((answer.address.to_string().as_str(), answer.prefix), (OWN, 64));
    assert_eq!(answer.gateway, Some(ROUTER.into()));
    assert_eq!((answer.mtu, answer.domain.as_deref()), (Some(1400), Some("example.org")));
    assert_eq!(answer.nameservers.len(), 1);
    let routes: Vec<_> = answer.routes.iter().map(ToString::to_string).collect();
    assert_eq!(routes, ["2001:db8:7::/64", "2001:db8:8::/56"]);
    let lease = answer.lease;
    assert_eq!((lease.by, lease.server), (Giver::Router, ROUTER.into()));
    assert_eq!((lease.seconds, lease.renew_s), (1800, 900));
    assert_eq!((client.next_at(), client.poll(at(60_000))), (None, None));
}

#[test]
fn what_is_no_way_to_an_address_is_told_and_what_is_forged_is_not_heard() {
    let whole = advert(0, &[&usual_prefix()]);
    let mut far = whole.clone();
    far[21] = 254;
    let mut broken = whole.clone();
    broken[90] ^= 1;
    let of_no_link = advert_of(LEASED, 0, 1800, &[&usual_prefix()]);
    let cut = advert(0, &[&usual_prefix(), &[3, 9, 64, 0xc0, 0, 0, 0, 0]]);
    let endless = advert(0, &[&[1, 0, 0, 0, 0, 0, 0, 0]]);
    let mut client = client(Ipv6Mode::Either);
    for frame in [far, broken, of_no_link, cut, endless, whole[..60].to_vec()] {
        assert_eq!(hear(&mut client, at(0), &frame), None, "{frame:02x?}");
    }
    assert_eq!(client.heard().adverts, 0);
    assert_eq!(hear(&mut client, at(0), &advert(0, &[&prefix(1, 64, 0x80, 60)])), None);
    let heard = "0 router solicitations sent, 1 advertisements (last of fe80::1), no prefix to make an \
                 address of and without DHCPv6";
    assert_eq!(client.heard().to_string(), heard);
    assert!(hear(&mut client, at(0), &whole).is_some());
}

#[test]
fn a_router_that_is_none_gives_an_address_without_a_way_out() {
    let mut client = client(Ipv6Mode::Auto);
    let answer = hear(&mut client, at(0), &advert_of(ROUTER, 0, 0, &[&usual_prefix()])).unwrap();
    assert_eq!((answer.gateway, answer.lease.seconds), (None, 86_400));
}

#[test]
fn a_router_that_led_nowhere_is_taken_if_there_is_no_other() {
    let other = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    let advert = |router| advert_of(router, 0, 1800, &[&usual_prefix()]);
    for second in [true, false] {
        let mut client = client(Ipv6Mode::Auto).avoiding(&[ROUTER.into()]);
        assert_eq!(hear(&mut client, at(10), &advert(ROUTER)), None);
        if second {
            let answer = hear(&mut client, at(20), &advert(other)).unwrap();
            assert_eq!(answer.gateway, Some(other.into()));
            continue;
        }
        client.poll(at(3009));
        assert_eq!(client.answer(at(3009)), None);
        client.poll(at(3010));
        assert_eq!(client.answer(at(3010)).unwrap().gateway, Some(ROUTER.into()));
    }
}

#[test]
fn what_dhcp_does_not_say_in_time_is_done_without() {
    for (flags, options, wait) in [
        (OTHER, vec![usual_prefix()], 1000),
        (OTHER, vec![usual_prefix(), resolver(60)], 300),
        (MANAGED, vec![usual_prefix()], 1000),
    ] {
        let options: Vec<&[u8]> = options.iter().map(Vec::as_slice).collect();
        let mut client = client(Ipv6Mode::Either);
        assert_eq!(hear(&mut client, at(10), &advert(flags, &options)), None);
        let (kind, _, sent) = asked(&client.poll(at(10)).unwrap());
        assert_eq!(kind, if flags == OTHER { 11 } else { 1 });
        let numbers: Vec<u16> = sent.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers.contains(&3), flags == MANAGED, "{numbers:?}");
        assert!(client.next_at().unwrap() <= at(10 + wait));
        client.poll(at(9 + wait));
        assert_eq!(client.answer(at(9 + wait)), None);
        assert_eq!(client.answer(at(10 + wait)).unwrap().address.to_string(), OWN);
    }
}

#[test]
fn a_stateless_server_says_the_rest() {
    let mut client = client(Ipv6Mode::Auto);
    assert_eq!(hear(&mut client, at(0), &advert(OTHER, &[&usual_prefix()])), None);
    let (_, xid, sent) = asked(&client.poll(at(0)).unwrap());
    assert!(sent.contains(&(1, [&[0, 3, 0, 1][..], &MAC.0].concat())), "{sent:?}");
    assert!(sent.contains(&(6, vec![0, 23, 0, 24, 0, 31, 0, 56])), "{sent:?}");
    let options =
        [option(23, &SERVER.octets()), option(24, b"\x03lan\0"), option(31, &LEASED.octets())];
    let other = [xid[0], xid[1], xid[2] ^ 1];
    assert_eq!(hear(&mut client, at(5), &said(REPLY, other, &options)), None);
    let answer = hear(&mut client, at(5), &said(REPLY, xid, &options)).unwrap();
    assert_eq!(answer.address.to_string(), OWN);
    assert_eq!((answer.nameservers, answer.ntp), (vec![SERVER.into()], vec![LEASED.into()]));
    assert_eq!((answer.domain.as_deref(), answer.server_id), (Some("lan"), None));
}

#[test]
fn a_server_offers_is_asked_and_grants() {
    let mut client = client(Ipv6Mode::Either);
    let on_link = prefix(1, 64, 0x80, 86_400);
    assert_eq!(hear(&mut client, at(0), &advert(MANAGED | OTHER, &[&on_link])), None);
    let (kind, xid, sent) = asked(&client.poll(at(0)).unwrap());
    assert!(kind == 1 && sent.contains(&(14, vec![])), "rapid commit is offered: {sent:?}");
    let offer = said(ADVERTISE, xid, &[lease_of(600)]);
    assert_eq!(hear(&mut client, at(5), &offer), None);
    let (kind, xid, sent) = asked(&client.poll(at(5)).unwrap());
    assert_eq!(kind, 3);
    assert!(sent.contains(&(2, vec![0, 3, 0, 1, 1, 2, 3, 4, 5, 6])), "{sent:?}");
    let answer = hear(&mut client, at(9), &said(REPLY, xid, &[lease_of(600)])).unwrap();
    assert_eq!((answer.address, answer.prefix), (LEASED.into(), 64));
    assert_eq!(answer.gateway, Some(ROUTER.into()));
    let lease = answer.lease;
    assert_eq!((lease.by, lease.server), (Giver::Dhcp, SERVER.into()));
    assert_eq!((lease.seconds, lease.renew_s, lease.rebind_s), (600, 300, 480));
    assert_eq!(answer.server_id.unwrap().len(), 10);

    // Somebody has it: it is given back, and another is asked for.
    let answer = Answer { server_id: None, ..client_answer(&lease) };
    let (kind, _, sent) = asked(&client.decline(&answer, MacAddr(ROUTER_MAC), at(60)).unwrap());
    assert_eq!(kind, 9);
    assert!(sent.iter().any(|(number, data)| *number == 3 && data.len() == 40), "{sent:?}");
    let due = client.next_at().unwrap();
    assert_eq!(asked(&client.poll(due).unwrap()).0, 1);
}

/// The answer with LEASED.
fn client_answer(lease: &Lease) -> Answer {
    Answer {
        address: LEASED.into(),
        prefix: 64,
        gateway: None,
        routes: vec![],
        nameservers: vec![],
        domain: None,
        hostname: None,
        ntp: vec![],
        mtu: None,
        lease: *lease,
        remarks: Vec::new(),
        server_id: None,
    }
}

#[test]
fn a_server_that_commits_at_once_and_one_that_refuses() {
    let mut client = client(Ipv6Mode::Dhcp);
    client.poll(at(0));
    let (_, xid, _) = asked(&client.poll(at(0)).unwrap());
    let none = option(13, b"\x00\x02none left\n");
    assert_eq!(hear(&mut client, at(1), &said(ADVERTISE, xid, &[none])), None);
    let refused = "fe80::53 says no addresses available (none left)";
    assert!(client.heard().to_string().ends_with(refused), "{}", client.heard());
    // No router is heard: it is waited for, for a while.
    assert_eq!(hear(&mut client, at(2), &said(REPLY, xid, &[lease_of(600)])), None);
    assert_eq!(client.answer(at(1001)), None);
    let answer = client.answer(at(1002)).unwrap();
    assert_eq!((answer.address, answer.prefix, answer.gateway), (LEASED.into(), 64, None));
    assert!(answer.remarks[0].starts_with("no router heard"), "{:?}", answer.remarks);
}

#[test]
fn the_client_answers_for_the_address_it_asks_from() {
    let solicit = |target: Ipv6Addr| {
        let to = "ff02::1:ff12:3456".parse().unwrap();
        let mut payload = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target.octets()].concat();
        Icmpv6Packet::new_unchecked(&mut payload[..]).fill_checksum(&SERVER, &to);
        frame(SERVER, to, (58, 255), &payload)
    };
    let mut client = client(Ipv6Mode::Dhcp);
    while client.poll(at(0)).is_some() {}
    client.receive(at(1), &solicit(LEASED));
    assert_eq!(client.poll(at(1)), None);
    client.receive(at(1), &solicit(link_local(MAC)));
    let told = client.poll(at(1)).unwrap();
    let target = link_local(MAC);
    assert_eq!(wire::parse(&told), Some(Word::Neighbor { target, mac: MAC }));
    assert_eq!(Ipv6Packet::new_checked(&told[14..]).unwrap().dst_addr(), SERVER);
}

#[test]
fn who_has_the_address_is_told_from_others() {
    let mut probe = Probe::new(MAC, LEASED, at(0));
    let own = probe.poll(at(0)).unwrap();
    assert_eq!(own[..6], [0x33, 0x33, 0xff, 0, 1, 0]);
    let other = MacAddr(ROUTER_MAC);
    for (frame, expected) in [
        (own.clone(), None),
        (wire::probe(other, LEASED), Some(other)),
        (wire::probe(other, SERVER), None),
        (wire::neighbor_advert(other, LEASED, Ipv6Addr::UNSPECIFIED), Some(other)),
        (wire::neighbor_advert(other, SERVER, Ipv6Addr::UNSPECIFIED), None),
        (own[..40].to_vec(), None),
    ] {
        assert_eq!(probe.conflict(&frame), expected, "{frame:02x?}");
    }
    assert!(!probe.is_over(at(0)));
    assert!(
        probe.poll(at(50)).is_some() && probe.poll(at(100)).is_none() && probe.is_over(at(100))
    );
}

proptest! {
    #[test]
    fn no_frame_is_too_strange(
        rest in proptest::collection::vec(any::<u8>(), 0..300),
        (flags, is_dhcp) in (any::<u8>(), any::<bool>()),
    ) {
        let mut client = client(Ipv6Mode::Either);
        client.receive(at(0), &rest);
        client.receive(at(0), &advert(flags, &[&rest]));
        client.receive(at(0), &advert(MANAGED, &[]));
        while let Some(question) = client.poll(at(0)) {
            if is_dhcp && question[20] == 17 {
                let (_, xid, _) = asked(&question);
                client.receive(at(0), &said(REPLY, xid, std::slice::from_ref(&rest)));
                client.receive(at(0), &said(ADVERTISE, xid, &[option(3, &rest)]));
            }
        }
        let _ = client.answer(at(5000));
    }

    #[test]
    fn an_advertisement_that_is_cut_or_flipped_is_whole_or_nothing(
        cut in 0usize..150, bit in 0usize..1000,
    ) {
        let whole = advert(OTHER, &[&usual_prefix(), &resolver(60)]);
        let mut frame = whole.clone();
        // Not the Ethernet header nor what RFC 8200 lets routers change.
        let at_bit = (14 + 8) * 8 + bit % ((whole.len() - 22) * 8);
        frame[at_bit / 8] ^= 1 << (at_bit % 8);
        prop_assert_eq!(wire::parse(&frame), None);
        if cut < whole.len() {
            prop_assert_eq!(wire::parse(&whole[..cut]), None);
        }
    }
}
