//! A resolver that knows some names (RFC 1035).

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket};
use std::net::Ipv4Addr;

const PORT: u16 = 53;

/// Header of a message, bytes.
const HEADER: usize = 12;

/// A message over UDP (RFC 1035, 4.2.1), bytes.
const MESSAGE: usize = 512;

/// Questions that wait.
const QUEUE: usize = 16;

/// Of an address.
const TYPE_A: [u8; 4] = [0, 1, 0, 1];

/// "No such name".
const NXDOMAIN: u8 = 3;

/// Addresses of one name in an answer.
const ADDRESSES: usize = 8;

/// Seconds that an answer may be kept.
const TTL_S: u32 = 60;

#[derive(Debug)]
pub(super) struct Names {
    names: Vec<(String, Ipv4Addr)>,
    handle: SocketHandle,
}

impl Names {
    pub(super) fn new(names: Vec<(String, Ipv4Addr)>, sockets: &mut SocketSet<'static>) -> Self {
        Self { names, handle: udp(PORT, MESSAGE, sockets) }
    }

    pub(super) fn drive(&self, sockets: &mut SocketSet<'static>) {
        let socket = sockets.get_mut::<Socket<'_>>(self.handle);
        while let Ok((question, from)) = socket.recv() {
            let answer = answer(question, &self.names);
            if let Some(answer) = answer {
                // A full queue loses an answer, as resolvers do.
                let _ = socket.send_slice(&answer, from);
            }
        }
    }
}

/// A socket bound to `port`.
pub(super) fn udp(port: u16, bytes: usize, sockets: &mut SocketSet<'static>) -> SocketHandle {
    let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; QUEUE], vec![0; QUEUE * bytes]);
    let mut socket = Socket::new(buffer(), buffer());
    // Refused only for port 0.
    let _ = socket.bind(port);
    sockets.add(socket)
}

/// The answer to a question for one name; anything else is not answered.
fn answer(question: &[u8], names: &[(String, Ipv4Addr)]) -> Option<Vec<u8>> {
    let (header, rest) = question.split_first_chunk::<HEADER>()?;
    let (name, name_bytes) = name(rest)?;
    let asked = rest.get(..name_bytes + 4)?;
    let known =
        || names.iter().filter(|(known, _)| known.eq_ignore_ascii_case(&name)).take(ADDRESSES);
    // A name that is there without an address of the kind that is asked for.
    let is_a = asked[name_bytes..] == TYPE_A;
    let found: Vec<Ipv4Addr> = known().filter(|_| is_a).map(|(_, address)| *address).collect();
    let code = if known().next().is_some() { 0 } else { NXDOMAIN };
    let mut answer = header[..2].to_vec();
    // A response, recursion as asked and available; one question, its answer, nothing else.
    answer.extend([0x80 | header[2] & 1, 0x80 | code, 0, 1, 0, found.len() as u8, 0, 0, 0, 0]);
    answer.extend(asked);
    for address in found {
        answer.extend([0xc0, HEADER as u8]); // the name of the question
        answer.extend(TYPE_A);
        answer.extend(TTL_S.to_be_bytes());
        answer.extend([0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

/// The name at the start, with dots, and the bytes it takes.
fn name(bytes: &[u8]) -> Option<(String, usize)> {
    let (mut name, mut at) = (String::new(), 0);
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        match length {
            0 => return Some((name, at)),
            1..=63 => {}
            // A pointer, which no question has.
            _ => return None,
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(std::str::from_utf8(bytes.get(at..at + length)?).ok()?);
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_answered() {
        let names = [("depot.lab".to_owned(), Ipv4Addr::new(10, 9, 8, 7))];
        let question = |name: &[u8], kind: u8| {
            [&[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], name, &[0, kind, 0, 1]].concat()
        };
        let depot = b"\x05Depot\x03lab\0";
        let found = answer(&question(depot, 1), &names).unwrap();
        assert_eq!(found[..8], [7, 7, 0x81, 0x80, 0, 1, 0, 1]);
        assert_eq!(found[found.len() - 4..], [10, 9, 8, 7]);
        assert_eq!(answer(&question(depot, 28), &names).unwrap()[3..8], [0x80, 0, 1, 0, 0]);
        assert_eq!(answer(&question(b"\x01x\0", 1), &names).unwrap()[3], 0x83);
        assert_eq!(answer(&question(b"\xc0\x0c", 1), &names), None);
        assert_eq!(answer(b"short", &names), None);
        let two = [&names[..], &[("depot.lab".to_owned(), Ipv4Addr::new(10, 9, 8, 6))]].concat();
        let found = answer(&question(depot, 1), &two).unwrap();
        assert_eq!((found[7], &found[found.len() - 4..]), (2, &[10, 9, 8, 6][..]));
    }
}
