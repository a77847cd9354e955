//! Kernel modules by hardware: what the table says for a modalias, loaded with
//! its dependencies first.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use initramfs::table::{self, Table, TableError};
use rustix::io::Errno;
use rustix::system::finit_module;

/// Modules of the running kernel, and which of them are loaded.
#[derive(Debug)]
pub struct Modules {
    table: Table,
    /// Loaded, or tried in vain: neither is tried again.
    done: BTreeSet<String>,
}

/// Why modules cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    /// The table is there and cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The table.
        path: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The table is not one.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The initramfs was made for another kernel.
    #[error("the modules are of kernel {table}, this is {running}")]
    OtherKernel {
        /// The table's kernel.
        table: String,
        /// The running one.
        running: String,
    },
    /// One module was not taken.
    #[error("cannot load module {name} from {path}")]
    Load {
        /// Its name.
        name: String,
        /// Its file.
        path: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl Modules {
    /// Reads the table of the initramfs. A kernel with its drivers built in has
    /// none, and nothing to load.
    pub fn read() -> Result<Self, ModulesError> {
        let text = match fs::read_to_string(table::PATH) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::none()),
            Err(source) => return Err(ModulesError::Read { path: table::PATH, source }),
        };
        let table = Table::parse(&text)?;
        let running = rustix::system::uname().release().to_string_lossy().into_owned();
        if table.kernel == running {
            return Ok(Self { table, done: BTreeSet::new() });
        }
        Err(ModulesError::OtherKernel { table: table.kernel, running })
    }

    /// No modules at all.
    pub fn none() -> Self {
        Self { table: Table::default(), done: BTreeSet::new() }
    }

    /// True if there is nothing to load.
    pub fn is_empty(&self) -> bool {
        self.table.modules.is_empty()
    }

    /// Loads what every machine gets before its drivers, telling each module before it is
    /// loaded: a driver may never come back. Returns the names loaded, and what failed.
    pub fn load_always(&mut self, tell: &mut dyn FnMut(&str)) -> (Vec<String>, Vec<ModulesError>) {
        let names = self.table.always.clone();
        self.load_all(names.iter().map(String::as_str), tell, insert)
    }

    /// Loads what every machine gets after its drivers, telling as [`Modules::load_always`] does.
    pub fn load_last(&mut self, tell: &mut dyn FnMut(&str)) -> (Vec<String>, Vec<ModulesError>) {
        let names = self.table.last.clone();
        self.load_all(names.iter().map(String::as_str), tell, insert)
    }

    /// Loads what a device asks for, telling as [`Modules::load_always`] does.
    pub fn load_for(
        &mut self,
        modalias: &str,
        tell: &mut dyn FnMut(&str),
    ) -> (Vec<String>, Vec<ModulesError>) {
        let names: Vec<String> =
            self.table.for_modalias(modalias).into_iter().map(str::to_string).collect();
        self.load_all(names.iter().map(String::as_str), tell, insert)
    }

    /// Loads the modules called `names`, which no device asks for, telling as
    /// [`Modules::load_always`] does.
    pub fn load_named(
        &mut self,
        names: &[&str],
        tell: &mut dyn FnMut(&str),
    ) -> (Vec<String>, Vec<ModulesError>) {
        self.load_all(names.iter().copied(), tell, insert)
    }

    fn load_all<'a>(
        &mut self,
        names: impl Iterator<Item = &'a str>,
        tell: &mut dyn FnMut(&str),
        insert: fn(&Path) -> io::Result<()>,
    ) -> (Vec<String>, Vec<ModulesError>) {
        let order: Vec<(String, String)> = names
            .flat_map(|name| self.table.load_order(name))
            .map(|(name, module)| (name.to_string(), module.path.clone()))
            .collect();
        let (mut loaded, mut failed) = (Vec::new(), Vec::new());
        for (name, path) in order {
            if !self.done.insert(name.clone()) {
                continue;
            }
            tell(&name);
            match insert(Path::new(&path)) {
                Ok(()) => loaded.push(name),
                Err(source) => failed.push(ModulesError::Load { name, path, source }),
            }
        }
        (loaded, failed)
    }
}

