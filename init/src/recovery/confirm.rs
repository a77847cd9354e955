//! The last question before a disk is written, and what may pass it.

use std::cell::{Cell, RefCell};

use deploy::disks::{Disk, Places, is_same_disk, size_text};

use super::choice::Loss;
use super::network::stop_of;
use super::screen::{fact, titled};
use super::{Halt, Session};
use crate::boot::{At, Exchanged, Failure, Stage};
use crate::console::Watch;
use crate::stop::Stop;
use crate::window::{Gate, Stopped};

/// The disk that is meant, and whether another one has its serial number.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) disk: Disk,
    pub(super) has_twin: bool,
}

impl Chosen {
    /// `disk` of all there are.
    pub(super) fn of(disk: &Disk, all: &[Disk]) -> Self {
        let is_twin = |other: &Disk| other.path != disk.path && other.serial == disk.serial;
        Self { disk: disk.clone(), has_twin: all.iter().any(is_twin) }
    }

    /// What has to be typed: the serial number where that tells the disk from all others, and can
    /// be typed.
    fn confirmation(&self) -> Confirmation<'_> {
        let Disk { serial, path, .. } = &self.disk;
        // A line is taken without the blanks around it.
        let can_be_typed =
            serial.trim() == serial && serial.bytes().all(|b| matches!(b, b' '..=b'~'));
        let why = if serial.is_empty() {
            ""
        } else if self.has_twin {
            "which another disk has as well"
        } else if !can_be_typed {
            "which cannot be typed"
        } else {
            return Confirmation { what: "Serial", word: "serial", expected: serial, why: "" };
        };
        Confirmation { what: "Path", word: "path", expected: path, why }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Confirmation<'a> {
    what: &'static str,
    word: &'static str,
    expected: &'a str,
    /// Why it is not the serial number, where there is one.
    why: &'static str,
}

impl Session<'_> {
    /// Asks the person, by what tells the disk from others, whether the plan is carried out.
    pub(super) fn confirm(&self, chosen: &Chosen, label: &str, loss: Loss) -> Result<(), Halt> {
        same(&chosen.disk).at(Stage::Disk)?;
        self.show(&screen(chosen, label, loss));
        // What was typed ahead was not meant as this answer.
        self.keys.forget_typed();
        let Confirmation { what, expected, .. } = chosen.confirmation();
        self.is_answered(&format!("{what} of the disk to write: "), expected)
    }

    /// Asks whether what is on the disk already is started: nothing is lost by that.
    pub(super) fn confirm_start(&self, disk: &Disk, label: &str) -> Result<(), Halt> {
        self.show(&format!("{} already holds {label}: nothing would be written\n", disk.path));
        self.keys.forget_typed();
        self.is_answered("Start it (y, anything else cancels)? ", "y")
    }

    fn is_answered(&self, prompt: &str, expected: &str) -> Result<(), Halt> {
        match self.ask(prompt) {
            Ok(typed) if typed == expected => {
                self.makes_sense();
                Ok(())
            }
            Err(Halt::Nobody) => Err(Halt::Nobody),
            Ok(_) | Err(_) => Err(Failure::of(Stage::Plan, Stopped::NotConfirmed).into()),
        }
    }

    /// Passed by `disk`, if one is to be written, unless Ctrl-C was pressed meanwhile.
    pub(super) fn gate<'a>(&self, disk: Option<&'a Disk>, allowed: Allowed) -> Attended<'a> {
        let is_complete = Cell::new(false);
        Attended { disk, allowed, is_complete, watch: RefCell::new(self.watch()) }
    }
}

/// What a person has agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// What the plan says.
    Writing,
    /// A start of what is there.
    Start,
}

/// Passed by the disk that was shown to the person, if one is written, and by no other that has taken
/// its path; and not once Ctrl-C was pressed.
pub(super) struct Attended<'a> {
    disk: Option<&'a Disk>,
    allowed: Allowed,
    is_complete: Cell<bool>,
    watch: RefCell<Option<Watch>>,
}

impl Attended<'_> {
    /// Whether the plan that was shown has nothing to write.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete.get()
    }
}

