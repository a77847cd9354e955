//! What a NIC asks, turn by turn: due frames go out, what has arrived comes in.

use std::io;
use std::time::Duration;

use crate::net::conversation::{AddressProbe, Conversation};
use crate::net::dhcp::Answer;
use crate::net::mac::MacAddr;
use crate::net::packet::PacketSocket;

/// Frames read from one NIC before the others have their turn.
const FRAMES_PER_TURN: usize = 64;

/// A conversation under way, and the socket that it goes over.
pub(super) struct Asking {
    pub(super) client: Conversation,
    pub(super) socket: PacketSocket,
}

/// The question whether others have the address that was given.
pub(super) struct Probing {
    pub(super) asking: Asking,
    pub(super) answer: Answer,
    pub(super) probe: AddressProbe,
    pub(super) socket: PacketSocket,
}

impl Probing {
    /// One turn: who else has the address, if anybody says so.
    pub(super) fn probe(&mut self, now: Duration) -> io::Result<Option<MacAddr>> {
        if let Some(frame) = self.probe.poll(now) {
            send(&self.socket, &frame)?;
        }
        for _ in 0..FRAMES_PER_TURN {
            let Some(frame) = self.socket.receive()? else { return Ok(None) };
            if let Some(other) = self.probe.conflict(&frame) {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }
}

/// One turn of the conversation: what is due goes out, what has arrived comes in.
pub(super) fn converse(asking: &mut Asking, now: Duration) -> io::Result<Option<Answer>> {
    let Asking { client, socket } = asking;
    for _ in 0..FRAMES_PER_TURN {
        if let Some(answer) = client.late_answer(now) {
            return Ok(Some(answer));
        }
        if let Some(question) = client.poll(now) {
            send(socket, &question)?;
        }
        match socket.receive()? {
            None => return Ok(None),
            Some(frame) => {
                if let Some(answer) = client.receive(now, &frame) {
                    return Ok(Some(answer));
                }
            }
        }
    }
    Ok(None)
}

/// Sends a frame. A full queue loses it; the next one is due soon.
fn send(socket: &PacketSocket, frame: &[u8]) -> io::Result<()> {
    match socket.send(frame) {
        Err(error) if is_passing(&error) => Ok(()),
        sent => sent,
    }
}

fn is_passing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32)
}
