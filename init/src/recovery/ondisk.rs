//! `boot`: what is on the disks, started from here.

use super::pages::{Below, Ended, Listing};
use super::screen::{column, fact};
use super::{Halt, Session};
use crate::boot::{At, Stage};
use crate::ondisk::{self, Entry, OnDisk};

/// Entries that are numbered: a disk has a few kernels, each with a few ways to be started.
const ENTRIES_MAX: usize = 100;

/// Entries of a page: the name of one may take a second row.
const PER_PAGE: usize = 8;

impl Session<'_> {
    /// Starts the entry of that number in the last list; shows a list where there is none, or no
    /// number.
    pub(super) fn boot(&mut self, typed: &str) -> Result<(), Halt> {
        let mut typed = typed.to_string();
        if typed.is_empty() || self.entries.is_empty() {
            let found = self.machine.disks.bootable(self.find_disks()?);
            self.entries = entries(&found);
            // A number without a list was meant for nothing that anybody has seen.
            typed = self.choose(&found)?;
        }
        if typed.is_empty() {
            return Ok(());
        }
        let number = typed.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let Some(entry) = number.and_then(|index| self.entries.get(index)) else {
            self.show(&format!("{typed:?} is the number of none of them\n"));
            return Ok(());
        };
        self.makes_sense();
        let settings = self.settings()?;
        // A disk that was exchanged since it was listed is refused there.
        match ondisk::start(self.machine, entry, &settings.append).at(Stage::Leave) {
            Err(failure) => Err(failure.into()),
            Ok(never) => match never {},
        }
    }

    /// Shows what there is, and asks which.
    fn choose(&self, found: &[OnDisk]) -> Result<String, Halt> {
        let items = items(found, &self.entries);
        let (count, below) = (items.len(), Below::Choice);
        let listing = Listing { title: "on the disks", count, per_page: PER_PAGE, below };
        if count > 0
            && let Ended::Choice(typed) = self.pages(&listing, |range| Ok(items[range].concat()))?
        {
            return Ok(typed);
        }
        if self.entries.is_empty() {
            self.show("no disk holds something to boot\n");
            return Ok(String::new());
        }
        self.ask("Number to start (Enter: none): ")
    }
}

/// What is numbered.
fn entries(found: &[OnDisk]) -> Vec<Entry> {
    let all = found.iter().filter_map(|disk| disk.entries.as_ref().ok()).flatten();
    all.take(ENTRIES_MAX).cloned().collect()
}

/// Each entry, and each disk that has none with why, on at most two rows.
fn items(found: &[OnDisk], entries: &[Entry]) -> Vec<Vec<String>> {
    let numbered = entries.iter().enumerate();
    let numbered = numbered.map(|(index, entry)| rows(index + 1, &entry.disk.path, entry));
    let none = found.iter().filter_map(|one| {
        let why = one.entries.as_ref().err()?;
        let mut rows = fact("  -", &format!("{}: {why}", column(&one.disk.path, 15).trim_end()));
        rows.truncate(2);
        Some(rows)
    });
    numbered.chain(none).collect()
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
    use crate::disks::tests::disk;
    use crate::ondisk::NotBootable;

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

    #[test]
    fn disks_without_entries_say_why_on_the_same_pages() {
        let why =
            |number: usize| NotBootable::Nothing(vec!["a note of some length ".repeat(number)]);
        let found: Vec<OnDisk> = (0..20)
            .map(|number| {
                let disk = disk(&format!("sd{}", char::from(b'a' + number as u8)), "");
                OnDisk { disk, entries: Err(why(number)), notes: Vec::new() }
            })
            .collect();
        let items = items(&found, &[]);
        assert_eq!(items.len(), 20);
        assert!(items[0][0].starts_with("  -       /dev/sda: nothing to boot; "), "{items:?}");
        for page in items.chunks(PER_PAGE) {
            assert!(fits(&titled("on the disks", page.concat())));
        }
    }
}
