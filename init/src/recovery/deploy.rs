//! `plan` and `deploy`: the questions, the disk that is confirmed, and the stages of a boot.

use std::cell::RefCell;
use std::sync::Arc;

use deploy::disks::{
    Disk, Places, Refusal, SelectError, is_same_disk, may_overwrite, select, size_text, wipe_token,
};
use deploy::{Label, Meter};

use super::network::stop_of;
use super::screen::{fact, titled};
use super::{Halt, Session, disks};
use crate::boot::{self, At, Early, Exchanged, Failure, Stage};
use crate::config::{Changes, Config, Mode, OF_DISKS};
use crate::console::Watch;
use crate::stop::Stop;
use crate::window::{Gate, Stopped};

impl Session<'_> {
    /// Deploys a label, or says how that would be done. What is missing is asked for.
    pub(super) fn deploy(&mut self, typed: &str, mode: Mode) -> Result<(), Halt> {
        let settings = self.with_store()?;
        let mut choice = Choice::new(self.machine.changes(), &self.machine.command_line);
        self.label(&mut choice, typed, &settings.label_text())?;
        choice.set("mode=deploy")?;
        let config = choice.config()?;
        self.reach(&config.settings, config.labels.first())?;
        let meter = Arc::new(Meter::new());
        let labels = self.resolve(&config, &meter)?;
        let disk = self.disk(&config)?;
        choice.pin(&disk)?;
        let loss = choice.allow(&disk, &labels, &config)?;
        self.plan(&choice, (labels, &disk), &meter)?;
        if mode == Mode::Plan {
            self.say(&Stopped::Planned.to_string());
            return Ok(());
        }
        let config = choice.config()?;
        self.confirm(&disk, &config.label_text(), loss)?;
        // Some time has passed since: the label is asked for once more, and the plan made anew.
        let labels = self.resolve(&config, &meter)?;
        let (labels, gate) = ((labels, Early::none()), self.gate(Some(&disk)));
        match boot::deploy(self.machine, &config, labels, &gate, &meter) {
            Err(failure) => Err(failure.into()),
            Ok(never) => match never {},
        }
    }

    /// Makes the plan and shows it, with the disk left as it is: not even its journal is carried out,
    /// which a mounted root's would be.
    fn plan(
        &self,
        choice: &Choice,
        (labels, disk): (Vec<Label>, &Disk),
        meter: &Arc<Meter>,
    ) -> Result<(), Halt> {
        let mut only = Choice { changes: choice.changes.clone(), line: choice.line.clone() };
        only.set("mode=plan")?;
        // The plan is what was asked for: nothing follows it.
        only.set("then=kexec")?;
        let (labels, gate) = ((labels, Early::none()), self.gate(Some(disk)));
        match boot::deploy(self.machine, &only.config()?, labels, &gate, meter) {
            Err(failure) if failure.stopped() == Some(Stopped::Planned) => Ok(()),
            Err(failure) => Err(failure.into()),
            Ok(never) => match never {},
        }
    }

    /// Asks the person, by the disk's serial number, whether the plan is carried out.
    fn confirm(&self, disk: &Disk, label: &str, loss: Loss) -> Result<(), Halt> {
        same(disk).at(Stage::Disk)?;
        self.show(&screen(disk, label, loss));
        // What was typed ahead was not meant as this answer.
        self.keys.forget_typed();
        let (what, expected) = confirmation(disk);
        match self.ask(&format!("{what} of the disk to write: ")) {
            Ok(typed) if typed == expected => {
                self.makes_sense();
                Ok(())
            }
            Err(Halt::Nobody) => Err(Halt::Nobody),
            Ok(_) | Err(_) => Err(Failure::of(Stage::Plan, Stopped::NotConfirmed).into()),
        }
    }

    /// Runs a label from memory. No disk is asked for, whatever the settings say of one.
    pub(super) fn live(&mut self, typed: &str) -> Result<(), Halt> {
        let settings = self.with_store()?;
        let mut choice = Choice::new(self.machine.changes(), &self.machine.command_line);
        self.label(&mut choice, typed, &settings.label_text())?;
        choice.set("mode=live")?;
        choice.set("then=kexec")?;
        choice.without_disks();
        let config = choice.config()?;
        self.reach(&config.settings, config.labels.first())?;
        let meter = Arc::new(Meter::new());
        let labels = (self.resolve(&config, &meter)?, Early::none());
        match boot::deploy(self.machine, &config, labels, &self.gate(None), &meter) {
            Err(failure) => Err(failure.into()),
            Ok(never) => match never {},
        }
    }

    /// The labels, unless Ctrl-C is pressed while a store does not answer.
    fn resolve(&self, config: &Config, meter: &Arc<Meter>) -> Result<Vec<Label>, Failure> {
        let watch = self.watch();
        boot::labels(self.machine, config, meter, &stop_of(watch.as_ref()))
    }

    /// Passed by `disk`, if one is to be written, unless Ctrl-C was pressed meanwhile.
    fn gate<'a>(&self, disk: Option<&'a Disk>) -> Attended<'a> {
        Attended { disk, watch: RefCell::new(self.watch()) }
    }

    /// The label: as typed, as set, or as asked for.
    fn label(&self, choice: &mut Choice, typed: &str, set: &str) -> Result<(), Halt> {
        let mut typed = self.label_of(typed);
        loop {
            if typed.is_empty() {
                let default = if set.is_empty() { String::new() } else { format!(" ({set})") };
                typed = self.label_of(&self.ask(&format!("Label{default}: "))?);
            }
            if typed.is_empty() {
                set.clone_into(&mut typed);
            }
            if typed.is_empty() {
                return Err(Halt::GivenUp);
            }
            match choice.changes.set(&format!("label={typed}"), &choice.line) {
                Ok(()) => {
                    self.makes_sense();
                    return Ok(());
                }
                Err(wrong) => self.show(&format!("{wrong}\n")),
            }
            typed.clear();
        }
    }

    /// The disk: the only one that the settings leave, or the one that is chosen.
    fn disk(&self, config: &Config) -> Result<Disk, Halt> {
        let all = self.find_disks()?;
        match select(&all, &config.settings.disk, None) {
            Ok(disk) => return Ok(disk.clone()),
            Err(SelectError::Ambiguous { .. }) => {}
            Err(error) if all.is_empty() => return Err(Failure::of(Stage::Disk, error).into()),
            // None will do by itself: a person may take one that has to be named.
            Err(error) => self.show(&format!("{error}\n")),
        }
        let rows = all.iter().enumerate().flat_map(|(index, disk)| disks::rows(index + 1, disk));
        self.show(&titled("which disk?", [disks::HEAD.to_string()].into_iter().chain(rows)));
        loop {
            let typed = self.ask("Number or path of the disk: ")?;
            if typed.is_empty() {
                return Err(Halt::GivenUp);
            }
            let number = typed.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            let by_path = || all.iter().find(|disk| disk.path == typed);
            match number.and_then(|index| all.get(index)).or_else(by_path) {
                Some(disk) => {
                    self.makes_sense();
                    return Ok(disk.clone());
                }
                None => self.show(&format!("{typed:?} is none of them\n")),
            }
        }
    }
}

