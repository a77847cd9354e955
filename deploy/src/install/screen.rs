//! The plan for a disk as one screen.

use super::plan::{Plan, RootPlan};
use crate::layout::{Layout, Role};
use crate::plan::{head, human};
use std::fmt;

impl Plan {
    /// Of a layout that is kept, the EFI system partition's content is not: it is ours alone.
    fn is_made_anew(&self, role: Option<Role>) -> bool {
        role == Some(Role::Esp) && matches!(self.layout, Layout::Keep(_)) && !self.is_complete
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.layout.table();
        let (disk, size) = (self.disk.name(), human(table.disk_bytes));
        let partitions: Vec<String> = table
            .partitions
            .iter()
            .map(|one| {
                let role = one.role.map_or("other", |role| role.name());
                let anew = if self.is_made_anew(one.role) { " made anew" } else { "" };
                format!("{role} {}{anew}", human(one.size_bytes))
            })
            .collect();
        let layout = match self.layout {
            Layout::Keep(_) => "kept",
            Layout::Make(_) => "new",
        };
        writeln!(f, "disk    {disk}, {size}: {layout}: {}", partitions.join(", "))?;
        match &self.root {
            RootPlan::Keep(plan, root) => {
                writeln!(f, "root    {} {} is kept", root.kind, root.uuid)?;
                write!(f, "{plan}")?;
            }
            RootPlan::Make(_, needs, why) => {
                let why = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                writeln!(f, "root    {} {} is made{why}", self.root_kind, self.root_uuid)?;
                head(f, self.labels())?;
                writeln!(f, "nodes   {} new", needs.nodes)?;
                if self.local.is_some() {
                    let (count, bytes) = (needs.near_objects, human(needs.near_bytes));
                    writeln!(f, "near    {count} objects, {bytes}: in the local store")?;
                }
                let count = needs.objects - needs.near_objects;
                let bytes = human(needs.bytes - needs.near_bytes);
                let packed = human(needs.packed_bytes);
                writeln!(f, "fetch   {count} objects, {bytes}: {packed} packed")?;
                let mut boots = self.labels().iter().filter_map(|l| l.manifest.boot.as_ref());
                match boots.next() {
                    Some(boot) => write!(f, "boot    {}", boot.source)?,
                    None => write!(f, "boot    the label names no kernel")?,
                }
            }
        }
        if self.is_complete { write!(f, "\nnothing is to be written") } else { Ok(()) }
    }
}
