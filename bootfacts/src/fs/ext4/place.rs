//! Where the blocks that the reader of ext4 returns lie in the volume.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::rc::Rc;

use ext4_view::Ext4Read;

use crate::extents::{self, Extent};
use crate::image::Window;

/// Reads that are remembered: as many as the reader's cache has blocks.
const MAX_RECENT_READS: usize = 64;

/// The last reads, the newest at the end; offsets in the volume.
type Recent = Rc<RefCell<VecDeque<Extent>>>;

/// Reads the volume for the reader of ext4 and notes where.
pub(super) struct Recorder {
    window: Window,
    recent: Recent,
}

impl Recorder {
    pub(super) fn new(window: Window) -> Self {
        Self { window, recent: Rc::default() }
    }

    /// What this recorder has noted, also once it has been given away.
    pub(super) fn recent(&self) -> Recent {
        Rc::clone(&self.recent)
    }
}

impl Ext4Read for Recorder {
    fn read(
        &mut self,
        start_byte: u64,
        dst: &mut [u8],
    ) -> Result<(), Box<dyn Error + Send + Sync + 'static>> {
        self.window.read_exact_at(start_byte, dst)?;
        let mut recent = self.recent.borrow_mut();
        if recent.len() == MAX_RECENT_READS {
            recent.pop_front();
        }
        recent.push_back(Extent { offset_bytes: start_byte, length_bytes: dst.len() as u64 });
        Ok(())
    }
}

/// Puts a file's blocks together as extents.
pub(super) struct Placer<'a> {
    window: &'a Window,
    recent: &'a Recent,
    block_bytes: u64,
    compared: Vec<u8>,
    /// Extents in the image.
    extents: Vec<Extent>,
    /// Where in the volume the last placed block ends.
    end_bytes: Option<u64>,
    /// Zeroes met since then.
    zero_bytes: u64,
}

impl<'a> Placer<'a> {
    pub(super) fn new(window: &'a Window, recent: &'a Recent, block_bytes: u64) -> Self {
        Self {
            window,
            recent,
            block_bytes,
            compared: vec![0; block_bytes as usize],
            extents: Vec::new(),
            end_bytes: None,
            zero_bytes: 0,
        }
    }

    /// Adds the file's next block; `None` if it lies nowhere as it is.
    ///
    /// Zeroes may be a hole, and equal zeroes are everywhere: they count only
    /// when the file goes on behind as many zeroes on the disk.
    pub(super) fn add(&mut self, block: &[u8]) -> Option<()> {
        if block.iter().all(|&byte| byte == 0) {
            self.zero_bytes += block.len() as u64;
            return Some(());
        }
        let expected = self.end_bytes.map(|end| end + self.zero_bytes);
        let at_bytes = self.find(block, expected)?;
        if self.zero_bytes > 0 {
            self.take_zeroes(expected.filter(|expected| *expected == at_bytes)?)?;
        }
        self.push(at_bytes, block.len() as u64);
        Some(())
    }

    /// The extents; `None` if the file ends in zeroes that may be a hole.
    pub(super) fn finish(self) -> Option<Vec<Extent>> {
        (self.zero_bytes == 0).then_some(self.extents)
    }

    /// The place that holds `block`: the expected one, else in what was read
    /// last.
    fn find(&mut self, block: &[u8], expected: Option<u64>) -> Option<u64> {
        let recent = self.recent.borrow();
        let step = self.block_bytes as usize;
        let starts = recent
            .iter()
            .rev()
            .flat_map(|read| (0..read.length_bytes).step_by(step).map(|at| read.offset_bytes + at));
        let compared = &mut self.compared[..block.len()];
        expected.into_iter().chain(starts).find(|&at_bytes| {
            self.window.read_exact_at(at_bytes, compared).is_ok() && *compared == *block
        })
    }

    /// Adds the zeroes met, which end at `end_bytes` if they are there.
    fn take_zeroes(&mut self, end_bytes: u64) -> Option<()> {
        while self.zero_bytes > 0 {
            let at_bytes = end_bytes - self.zero_bytes;
            let length = self.zero_bytes.min(self.block_bytes);
            let found = &mut self.compared[..length as usize];
            self.window.read_exact_at(at_bytes, found).ok()?;
            if found.iter().any(|&byte| byte != 0) {
                return None;
            }
            self.push(at_bytes, length);
            self.zero_bytes -= length;
        }
        Some(())
    }

    fn push(&mut self, at_bytes: u64, length_bytes: u64) {
        let offset_bytes = self.window.offset_bytes + at_bytes;
        extents::push(&mut self.extents, Extent { offset_bytes, length_bytes });
        self.end_bytes = Some(at_bytes + length_bytes);
    }
}
