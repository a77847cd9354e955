//! Which diffs are used: those that take fewer bytes than what they bring.

use super::Job;
use crate::Error;
use crate::diffs::UsableDiffs;
use crate::tree::decide::{Action, Decisions};
use crate::tree::inventory::{Held, Inventory};
use crate::tree::nodes::What;
use crate::tree::wanted::From;
use store::Digest;
use store::map::FrameRef;

/// The list of diffs is only asked for when so much would be fetched, bytes: it takes some hundred
/// kilobytes itself.
const WORTH_BYTES: u64 = 1 << 20;

/// An object that the target lacks: its label's number, what it is, and the frame that has it.
type Lacked = (usize, Digest, u32, FrameRef);

/// For each label, the diffs that bring some of what `has` lacks.
pub(super) fn choose(
    job: &Job,
    has: &Inventory,
    decisions: &Decisions,
) -> Result<Vec<Option<UsableDiffs>>, Error> {
    if has.files.is_empty() {
        return Ok(job.labels.iter().map(|_| None).collect());
    }
    let lacked = lacked(job, has, decisions)?;
    let holder = Held { root: &job.root, has };
    let of_label = |(number, label)| {
        let lacked = lacked.iter().filter(move |lacked| lacked.0 == number);
        let bytes: u64 = lacked.clone().map(|(_, _, length, _)| u64::from(*length)).sum();
        if bytes < WORTH_BYTES {
            return None;
        }
        let usable = UsableDiffs::read(label, &holder)?;
        Some(usable.choose(lacked.map(|(_, digest, length, frame)| (*digest, *length, *frame))))
    };
    Ok(job.labels.iter().enumerate().map(of_label).collect())
}

fn lacked(job: &Job, has: &Inventory, decisions: &Decisions) -> Result<Vec<Lacked>, Error> {
    let mut lacked = Vec::new();
    for (index, action) in (0..).zip(&decisions.actions) {
        let (What::File(file), Action::Make) = (job.wanted.nodes.what(index), action) else {
            continue;
        };
        for (_, piece) in job.wanted.pieces(&job.wanted.files[file as usize]) {
            let Some((digest, From::Label(place))) = piece.object() else { continue };
            if has.seed(&digest, piece.length()).is_none() {
                let (label, want) = job.want(place, (digest, piece.length()), 0)?;
                lacked.push((label, digest, want.length, want.frame));
            }
        }
    }
    Ok(lacked)
}
