//! The archive read back: the kernel takes one that is truncated, or has a bit flipped, and dies
//! silently.

use super::archive::{Names, Record, records};
use super::write::{ARCHIVE, Written, failed};
use crate::meter::{Limit, Meter, add};
use crate::tree::{Piece, Wanted};
use crate::{Error, ReadBack};
use std::fs::File;
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use store::Digest;
use store::cut::is_zero;
use store::manifest::Payload;

/// Most threads that read and hash: memory is not faster than some of them.
const THREADS_MAX: usize = 8;

/// So many entries are read by one thread before the next thread's.
const TURN: usize = 64;

/// Zeroes are compared in steps of so many bytes.
const STEP_BYTES: u64 = 1 << 20;

/// The archive is what it is to be.
pub struct Verified {
    kernel: Payload,
    kernel_at_bytes: u64,
    command_line: String,
}

/// Compares `file`, in which the archive was written and which nobody can write to any more, with
/// the labels; unless nothing is to be read back.
pub fn verify(written: Written, file: &File, read_back: ReadBack) -> Result<Verified, Error> {
    let plan = written.plan;
    let (wanted, names) = (plan.drawn.wanted(), &plan.names);
    if let ReadBack::Yes = read_back {
        let meter = plan.drawn.meter();
        meter.stage(wanted.files.iter().map(|file| file.size_bytes).sum());
        read_all(&Reader { wanted, names, file, meter })?;
    }
    let path = plan.kernel_path.as_bytes();
    let node = wanted.nodes.find(path).map(|index| wanted.nodes.first(index));
    let is_kernel = |record: &Record| record.file.is_some_and(|(index, _)| Some(index) == node);
    let record = records(wanted, names).find(is_kernel);
    let missing = || Error::BootPath { file: "kernel", found: "no file there".to_owned() };
    let kernel_at_bytes = record.ok_or_else(missing)?.content_at_bytes();
    Ok(Verified { kernel: plan.boot.kernel, kernel_at_bytes, command_line: plan.command_line })
}

impl Verified {
    /// The kernel by the label: what a copy of it has to be compared with.
    pub fn kernel(&self) -> &Payload {
        &self.kernel
    }

    /// The next kernel's command line.
    pub fn command_line(&self) -> &str {
        &self.command_line
    }

    /// Copies the kernel out of the archive in `file`.
    pub fn copy_kernel(&self, file: &File, into: &File) -> Result<(), Error> {
        let failed = |source| Error::HandOver { file: "kernel", source };
        let mut at = 0;
        while at < self.kernel.size_bytes {
            let length = (self.kernel.size_bytes - at).min(STEP_BYTES) as usize;
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, self.kernel_at_bytes + at).map_err(failed)?;
            into.write_all_at(&bytes, at).map_err(failed)?;
            at += length as u64;
        }
        Ok(())
    }
}

fn read_all(reader: &Reader<'_>) -> Result<(), Error> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    let is_failed = AtomicBool::new(false);
    let read = |turn: usize| {
        let read = reader.turns_of(turn, threads, &is_failed);
        is_failed.fetch_or(read.is_err(), Ordering::Relaxed);
        read
    };
    thread::scope(|scope| {
        let read = &read;
        let others: Vec<_> = (1..threads).map(|turn| scope.spawn(move || read(turn))).collect();
        let own = read(0);
        let others = others.into_iter().map(|other| other.join().unwrap_or(Err(Error::Stopped)));
        others.fold(own, Result::and)
    })
}

struct Reader<'a> {
    wanted: &'a Wanted,
    names: &'a Names,
    file: &'a File,
    meter: &'a Meter,
}

impl Reader<'_> {
    /// Reads every entry whose turn it is, until somebody fails.
    fn turns_of(&self, turn: usize, turns: usize, is_failed: &AtomicBool) -> Result<(), Error> {
        let mut buffer = Vec::new();
        for (number, record) in records(self.wanted, self.names).enumerate() {
            if number / TURN % turns != turn {
                continue;
            }
            if is_failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.entry(&record, &mut buffer)?;
        }
        Ok(())
    }

    fn entry(&self, record: &Record, buffer: &mut Vec<u8>) -> Result<(), Error> {
        self.read(record.at_bytes, record.head.len() as u64, buffer)?;
        if *buffer != record.head {
            return Err(wrong(record.at_bytes, buffer, Digest::of(&record.head).to_string()));
        }
        let Some((_, file)) = record.file else { return Ok(()) };
        for (offset, piece) in self.wanted.pieces(&self.wanted.files[file as usize]) {
            self.piece(record.content_at_bytes() + offset, piece, buffer)?;
            add(&self.meter.done_bytes, piece.length());
        }
        Ok(())
    }

    fn piece(&self, at: u64, piece: &Piece, buffer: &mut Vec<u8>) -> Result<(), Error> {
        if let Some((digest, _)) = piece.object() {
            self.read(at, piece.length(), buffer)?;
            let found = self.meter.time(Limit::Hash, || Digest::of(buffer));
            return if found == digest {
                Ok(())
            } else {
                Err(wrong(at, buffer, digest.to_string()))
            };
        }
        let mut done = 0;
        while done < piece.length() {
            let step = (piece.length() - done).min(STEP_BYTES);
            self.read(at + done, step, buffer)?;
            if !is_zero(buffer) {
                return Err(wrong(at + done, buffer, "zeroes".to_owned()));
            }
            done += step;
        }
        Ok(())
    }

    fn read(&self, at: u64, length: u64, buffer: &mut Vec<u8>) -> Result<(), Error> {
        buffer.resize(length as usize, 0);
        self.meter.time(Limit::Disk, || self.file.read_exact_at(buffer, at)).map_err(failed)
    }
}

fn wrong(offset_bytes: u64, found: &[u8], expected: String) -> Error {
    Error::ReadBack {
        target: ARCHIVE.to_owned(),
        offset_bytes,
        bytes: found.len() as u64,
        expected,
        found: Digest::of(found).to_string(),
    }
}
