//! From an error to the exit code that scripts decide by.

use crate::commands::boot::{BootError, NotRun};
use crate::output::StdoutError;
use crate::serve::{FileError, FilesError, ListenError};
use deploy::Category;
use deploy::target::TargetError;
use media::MediaError;
use std::io;
use store::OpenError;
use store::TakeError;
use store::copy::CopyError;
use store::diffs::MakeError;
use store::dir::{DirError, RenameError};
use store::gc::GcError;
use store::heal::HealError;
use store::http::HttpStoreError;
use store::is_url;
use store::manifest_reader::ReadError;
use store::push::{PushError, TarError};
use store::source::{Item, SourceError};
use store::tree::walk::WalkError;

/// Something went wrong that has no code of its own.
pub(crate) const FAILED: u8 = 1;
/// The command line makes no sense; clap exits with the same.
pub(crate) const USAGE: u8 = 2;
/// Bytes are not what their digest says.
pub(crate) const VERIFICATION: u8 = 3;
/// The network or the server.
pub(crate) const NETWORK: u8 = 4;
/// A disk, or the store's directory.
pub(crate) const STORAGE: u8 = 5;
/// Refused for safety.
pub(crate) const REFUSED: u8 = 6;
/// What was to be run in the machine had begun, and the machine did not last until its end; what
/// xargs(1) says of a command that failed.
pub(crate) const UNFINISHED: u8 = 123;
/// Time was over, as timeout(1) says it.
pub(crate) const DEADLINE: u8 = 124;
/// The machine never got as far as what was to be run in it, as docker-run(1) says it.
pub(crate) const NOT_RUN: u8 = 125;
/// Added to the number of the signal that ended the command, as shells do.
pub(crate) const SIGNALLED: u8 = 128;

/// The command line as typed parses, but means nothing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// The command would destroy what it was not told to.
#[derive(Debug, thiserror::Error)]
#[error("refused: {0}")]
pub(crate) struct Refused(pub(crate) String);

/// This command was told to stop by this signal.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("stopped by signal {0}")]
pub(crate) struct Stopped(pub(crate) u8);

impl Stopped {
    /// What shells return for that.
    pub(crate) fn code(self) -> u8 {
        SIGNALLED.saturating_add(self.0)
    }
}

/// What was checked is damaged.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Damaged(pub(crate) String);

/// The code for `error`: that of the first error in its chain that has one.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(FAILED)
}

/// Whether the reader of our output went away, as `head` does: no failure.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let stdout = error.downcast_ref::<StdoutError>();
    stdout.is_some_and(|StdoutError(io)| io.kind() == io::ErrorKind::BrokenPipe)
}

fn code_of(error: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if error.is::<NotRun>() {
        return Some(NOT_RUN);
    }
    if let Some(BootError { code, .. }) = error.downcast_ref::<BootError>() {
        return Some(*code);
    }
    if let Some(stopped) = error.downcast_ref::<Stopped>() {
        return Some(stopped.code());
    }
    if error.is::<Usage>() {
        return Some(USAGE);
    }
    if error.is::<Refused>() {
        return Some(REFUSED);
    }
    if error.is::<Damaged>() || error.is::<store::FormatError>() {
        return Some(VERIFICATION);
    }
    if error.is::<FilesError>() {
        return Some(STORAGE);
    }
    if let Some(error) = error.downcast_ref::<FileError>() {
        return Some(match error {
            FileError::Read { .. } => STORAGE,
            FileError::Wrong { .. } => USAGE,
        });
    }
    if error.is::<ListenError>() {
        return Some(NETWORK);
    }
    if let Some(error) = error.downcast_ref::<ReadError>() {
        return Some(of_read(error));
    }
    if let Some(error) = error.downcast_ref::<PushError>() {
        return Some(of_push(error));
    }
    if let Some(error) = error.downcast_ref::<TarError>() {
        return Some(of_tar(error));
    }
    if let Some(error) = error.downcast_ref::<DirError>() {
        return Some(of_dir(error));
    }
    if let Some(code) = of_upkeep(error) {
        return Some(code);
    }
    if let Some(error) = error.downcast_ref::<TakeError>() {
        return Some(of_take(error));
    }
    if let Some(error) = error.downcast_ref::<MakeError>() {
        return of_make(error);
    }
    if let Some(error) = error.downcast_ref::<MediaError>() {
        return of_media(error);
    }
    if let Some(error) = error.downcast_ref::<OpenError>() {
        return Some(of_open(error));
    }
    if let Some(error) = error.downcast_ref::<deploy::Error>() {
        return Some(of_deploy(error));
    }
    if let Some(error) = error.downcast_ref::<TargetError>() {
        return Some(of_target(error));
    }
    error.downcast_ref::<SourceError>().map(of_source)
}

fn of_make(error: &MakeError) -> Option<u8> {
    match error {
        MakeError::Object { .. } => Some(VERIFICATION),
        MakeError::Kind { .. } => Some(USAGE),
        // The next in the chain has one, or none has.
        _ => None,
    }
}

fn of_media(error: &MediaError) -> Option<u8> {
    match error {
        MediaError::CommandLine { .. }
        | MediaError::Small { .. }
        | MediaError::Place { .. }
        | MediaError::Sectors { .. } => Some(USAGE),
        MediaError::NoMedium { .. }
        | MediaError::Busy { .. }
        | MediaError::Swapped { .. }
        | MediaError::Others { .. } => Some(REFUSED),
        MediaError::Damaged { .. } => Some(VERIFICATION),
        MediaError::Read(error) => Some(of_read(error)),
        MediaError::Copy(error) => of_upkeep(error),
        MediaError::Collect(error) => of_upkeep(error),
        MediaError::Store(error) => Some(of_dir(error)),
        MediaError::Io { .. } | MediaError::Room { .. } | MediaError::Volume(_) => Some(STORAGE),
        // A program or package is missing, or what it made is not right.
        _ => None,
    }
}

