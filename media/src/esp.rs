//! The EFI system partition as bytes, written where they differ from what is there.

use crate::MediaError;
use crate::boot::{Boot, UKI};
use crate::place::SECTOR_BYTES;
use deploy::vfat::{Content, File as Place, GATE_BYTES, Shape, Volume};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much is compared, and written, at once, bytes: what a stick writes at once anyway.
const STEP_BYTES: usize = 64 << 10;

/// A file system with the boot files.
pub(crate) struct Esp {
    volume: Volume,
    start_bytes: u64,
    files: Vec<Vec<u8>>,
}

/// The files of the partition: what GRUB reads, and what firmware does.
pub(crate) fn files(boot: &Boot) -> Result<Vec<(&'static str, Vec<u8>)>, MediaError> {
    let mut files = boot.files()?;
    files.push((UKI, boot.uki.clone()));
    Ok(files)
}

impl Esp {
    /// Places `files` on a partition of `size_bytes` at `start_bytes`.
    pub(crate) fn plan(
        start_bytes: u64,
        size_bytes: u64,
        id: u32,
        files: Vec<(&'static str, Vec<u8>)>,
    ) -> Result<Self, MediaError> {
        let shape =
            Shape { size_bytes, sector_bytes: SECTOR_BYTES, start_bytes, id, label: "INAUG-BOOT" };
        let place = |(path, bytes): &(&str, Vec<u8>)| Place {
            path: (*path).to_owned(),
            size_bytes: bytes.len() as u64,
        };
        let places: Vec<Place> = files.iter().map(place).collect();
        let volume = Volume::plan(shape, &places)?;
        let files = files.into_iter().map(|(_, bytes)| bytes).collect();
        Ok(Self { volume, start_bytes, files })
    }

    /// Writes what differs of it to the disk or image `on`; returns how many bytes that were. The
    /// first block is taken away before and comes last: a cut leaves no file system rather than half
    /// of one.
    pub(crate) fn write(&self, on: &File) -> io::Result<u64> {
        let gate = self.volume.gate();
        if !differs(on, self.start_bytes, &gate)? && self.put(on, &mut |_, _| Ok(()))? == 0 {
            return Ok(0);
        }
        on.write_all_at(&[0; GATE_BYTES], self.start_bytes)?;
        on.sync_data()?;
        let written = self.put(on, &mut |at, bytes| on.write_all_at(bytes, at))?;
        on.sync_data()?;
        on.write_all_at(&gate, self.start_bytes)?;
        on.sync_data()?;
        Ok(written + GATE_BYTES as u64)
    }

    /// Gives `put` what differs after the gate; returns how many bytes that were.
    fn put(&self, on: &File, put: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<u64> {
        let mut written = 0;
        for extent in self.volume.extents() {
            let mut bytes = match extent.content {
                Content::Bytes(bytes) => bytes,
                Content::File(index) => self.files.get(index).cloned().unwrap_or_default(),
            };
            bytes.resize((extent.range.end - extent.range.start) as usize, 0);
            let mut at = self.start_bytes + extent.range.start;
            for step in bytes.chunks(STEP_BYTES) {
                if differs(on, at, step)? {
                    put(at, step)?;
                    written += step.len() as u64;
                }
                at += step.len() as u64;
            }
        }
        Ok(written)
    }
}

/// True if `bytes` are not what is at `at`.
pub(crate) fn differs(on: &File, at: u64, bytes: &[u8]) -> io::Result<bool> {
    let mut found = vec![0; bytes.len()];
    on.read_exact_at(&mut found, at)?;
    Ok(found != bytes)
}
