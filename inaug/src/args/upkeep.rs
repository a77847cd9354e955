//! The commands that look after stores.

use super::{AccessArgs, StoreDirArg, parse_bytes};
use store::label::LabelName;

/// Copy labels from one store to another
///
/// Sends only what the other store has not; every byte is checked. Cut short at any moment, the
/// labels there are as they were, and the same command goes on. A directory that does not exist or
/// is empty becomes a store.
#[derive(Debug, clap::Args)]
pub(crate) struct CopyArgs {
    /// Labels; in a pattern * stands for any characters, also /, and ? for one
    #[arg(required = true, value_name = "LABEL")]
    pub(crate) labels: Vec<String>,

    /// The store to copy from: a directory, or an http:// URL of one
    #[arg(long, value_name = "STORE")]
    pub(crate) from: String,

    /// The directory of the store to copy to
    #[arg(long, value_name = "DIR")]
    pub(crate) to: String,

    /// Replace labels that name something else there
    #[arg(long)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// Give a label another name
#[derive(Debug, clap::Args)]
pub(crate) struct RenameArgs {
    /// The label
    pub(crate) old: LabelName,

    /// Its new name
    pub(crate) new: LabelName,

    #[command(flatten)]
    pub(crate) store: StoreDirArg,

    /// Replace the label that has the new name
    #[arg(long)]
    pub(crate) force: bool,
}

/// Delete what no label of a store needs
///
/// Pushes and deployments may go on meanwhile. Cut short at any moment nothing is lost, and the next
/// run goes on. What readers may still know of is deleted by the next run after the time of grace.
#[derive(Debug, clap::Args)]
pub(crate) struct GcArgs {
    #[command(flatten)]
    pub(crate) store: StoreDirArg,

    /// Only show what would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Remove the labels that were not used for the longest time until packs, manifests and maps of
    /// the others take at most so many bytes, such as 1000000, 20G or 20Gi
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) max_size: Option<u64>,

    /// Do not remove labels that match for --max-size; may be given often
    #[arg(long, value_name = "GLOB")]
    pub(crate) keep: Vec<String>,

    /// How long what is not needed any more stays for readers that know of it
    #[arg(long, value_name = "SECONDS", default_value_t = store::gc::GRACE_S)]
    pub(crate) grace: u64,

    /// How long to wait for pushes that began before
    #[arg(long, value_name = "SECONDS", default_value_t = store::gc::WAIT.as_secs())]
    pub(crate) wait: u64,
}

/// Check a label, or the whole store: every byte against its digest
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The label; without one all labels and all packs are checked
    pub(crate) label: Option<LabelName>,

    #[command(flatten)]
    pub(crate) store: StoreDirArg,

    /// Take what is lost from this store: a directory, or an http:// URL of one
    #[arg(long, value_name = "STORE2")]
    pub(crate) heal: Option<String>,

    #[command(flatten)]
    pub(crate) access: AccessArgs,
}
