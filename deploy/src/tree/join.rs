//! Two trees made one.

use super::nodes::{Misplaced, NONE, What};
use super::wanted::Wanted;
use std::cmp::Ordering;
use std::collections::HashSet;
use store::tree::compare;

/// What becomes of paths that both have.
pub(crate) enum Rule<'a> {
    /// They must be the same; directories are as in the first.
    Same,
    /// They are as in the second, but for directories at these indices of the second, which are
    /// there only for what is below them.
    Second(&'a HashSet<u32>),
}

/// Why two trees cannot be made one.
#[derive(Debug)]
pub(crate) enum JoinError {
    /// They differ at a path: what the first has there, and the second.
    Differ(Vec<u8>, String, String),
    /// One has something below what is no directory in the other.
    Misplaced(Vec<u8>, Misplaced),
}

/// The nodes of both.
pub(crate) fn join(first: &Wanted, second: &Wanted, rule: &Rule<'_>) -> Result<Wanted, JoinError> {
    let mut joining = Joining {
        from: [first, second],
        became: [first, second].map(|wanted| vec![NONE; wanted.nodes.len() as usize]),
        made: Wanted::default(),
    };
    let (mut one, mut two) = (first.nodes.cursor(), second.nodes.cursor());
    loop {
        let (side, both) = match (one.here(), two.here()) {
            (None, None) => break,
            (Some(_), None) => (0, None),
            (None, Some(_)) => (1, None),
            (Some((i, path)), Some((j, other))) => match compare(path, other) {
                Ordering::Less => (0, None),
                Ordering::Greater => (1, None),
                Ordering::Equal => (joining.pick(path, i, j, rule)?, Some((i, j))),
            },
        };
        let here = if side == 0 { one.here() } else { two.here() };
        if let Some((index, path)) = here {
            let made = joining.put(side, index, path)?;
            // Of labels that are the same here, links in either lead to what was made of both.
            if let (Some((_, j)), Rule::Same) = (both, rule) {
                joining.lead(1, j, made);
            }
        }
        if side == 0 || both.is_some() {
            one.next();
        }
        if side == 1 || both.is_some() {
            two.next();
        }
    }
    let mut made = joining.made;
    made.adapted = first.adapted.plus(second.adapted);
    for wanted in [first, second] {
        made.local.extend(wanted.local.iter().map(|(digest, bytes)| (*digest, bytes.clone())));
    }
    Ok(made)
}

struct Joining<'a> {
    from: [&'a Wanted; 2],
    /// For each node of each that has become one of `made`, which: of links, that of their first
    /// name.
    became: [Vec<u32>; 2],
    made: Wanted,
}

impl Joining<'_> {
    /// Which of the two nodes at `path` is taken.
    fn pick(&self, path: &[u8], i: u32, j: u32, rule: &Rule<'_>) -> Result<usize, JoinError> {
        let [first, second] = self.from;
        let directories =
            first.nodes.what(i) == What::Directory && second.nodes.what(j) == What::Directory;
        match rule {
            Rule::Second(weak) if weak.contains(&j) && !directories => {
                let found = first.nodes.what(first.nodes.first(i)).noun().to_owned();
                Err(JoinError::Misplaced(path.to_vec(), ("a directory above others", found)))
            }
            Rule::Second(weak) => Ok(usize::from(!(directories && weak.contains(&j)))),
            Rule::Same if directories || self.is_same(i, j) => Ok(0),
            Rule::Same => {
                let (one, other) = (first.describe(i), second.describe(j));
                Err(JoinError::Differ(path.to_vec(), one, other))
            }
        }
    }

    fn is_same(&self, i: u32, j: u32) -> bool {
        let [first, second] = self.from;
        let (i, j) = (first.nodes.first(i), second.nodes.first(j));
        let same = match (first.nodes.what(i), second.nodes.what(j)) {
            (What::File(one), What::File(other)) => {
                first.id(&first.files[one as usize]) == second.id(&second.files[other as usize])
            }
            (What::Symlink(one), What::Symlink(other)) => {
                first.nodes.text(one) == second.nodes.text(other)
            }
            (one, other) => one == other,
        };
        same && first.nodes.has_meta_of(i, &second.nodes, j)
    }

    /// Adds the node `index` of one side.
    fn put(&mut self, side: usize, index: u32, path: &[u8]) -> Result<u32, JoinError> {
        let wanted = self.from[side];
        let first = wanted.nodes.first(index);
        let led = self.became[side][first as usize];
        let is_link = matches!(wanted.nodes.what(index), What::Link(_));
        let misplaced = |misplaced| JoinError::Misplaced(path.to_vec(), misplaced);
        let what = match wanted.nodes.what(first) {
            _ if is_link && led != NONE => What::Link(led),
            // The first name of a file that is not taken leaves it to the next name.
            What::File(file) => What::File(self.made.copy_file(wanted, file)),
            What::Symlink(text) => {
                let text = self.made.nodes.keep_text(wanted.nodes.text(text));
                What::Symlink(text.map_err(misplaced)?)
            }
            other => other,
        };
        let meta = match what {
            What::Link(_) => store::tree::Meta::default(),
            _ => wanted.nodes.meta(first),
        };
        let made = self.made.nodes.push(path, what, &meta).map_err(misplaced)?;
        self.lead(side, index, made);
        Ok(made)
    }

    /// Links to what `index` of one side is will lead to `made`.
    fn lead(&mut self, side: usize, index: u32, made: u32) {
        let first = self.from[side].nodes.first(index);
        let led = &mut self.became[side][first as usize];
        if *led == NONE {
            *led = self.made.nodes.first(made);
        }
    }
}
