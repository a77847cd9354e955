//! What a switch says of itself on its ports (IEEE 802.1AB).

use std::time::Duration;

/// The group of neighbours, whose frames no switch passes on.
const GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];
const ETHERTYPE: [u8; 2] = [0x88, 0xcc];

/// Switches say it every 30 s; tests are sooner done.
const EVERY: Duration = Duration::from_secs(2);

/// `00-80-C2`, of IEEE 802.1.
const OF_802_1: [u8; 3] = [0x00, 0x80, 0xc2];

/// What is said on one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// What the switch is called.
    pub system: &'static str,
    /// What its port is called.
    pub port: &'static str,
    /// The virtual network of frames without a tag.
    pub port_vlan: Option<u16>,
    /// Virtual networks that have a name there.
    pub vlans: &'static [u16],
    /// The aggregate that the port is part of.
    pub aggregate: Option<u32>,
}

/// A port that speaks of itself, or is silent.
#[derive(Debug, Default)]
pub(crate) struct Voice {
    next: Duration,
}

impl Voice {
    /// What is due on the port number `port` of a switch.
    pub(crate) fn drive(
        &mut self,
        now: Duration,
        announced: Option<&Announced>,
        port: usize,
    ) -> Option<Vec<u8>> {
        let announced = announced.filter(|_| now >= self.next)?;
        self.next = now + EVERY;
        Some(announced.frame(port as u8))
    }

    /// When it speaks next.
    pub(crate) fn due(&self) -> Duration {
        self.next
    }
}

impl Announced {
    fn frame(&self, port: u8) -> Vec<u8> {
        let source = [0x02, 0x1a, 0, 0, 2, port];
        let chassis = [4, 0x02, 0x1a, 0, 0, 2, 0];
        let mut frame = [&GROUP[..], &source, &ETHERTYPE].concat();
        put(&mut frame, 1, &[&chassis]);
        put(&mut frame, 2, &[&[5], self.port.as_bytes()]);
        put(&mut frame, 3, &[&[0, 120]]);
        put(&mut frame, 5, &[self.system.as_bytes()]);
        if let Some(id) = self.port_vlan {
            put(&mut frame, 127, &[&OF_802_1, &[1], &id.to_be_bytes()]);
        }
        for id in self.vlans {
            let name = format!("vlan{id}");
            let length = [name.len() as u8];
            put(&mut frame, 127, &[&OF_802_1, &[3], &id.to_be_bytes(), &length, name.as_bytes()]);
        }
        if let Some(number) = self.aggregate {
            put(&mut frame, 127, &[&OF_802_1, &[7, 0b11], &number.to_be_bytes()]);
        }
        put(&mut frame, 0, &[]);
        frame
    }
}

/// An element: seven bits of kind, nine of length, a value.
fn put(frame: &mut Vec<u8>, kind: u16, value: &[&[u8]]) {
    let value = value.concat();
    frame.extend((kind << 9 | value.len() as u16).to_be_bytes());
    frame.extend(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_says_what_it_is_every_two_seconds() {
        let announced = Announced {
            system: "tor1",
            port: "Ethernet7",
            port_vlan: Some(20),
            vlans: &[5],
            aggregate: Some(9),
        };
        let mut voice = Voice::default();
        let at = Duration::from_secs;
        let said = voice.drive(at(1), Some(&announced), 3).unwrap();
        assert_eq!(said[..14], [1, 0x80, 0xc2, 0, 0, 0x0e, 2, 0x1a, 0, 0, 2, 3, 0x88, 0xcc]);
        let expected: Vec<u8> = [
            &b"\x02\x07\x04\x02\x1a\0\0\x02\0"[..],
            b"\x04\x0a\x05Ethernet7\x06\x02\0\x78\x0a\x04tor1",
            b"\xfe\x06\0\x80\xc2\x01\0\x14",
            b"\xfe\x0c\0\x80\xc2\x03\0\x05\x05vlan5",
            b"\xfe\x09\0\x80\xc2\x07\x03\0\0\0\x09",
            b"\0\0",
        ]
        .concat();
        assert_eq!(said[14..], expected);
        assert_eq!((voice.drive(at(2), Some(&announced), 3), voice.due()), (None, at(3)));
        assert_eq!(voice.drive(at(9), None, 3), None);
    }
}
