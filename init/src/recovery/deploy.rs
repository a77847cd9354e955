//! `plan` and `deploy`: the questions, the disk that is confirmed, and the stages of a boot.

use std::sync::Arc;

use deploy::disks::{Disk, SelectError, select};
use deploy::layout::LayoutRefusal;
use deploy::{Label, Meter};

use super::choice::{Choice, Loss};
use super::confirm::{Allowed, Chosen};
use super::network::stop_of;
use super::pages::{Below, Ended};
use super::{Halt, Session};
use crate::boot::{self, Cause, Early, Failure, Stage};
use crate::config::{Config, Mode};
use crate::window::Stopped;

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
        let chosen = self.disk(&config)?;
        let disk = &chosen.disk;
        choice.pin(disk)?;
        let mut loss = choice.allow(disk, &labels, &config)?;
        let is_complete = match self.plan(&choice, (labels, disk), &meter) {
            Err(Halt::Failed(failure)) if wants_all(&failure) && !choice.wipes(disk)? => {
                // As any other disk that has no room for it: all of it goes, if that is confirmed.
                self.say(&failure.causes().join(": "));
                choice.wipe(disk)?;
                loss = Loss::Everything;
                self.plan(&choice, (self.resolve(&config, &meter)?, disk), &meter)?
            }
            planned => planned?,
        };
        if mode == Mode::Plan {
            self.say(&Stopped::Planned.to_string());
            return Ok(());
        }
        let (config, label) = (choice.config()?, config.label_text());
        let allowed = if is_complete {
            self.confirm_start(disk, &label)?;
            Allowed::Start
        } else {
            self.confirm(&chosen, &label, loss)?;
            Allowed::Writing
        };
        // Some time has passed since: the label is asked for once more, and the plan made anew.
        let labels = (self.resolve(&config, &meter)?, Early::none());
        let gate = self.gate(Some(disk), allowed);
        match boot::deploy(self.machine, &config, labels, &gate, &meter) {
            Err(failure) => Err(failure.into()),
            Ok(never) => match never {},
        }
    }

    /// Makes the plan and shows it, with the disk left as it is: not even its journal is carried out,
    /// which a mounted root's would be. Returns whether nothing is to be written.
    fn plan(
        &self,
        choice: &Choice,
        (labels, disk): (Vec<Label>, &Disk),
        meter: &Arc<Meter>,
    ) -> Result<bool, Halt> {
        let mut only = Choice { changes: choice.changes.clone(), line: choice.line.clone() };
        only.set("mode=plan")?;
        // The plan is what was asked for: nothing follows it.
        only.set("then=kexec")?;
        let (labels, gate) = ((labels, Early::none()), self.gate(Some(disk), Allowed::Start));
        match boot::deploy(self.machine, &only.config()?, labels, &gate, meter) {
            Err(failure) if failure.stopped() == Some(Stopped::Planned) => Ok(gate.is_complete()),
            Err(failure) => Err(failure.into()),
            Ok(never) => match never {},
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
        match boot::deploy(
            self.machine,
            &config,
            labels,
            &self.gate(None, Allowed::Writing),
            &meter,
        ) {
            Err(failure) => Err(failure.into()),
            Ok(never) => match never {},
        }
    }

    /// The labels, unless Ctrl-C is pressed while a store does not answer.
    fn resolve(&self, config: &Config, meter: &Arc<Meter>) -> Result<Vec<Label>, Failure> {
        let watch = self.watch();
        boot::labels(self.machine, config, meter, &stop_of(watch.as_ref()))
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
    fn disk(&self, config: &Config) -> Result<Chosen, Halt> {
        let all = self.find_disks()?;
        match select(&all, &config.settings.disk, None) {
            Ok(disk) => return Ok(Chosen::of(disk, &all)),
            Err(SelectError::Ambiguous { .. }) => {}
            Err(error) if all.is_empty() => return Err(Failure::of(Stage::Disk, error).into()),
            // None will do by itself: a person may take one that has to be named.
            Err(error) => self.show_rows(&error.to_string()),
        }
        let mut typed = match self.disk_pages("which disk?", Below::Choice, &all)? {
            Ended::Choice(typed) => typed,
            Ended::Over | Ended::Search(_) => String::new(),
        };
        loop {
            if typed.is_empty() {
                typed = self.ask("Number or path of the disk: ")?;
            }
            if typed.is_empty() {
                return Err(Halt::GivenUp);
            }
            match disk_of(&typed, &all) {
                Ok(disk) => {
                    self.makes_sense();
                    return Ok(Chosen::of(disk, &all));
                }
                Err(why) => self.show(&format!("{why}\n")),
            }
            typed.clear();
        }
    }
}

/// The disk that a number or a path means.
fn disk_of<'a>(typed: &str, all: &'a [Disk]) -> Result<&'a Disk, String> {
    let number = typed.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    let by_path = || all.iter().find(|disk| disk.path == typed);
    match number.and_then(|index| all.get(index)).or_else(by_path) {
        Some(disk) if disk.contents.is_silent => Err(format!("{} {}", disk.path, disk.contents)),
        Some(disk) => Ok(disk),
        None => Err(format!("{typed:?} is none of them")),
    }
}

/// Whether the label fits once all of the disk is made anew, and not before.
fn wants_all(failure: &Failure) -> bool {
    use LayoutRefusal::{Misfit, NoTable};
    let Cause::Engine(error) = &*failure.cause else { return false };
    matches!(
        **error,
        deploy::Error::Layout { source: Misfit { .. } | NoTable { .. }, .. }
            | deploy::Error::OtherRoot { .. }
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use deploy::disks::Contents;

    use super::*;
    use crate::disks::tests::disk;

    #[test]
    fn a_disk_of_ours_with_an_image_goes_as_any_other_does() {
        let refused = |source| {
            let (disk, how) = ("/dev/vda".to_owned(), String::new());
            Failure::of(Stage::Plan, deploy::Error::Layout { disk, how, source })
        };
        let small = LayoutRefusal::TooSmall { needs_bytes: 2, has_bytes: 1 };
        assert!(wants_all(&refused(LayoutRefusal::Misfit { misfits: "no root".into() })));
        assert!(!wants_all(&refused(small)));
        assert!(!wants_all(&Failure::of(Stage::Plan, Stopped::Key)));
        let mut choice = Choice::new(crate::config::Changes::default(), "inaugurator.mode=boot");
        assert!(!choice.wipes(&disk("vda", "S1")).unwrap());
        choice.wipe(&disk("vda", "S1")).unwrap();
        assert!(choice.wipes(&disk("vda", "S1")).unwrap());
        assert!(!choice.wipes(&disk("vda", "S2")).unwrap());
    }

    #[test]
    fn a_disk_is_chosen_by_number_or_path_if_it_answers() {
        let contents = Contents::silent(Duration::from_secs(10));
        let all = [disk("vda", ""), Disk { contents, ..disk("vdb", "") }, disk("vdc", "")];
        let table = [
            ("1", Ok("/dev/vda")),
            ("/dev/vdc", Ok("/dev/vdc")),
            ("2", Err("/dev/vdb did not answer in 10 s")),
            ("0", Err("\"0\" is none of them")),
            ("4", Err("\"4\" is none of them")),
            ("vda", Err("\"vda\" is none of them")),
        ];
        for (typed, expected) in table {
            let chosen = disk_of(typed, &all).map(|disk| disk.path.as_str());
            assert_eq!(chosen, expected.map_err(str::to_owned), "{typed}");
        }
    }
}
