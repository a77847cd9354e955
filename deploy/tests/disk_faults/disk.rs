//! A disk in memory with a volatile cache of what was written, that does wrong what it is told to.
//!
//! The test keeps a handle and sees what the engine has left there after the engine is gone.

use super::crash::{self, Write};
use super::fault::{Asked, Fault, Kind, When};
use super::noise::Noise;
use deploy::target::TargetKind;
use deploy::{Medium, Target};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the disk writes as a whole or not at all, bytes.
pub(crate) const SECTOR_BYTES: usize = 512;

/// What firmware looks at, at either end, bytes.
const HELD_BYTES: u64 = 1 << 20;

/// A handle on a disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What is certain to be there after the power failed.
    durable: Vec<u8>,
    /// What the device gives: the same with all that is pending.
    seen: Vec<u8>,
    /// Written since the last good flush.
    pending: Vec<Write>,
    /// What the host remembers in place of what the device gives, until it is told to forget.
    remembered: Vec<Write>,
    faults: Vec<Fault>,
    /// Reads, writes, zeroings and flushes so far.
    counts: [u64; 4],
    /// Everything that was done since recording began.
    log: Option<Vec<Step>>,
    /// Where the disk itself damaged what would have booted, which no program can prevent, or
    /// what firmware looks at.
    damaged: Vec<Range<u64>>,
    noise: Noise,
}

/// One thing that was done to a disk.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Write(Write),
    Flush,
}