/// The settings of one deployment.
struct Choice {
    changes: Changes,
    line: String,
}

impl Choice {
    fn new(changes: Changes, line: &str) -> Self {
        Self { changes, line: line.to_string() }
    }

    /// A word that is right in itself; what else the line says is judged by [`Choice::config`].
    fn set(&mut self, word: &str) -> Result<(), Failure> {
        self.changes.set(word, &self.line).at(Stage::Config)
    }

    /// Takes back what is said of a disk.
    fn without_disks(&mut self) {
        for key in OF_DISKS {
            // Each of them is a key.
            let _ = self.changes.unset(key, &self.line);
        }
    }

    fn config(&self) -> Result<Config, Failure> {
        Config::parse(&self.changes.apply(&self.line)).at(Stage::Config)
    }

    /// No other disk than this one, whatever takes its name: a serial number that can be written as
    /// a predicate is asked for as well.
    fn pin(&mut self, disk: &Disk) -> Result<(), Failure> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let has_serial = !disk.serial.is_empty() && disk.serial.chars().all(is_plain);
        let serial = if has_serial { format!(",serial={}", disk.serial) } else { String::new() };
        self.set(&format!("disk={}{serial}", disk.path))
    }

    /// Lets what is on the disk go where that has to be said; returns what is lost.
    fn allow(&mut self, disk: &Disk, labels: &[Label], config: &Config) -> Result<Loss, Failure> {
        let is_image = labels.first().is_some_and(|label| label.manifest.image().is_some());
        let ours = if is_image { boot::is_all_ours(disk) } else { boot::is_ours(disk) };
        let token = wipe_token(disk);
        match may_overwrite(disk, ours, config.settings.wipe.as_deref()) {
            Err(in_use @ Refusal::InUse { .. }) => return Err(Failure::of(Stage::Disk, in_use)),
            Err(_) => self.set(&format!("wipe={token}"))?,
            Ok(()) => {}
        }
        let is_wiped = self.config()?.settings.wipe.as_deref() == Some(token.as_str());
        Ok(if disk.contents.is_blank() {
            Loss::Nothing
        } else if is_image || !ours || is_wiped {
            Loss::Everything
        } else {
            Loss::Root
        })
    }
}

