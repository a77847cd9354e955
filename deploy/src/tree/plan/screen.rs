//! The plan as one screen.

use super::Plan;
use crate::plan::{head, human};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        head(f, self.labels())?;
        let (objects, nodes) = (&self.totals.objects, &self.totals.nodes);
        let size: u64 = self.labels().iter().map(crate::Label::size_bytes).sum();
        let (size, free) = (human(size), human(self.room.has_bytes));
        let target = self.job.root.name().display();
        writeln!(f, "target  {target}: the label takes {size}, {free} are free")?;
        writeln!(
            f,
            "nodes   {} as they are, {} with other metadata, {} new, {} replaced",
            nodes.kept, nodes.changed, nodes.new, nodes.replaced
        )?;
        writeln!(f, "remove  {} that the label does not know", nodes.removed)?;
        if nodes.left > 0 {
            writeln!(f, "leave   {} that are kept, mounted, or above such", nodes.left)?;
        }
        for path in self.job.keep.paths() {
            if self.inventory.nodes.find(path).is_none() {
                writeln!(
                    f,
                    "absent  {}: it is to be kept, and is not there",
                    self.job.root.shown(path)
                )?;
            }
        }
        writeln!(f, "keep    {} objects, {}", objects.kept_objects, human(objects.kept_bytes))?;
        writeln!(f, "copy    {} objects, {}", objects.moved_objects, human(objects.moved_bytes))?;
        if let Some(near) = self.labels().iter().find_map(|label| label.near.as_ref()) {
            let (count, bytes) = (objects.near_objects, human(objects.near_bytes));
            writeln!(f, "near    {count} objects, {bytes}: in {}", near.link.source.name())?;
        }
        let count = objects.missing_objects - objects.moved_objects - objects.near_objects;
        let bytes = objects.missing_bytes - objects.moved_bytes - objects.near_bytes;
        let (fetched, packed) = (human(bytes), human(objects.packed_bytes));
        writeln!(f, "fetch   {count} objects, {fetched}: {packed} packed")?;
        if objects.diff_objects > 0 {
            let (count, bytes) = (objects.diff_objects, human(objects.diff_bytes));
            writeln!(f, "        of these by diffs {count} objects, {bytes}")?;
        }
        for line in self.adapted().lacking() {
            writeln!(f, "rights  {line}")?;
        }
        let boot = self.labels().iter().find_map(|label| label.manifest.boot.as_ref());
        match boot {
            Some(boot) => write!(f, "boot    {}", boot.source),
            None => write!(f, "boot    the label names no kernel"),
        }
    }
}
