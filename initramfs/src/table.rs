//! The module table: which modules the initramfs carries, what each needs, and which
//! hardware each is for.
//!
//! It is computed when the initramfs is built, from the kernel's own `modules.dep`,
//! `modules.softdep` and `modules.alias` (modules.dep(5), depmod(8)), so that PID 1 reads one
//! small text and needs no modprobe. Fields are separated by tabs, lines by newlines:
//!
//! ```text
//! inaug-modules  1  <kernel release>
//! m  <name>  <path in the archive>  <what to load before, in order, joined by commas>
//! a  <modalias pattern>  <name>
//! l  <name>
//! z  <name>
//! ```
//!
//! `m` lines are sorted by name and name all dependencies, also indirect ones; `a` lines are
//! in the order of `modules.alias`; `l` names what to load whatever the hardware says, before
//! any driver, `z` what to load after all of them. Names are
//! written with `_`, as the kernel reports them in `/proc/modules`.

mod glob;

use std::collections::BTreeMap;
use std::fmt;

pub use glob::matches;

/// Where the table lies in the initramfs.
pub const PATH: &str = "/lib/modules/inaugurator.table";

/// First field of the first line.
const MAGIC: &str = "inaug-modules";

/// The only version there is.
const VERSION: &str = "2";

/// Longest table that is parsed, in bytes. Every module of Debian's kernel with every alias
/// makes less than 2 MiB.
const MAX_BYTES: usize = 8 << 20;

/// The module table of one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Release of the kernel the modules belong to, as `uname -r` says it.
    pub kernel: String,
    /// The modules in the archive, by name.
    pub modules: BTreeMap<String, Module>,
    /// Hardware patterns, in the order in which they are to be tried.
    pub aliases: Vec<Alias>,
    /// Names of the modules to load on every machine before any driver, in this order.
    pub always: Vec<String>,
    /// Names of the modules to load on every machine when all hardware has its driver.
    pub last: Vec<String>,
}

/// One module in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Module {
    /// Absolute path of the uncompressed module.
    pub path: String,
    /// Names of all modules to load before this one, in load order.
    pub depends: Vec<String>,
}

/// Hardware that a module is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// Pattern that a device's `modalias` is matched with, see [`matches()`].
    pub pattern: String,
    /// Name of the module.
    pub module: String,
}

impl Table {
    /// Names of the modules for a device, from its `modalias` file in sysfs, each once.
    /// There may be several, and all of them are to be loaded, as modprobe(8) does.
    pub fn for_modalias(&self, modalias: &str) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for alias in &self.aliases {
            if matches(&alias.pattern, modalias) && !names.contains(&alias.module.as_str()) {
                names.push(&alias.module);
            }
        }
        names
    }

    /// What to load for `name`, in this order, `name` itself last. Empty if the archive does
    /// not have it.
    pub fn load_order(&self, name: &str) -> Vec<(&str, &Module)> {
        let Some((name, module)) = self.modules.get_key_value(name) else { return Vec::new() };
        let known = |name: &String| self.modules.get_key_value(name);
        let before = module.depends.iter().filter_map(known);
        before.chain([(name, module)]).map(|(name, module)| (name.as_str(), module)).collect()
    }

    /// The table as text.
    pub fn encode(&self) -> String {
        let header = [format!("{MAGIC}\t{VERSION}\t{}\n", self.kernel)];
        let modules = self.modules.iter().map(|(name, Module { path, depends })| {
            format!("m\t{name}\t{path}\t{}\n", depends.join(","))
        });
        let aliases = self
            .aliases
            .iter()
            .map(|Alias { pattern, module }| format!("a\t{pattern}\t{module}\n"));
        let always = self.always.iter().map(|name| format!("l\t{name}\n"));
        let last = self.last.iter().map(|name| format!("z\t{name}\n"));
        header.into_iter().chain(modules).chain(aliases).chain(always).chain(last).collect()
    }

    /// Reads the text that [`Table::encode`] wrote. Every module that a line refers to must
    /// have an `m` line.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        if text.len() > MAX_BYTES {
            return Err(TableError::TooLong { found: text.len() });
        }
        let mut lines = text.lines();
        let mut table = Self { kernel: header(lines.next().unwrap_or(""))?, ..Self::default() };
        for (index, line) in lines.enumerate() {
            table.line(line).ok_or_else(|| TableError::Line {
                number: index + 2, // people count from one, and the header was the first
                found: line.to_owned(),
            })?;
        }
        table.check_references()?;
        Ok(table)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let fields: Vec<&str> = line.split('\t').collect();
        match *fields.as_slice() {
            ["m", name, path, depends] if !name.is_empty() && path.starts_with('/') => {
                let depends = depends.split(',').filter(|name| !name.is_empty());
                let module =
                    Module { path: path.to_owned(), depends: depends.map(str::to_owned).collect() };
                self.modules.insert(name.to_owned(), module);
            }
            ["a", pattern, module] => {
                self.aliases.push(Alias { pattern: pattern.to_owned(), module: module.to_owned() });
            }
            ["l", name] => self.always.push(name.to_owned()),
            ["z", name] => self.last.push(name.to_owned()),
            _ => return None,
        }
        Some(())
    }

    fn check_references(&self) -> Result<(), TableError> {
        let depends = self.modules.values().flat_map(|module| &module.depends);
        let aliases = self.aliases.iter().map(|alias| &alias.module);
        let mut referred = depends.chain(aliases).chain(&self.always).chain(&self.last);
        match referred.find(|name| !self.modules.contains_key(*name)) {
            Some(name) => Err(TableError::Unknown { name: name.clone() }),
            None => Ok(()),
        }
    }
}

fn header(line: &str) -> Result<String, TableError> {
    match *line.split('\t').collect::<Vec<_>>().as_slice() {
        [MAGIC, VERSION, kernel] if !kernel.is_empty() => Ok(kernel.to_owned()),
        _ => Err(TableError::Header { found: line.chars().take(80).collect() }),
    }
}

/// Why a module table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableError {
    /// The first line is not that of a table of this version.
    Header {
        /// The line, at most 80 characters of it.
        found: String,
    },
    /// A line is of no known kind or has the wrong fields.
    Line {
        /// Line number, from one.
        number: usize,
        /// The line.
        found: String,
    },
    /// A line refers to a module without an `m` line.
    Unknown {
        /// The module.
        name: String,
    },
    /// The text is longer than any table can be.
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { found } => write!(
                f,
                "module table: expected a first line `{MAGIC} {VERSION} <kernel>`, found {found:?}"
            ),
            Self::Line { number, found } => {
                write!(f, "module table, line {number}: expected m, a, l or z, found {found:?}")
            }
            Self::Unknown { name } => {
                write!(f, "module table: {name:?} is referred to but not in the archive")
            }
            Self::TooLong { found } => {
                write!(f, "module table: expected at most {MAX_BYTES} bytes, found {found}")
            }
        }
    }
}

impl std::error::Error for TableError {}

#[cfg(test)]
mod tests;