/// Hands a module file to the kernel (`finit_module(2)`). Already there is fine.
fn insert(path: &Path) -> io::Result<()> {
    match finit_module(File::open(path)?, c"", 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Depth of `/sys/devices` that is looked at; PCI bridges, USB hubs and SCSI hosts
/// behind each other stay below.
const MAX_DEPTH: usize = 32;
/// Directories looked at; a large server has some ten thousand.
const MAX_DIRECTORIES: usize = 200_000;

/// Every directory of `root` with a `modalias` in it, with its text. Links are
/// not followed: each device has one place.
pub(super) fn modaliases(root: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_path_buf(), 0)];
    let mut seen = 0;
    while let Some((dir, depth)) = open.pop() {
        seen += 1;
        if seen > MAX_DIRECTORIES {
            break;
        }
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_dir && depth < MAX_DEPTH {
                open.push((entry.path(), depth + 1));
            } else if entry.file_name() == "modalias"
                && let Ok(text) = fs::read_to_string(entry.path())
                && !text.trim().is_empty()
            {
                found.push((dir.clone(), text.trim().to_string()));
            }
        }
    }
    found.sort();
    found
}

/// Whether a modalias is of a PCI function of base class 02, a network controller, or of a
/// virtio device of type 1, a network card (virtio 1.2, section 5).
pub(super) fn is_network(modalias: &str) -> bool {
    let is_pci = modalias.starts_with("pci:") && modalias.contains("bc02sc");
    is_pci || modalias.starts_with("virtio:d00000001v")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Modules {
        let text = "inaug-modules\t2\t6.1\nm\tvirtio\t/v.ko\t\nm\tvirtio_net\t/vn.ko\tvirtio\n\
                    m\tvirtio_blk\t/fails.ko\tvirtio\na\tvirtio:d00000001v*\tvirtio_net\n\
                    a\tvirtio:d00000002v*\tvirtio_blk\n";
        Modules { table: Table::parse(text).unwrap(), done: BTreeSet::new() }
    }

    fn fake(path: &Path) -> io::Result<()> {
        if path.ends_with("fails.ko") { Err(Errno::NOENT.into()) } else { Ok(()) }
    }

    #[test]
    fn dependencies_come_first_and_nothing_twice() {
        let mut modules = modules();
        let mut told = Vec::new();
        let mut tell = |name: &str| told.push(name.to_string());
        let names = ["virtio_net", "virtio_net"];
        let (loaded, failed) = modules.load_all(names.into_iter(), &mut tell, fake);
        assert_eq!(loaded, ["virtio", "virtio_net"]);
        assert!(failed.is_empty());
        let (loaded, failed) = modules.load_all(["virtio_blk"].into_iter(), &mut tell, fake);
        assert!(loaded.is_empty());
        assert_eq!(failed[0].to_string(), "cannot load module virtio_blk from /fails.ko");
        let (_, failed) = modules.load_all(["virtio_blk"].into_iter(), &mut tell, fake);
        assert!(failed.is_empty(), "tried once");
        assert_eq!(told, ["virtio", "virtio_net", "virtio_blk"]);
    }

    #[test]
    fn network_cards_are_known_by_their_modalias() {
        let table = [
            ("pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00", true),
            ("pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00", true),
            ("virtio:d00000001v00001AF4", true),
            ("pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00", false),
            ("virtio:d00000002v00001AF4", false),
            ("usb:v0627p0001d0000dc00dsc00dp00ic03isc00ip00in00", false),
        ];
        for (modalias, expected) in table {
            assert_eq!(is_network(modalias), expected, "{modalias}");
        }
    }

    #[test]
    fn modaliases_are_found_where_the_devices_are() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("pci0000:00/0000:00:03.0");
        fs::create_dir_all(device.join("virtio0")).unwrap();
        fs::write(device.join("modalias"), "pci:v1\n").unwrap();
        fs::write(device.join("virtio0/modalias"), "virtio:d1\n").unwrap();
        std::os::unix::fs::symlink(&device, root.path().join("loop")).unwrap();
        let texts: Vec<String> = modaliases(root.path()).into_iter().map(|found| found.1).collect();
        assert_eq!(texts, ["pci:v1", "virtio:d1"]);
    }
}
