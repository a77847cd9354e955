//! The command line as typed: names and flags are a contract, more may be added.

mod access;
mod boot;
mod initramfs;
mod media;
mod pxe;
mod serve;
mod upkeep;

pub(crate) use access::AccessArgs;
pub(crate) use boot::{BootArgs, BootDisk, BootKernel};
pub(crate) use initramfs::{InitramfsArgs, ModuleSet, UkiArgs};
pub(crate) use media::{MediaArgs, MediaBootArgs};
pub(crate) use pxe::PxeConfigArgs;
pub(crate) use serve::ServeArgs;
pub(crate) use upkeep::{CopyArgs, GcArgs, RenameArgs, VerifyArgs};

use clap::{Parser, Subcommand, ValueEnum};
use deploy::disks::parse_size;
use deploy::volumes::FileSystem;
use std::ffi::OsString;
use std::path::PathBuf;
use store::label::{LabelName, fact_is_valid};

/// Puts disk images into a store by label, and labels onto disks.
#[derive(Debug, Parser)]
#[command(name = "inaug", version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Print one JSON document on stdout instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 bytes are not what their \
digest says, 4 the network or the server, 5 a disk or the store's directory, 6 refused for safety.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Push(PushArgs),
    Labels(LabelsArgs),
    Show(ShowArgs),
    Diff(DiffArgs),
    Verify(VerifyArgs),
    Copy(CopyArgs),
    Rename(RenameArgs),
    Rm(RmArgs),
    Gc(GcArgs),
    Serve(ServeArgs),
    PxeConfig(PxeConfigArgs),
    Deploy(DeployArgs),
    Initramfs(InitramfsArgs),
    Media(MediaArgs),
    Boot(BootArgs),
}

/// Where the store is: a directory, or the URL of one.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArg {
    /// The store: a directory, or an http:// or https:// URL of one
    #[arg(long, value_name = "STORE", env = "INAUG_STORE", hide_env_values = true)]
    pub(crate) store: String,

    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// The store's directory, for commands that change it or read its files themselves.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreDirArg {
    /// The store's directory
    #[arg(long, value_name = "STORE", env = "INAUG_STORE", hide_env_values = true)]
    pub(crate) store: String,
}

/// Put a disk image, or a tree of files, into a store and name it
///
/// Stores only what the store does not have yet. The label points to the new content once all of it
/// is on the store's disk; cut short at any moment, the store is as it was. A directory that does
/// not exist or is empty becomes a store.
#[derive(Debug, clap::Args)]
pub(crate) struct PushArgs {
    /// The label, such as debian/12/web
    pub(crate) label: LabelName,

    #[command(flatten)]
    pub(crate) store: StoreDirArg,

    #[command(flatten)]
    pub(crate) input: PushInput,

    /// Something worth knowing about it, such as git=1a2b3c; may be given often
    #[arg(long = "fact", value_name = "K=V", value_parser = parse_fact)]
    pub(crate) facts: Vec<(String, String)>,

    /// The kernel that boots it, instead of the one found in what is pushed; wants --cmdline too.
    /// A path below the directory of a tree, or after `tree:` one of the tree's, stays in the tree
    #[arg(long, value_name = "P", requires = "cmdline")]
    pub(crate) kernel: Option<PathBuf>,

    /// The initrd for --kernel
    #[arg(long, value_name = "P", requires = "kernel")]
    pub(crate) initrd: Option<PathBuf>,

    /// The kernel's command line, instead of the one found in what is pushed
    #[arg(long, value_name = "S")]
    pub(crate) cmdline: Option<String>,

    /// Do not look for a kernel: it will be booted by its own boot loader, or not at all
    #[arg(long, conflicts_with_all = ["kernel", "cmdline"])]
    pub(crate) no_boot: bool,

    /// Push the free space of ext2, ext3, ext4 and vfat file systems as zeroes, whatever stands
    /// there; refused where a file system was not unmounted cleanly
    #[arg(long, conflicts_with_all = ["tree", "tar"])]
    pub(crate) trim: bool,

