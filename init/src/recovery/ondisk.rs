//! `boot`: what is on the disks, started from here.

use super::screen::{column, fact};
use super::{Halt, Session};
use crate::boot::{At, Stage};
use crate::ondisk::{self, Entry, OnDisk};

/// Entries that are numbered: a disk has a few kernels, each with a few ways to be started.
const ENTRIES_MAX: usize = 100;

/// Entries of a page: the name of one may take a second row.
const PER_PAGE: usize = 8;

impl Session<'_> {
    pub(super) fn boot(&self, typed: &str) -> Result<(), Halt> {
        let found = self.machine.disks.bootable(self.find_disks()?);
        let entries: Vec<&Entry> = found
            .iter()
            .filter_map(|disk| disk.entries.as_ref().ok())
            .flatten()
            .take(ENTRIES_MAX)
            .collect();
        let mut typed = typed.to_string();
        if typed.is_empty() {
            typed = self.choose(&found, &entries)?;
        }
        if typed.is_empty() {
            return Ok(());
        }
        let number = typed.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let Some(entry) = number.and_then(|index| entries.get(index)) else {
            self.show(&format!("{typed:?} is the number of none of them\n"));
            return Ok(());
        };
        let settings = self.settings()?;
        match ondisk::start(self.machine, entry, &settings.append).at(Stage::Leave) {
            Err(failure) => Err(failure.into()),
            Ok(never) => match never {},
        }
    }

    /// Shows what there is, and asks which.
    fn choose(&self, found: &[OnDisk], entries: &[&Entry]) -> Result<String, Halt> {
        for (disk, why) in
            found.iter().filter_map(|one| Some((&one.disk, one.entries.as_ref().err()?)))
        {
            for row in fact(&column(&disk.path, 15), &why.to_string()) {
                self.show(&format!("{row}\n"));
            }
        }
        if entries.is_empty() {
            self.show("no disk holds something to boot\n");
            return Ok(String::new());
        }
        self.pages("on the disks", (entries.len(), PER_PAGE, 0), |range| {
            let first = range.start;
            let shown = entries[range].iter().enumerate();
            Ok(shown
                .flat_map(|(index, entry)| rows(first + index + 1, &entry.disk.path, entry))
                .collect())
        })?;
        self.ask("Number to start (Enter: none): ")
    }
}

fn rows(number: usize, path: &str, entry: &dyn std::fmt::Display) -> Vec<String> {
    let mut rows = fact(&format!("{number:3} "), &format!("{path}: {entry}"));
    rows.truncate(2);
    rows
}

#[cfg(test)]
mod tests {
    use super::super::screen::{fits, titled};
    use super::*;

    #[test]
    fn entries_on_a_page() {
        let entry = "Debian GNU/Linux (GRUB menu entry, partition 2 ext4 /boot/grub/grub.cfg)";
        let expected = "\
== on the disks ===============================================================
  1       /dev/vda: Debian GNU/Linux (GRUB menu entry, partition 2 ext4
            /boot/grub/grub.cfg)
";
        assert_eq!(titled("on the disks", rows(1, "/dev/vda", &entry)), expected);
        let long = "words ".repeat(100);
        let page: Vec<String> = (0..PER_PAGE).flat_map(|n| rows(n, "/dev/vda", &long)).collect();
        assert!(fits(&titled("on the disks", page)));
    }
}
