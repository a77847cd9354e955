//! A stage that failed, and why.

use std::fmt;

use deploy::Category;
use deploy::disks::{self, DiscoverError, SelectError};
use deploy::target::TargetError;
use store::OpenError;

use crate::access::AccessError;
use crate::config::{ChangeError, Mistakes};
use crate::devices::Unfinished;
use crate::kexec::{ImageError, KexecError, TooLittleMemory};
use crate::net::{Card, NetError};
use crate::ondisk::{ChooseError, StartError};
use crate::report;
use crate::window::Stopped;

use super::files::FileError;
use super::medium::MediumError;

/// The stages, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The command line.
    Config,
    /// A NIC that reaches the store.
    Network,
    /// The label's record, manifest and map.
    Label,
    /// The disk to write.
    Disk,
    /// What would be done.
    Plan,
    /// Fetching and writing.
    Write,
    /// Reading back.
    Verify,
    /// What makes the disk boot by itself.
    Settle,
    /// What follows success.
    Leave,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config",
            Self::Network => "net",
            Self::Label => "label",
            Self::Disk => "disk",
            Self::Plan => "plan",
            Self::Write => "write",
            Self::Verify => "verify",
            Self::Settle => "settle",
            Self::Leave => "kexec",
        })
    }
}

/// A stage that failed.
#[derive(Debug, thiserror::Error)]
#[error("{stage} failed")]
pub struct Failure {
    /// Which.
    pub stage: Stage,
    /// Why.
    #[source]
    pub cause: Box<Cause>,
}

impl Failure {
    /// A cause as the failure of `stage`.
    pub(crate) fn of(stage: Stage, cause: impl Into<Cause>) -> Self {
        Self { stage, cause: Box::new(cause.into()) }
    }

    /// Why it was stopped, if nothing failed.
    pub fn stopped(&self) -> Option<Stopped> {
        if let Cause::Stopped(stopped) = &*self.cause { Some(*stopped) } else { None }
    }

    /// The network cards, where none of them reached the store.
    pub(super) fn cards(&self) -> Option<&[Card]> {
        match &*self.cause {
            Cause::Network(NetError::NoNetwork(failure)) => Some(&failure.cards),
            _ => None,
        }
    }

    /// The causes in words, outermost first.
    pub fn causes(&self) -> Vec<String> {
        report::causes(&*self.cause)
    }

    /// What kind of failure it is, as [`report::Report::category`] says it.
    pub fn category(&self) -> &'static str {
        match &*self.cause {
            Cause::Config(_) | Cause::Change(_) | Cause::ForTrees(_) | Cause::Access(_) => "usage",
            Cause::Network(_) | Cause::Store(_) | Cause::File(_) => "network",
            Cause::Select(_) | Cause::Refused(_) => "refused",
            Cause::Discover(_) | Cause::Medium(_) | Cause::Target(_) | Cause::Exchanged(_) => {
                "storage"
            }
            Cause::Image(ImageError::NotProven { .. }) => "verification",
            Cause::Engine(error) => of_engine(error.category()),
            Cause::Unfinished(_)
            | Cause::Image(_)
            | Cause::Memory(_)
            | Cause::Kexec(_)
            | Cause::Choose(_)
            | Cause::Start(_)
            | Cause::Stopped(_) => "other",
        }
    }
}

fn of_engine(category: Category) -> &'static str {
    match category {
        Category::Network => "network",
        Category::Verification => "verification",
        Category::Storage => "storage",
        Category::Refused => "refused",
        Category::Other => "other",
    }
}

/// Why a stage failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum Cause {
    /// The command line.
    Config(#[from] Mistakes),
    /// A change of it.
    Change(#[from] ChangeError),
    /// Nothing failed: a person decides.
    Stopped(#[from] Stopped),
    /// Keys that mean nothing for an image.
    ForTrees(#[from] ForTrees),
    /// How stores are reached.
    Access(#[from] AccessError),
    /// No network.
    Network(#[from] NetError),
    /// A store of the chain.
    Store(#[from] OpenError),
    /// The medium of the chain.
    Medium(#[from] MediumError),
    /// A file of the machine's own.
    File(#[from] FileError),
    /// The disks cannot be listed.
    Discover(#[from] DiscoverError),
    /// Drivers are still being loaded.
    Unfinished(#[from] Unfinished),
    /// Not exactly one disk.
    Select(#[from] SelectError),
    /// The disk holds data, or is in use.
    Refused(#[from] disks::Refusal),
    /// The disk cannot be opened.
    Target(#[from] TargetError),
    /// The disk went away while it was being looked at.
    Exchanged(#[from] Exchanged),
    /// The engine.
    Engine(Box<deploy::Error>),
    /// The kernel or initrd of the label.
    Image(#[from] ImageError),
    /// They do not fit into memory.
    Memory(#[from] TooLittleMemory),
    /// This kernel does not start the next one.
    Kexec(#[from] KexecError),
    /// Not exactly one disk that boots.
    Choose(#[from] ChooseError),
    /// What is on the disk cannot be started.
    Start(#[from] StartError),
}

impl From<deploy::Error> for Cause {
    fn from(error: deploy::Error) -> Self {
        Self::Engine(Box::new(error))
    }
}

/// Keys that ask for what an image cannot have.
#[derive(Debug, thiserror::Error)]
#[error("{label} is an image, which takes all of the disk: {} cannot be had with it", keys.join(" "))]
pub struct ForTrees {
    /// The label.
    pub label: String,
    /// The keys.
    pub keys: Vec<&'static str>,
}

/// Another disk took the place of the chosen one.
#[derive(Debug, thiserror::Error)]
#[error("{path} is not the disk any more that was chosen: expected diskseq {diskseq}")]
pub struct Exchanged {
    /// Its path.
    pub path: String,
    /// Its number when it was chosen.
    pub diskseq: u64,
}

/// Names the stage of an error.
pub(crate) trait At<T> {
    /// This result, its error as that stage's failure.
    fn at(self, stage: Stage) -> Result<T, Failure>;
}

impl<T, E: Into<Cause>> At<T> for Result<T, E> {
    fn at(self, stage: Stage) -> Result<T, Failure> {
        self.map_err(|error| Failure { stage, cause: Box::new(error.into()) })
    }
}