/// What a deployment costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Nothing is known of the disk.
    Nothing,
    /// All of the disk.
    Everything,
    /// What the label does not have, in the root.
    Root,
}

impl Loss {
    fn text(self) -> &'static str {
        match self {
            Self::Nothing => "nothing that is known: no table and no file system was recognised",
            Self::Everything => "EVERYTHING that is on this disk now",
            Self::Root => {
                "what the label does not have, in the root file system, and the EFI system \
                 partition; data, and paths of inaugurator.keep=, stay"
            }
        }
    }
}

/// Passed by the disk that was shown to the person, if one is written, and by no other that has taken
/// its path; and not once Ctrl-C was pressed.
struct Attended<'a> {
    disk: Option<&'a Disk>,
    watch: RefCell<Option<Watch>>,
}

impl Gate for Attended<'_> {
    fn pass(&self) -> Result<(), Stopped> {
        if self.watch.take().is_some_and(Watch::end) {
            return Err(Stopped::Key);
        }
        match self.disk {
            Some(disk) if !is_same_disk(&Places::default(), disk) => Err(Stopped::Exchanged),
            _ => Ok(()),
        }
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

/// What has to be typed, and what that is.
fn confirmation(disk: &Disk) -> (&'static str, &str) {
    match disk.serial.trim() {
        "" => ("Path", &disk.path),
        serial => ("Serial", serial),
    }
}

fn screen(disk: &Disk, label: &str, loss: Loss) -> String {
    let (what, expected) = confirmation(disk);
    let model = if disk.model.is_empty() { String::new() } else { format!(" {}", disk.model) };
    let size = size_text(disk.size_bytes);
    let mut rows = fact("disk", &format!("{} {size} {}{model}", disk.path, disk.transport));
    rows.extend(fact("holds", &disk.contents.to_string()));
    rows.extend(fact("lost", loss.text()));
    let word = if what == "Path" { "path" } else { "serial" };
    rows.extend(fact(word, expected));
    rows.extend(fact("", &format!("type this {word} to go on; anything else cancels")));
    titled(&format!("{label} is to be written"), rows)
}

#[cfg(test)]
mod tests {
    use super::super::screen::fits;
    use super::*;
    use crate::disks::tests::disk;

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
        assert_eq!(screen(&disk("vda", "S1"), "debian/12/demo", Loss::Everything), expected);
        let other = screen(&disk("vda", ""), "a", Loss::Root);
        assert!(other.contains("path      /dev/vda\n") && fits(&other), "{other}");
    }

    #[test]
    fn a_disk_is_pinned_by_its_serial() {
        let table = [
            ("S1-x", "inaugurator.disk=/dev/vda,serial=S1-x"),
            ("", "inaugurator.disk=/dev/vda"),
            ("a,b", "inaugurator.disk=/dev/vda"),
            ("*", "inaugurator.disk=/dev/vda"),
        ];
        for (serial, expected) in table {
            let mut choice = Choice::new(Changes::default(), "inaugurator.disk=transport=nvme");
            choice.pin(&disk("vda", serial)).unwrap();
            assert_eq!(choice.changes.apply(&choice.line), expected);
        }
    }
}
