//! Several sorted sequences of records into one.

use super::write::Writer;
use super::{Record, RunError};
use crate::dir::DirError;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// Records in order.
pub(crate) type Sequence<'a> = Box<dyn Iterator<Item = Result<Record, RunError>> + 'a>;

/// Why a merge failed.
pub(super) enum MergeError {
    /// This input could not be read.
    Read(usize, RunError),
    /// The output could not be written.
    Write(DirError),
}

/// Writes all records of `inputs`, in order.
pub(super) fn merge(mut inputs: Vec<Sequence<'_>>, writer: &mut Writer) -> Result<(), MergeError> {
    let mut heads = BinaryHeap::with_capacity(inputs.len());
    for number in 0..inputs.len() {
        heads.extend(head(&mut inputs, number)?);
    }
    while let Some(mut first) = heads.peek_mut() {
        let Reverse((record, number)) = *first;
        writer.push(record).map_err(MergeError::Write)?;
        // Replaced in its place: most records come from the largest run, and stay on top.
        match head(&mut inputs, number)? {
            Some(next) => *first = next,
            None => drop(PeekMut::pop(first)),
        }
    }
    Ok(())
}

/// The next record of an input, if it has one.
fn head(
    inputs: &mut [Sequence<'_>],
    number: usize,
) -> Result<Option<Reverse<(Record, usize)>>, MergeError> {
    let record = inputs[number].next().transpose();
    let record = record.map_err(|error| MergeError::Read(number, error))?;
    Ok(record.map(|record| Reverse((record, number))))
}
