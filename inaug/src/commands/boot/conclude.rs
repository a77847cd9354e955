//! The end of a boot: its report, what is printed, and the exit status, which neither changes.

use super::artifacts;
use super::document::Document;
use super::outcome::{BootError, NotRun};
use super::watch::Seen;
use crate::args::BootArgs;
use crate::exit;
use crate::output::{Failure, Output, StdoutError};
use std::io;

/// A machine ran. What a test says is all that is on stdout then.
pub(super) fn boot(
    args: &BootArgs,
    output: &Output,
    seen: &Seen,
    document: &Document,
) -> anyhow::Result<u8> {
    let error = seen.outcome.error(seen.test);
    artifacts::report(args.artifacts.as_deref(), document);
    if let Some(test) = &document.test {
        test.lost.iter().for_each(|lost| Output::warning(lost));
    }
    let is_test = args.goal.test.is_some();
    let is_printed = output.is_json() || (!is_test && error.is_none());
    let printed = if is_printed { output.answer(document) } else { Ok(()) };
    match (error, printed) {
        (Some(error), _) => Err(error.into()),
        (None, Err(StdoutError(error)))
            if !is_test && error.kind() != io::ErrorKind::BrokenPipe =>
        {
            Err(StdoutError(error).into())
        }
        (None, _) => Ok(seen.outcome.code(seen.test)),
    }
}

/// No machine ran: with a test every status below 123 is its own.
pub(super) fn not_started(args: &BootArgs, error: anyhow::Error) -> anyhow::Error {
    let is_own = args.goal.test.is_none() || error.is::<BootError>();
    let error = if is_own { error } else { NotRun(error).into() };
    artifacts::report(args.artifacts.as_deref(), &Failure::of(&error, exit::code(&error)));
    error
}
