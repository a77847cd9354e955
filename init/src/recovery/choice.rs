//! What a deployment is told: the settings as they are, with the label, the disk, and what may be
//! lost on it.

use deploy::Label;
use deploy::disks::{Disk, Refusal, may_overwrite, wipe_token};

use crate::boot::{self, At, Failure, Stage};
use crate::config::{Changes, Config, OF_DISKS};

/// The settings of one deployment.
pub(super) struct Choice {
    pub(super) changes: Changes,
    pub(super) line: String,
}

impl Choice {
    pub(super) fn new(changes: Changes, line: &str) -> Self {
        Self { changes, line: line.to_string() }
    }

    /// A word that is right in itself; what else the line says is judged by [`Choice::config`].
    pub(super) fn set(&mut self, word: &str) -> Result<(), Failure> {
        self.changes.set(word, &self.line).at(Stage::Config)
    }

    /// Takes back what is said of a disk.
    pub(super) fn without_disks(&mut self) {
        for key in OF_DISKS {
            // Each of them is a key.
            let _ = self.changes.unset(key, &self.line);
        }
    }

    pub(super) fn config(&self) -> Result<Config, Failure> {
        Config::parse(&self.changes.apply(&self.line)).at(Stage::Config)
    }

    /// No other disk than this one, whatever takes its name: a serial number that can be written as
    /// a predicate is asked for as well.
    pub(super) fn pin(&mut self, disk: &Disk) -> Result<(), Failure> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let has_serial = !disk.serial.is_empty() && disk.serial.chars().all(is_plain);
        let serial = if has_serial { format!(",serial={}", disk.serial) } else { String::new() };
        self.set(&format!("disk={}{serial}", disk.path))
    }

    /// Lets all that is on the disk go, and what is there be made anew.
    pub(super) fn wipe(&mut self, disk: &Disk) -> Result<(), Failure> {
        self.set(&format!("wipe={}", wipe_token(disk)))
    }

    /// Whether all that is on the disk may go.
    pub(super) fn wipes(&self, disk: &Disk) -> Result<bool, Failure> {
        Ok(self.config()?.settings.wipe == Some(wipe_token(disk)))
    }

    /// Lets what is on the disk go where that has to be said; returns what is lost.
    pub(super) fn allow(
        &mut self,
        disk: &Disk,
        labels: &[Label],
        config: &Config,
    ) -> Result<Loss, Failure> {
        let is_image = labels.first().is_some_and(|label| label.manifest.image().is_some());
        let ours = if is_image { boot::is_all_ours(disk) } else { boot::is_ours(disk) };
        match may_overwrite(disk, ours, config.settings.wipe.as_deref()) {
            Err(in_use @ Refusal::InUse { .. }) => return Err(Failure::of(Stage::Disk, in_use)),
            Err(_) => self.wipe(disk)?,
            Ok(()) => {}
        }
        let is_wiped = self.wipes(disk)?;
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
pub(super) enum Loss {
    /// Nothing is known of the disk.
    Nothing,
    /// All of the disk.
    Everything,
    /// What the label does not have, in the root.
    Root,
}

impl Loss {
    pub(super) fn text(self) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disks::tests::disk;

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
