//! `set` and `unset`: any word of the command line, by the same parser.

use super::screen::{column, titled};
use super::{Halt, Session};
use crate::boot::{At, Stage};
use crate::config::Settings;

impl Session<'_> {
    pub(super) fn set(&self, typed: &str) {
        if typed.is_empty() {
            return self.show(&titled("settings", self.setting_rows()));
        }
        let mut changes = self.machine.changes();
        match changes.set(typed, &self.machine.command_line) {
            Ok(()) => {
                self.machine.set_changes(changes);
                self.say(&format!("set {typed}"));
            }
            Err(wrong) => self.show(&format!("{wrong}\n")),
        }
    }

    pub(super) fn unset(&self, name: &str) {
        if name.is_empty() {
            return self.show("unset KEY; set alone shows the keys that are set\n");
        }
        let mut changes = self.machine.changes();
        match changes.unset(name, &self.machine.command_line) {
            Ok(()) => {
                self.machine.set_changes(changes);
                self.say(&format!("unset {name}"));
            }
            Err(wrong) => self.show(&format!("{wrong}\n")),
        }
    }

    /// Each word in force on a row.
    pub(super) fn setting_rows(&self) -> Vec<String> {
        let all = self.machine.changes().shown(&self.machine.command_line);
        let rows: Vec<String> = all.iter().map(row).collect();
        if rows.is_empty() { vec!["everything has its default".into()] } else { rows }
    }

    /// The settings in force, or every mistake in them.
    pub(super) fn settings(&self) -> Result<Settings, Halt> {
        Settings::parse(&self.machine.said()).at(Stage::Config).map_err(Halt::Failed)
    }

    /// The same with a store, which is asked for if there is none.
    pub(super) fn with_store(&self) -> Result<Settings, Halt> {
        let mut settings = self.settings()?;
        while settings.store.is_empty() {
            let typed = self.ask("Store (http://HOST/PATH or /PATH): ")?;
            if typed.is_empty() {
                return Err(Halt::GivenUp);
            }
            self.set(&format!("store={typed}"));
            settings = self.settings()?;
            if !settings.store.is_empty() {
                self.makes_sense();
            }
        }
        Ok(settings)
    }
}

fn row((key, value, is_changed): &(String, String, bool)) -> String {
    let mark = if *is_changed { "*" } else { " " };
    format!("{mark} {}={}", key, column(value, 1 << 10).trim_end())
}
