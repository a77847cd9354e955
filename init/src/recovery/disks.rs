//! `disks`: each disk, and what is on it.

use std::ops::Range;

use deploy::disks::{Disk, size_text};

use super::pages::{Below, Ended, Listing};
use super::screen::{PAGE_ROWS, column, fact};
use super::{Halt, Session};
use crate::boot::{At, Failure, Stage};
use crate::report::ANSWER;

/// Disks of a page: what is on one takes about two rows.
const PER_PAGE: usize = PAGE_ROWS / 4;

/// Above the columns.
const HEAD: &str = "  # path            size      how     model                 serial";

impl Session<'_> {
    pub(super) fn disks(&self) -> Result<(), Halt> {
        let disks = self.find_disks()?;
        if disks.is_empty() {
            self.show("no disk: no driver in this image, or none in this machine\n");
            return Ok(());
        }
        self.disk_pages("disks", Below::Nothing, &disks)?;
        Ok(())
    }

    /// Shows disks, numbered from 1.
    pub(super) fn disk_pages(
        &self,
        title: &str,
        below: Below,
        disks: &[Disk],
    ) -> Result<Ended, Halt> {
        let listing = Listing { title, count: disks.len(), per_page: PER_PAGE, below };
        self.pages(&listing, |range| Ok(page(range, disks)))
    }

    /// The machine's disks; one that does not answer in time says so in its contents.
    pub(super) fn find_disks(&self) -> Result<Vec<Disk>, Failure> {
        self.machine.disks.find(ANSWER).at(Stage::Disk)
    }
}

fn page(range: Range<usize>, disks: &[Disk]) -> Vec<String> {
    let first = range.start;
    let shown = disks[range].iter().enumerate();
    let rows = shown.flat_map(|(index, disk)| rows(first + index + 1, disk));
    [HEAD.to_string()].into_iter().chain(rows).collect()
}

/// A disk on a few rows.
fn rows(number: usize, disk: &Disk) -> Vec<String> {
    let or_none = |text: &str| if text.is_empty() { "-".to_string() } else { text.to_string() };
    let (path, size) = (column(&disk.path, 15), column(&size_text(disk.size_bytes), 9));
    let (how, model) = (disk.transport.to_string(), column(&or_none(&disk.model), 21));
    let head = format!("{number:3} {path} {size} {how:7} {model} {}", or_none(&disk.serial));
    let notes =
        [(disk.removable, "removable"), (disk.read_only, "read-only"), (disk.mounted, "in use")];
    let notes: Vec<&str> =
        notes.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect();
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    let mut rows = vec![head];
    let mut on_it = fact("", &format!("{}{notes}", disk.contents));
    // A page is made for two rows of it.
    if on_it.len() > 3 {
        on_it.truncate(2);
        on_it.push("          ...".into());
    }
    rows.extend(on_it);
    rows
}

#[cfg(test)]
mod tests {
    use deploy::disks::{Contents, Partition, Transport};

    use super::super::screen::{fits, titled};
    use super::*;
    use crate::disks::tests::disk;

    #[test]
    fn a_disk_and_what_is_on_it() {
        let blank = Contents { head_is_zero: true, ..Contents::default() };
        let stick = Disk {
            removable: true,
            transport: Transport::Usb,
            model: "Ultra Fast Memory Stick 3000".into(),
            contents: blank,
            ..disk("sda", "")
        };
        let mut all = vec![HEAD.to_string()];
        all.extend(rows(1, &disk("nvme0n1", "S4EWNX0R123456")));
        all.extend(rows(2, &stick));
        let expected = "\
== disks ======================================================================
  # path            size      how     model                 serial
  1 /dev/nvme0n1    8.5 GB    virtio  -                     S4EWNX0R123456
          gpt: 1 unknown \"EFI\", 2 unknown \"root\"
  2 /dev/sda        8.5 GB    usb     Ultra Fast Memory St> -
          blank (removable)
";
        assert_eq!(titled("disks", all), expected);
    }

    #[test]
    fn many_disks_are_shown_page_by_page() {
        let all: Vec<Disk> = (0..14)
            .map(|number| disk(&format!("sd{}", char::from(b'a' + number)), &format!("S{number}")))
            .collect();
        let pages: Vec<Vec<String>> = (0..14)
            .step_by(PER_PAGE)
            .map(|start| page(start..(start + PER_PAGE).min(all.len()), &all))
            .collect();
        assert_eq!(pages.len(), 3);
        assert!(pages.iter().all(|page| fits(&titled("which disk?", page.clone()))));
        assert!(pages[2].iter().any(|row| row.starts_with(" 14 /dev/sdn")), "{pages:?}");
    }

    #[test]
    fn much_is_cut() {
        let mut much = disk("mapper/a-very-long-name", &"S".repeat(100));
        much.contents.partitions = (1..100)
            .map(|number| Partition {
                number,
                name: "n".repeat(36),
                ..much.contents.partitions[0].clone()
            })
            .collect();
        let all: Vec<String> = (0..PER_PAGE).flat_map(|number| rows(number, &much)).collect();
        let screen = titled("disks", all);
        assert!(fits(&screen), "{screen}");
    }
}
