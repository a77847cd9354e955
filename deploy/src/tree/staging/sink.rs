//! Where objects go: each address belongs to one staged file.

use super::Staged;
use crate::Error;
use crate::fetch::Sink;
use crate::meter::{Limit, add};
use crate::tree::gate::At;
use crate::tree::meta::{change, inherited, of_new};
use crate::tree::plan::Job;
use crate::tree::stage::Stage;
use rustix::fd::{AsFd, OwnedFd};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many files are held open that have more to come. Objects of one file mostly come one after
/// another.
const OPEN_MAX: usize = 64;

/// What is written is made durable after so much at the latest, bytes: a machine that is cut off
/// loses little, and the disk writes while more is fetched.
const FLUSH_EVERY_BYTES: u64 = 128 << 20;

/// Mode of what is being made: nobody else's business.
const MODE: u16 = 0o600;

/// The staged files, and those of them that are open.
pub(super) struct Files<'a> {
    job: &'a Job,
    stage: &'a Stage,
    staged: &'a [Staged],
    /// Files that are open, by their index, those used last behind.
    open: Mutex<Vec<(usize, Arc<OwnedFd>)>>,
    put_bytes: AtomicU64,
}

impl<'a> Files<'a> {
    pub(super) fn new(job: &'a Job, stage: &'a Stage, staged: &'a [Staged]) -> Self {
        let (open, put_bytes) = (Mutex::default(), AtomicU64::new(0));
        Self { job, stage, staged, open, put_bytes }
    }

    pub(super) fn stage(&self) -> &'a Stage {
        self.stage
    }

    /// Gives a file that has all its content its length and its metadata, if it has not got them.
    pub(super) fn finish(&self, staged: &Staged) -> Result<(), Error> {
        if staged.is_done.load(Ordering::Relaxed) {
            return Ok(());
        }
        let index = self.index_of(staged.base_bytes);
        let finish = || {
            let file = self.opened(index)?;
            self.give_meta(staged, &file)
        };
        finish().map_err(staged.failed(self.job, "write"))?;
        self.close(index);
        Ok(())
    }

    fn index_of(&self, at: u64) -> usize {
        self.staged.partition_point(|staged| staged.base_bytes <= at).saturating_sub(1)
    }

    /// A file that has no content yet, all of which is `bytes`.
    fn put_whole(&self, staged: &Staged, bytes: &[u8]) -> io::Result<()> {
        let file = self.stage.create(&staged.name(self.job))?;
        self.job.root.hands.write(&file, bytes, 0)?;
        self.give_meta(staged, &file)
    }

    fn give_meta(&self, staged: &Staged, file: &OwnedFd) -> io::Result<()> {
        let nodes = &self.job.wanted.nodes;
        let (at, what) = (At::File(file.as_fd()), nodes.what(staged.node));
        // What an earlier run left may have metadata already.
        let mut has = of_new(MODE);
        if staged.left.is_some() {
            has.xattrs = inherited(file)?;
        }
        change(&self.job.root.hands, at, what, &nodes.meta(staged.node), &has)?;
        staged.is_done.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// A staged file, opened or made.
    pub(super) fn opened(&self, index: usize) -> io::Result<Arc<OwnedFd>> {
        let staged = &self.staged[index];
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().rposition(|(number, _)| *number == index) {
            let found = open.remove(at);
            let file = Arc::clone(&found.1);
            open.push(found);
            return Ok(file);
        }
        let name = staged.name(self.job);
        let file = match self.stage.open_file(&name) {
            Ok(file) => file,
            // An earlier run has given it its mode already.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let at = At::Name(self.stage.dir(), &name);
                self.job.root.hands.set_mode(at, MODE)?;
                self.stage.open_file(&name)?
            }
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && !staged.is_begun.load(Ordering::Relaxed) =>
            {
                let made = self.stage.create(&name)?;
                staged.begin();
                self.job.root.hands.resize(&made, staged.size_bytes)?;
                made
            }
            Err(error) => return Err(error),
        };
        let file = Arc::new(file);
        if open.len() >= OPEN_MAX {
            open.remove(0);
        }
        open.push((index, Arc::clone(&file)));
        Ok(file)
    }

    /// Gives up the descriptor of a file that has all it needs.
    pub(super) fn close(&self, index: usize) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(number, _)| *number != index);
    }

    /// Whoever writes past a multiple of [`FLUSH_EVERY_BYTES`] flushes, while the others go on.
    fn flush_now_and_then(&self, written_bytes: u64) -> Result<(), Error> {
        let before = self.put_bytes.fetch_add(written_bytes, Ordering::Relaxed);
        if before / FLUSH_EVERY_BYTES == (before + written_bytes) / FLUSH_EVERY_BYTES {
            return Ok(());
        }
        Ok(self.job.sync()?)
    }
}

impl Sink for Files<'_> {
    fn put(&self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        let index = self.index_of(at);
        let staged = &self.staged[index];
        let offset = at - staged.base_bytes;
        let length = bytes.len() as u64;
        let put = || {
            if offset == 0 && length == staged.size_bytes && staged.left.is_none() {
                return self.put_whole(staged, bytes);
            }
            self.job.root.hands.write(&*self.opened(index)?, bytes, offset)
        };
        let put = self.job.meter.time(Limit::Disk, put);
        put.map_err(staged.failed(self.job, "write"))?;
        add(&self.job.meter.written_bytes, length);
        self.flush_now_and_then(length)
    }
}