impl Gate for Attended<'_> {
    fn pass(&self) -> Result<(), Stopped> {
        if self.watch.take().is_some_and(Watch::end) {
            return Err(Stopped::Key);
        }
        if self.allowed == Allowed::Start && !self.is_complete() {
            return Err(Stopped::NotConfirmed);
        }
        match self.disk {
            Some(disk) if !is_same_disk(&Places::default(), disk) => Err(Stopped::Exchanged),
            _ => Ok(()),
        }
    }

    fn planned(&self, is_complete: bool) {
        self.is_complete.set(is_complete);
    }

    fn stop(&self) -> Stop {
        stop_of(self.watch.borrow().as_ref())
    }
}

fn same(disk: &Disk) -> Result<(), Exchanged> {
    if is_same_disk(&Places::default(), disk) {
        return Ok(());
    }
    Err(Exchanged { path: disk.path.clone(), diskseq: disk.diskseq })
}

fn screen(chosen: &Chosen, label: &str, loss: Loss) -> String {
    let (disk, confirmation) = (&chosen.disk, chosen.confirmation());
    let Confirmation { word, expected, why, .. } = confirmation;
    let model = if disk.model.is_empty() { String::new() } else { format!(" {}", disk.model) };
    let size = size_text(disk.size_bytes);
    let mut rows = fact("disk", &format!("{} {size} {}{model}", disk.path, disk.transport));
    rows.extend(fact("holds", &disk.contents.to_string()));
    rows.extend(fact("lost", loss.text()));
    if !why.is_empty() {
        rows.extend(fact("serial", &format!("{}, {why}", disk.serial)));
    }
    rows.extend(fact(word, expected));
    rows.extend(fact("", &format!("type this {word} to go on; anything else cancels")));
    titled(&format!("{label} is to be written"), rows)
}

#[cfg(test)]
mod tests {
    use super::super::screen::fits;
    use super::*;
    use crate::disks::tests::disk;

    fn alone(serial: &str) -> Chosen {
        Chosen { disk: disk("vda", serial), has_twin: false }
    }

    #[test]
    fn what_is_lost_is_said_before_it_is() {
        let expected = "\
== debian/12/demo is to be written ============================================
disk      /dev/vda 8.5 GB virtio
holds     gpt: 1 unknown \"EFI\", 2 unknown \"root\"
lost      EVERYTHING that is on this disk now
serial    S1
          type this serial to go on; anything else cancels
";
        assert_eq!(screen(&alone("S1"), "debian/12/demo", Loss::Everything), expected);
        let other = screen(&alone(""), "a", Loss::Root);
        assert!(other.contains("path      /dev/vda\n") && fits(&other), "{other}");
    }

    #[test]
    fn twins_are_told_apart_by_their_paths() {
        let all = [disk("vda", "S1"), disk("vdb", "S1"), disk("vdc", "S2"), disk("vdd", "")];
        let asked = |index: usize| Chosen::of(&all[index], &all);
        let answers: Vec<String> =
            (0..all.len()).map(|index| asked(index).confirmation().expected.to_string()).collect();
        assert_eq!(answers, ["/dev/vda", "/dev/vdb", "S2", "/dev/vdd"]);
        let screen = screen(&asked(1), "a", Loss::Everything);
        let rows = "serial    S1, which another disk has as well\npath      /dev/vdb\n          type \
                    this path to go on";
        assert!(screen.contains(rows) && fits(&screen), "{screen}");
    }

    #[test]
    fn a_serial_that_cannot_be_typed_is_not_asked_for() {
        for (serial, expected) in [
            ("S 1/x", "S 1/x"),
            ("Sé", "/dev/vda"),
            ("S\u{fffd}", "/dev/vda"),
            ("S\u{1}", "/dev/vda"),
            (" S", "/dev/vda"),
        ] {
            assert_eq!(alone(serial).confirmation().expected, expected, "{serial:?}");
        }
    }

    #[test]
    fn who_agreed_to_a_start_has_not_agreed_to_writing() {
        let gate = |allowed, is_complete| {
            let (is_complete, watch) = (Cell::new(is_complete), RefCell::new(None));
            Attended { disk: None, allowed, is_complete, watch }.pass()
        };
        assert_eq!(gate(Allowed::Start, false), Err(Stopped::NotConfirmed));
        assert_eq!(gate(Allowed::Start, true), Ok(()));
        assert_eq!(gate(Allowed::Writing, false), Ok(()));
    }
}