impl Disk {
    pub(crate) fn with(content: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State {
            seen: content.clone(),
            durable: content,
            pending: Vec::new(),
            remembered: Vec::new(),
            faults: Vec::new(),
            counts: [0; 4],
            log: None,
            damaged: Vec::new(),
            noise: Noise::of(1),
        })))
    }

    /// The target that the engine is given.
    pub(crate) fn target(&self, kind: TargetKind) -> Target {
        let size = self.state().seen.len() as u64;
        let sector = (kind == TargetKind::Device).then_some(SECTOR_BYTES as u32);
        Target::over("the disk", kind, size, sector, Box::new(self.clone()))
    }

    /// Makes it do wrong from now on; what it did wrong before it does no more.
    pub(crate) fn ail(&self, faults: impl IntoIterator<Item = Fault>, seed: u64) {
        let mut state = self.state();
        state.faults = faults.into_iter().collect();
        state.counts = [0; 4];
        state.noise = Noise::of(seed);
    }

    /// How often its faults have happened.
    pub(crate) fn struck(&self) -> u64 {
        self.state().faults.iter().map(|fault| fault.struck).sum()
    }

    /// What is wrong with it.
    pub(crate) fn ails(&self) -> String {
        format!("{:?}", self.state().faults)
    }

    /// Writes down from here on what is done.
    pub(crate) fn record(&self) {
        self.state().log = Some(Vec::new());
    }

    pub(crate) fn recorded(&self) -> Vec<Step> {
        self.state().log.take().unwrap_or_default()
    }

    /// What the device gives.
    pub(crate) fn content(&self) -> Vec<u8> {
        let mut state = self.state();
        let seen = state.seen.clone();
        state.folded(&seen)
    }

    /// What is left when the power fails now.
    pub(crate) fn crashed(&self, seed: u64) -> Vec<u8> {
        let mut state = self.state();
        let mut left = state.durable.clone();
        for (write, part) in crash::survivors(&state.pending, &mut Noise::of(seed)) {
            write.put(part, &mut left);
        }
        state.folded(&left)
    }

    /// The power fails.
    pub(crate) fn crash(&self, seed: u64) {
        let left = self.crashed(seed);
        let mut state = self.state();
        state.seen.clone_from(&left);
        state.durable = left;
        state.pending.clear();
        state.remembered.clear();
    }

    /// Where the disk itself damaged what would have booted.
    pub(crate) fn damaged(&self) -> Vec<Range<u64>> {
        self.state().damaged.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The fault that happens to this operation, if any.
    fn meets(&mut self, asked: Asked, range: &Range<u64>) -> Option<Kind> {
        let all = self.counts.iter().sum();
        let nth = self.counts[asked as usize];
        self.counts[asked as usize] += 1;
        let mut faults = self.faults.iter_mut();
        let nth = |fault: &Fault| if fault.kind == Kind::Gone { all } else { nth };
        let met = faults.find_map(|fault| {
            let number = nth(fault);
            fault.strikes(asked, number, range).then(|| fault.kind.clone())
        });
        if self.faults.iter().any(|fault| fault.kind == Kind::Gone && fault.struck > 0) {
            return Some(Kind::Gone);
        }
        met
    }

    /// Splits `range` where addresses come again: in the range, and where that really lies.
    fn places(&mut self, range: &Range<u64>) -> Vec<(Range<usize>, usize)> {
        let folds = self.faults.iter_mut().find_map(|fault| match fault.kind {
            Kind::Folds { bytes } => {
                fault.struck += u64::from(range.end > bytes);
                Some(bytes)
            }
            _ => None,
        });
        let fold = folds.unwrap_or(u64::MAX);
        let mut places = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let place = at % fold;
            let step = (range.end - at).min(fold - place);
            let start = (at - range.start) as usize;
            places.push((start..start + step as usize, place as usize));
            at += step;
        }
        places
    }

    /// What a host sees of `content`.
    fn folded(&mut self, content: &[u8]) -> Vec<u8> {
        let places = self.places(&(0..content.len() as u64)).into_iter();
        places.flat_map(|(part, place)| content[place..place + part.len()].to_vec()).collect()
    }

    /// Carries out a write of `bytes`, but for sectors that are stuck.
    fn put(&mut self, offset: u64, bytes: &[u8]) {
        for (part, place) in self.places(&(offset..offset + bytes.len() as u64)) {
            let mut write = Write { offset: place, bytes: bytes[part].to_vec() };
            for fault in &mut self.faults {
                if let Kind::StuckSector { at } = fault.kind
                    && let Some(inner) = (at as usize).checked_sub(place)
                    && inner + SECTOR_BYTES <= write.bytes.len()
                {
                    fault.struck += 1;
                    let there = &self.seen[at as usize..at as usize + SECTOR_BYTES];
                    write.bytes[inner..inner + SECTOR_BYTES].copy_from_slice(there);
                }
            }
            write.put(0..write.bytes.len(), &mut self.seen);
            if let Some(log) = &mut self.log {
                log.push(Step::Write(write.clone()));
            }
            self.pending.push(write);
        }
    }

    /// The same where the disk does something else than it was told. Noted where it would have
    /// booted, or where firmware looks: until it is read back nobody can know.
    fn put_wrong(&mut self, offset: u64, bytes: &[u8]) {
        self.put(offset, bytes);
        let end = offset + bytes.len() as u64;
        let held = offset < HELD_BYTES || end + HELD_BYTES > self.seen.len() as u64;
        if held || self.seen[..SECTOR_BYTES].iter().any(|byte| *byte != 0) {
            self.damaged.push(offset..end);
        }
    }

    /// What the host believes was written, where the device has something else.
    fn remember(&mut self, offset: u64, bytes: &[u8]) {
        self.remembered.push(Write { offset: offset as usize, bytes: bytes.to_vec() });
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let met = self.meets(Asked::Write, &(offset..offset + bytes.len() as u64));
        if met.is_some() || !self.remembered.is_empty() {
            self.remember(offset, bytes);
        }
        match met {
            Some(Kind::WriteError) => {
                let sectors = self.noise.below(bytes.len() / SECTOR_BYTES + 1);
                self.put(offset, &bytes[..sectors * SECTOR_BYTES]);
                return Err(io::Error::from_raw_os_error(EIO));
            }
            Some(Kind::Full) => return Err(io::ErrorKind::StorageFull.into()),
            Some(Kind::Gone) => return Err(io::Error::from_raw_os_error(ENODEV)),
            Some(Kind::Dropped) => {}
            Some(Kind::Misdirected { to }) => {
                let room = (self.seen.len() as u64).saturating_sub(to) as usize;
                self.put_wrong(to, &bytes[..bytes.len().min(room)]);
            }
            Some(Kind::FlippedWrite) => {
                let mut wrong = bytes.to_vec();
                let at = self.noise.below(wrong.len());
                wrong[at] ^= 1 << self.noise.below(8);
                self.put_wrong(offset, &wrong);
            }
            _ => self.put(offset, bytes),
        }
        Ok(())
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let range = offset..offset + into.len() as u64;
        let met = self.meets(Asked::Read, &range);
        match met {
            Some(Kind::ReadError) => return Err(io::Error::from_raw_os_error(EIO)),
            Some(Kind::Gone) => return Err(io::Error::from_raw_os_error(ENODEV)),
            _ => {}
        }
        if range.end > self.seen.len() as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (part, place) in self.places(&range) {
            let length = part.len();
            into[part].copy_from_slice(&self.seen[place..place + length]);
        }
        for write in &self.remembered {
            write.overlay(offset as usize, into);
        }
        if met == Some(Kind::FlippedRead) {
            let at = self.noise.below(into.len());
            into[at] ^= 1 << self.noise.below(8);
        }
        Ok(())
    }

    fn zero(&mut self, range: Range<u64>) -> io::Result<()> {
        match self.meets(Asked::Zero, &range) {
            Some(Kind::ZeroLies) => Ok(()),
            Some(Kind::ZeroUnsupported) => Err(io::ErrorKind::Unsupported.into()),
            Some(Kind::ZeroError) => Err(io::Error::from_raw_os_error(EIO)),
            Some(Kind::Gone) => Err(io::Error::from_raw_os_error(ENODEV)),
            _ => {
                let zeroes = vec![0; (range.end - range.start) as usize];
                if !self.remembered.is_empty() {
                    self.remember(range.start, &zeroes);
                }
                self.put(range.start, &zeroes);
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.meets(Asked::Flush, &(0..0)) {
            Some(Kind::FlushIgnored) => return Ok(()),
            Some(Kind::Gone) => return Err(io::Error::from_raw_os_error(ENODEV)),
            Some(Kind::FlushError) => {
                self.lose();
                return Err(io::Error::from_raw_os_error(EIO));
            }
            _ => {}
        }
        for write in self.pending.drain(..) {
            write.put(0..write.bytes.len(), &mut self.durable);
        }
        if let Some(log) = &mut self.log {
            log.push(Step::Flush);
        }
        Ok(())
    }

    /// Loses any part of what is pending for good; the host does not know.
    fn lose(&mut self) {
        for (write, part) in crash::survivors(&self.pending, &mut self.noise) {
            write.put(part, &mut self.durable);
        }
        self.remembered.append(&mut self.pending);
        self.seen.clone_from(&self.durable);
    }
}

/// Input/output error, and no such device (errno(3)).
const EIO: i32 = 5;
const ENODEV: i32 = 19;

impl Medium for Disk {
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.state().read(offset, into)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.state().write(offset, bytes)
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.state().zero(range)
    }

    fn flush(&self) -> io::Result<()> {
        self.state().flush()
    }

    fn set_size(&self, size_bytes: u64) -> io::Result<()> {
        let mut state = self.state();
        state.seen.resize(size_bytes as usize, 0);
        // A file system's journal keeps the length; the content is another matter.
        state.durable.resize(size_bytes as usize, 0);
        Ok(())
    }

    fn drop_cache(&self) {
        self.state().remembered.clear();
    }
}

/// The disk is gone after so many operations: the run is cut off there.
pub(crate) fn cut_after(operations: u64) -> Fault {
    Fault::new(Kind::Gone, When::From(operations))
}
