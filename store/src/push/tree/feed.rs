//! Nodes and pieces into batches.

use super::super::run::Take;
use super::super::scan::{Batch, Cut, Stop};
use super::super::tally::Tally;
use crate::manifest::Part;
use crate::tree::Node;

/// A batch is handed on when it has this much, bytes: large enough that handing on costs nothing,
/// small enough that a few per core do not count.
const BATCH_BYTES: usize = 1 << 20;

/// What a cut or node takes besides its bytes and path, about.
const CUT_BYTES: usize = 200;

/// Puts batches together and hands them on.
pub(super) struct Feed<'a, 't> {
    take: &'a mut Take<'t>,
    pub(super) tally: &'a Tally<'a>,
    batch: Batch,
    weight_bytes: usize,
}

impl<'a, 't> Feed<'a, 't> {
    pub(super) fn new(take: &'a mut Take<'t>, tally: &'a Tally<'a>) -> Self {
        Self { take, tally, batch: Batch::default(), weight_bytes: 0 }
    }

    pub(super) fn node(&mut self, node: Node) -> Result<(), Stop> {
        let xattrs = node.meta.xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len());
        let weight = node.path.len() + xattrs.sum::<usize>();
        self.add(Cut::Node(Box::new(node)), weight)
    }

    pub(super) fn zero(&mut self, length: u64) -> Result<(), Stop> {
        self.tally.read(length);
        self.add(Cut::Zero(length), 0)
    }

    pub(super) fn data(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.tally.read(bytes.len() as u64);
        let start = self.batch.bytes.len();
        self.batch.bytes.extend_from_slice(bytes);
        self.add(Cut::Data(start..self.batch.bytes.len()), bytes.len())
    }

    fn add(&mut self, cut: Cut, weight_bytes: usize) -> Result<(), Stop> {
        self.batch.cuts.push(cut);
        self.weight_bytes += CUT_BYTES + weight_bytes;
        if self.weight_bytes < BATCH_BYTES {
            return Ok(());
        }
        self.weight_bytes = 0;
        let empty = Batch { bytes: Vec::with_capacity(BATCH_BYTES), ..Batch::default() };
        Ok((self.take)(std::mem::replace(&mut self.batch, empty))?)
    }

    /// Hands on the rest: the tree ends here.
    pub(super) fn end(self) -> Result<(), Stop> {
        Ok((self.take)(Batch { ends: Some(Part::Content), ..self.batch })?)
    }
}