    #[command(flatten)]
    pub(crate) of_tree: OfTree,

    /// Also store as diffs against this label what changed since: a machine that holds it fetches
    /// these instead; may be given often
    #[arg(long, value_name = "LABEL", conflicts_with = "image")]
    pub(crate) base: Vec<LabelName>,

    /// Replace the label if it is there already
    #[arg(long)]
    pub(crate) force: bool,

    /// How hard to compress, 1 (fast) to 19 (small)
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=19))]
    pub(crate) level: i32,
}

/// What to push.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct PushInput {
    /// A disk or partition image: a raw file or a block device nobody writes to
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Option<PathBuf>,

    /// A directory and what is in it, as a tree
    #[arg(long, value_name = "DIR")]
    pub(crate) tree: Option<PathBuf>,

    /// A tar archive, as the tree that unpacking it would leave; may be packed by gzip, xz or zstd,
    /// and - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) tar: Option<PathBuf>,
}

/// How to read a tree.
#[derive(Debug, clap::Args)]
pub(crate) struct OfTree {
    /// What to do about file systems mounted in the directory
    #[arg(long, value_enum, default_value_t = MountsArg::Refuse, conflicts_with_all = ["image", "tar"])]
    pub(crate) mounts: MountsArg,

    /// Take files that change while they are read as they are met
    #[arg(long, conflicts_with_all = ["image", "tar"])]
    pub(crate) allow_changed: bool,

    /// Take members of an archive whose paths are absolute, or climb by .., relative to the root,
    /// as tar does
    #[arg(long, conflicts_with_all = ["image", "tree"])]
    pub(crate) relative: bool,
}

/// What to do about mounted file systems.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum MountsArg {
    /// Push nothing: a /proc or /sys in a tree is a mistake
    Refuse,
    /// Leave out what is mounted: the directory it is on is empty, root's, and of mode 0755
    Empty,
    /// Take what is mounted as part of the tree
    Include,
}

/// List the labels of a store
#[derive(Debug, clap::Args)]
pub(crate) struct LabelsArgs {
    /// Only labels that match: * stands for any characters, also /, and ? for one
    pub(crate) glob: Option<String>,

    #[command(flatten)]
    pub(crate) store: StoreArg,
}

/// Show what a label is: facts, sizes, how it boots
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The label
    pub(crate) label: LabelName,

    /// List the files of a tree as well
    #[arg(long)]
    pub(crate) files: bool,

    #[command(flatten)]
    pub(crate) store: StoreArg,
}

/// Show what a machine that holds OLD would fetch for NEW
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// The label that the machine holds
    pub(crate) old: LabelName,

    /// The label that it is to hold
    pub(crate) new: LabelName,

    /// List the files that differ between two trees as well
    #[arg(long)]
    pub(crate) files: bool,

    #[command(flatten)]
    pub(crate) store: StoreArg,
}

/// Remove a label; what it pointed to stays in the store's packs until gc
#[derive(Debug, clap::Args)]
pub(crate) struct RmArgs {
    /// The label
    pub(crate) label: LabelName,

    #[command(flatten)]
    pub(crate) store: StoreDirArg,
}

/// Put a label onto a file, a disk or a directory, and prove it by reading it back
///
/// Only what the target does not hold already is fetched and written. Until everything is proven
/// a disk cannot boot; in a directory each file is old or new, and what the label does not know is
/// removed. Cut short at any moment, the same command goes on where it was.
#[derive(Debug, clap::Args)]
pub(crate) struct DeployArgs {
    /// The label; several trees, joined by +, are put into one directory
    #[arg(value_parser = parse_labels)]
    pub(crate) label: Labels,

    /// Where to take it from: directories or http:// and https:// URLs, joined by commas, nearest
    /// first
    #[arg(long, value_name = "CHAIN", env = "INAUG_STORE", hide_env_values = true)]
    pub(crate) store: String,

    #[command(flatten)]
    pub(crate) access: AccessArgs,

