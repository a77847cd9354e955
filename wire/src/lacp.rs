//! A switch's side of link aggregation (IEEE 802.1AX, formerly 802.3ad): it answers what machines say,
//! and takes a port for usable as long as they say something.

use crate::station::Mac;
use std::time::Duration;

/// The group address of slow protocols, which no switch passes on.
const SLOW_PROTOCOLS: Mac = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x02];

/// Their type of frames, and LACP among them.
const ETHERTYPE: [u8; 2] = [0x88, 0x09];
const SUBTYPE_LACP: u8 = 1;

/// Ethernet's header, bytes.
const HEADER: usize = 14;

/// Where the sender tells of itself, in the frame: after header, subtype and version.
const ACTOR: usize = HEADER + 2;

/// A kind, a length, and what one end is.
const INFORMATION: usize = 20;

/// With all that is reserved, bytes.
const FRAME: usize = HEADER + 110;

/// Active, wants to hear every second, aggregates, in step, collects, distributes.
const STATE: u8 = 0x3f;

/// Who wants to hear every second takes three of them for the end.
const SILENT_MAX: Duration = Duration::from_secs(3);

/// What a port knows of the machine's end.
#[derive(Debug, Default)]
pub(crate) struct Partner {
    heard: Option<Duration>,
}

impl Partner {
    /// Hears a frame of an aggregate's port; the answer if it is LACP. The port is number `port` of the
    /// switch and belongs to `aggregate`.
    pub(crate) fn hear(
        &mut self,
        now: Duration,
        frame: &[u8],
        port: usize,
        aggregate: u8,
    ) -> Option<Vec<u8>> {
        let theirs = frame.get(ACTOR..ACTOR + INFORMATION).filter(|_| is_lacp(frame))?;
        self.heard = Some(now);
        Some(answer(theirs, port as u8, aggregate))
    }

    /// Whether frames may be sent to this port.
    pub(crate) fn is_usable(&self, now: Duration) -> bool {
        self.heard.is_some_and(|heard| now < heard + SILENT_MAX)
    }
}

/// True for what ends at the other end of the cable.
pub(crate) fn is_slow_protocol(frame: &[u8]) -> bool {
    frame.starts_with(&SLOW_PROTOCOLS)
}

fn is_lacp(frame: &[u8]) -> bool {
    is_slow_protocol(frame)
        && frame.get(12..14) == Some(&ETHERTYPE[..])
        && frame.get(HEADER) == Some(&SUBTYPE_LACP)
}

fn answer(theirs: &[u8], port: u8, aggregate: u8) -> Vec<u8> {
    // The system's priority and address, the key, the port's priority and number, the state.
    let system = [0x80, 0x00, 0x02, 0x1a, 0, 0, 0, aggregate];
    let ours = [&system[..], &[0, aggregate, 0x80, 0, 0, port + 1, STATE, 0, 0, 0]].concat();
    let mut frame = [&SLOW_PROTOCOLS[..], &[0x02, 0x1a, 0, 0, 1, port], &ETHERTYPE].concat();
    frame.extend([SUBTYPE_LACP, 1]);
    frame.extend([1, INFORMATION as u8]);
    frame.extend(ours);
    frame.extend([2, INFORMATION as u8]);
    frame.extend(&theirs[2..]);
    // The collector, which waits for nothing; then the end.
    frame.extend([3, 16]);
    frame.resize(FRAME, 0);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_says_of_itself_is_said_back() {
        let theirs: Vec<u8> = [&[1, 20][..], &[7; 18]].concat();
        let mut heard = [&SLOW_PROTOCOLS[..], &[9; 6], &ETHERTYPE, &[1, 1], &theirs].concat();
        let mut partner = Partner::default();
        assert!(!partner.is_usable(Duration::ZERO));
        let answer = partner.hear(Duration::from_secs(1), &heard, 0, 4).unwrap();
        assert_eq!(answer.len(), 124);
        assert_eq!(answer[ACTOR..ACTOR + 2], [1, 20]);
        assert_eq!(answer[ACTOR + 20..ACTOR + 22], [2, 20]);
        assert_eq!(answer[ACTOR + 22..ACTOR + 40], [7; 18]);
        assert!(partner.is_usable(Duration::from_millis(3999)));
        assert!(!partner.is_usable(Duration::from_secs(4)));
        heard[HEADER] = 2; // the marker protocol
        assert_eq!(partner.hear(Duration::from_secs(9), &heard, 0, 4), None);
    }
}
