//! Dialogues with a server, frame by frame.

use super::*;
use smoltcp::wire::{DhcpPacket, DhcpRepr};

const MAC: Mac = [2, 0, 0, 0, 0, 7];
const S: fn(u64) -> Duration = Duration::from_secs;

fn server(manner: Manner) -> Server {
    let dhcp = Dhcp {
        routers: vec![Ipv4Addr::new(10, 1, 1, 1)],
        ..Dhcp::at(Ipv4Addr::new(10, 1, 1, 2)).behaving(manner)
    };
    Server::of(&dhcp)
}

/// What a client sends, as bytes of BOOTP.
fn question(kind: DhcpMessageType) -> Vec<u8> {
    let reply = Reply {
        kind,
        xid: 77,
        mac: MAC,
        address: Ipv4Addr::UNSPECIFIED,
        client: Ipv4Addr::UNSPECIFIED,
        options: Vec::new(),
        overloads: false,
    };
    let way = Way {
        macs: (MAC, BROADCAST),
        addresses: (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST),
        ports: (68, 67),
    };
    frame::udp(way, &reply.bytes())
}

/// Kinds of what is answered at `at`, as numbers of RFC 2132.
fn answers(server: &mut Server, at: Duration, kind: DhcpMessageType) -> Vec<u8> {
    server.hear(at, &question(kind));
    let frames = server.drive(at);
    frames.iter().map(|frame| u8::from(Message::parse(bootp(frame)).unwrap().kind)).collect()
}

fn bootp(frame: &[u8]) -> &[u8] {
    datagram(frame).unwrap().payload
}

#[test]
fn manners() {
    use DhcpMessageType::{Discover, Request};
    let well = Manner::default();
    for (manner, dialogue) in [
        (well, vec![(0, Discover, vec![2]), (0, Request, vec![5])]),
        (Manner { silent_for: S(9), ..well }, vec![(1, Discover, vec![]), (10, Discover, vec![2])]),
        (
            Manner { deaf: Deaf::ToRequests, ..well },
            vec![(0, Discover, vec![2]), (0, Request, vec![])],
        ),
        (Manner { naks: 1, ..well }, vec![(0, Request, vec![6]), (0, Request, vec![5])]),
        (Manner { thinks_for: S(1), ..well }, vec![(0, Discover, vec![]), (1, Request, vec![2])]),
    ] {
        let mut server = server(manner);
        for (at, kind, expected) in dialogue {
            assert_eq!(answers(&mut server, S(at), kind), expected, "{manner:?} {kind:?}");
        }
    }
}

#[test]
fn an_offer_says_what_the_value_says() {
    let mut server = server(Manner::default());
    server.hear(S(0), &question(DhcpMessageType::Discover));
    let frames = server.drive(S(0));
    let packet = DhcpPacket::new_checked(bootp(&frames[0])).unwrap();
    let found = DhcpRepr::parse(&packet).unwrap();
    assert_eq!((found.transaction_id, found.client_hardware_address.0), (77, MAC));
    assert_eq!(found.your_ip, Ipv4Addr::new(10, 1, 1, 100));
    assert_eq!(found.router, Some(Ipv4Addr::new(10, 1, 1, 1)));
    assert_eq!(found.subnet_mask, Some(Ipv4Addr::new(255, 255, 255, 0)));
    assert_eq!(found.lease_duration, Some(3600));
}

#[test]
fn an_overloaded_answer_has_its_identifier_in_the_file_field() {
    let mut server = server(Manner { overloads: true, ..Manner::default() });
    server.hear(S(0), &question(DhcpMessageType::Discover));
    let frames = server.drive(S(0));
    let bytes = bootp(&frames[0]);
    assert_eq!(bytes[108..115], [54, 4, 10, 1, 1, 2, 255]);
    assert_eq!(bytes[44..51], [51, 4, 0, 0, 0x0e, 0x10, 255]);
    assert_eq!(Message::parse(bytes).unwrap().server, None);
}
