//! QEMU's `-netdev stream` (qemu(1)): each Ethernet frame after its length, 32 bits, big endian.

use std::fmt;

/// The longest frame taken: QEMU's own bound (`NET_BUFSIZE`, 4096 + 65536) is not met by a card
/// without segmentation offload, whose frames fit its MTU.
pub const FRAME_MAX: usize = 64 << 10;

/// Bytes of a length.
const PREFIX: usize = 4;

/// What is not frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// The length that a frame was said to have, bytes.
    pub found: usize,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a frame of at most {FRAME_MAX} bytes was expected, found {}", self.found)
    }
}

impl std::error::Error for StreamError {}

/// Takes bytes as they come, gives frames.
#[derive(Debug, Default)]
pub struct Framer {
    pending: Vec<u8>,
    taken: usize,
}

impl Framer {
    /// More bytes from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.drain(..self.taken);
        self.taken = 0;
        self.pending.extend_from_slice(bytes);
    }

    /// The next frame that is there as a whole.
    pub fn take(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        let rest = &self.pending[self.taken..];
        let Some((prefix, rest)) = rest.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > FRAME_MAX {
            return Err(StreamError { found: length });
        }
        let frame = rest.get(..length).map(<[u8]>::to_vec);
        self.taken += frame.as_ref().map_or(0, |frame| PREFIX + frame.len());
        Ok(frame)
    }
}

/// A frame as it goes into the socket.
pub fn framed(frame: &[u8]) -> Vec<u8> {
    // Longer ones are never made: see `FRAME_MAX`.
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], frame].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_wherever_the_bytes_were_cut() {
        let sent = [vec![1; 60], vec![], vec![2; 1514]];
        let bytes: Vec<u8> = sent.iter().flat_map(|frame| framed(frame)).collect();
        for cut in 0..bytes.len() {
            let mut framer = Framer::default();
            let mut found = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                framer.push(part);
                while let Some(frame) = framer.take().unwrap() {
                    found.push(frame);
                }
            }
            assert_eq!(found, sent, "cut at {cut}");
        }
    }

    #[test]
    fn a_length_that_no_frame_has_is_refused() {
        let mut framer = Framer::default();
        framer.push(&[0, 1, 0, 1, 9]);
        assert_eq!(framer.take(), Err(StreamError { found: 65_537 }));
    }
}