fn of_read(error: &ReadError) -> u8 {
    match error {
        ReadError::Source(error) => of_source(error),
        ReadError::Format { .. }
        | ReadError::Record { .. }
        | ReadError::Wrong { .. }
        | ReadError::Sections { .. } => VERIFICATION,
    }
}

fn of_push(error: &PushError) -> u8 {
    match error {
        PushError::Taken { .. }
        | PushError::StoreInTree { .. }
        | PushError::Walk(WalkError::Mounted { .. }) => REFUSED,
        PushError::Fact { .. } | PushError::SectorSize { .. } => USAGE,
        PushError::Payload { .. } => VERIFICATION,
        PushError::Store(error) => of_dir(error),
        PushError::Read { .. }
        | PushError::NotReadable { .. }
        | PushError::NoDirectory { .. }
        | PushError::Walk(_)
        | PushError::NotInTree { .. }
        | PushError::Empty { .. }
        | PushError::Changed { .. }
        | PushError::Sectors { .. }
        | PushError::PayloadSize { .. }
        | PushError::Format(_)
        | PushError::Compress(_)
        | PushError::Thread { .. } => FAILED,
    }
}

/// Errors of the commands that look after stores.
fn of_upkeep(error: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(error) = error.downcast_ref::<CopyError>() {
        return Some(match error {
            CopyError::Read(error) => of_read(error),
            CopyError::Take(error) => of_take(error),
            CopyError::Format(_) => VERIFICATION,
            CopyError::Taken { .. } => REFUSED,
            CopyError::Store(error) => of_dir(error),
        });
    }
    if let Some(error) = error.downcast_ref::<RenameError>() {
        return Some(match error {
            RenameError::Read(error) => of_read(error),
            RenameError::Taken { .. } => REFUSED,
            RenameError::Store(error) => of_dir(error),
        });
    }
    if let Some(error) = error.downcast_ref::<GcError>() {
        return Some(match error {
            GcError::Busy { .. } | GcError::Waited { .. } | GcError::Overtaken { .. } => FAILED,
            GcError::Missing { .. } => VERIFICATION,
            GcError::Label { source, .. } | GcError::Manifest { source } => of_read(source),
            GcError::Take(error) => of_take(error),
            GcError::Store(error) | GcError::NoRoom { source: error } => of_dir(error),
        });
    }
    let error = error.downcast_ref::<HealError>()?;
    Some(match error {
        HealError::Take(error) => of_take(error),
        HealError::Store(error) => of_dir(error),
    })
}

fn of_take(error: &TakeError) -> u8 {
    match error {
        TakeError::Source { source, .. } => of_source(source),
        TakeError::Wrong { .. } | TakeError::Nowhere { .. } => VERIFICATION,
        TakeError::Store(error) => of_dir(error),
        TakeError::Compress(_) => FAILED,
    }
}

fn of_tar(error: &TarError) -> u8 {
    match error {
        TarError::Outside { .. } => REFUSED,
        TarError::Store(error) => of_dir(error),
        TarError::Read { .. }
        | TarError::Short { .. }
        | TarError::Header { .. }
        | TarError::Member { .. } => FAILED,
    }
}

fn of_open(error: &OpenError) -> u8 {
    match error {
        OpenError::Dir(error) => of_dir(error),
        OpenError::Http(HttpStoreError::Url { .. } | HttpStoreError::NoAuthorities { .. }) => USAGE,
        OpenError::Http(HttpStoreError::Client(_) | HttpStoreError::Tls(_)) => FAILED,
    }
}

fn of_deploy(error: &deploy::Error) -> u8 {
    match error {
        deploy::Error::NoSuchLabel { .. } => FAILED,
        deploy::Error::Label { source, .. } => of_read(source),
        deploy::Error::Fetch { source, .. } => of_source(source),
        deploy::Error::Target(error) => of_target(error),
        other => match other.category() {
            Category::Network => NETWORK,
            Category::Verification => VERIFICATION,
            Category::Storage => STORAGE,
            Category::Refused => REFUSED,
            Category::Other => FAILED,
        },
    }
}

/// A disk that others use is refused for its sake.
fn of_target(error: &TargetError) -> u8 {
    match error {
        TargetError::Busy { .. } => REFUSED,
        TargetError::Open { .. }
        | TargetError::Kind { .. }
        | TargetError::Io { .. }
        | TargetError::Flush { .. } => STORAGE,
    }
}

fn of_dir(error: &DirError) -> u8 {
    match error {
        DirError::NoLabel { .. } => FAILED,
        DirError::Journal { .. } => VERIFICATION,
        DirError::NotAStore { .. }
        | DirError::Occupied { .. }
        | DirError::Full { .. }
        | DirError::Locked { .. }
        | DirError::Io { .. } => STORAGE,
    }
}

/// A directory that fails is a disk's matter, a URL that fails is the network's.
fn of_source(error: &SourceError) -> u8 {
    let store = match error {
        SourceError::NotFound { item: Item::Label(_), .. } => return FAILED,
        SourceError::NotFound { store, .. }
        | SourceError::Answer { store, .. }
        | SourceError::Short { store, .. }
        | SourceError::Stalled { store, .. }
        | SourceError::Certificate { store, .. }
        | SourceError::Proxy { store, .. }
        | SourceError::Io { store, .. } => store,
    };
    if is_url(store) { NETWORK } else { STORAGE }
}
