//! The plan as one screen.

use super::plan::Plan;
use crate::plan::{head, human};
use std::fmt;

/// So many mounts are shown; a person who has more knows them.
const MOUNTS_SHOWN: usize = 4;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        head(f, self.labels())?;
        writeln!(f, "run     live, from memory: no disk is touched, nothing is kept")?;
        let archive = human(self.takes.archive_bytes);
        writeln!(f, "root    {} nodes in an initramfs of {archive}", self.takes.nodes)?;
        let left_out = self.without_attributes();
        if left_out > 0 {
            let what = "lose their extended attributes and capabilities, which it cannot have";
            writeln!(f, "        {left_out} nodes {what}")?;
        }
        if let Some(memory) = &self.memory {
            let (needs, has) = (self.takes.needs_bytes(memory), memory.total_bytes);
            let unpacked = human(self.takes.unpacked_bytes());
            let (needs, has) = (human(needs), human(has));
            writeln!(f, "memory  {needs} needed of {has}; the running root takes {unpacked}")?;
        }
        for mount in self.mounts.iter().take(MOUNTS_SHOWN) {
            writeln!(f, "fstab   left out, being of a disk: {mount}")?;
        }
        if let Some(more) = self.mounts.len().checked_sub(MOUNTS_SHOWN).filter(|more| *more > 0) {
            writeln!(f, "fstab   and {more} more")?;
        }
        let needs = self.drawn.needs();
        let (bytes, packed) = (human(needs.bytes), human(needs.packed_bytes));
        writeln!(f, "fetch   {} objects, {bytes}: {packed} packed", needs.objects)?;
        write!(f, "boot    /{} {}", self.kernel_path, self.command_line)
    }
}

impl Plan {
    /// How many nodes have extended attributes.
    fn without_attributes(&self) -> usize {
        let nodes = &self.drawn.wanted().nodes;
        (0..nodes.len()).filter(|index| !nodes.xattrs(*index).is_empty()).count()
    }
}
