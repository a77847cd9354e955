//! What was on the wire, as a file that wireshark and tcpdump read (pcap-savefile(5)).

use anyhow::{Context, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds, in the byte order of the file.
const MAGIC: u32 = 0xa1b2_c3d4;

/// `LINKTYPE_ETHERNET`.
const ETHERNET: u32 = 1;

/// Of a frame, this much is kept: all headers, and what DHCP says. A body says nothing that the
/// test does not know.
const SNAPSHOT: usize = 600;

/// Frames that are kept: more than a case needs that ends, 60 MB of one that does not.
const FRAMES_MAX: u32 = 100_000;

/// A capture that is being written.
#[derive(Debug)]
pub(crate) struct Capture {
    file: BufWriter<File>,
    began: Duration,
    frames: u32,
}

impl Capture {
    pub(crate) fn to(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("making the capture {}", path.display()))?;
        let mut file = BufWriter::new(file);
        let (version, zone_and_accuracy) = ([2u16, 4], [0u32; 2]);
        file.write_all(&MAGIC.to_le_bytes())
            .and_then(|()| file.write_all(&version.map(u16::to_le_bytes).concat()))
            .and_then(|()| file.write_all(&zone_and_accuracy.map(u32::to_le_bytes).concat()))
            .and_then(|()| file.write_all(&(SNAPSHOT as u32).to_le_bytes()))
            .and_then(|()| file.write_all(&ETHERNET.to_le_bytes()))
            .with_context(|| format!("writing the capture {}", path.display()))?;
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { file, began, frames: 0 })
    }

    /// Keeps a frame. A disk that is full costs the capture and not the test.
    pub(crate) fn keep(&mut self, now: Duration, frame: &[u8]) {
        if self.frames >= FRAMES_MAX {
            return;
        }
        self.frames += 1;
        let at = self.began + now;
        let kept = &frame[..frame.len().min(SNAPSHOT)];
        let head = [at.as_secs() as u32, at.subsec_micros(), kept.len() as u32, frame.len() as u32];
        let _ = self.file.write_all(&head.map(u32::to_le_bytes).concat());
        let _ = self.file.write_all(kept);
    }
}