    /// The file, block device or directory to put it onto; a file or directory that is not there
    /// is made
    #[arg(long, value_name = "PATH")]
    pub(crate) to: PathBuf,

    /// Leave this path in the directory as it is, with all that is below it; may be given often
    #[arg(long, value_name = "PATH")]
    pub(crate) keep: Vec<OsString>,

    /// A label that a file holds: what moved since is moved there. Disks say it themselves; may be
    /// given often
    #[arg(long, value_name = "LABEL")]
    pub(crate) seed: Vec<LabelName>,

    /// A store beside the target, made if it is not there: asked before all others, and given what
    /// they give
    #[arg(long, value_name = "DIR")]
    pub(crate) local_store: Option<PathBuf>,

    /// The most that the local store may take, such as 20G: what was of use the longest time ago is
    /// removed first
    #[arg(long, value_name = "SIZE", default_value = "20G", value_parser = parse_bytes)]
    pub(crate) local_store_size: u64,

    /// Only show what would be done
    #[arg(long)]
    pub(crate) plan: bool,

    /// Do not read back what was written
    #[arg(long)]
    pub(crate) no_verify: bool,

    #[command(flatten, next_help_heading = "Trees on disks")]
    pub(crate) disk: DiskArgs,
}

/// How a tree is put onto a disk.
#[derive(Debug, clap::Args)]
pub(crate) struct DiskArgs {
    /// Lay the disk out anew where its layout does not fit; everything on it goes
    #[arg(long)]
    pub(crate) repartition: bool,

    /// Size of the EFI system partition, such as 512Mi
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) esp_size: Option<u64>,

    /// Size of a swap partition
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) swap_size: Option<u64>,

    /// Size of a data partition, which no label touches; it is mounted at /srv
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) data_size: Option<u64>,

    /// The kind of root file system: ext4, xfs or btrfs [default: the one that is there, or ext4]
    #[arg(long, value_name = "KIND", value_parser = parse_file_system)]
    pub(crate) root_fs: Option<FileSystem>,

    /// The machine's name
    #[arg(long, value_name = "NAME", value_parser = deploy::install::parse_hostname)]
    pub(crate) hostname: Option<String>,

    /// The hash of root's password, as crypt(5) has it
    #[arg(long, value_name = "HASH", value_parser = deploy::install::parse_password)]
    pub(crate) root_password: Option<String>,

    /// A public key by which root may log in; may be given often
    #[arg(long, value_name = "KEY", value_parser = deploy::install::parse_ssh_key)]
    pub(crate) ssh_key: Vec<String>,

    /// Words for the kernel's command line
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true)]
    pub(crate) append: String,
}

fn parse_file_system(word: &str) -> Result<FileSystem, String> {
    FileSystem::named(word).ok_or_else(|| {
        let words: Vec<&str> = FileSystem::WORDS.iter().map(|(word, _)| *word).collect();
        format!("expected one of {}", words.join(", "))
    })
}

/// Labels to be joined, in order.
#[derive(Debug, Clone)]
pub(crate) struct Labels(pub(crate) Vec<LabelName>);

fn parse_labels(text: &str) -> Result<Labels, String> {
    let names = text.split('+').map(|name| name.parse().map_err(|error| format!("{error}")));
    Ok(Labels(names.collect::<Result<_, _>>()?))
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    parse_size(text).ok_or_else(|| "expected bytes, such as 1000000, 20G or 20Gi".to_owned())
}

fn parse_fact(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if fact_is_valid(key, value) => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE: letters, digits, '.', '_', '-' in the key, one line in the \
                  value"
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn facts_are_pairs() {
        for (text, ok) in [
            ("git=1a2b", true),
            ("state=", true),
            ("a.b-c_d=x=y", true),
            ("git", false),
            ("=x", false),
            ("a b=x", false),
            ("a=x\ny", false),
        ] {
            assert_eq!(parse_fact(text).is_ok(), ok, "{text:?}");
        }
    }
}
