//! Which modules of a kernel go in, and the table that tells PID 1 about them.

mod index;
mod modinfo;
mod selection;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::archive::{Archive, Node};
use crate::compress::read_unpacked;
use crate::table::{self, Alias, Module, Table};
use index::Index;

/// Which modules to pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Modules {
    /// What QEMU and common servers need, by name.
    #[default]
    Thin,
    /// Every storage and wired network driver of the kernel.
    Fat,
    /// None and no table: for a kernel with everything built in.
    None,
}

/// The modules of one kernel: `<root>/lib/modules/<version>`, as depmod(8) left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelTree {
    /// Directory that contains `lib/modules`; `/` for an installed kernel.
    pub root: PathBuf,
    /// Release of the kernel, as `uname -r` says it.
    pub version: String,
}

impl KernelTree {
    /// The only kernel below a directory.
    pub fn only(root: &Path) -> Result<Self, Error> {
        let modules = root.join("lib/modules");
        let unreadable = |source| Error::Read { path: modules.clone(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(&modules).map_err(unreadable)? {
            found.push(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
        }
        found.sort();
        match <[String; 1]>::try_from(found) {
            Ok([version]) => Ok(Self { root: root.to_owned(), version }),
            Err(found) => Err(Error::WhichKernel { root: root.to_owned(), found }),
        }
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.version)
    }
}

/// The files of modules that packing `modules` of `kernel` would read: their paths below
/// `lib/modules/VERSION`, sorted. Only the indexes have to be there.
pub fn module_files(kernel: &KernelTree, modules: Modules) -> Result<Vec<String>, Error> {
    let index = Index::read(&kernel.directory())?;
    let names = index.closure(&selection::select(modules, &index).names)?;
    let mut paths: Vec<String> = names.iter().map(|name| index.paths[name].clone()).collect();
    paths.sort();
    Ok(paths)
}

/// The indexes of a kernel that are read, below `lib/modules/VERSION`.
pub const INDEXES: [&str; 4] =
    ["modules.dep", "modules.alias", "modules.softdep", "modules.builtin"];

/// What was packed.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// Names of the modules.
    pub(crate) modules: Vec<String>,
    /// Bytes of the modules.
    pub(crate) bytes: u64,
    /// Names of the list for [`Modules::Thin`] that this kernel neither has nor has built in.
    pub(crate) absent: Vec<String>,
    /// Firmware files that the modules may ask for, and the first module that does.
    pub(crate) firmware: BTreeMap<String, String>,
}

/// Packs the chosen modules with all that they need, and the table.
pub(crate) fn pack(
    archive: &mut Archive,
    kernel: &KernelTree,
    modules: Modules,
) -> Result<Packed, Error> {
    let index = Index::read(&kernel.directory())?;
    let selected = selection::select(modules, &index);
    let mut packed = Packed { absent: selected.absent, ..Packed::default() };
    let mut table = Table { kernel: kernel.version.clone(), ..Table::default() };
    for name in index.closure(&selected.names)? {
        let module = pack_one(archive, kernel, &index, &name, &mut packed)?;
        table.modules.insert(name, module);
    }
    table.aliases = index
        .aliases
        .iter()
        .filter(|(_, module)| table.modules.contains_key(module))
        .map(|(pattern, module)| Alias { pattern: pattern.clone(), module: module.clone() })
        .collect();
    table.always = selection::always(&table);
    table.last = selection::last(&table);
    let text = table.encode().into_bytes();
    archive.add(table::PATH, Node::File { permissions: 0o644, bytes: text })?;
    packed.modules = table.modules.into_keys().collect();
    Ok(packed)
}

fn pack_one(
    archive: &mut Archive,
    kernel: &KernelTree,
    index: &Index,
    name: &str,
    packed: &mut Packed,
) -> Result<Module, Error> {
    let source = kernel.directory().join(&index.paths[name]);
    // Not stripped: that would break the signature a locked-down kernel asks for.
    let bytes = read_unpacked(&source)?;
    let firmware = modinfo::values(&bytes, "firmware")
        .map_err(|detail| Error::NotAModule { path: source, detail })?;
    for file in firmware {
        packed.firmware.entry(file).or_insert_with(|| name.to_owned());
    }
    packed.bytes += bytes.len() as u64;
    let inside = index::without_compression(&index.paths[name]);
    let path = format!("/lib/modules/{}/{inside}", kernel.version);
    archive.add(&path, Node::File { permissions: 0o644, bytes })?;
    let mut depends = index.load_order(name)?;
    depends.pop(); // the module itself
    Ok(Module { path, depends })
}

#[cfg(test)]
mod tests;
