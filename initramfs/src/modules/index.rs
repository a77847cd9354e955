//! The indexes that depmod(8) leaves beside the modules, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::Error;
use crate::compress::SUFFIXES;
use crate::table::matches;

/// What the indexes of one kernel say. Names are written with `_`.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Path of each module below the kernel's directory.
    pub(super) paths: BTreeMap<String, String>,
    /// `modules.alias`: pattern and module, in the file's order.
    pub(super) aliases: Vec<(String, String)>,
    /// Modules that are part of the kernel image.
    pub(super) builtin: BTreeSet<String>,
    /// `modules.dep`: all that a module needs, in load order.
    hard: BTreeMap<String, Vec<String>>,
    /// `modules.softdep`, only `pre:`: names or aliases to load first where they exist.
    soft: BTreeMap<String, Vec<String>>,
}

impl Index {
    /// Reads the indexes of a kernel's directory.
    pub(super) fn read(directory: &Path) -> Result<Self, Error> {
        let mut index = Self::default();
        each_line(&directory.join("modules.dep"), "`module: dependency ...`", |line| {
            index.dep_line(line)
        })?;
        each_line(&directory.join("modules.alias"), "`alias pattern module`", |line| {
            let (pattern, module) = line.strip_prefix("alias ")?.rsplit_once(' ')?;
            index.aliases.push((pattern.to_owned(), normal(module)));
            Some(())
        })?;
        each_line(&directory.join("modules.softdep"), "`softdep module ...`", |line| {
            index.softdep_line(line)
        })?;
        each_line(&directory.join("modules.builtin"), "the path of a module", |line| {
            index.builtin.insert(name_of(line)?);
            Some(())
        })?;
        Ok(index)
    }

    /// These modules and all that must be loaded before them.
    pub(super) fn closure(&self, names: &BTreeSet<String>) -> Result<BTreeSet<String>, Error> {
        let mut closure = BTreeSet::new();
        for name in names {
            closure.extend(self.load_order(name)?);
        }
        Ok(closure)
    }

    /// What to load for `name`, in this order, `name` itself last.
    pub(super) fn load_order(&self, name: &str) -> Result<Vec<String>, Error> {
        let mut order = Vec::new();
        self.visit(name, &mut BTreeSet::new(), &mut order)?;
        Ok(order)
    }

    fn visit(
        &self,
        name: &str,
        seen: &mut BTreeSet<String>,
        order: &mut Vec<String>,
    ) -> Result<(), Error> {
        // Soft dependencies may go in circles, so a module is entered once.
        if !seen.insert(name.to_owned()) {
            return Ok(());
        }
        for soft in self.soft.get(name).into_iter().flatten() {
            for provider in self.resolve(soft) {
                self.visit(provider, seen, order)?;
            }
        }
        for hard in self.hard.get(name).into_iter().flatten() {
            if !self.paths.contains_key(hard) {
                return Err(Error::UnknownDependency {
                    module: name.to_owned(),
                    dependency: hard.clone(),
                });
            }
            self.visit(hard, seen, order)?;
        }
        order.push(name.to_owned());
        Ok(())
    }

    /// Modules behind a name or an alias; none if it is built in or missing, which a soft
    /// dependency allows.
    fn resolve<'a>(&'a self, wanted: &'a str) -> Vec<&'a str> {
        if let Some((name, _)) = self.paths.get_key_value(&normal(wanted)) {
            return vec![name];
        }
        let providers = self.aliases.iter().filter(|(pattern, _)| matches(pattern, wanted));
        providers
            .filter_map(|(_, name)| self.paths.get_key_value(name))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    fn dep_line(&mut self, line: &str) -> Option<()> {
        let (path, depends) = line.split_once(':')?;
        let name = name_of(path)?;
        // depmod writes what is to be loaded first last.
        let depends: Option<Vec<String>> = depends.split_whitespace().rev().map(name_of).collect();
        self.hard.insert(name.clone(), depends?);
        self.paths.insert(name, path.to_owned());
        Some(())
    }

    fn softdep_line(&mut self, line: &str) -> Option<()> {
        let mut words = line.strip_prefix("softdep ")?.split_whitespace();
        let wanted = self.soft.entry(normal(words.next()?)).or_default();
        let mut pre = false;
        for word in words {
            match word {
                "pre:" => pre = true,
                "post:" => pre = false,
                _ if pre => wanted.push(word.to_owned()),
                _ => {} // after the module, or without a place, which modprobe ignores too
            }
        }
        Some(())
    }
}

/// Calls `take` with each line that is not a comment; `None` refuses the line. An index that
/// does not exist has no lines, except `modules.dep`, without which nothing is known.
fn each_line(
    path: &Path,
    expected: &'static str,
    mut take: impl FnMut(&str) -> Option<()>,
) -> Result<(), Error> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && !path.ends_with("modules.dep") => {
            return Ok(());
        }
        other => other.map_err(|source| Error::Read { path: path.to_owned(), source })?,
    };
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        take(line).ok_or_else(|| Error::Index {
            path: path.to_owned(),
            number,
            expected,
            found: line.to_owned(),
        })?;
    }
    Ok(())
}

/// Name of the module in a file: `kernel/drivers/net/virtio-net.ko.xz` is `virtio_net`.
fn name_of(path: &str) -> Option<String> {
    let file = without_compression(path.rsplit('/').next()?);
    Some(normal(file.strip_suffix(".ko")?))
}

/// The path without `.xz`, `.zst` or `.gz`.
pub(super) fn without_compression(path: &str) -> &str {
    SUFFIXES.iter().find_map(|suffix| path.strip_suffix(suffix)).unwrap_or(path)
}

fn normal(name: &str) -> String {
    name.replace('-', "_")
}
