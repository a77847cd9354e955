//! Several sorted sequences of records into one.

use super::write::Writer;
use super::{Record, RunError};
use crate::dir::DirError;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

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
    while let Some(Reverse((record, number))) = heads.pop() {
        writer.push(record).map_err(MergeError::Write)?;
        heads.extend(head(&mut inputs, number)?);
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
