//! What machines boot from the network: files, and a script for each machine.
//!
//! Given a directory of boot files and what the operator says of machines; answers which file a
//! path is, and which script a machine gets. It must never serve anything outside of the
//! directory, nor let anybody's text become a command of iPXE.

mod asked;
mod base;
mod cmdline;
mod files;
mod identity;
mod machines;
mod script;
mod watch;
mod words;

pub(crate) use base::Base;
pub(crate) use files::{FilesError, UKI};
pub(crate) use watch::FileError;

use super::answer::Resource;
use super::log;
use asked::Asked;
use files::Files;
use machines::{Does, Machines};
use std::path::PathBuf;
use std::sync::Arc;
use watch::Watched;

/// What is said of machines where no file does.
const NO_FILE: &str = "the file given as --machines";

/// How machines are booted, as the operator says it.
pub(crate) struct BootOptions {
    /// The directory of the boot files.
    pub(crate) dir: PathBuf,
    /// What each machine boots; without it none boots anything from here.
    pub(crate) machines: Option<PathBuf>,
    /// Where machines reach this server, if that is not where they asked.
    pub(crate) url: Option<Base>,
}

/// Boots machines.
#[derive(Debug)]
pub(crate) struct Booter {
    files: Files,
    machines: Option<Watched>,
    url: Option<Base>,
}

impl Booter {
    /// Checks the files and reads what is said of machines.
    pub(crate) fn open(options: BootOptions) -> anyhow::Result<Self> {
        let machines = options.machines.as_deref().map(Watched::open).transpose()?;
        Ok(Self { files: Files::in_dir(&options.dir)?, machines, url: options.url })
    }

    /// The boot file of this name, as it stands in a request.
    pub(crate) fn file(&self, name: &str) -> Option<Resource> {
        self.files.named(name)
    }

    /// The script for who asks with `query`, having called us `host`; `None` if that is no host.
    pub(crate) fn script(&self, host: &str, query: &str) -> Option<String> {
        let base = self.url.clone().or_else(|| Base::of_host(host))?;
        let Some(asked) = Asked::parse(query) else { return Some(script::first(&base)) };
        let machines = self.machines();
        let entry = machines.find(&asked.identities);
        let gets = match entry.map(|entry| &entry.does) {
            Some(Does::Deploy(label)) => label,
            Some(Does::Recovery) => "a console to recover it",
            Some(Does::Disk) => "its disk",
            None => "its disk, because nothing is said of it",
        };
        let name = entry.and_then(|entry| entry.name.as_deref()).unwrap_or("a machine");
        log::event(&format!("{name} ({}) boots {gets}", asked.who()));
        Some(script::of_machine(&base, &asked, entry, &self.place()))
    }

    fn machines(&self) -> Arc<Machines> {
        self.machines.as_ref().map(Watched::now).unwrap_or_default()
    }

    /// Where the operator says what machines boot, as it may be shown.
    fn place(&self) -> String {
        let path = self.machines.as_ref().map(Watched::path);
        path.map_or_else(|| NO_FILE.to_owned(), words::shown_path)
    }
}
