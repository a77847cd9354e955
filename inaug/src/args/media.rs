//! The command that makes media for machines without network.

use super::{ModuleSet, StoreArg, parse_bytes};
use std::path::PathBuf;
use store::label::LabelName;

/// Make a stick or a CD-ROM that boots machines without network, with a store of just these labels
///
/// Boots by BIOS and UEFI, and puts the label onto the machine's disk; the medium itself is never
/// written by that. A name that ends with .iso becomes a CD-ROM, any other the image of a stick, and a
/// block device becomes a stick. The same inputs give the same bytes.
#[derive(Debug, clap::Args)]
pub(crate) struct MediaArgs {
    /// The labels that the medium carries
    #[arg(required = true, value_name = "LABEL")]
    pub(crate) labels: Vec<LabelName>,

    #[command(flatten)]
    pub(crate) store: StoreArg,

    /// What to make: an image such as usb.img, boot.iso, or a block device
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,

    /// The label that is deployed without asking [default: the only one; of several a person
    /// chooses]
    #[arg(long, value_name = "LABEL")]
    pub(crate) default: Option<LabelName>,

    /// Stores that machines ask after the medium, joined by commas: http:// URLs
    #[arg(long, value_name = "CHAIN")]
    pub(crate) store_chain: Option<String>,

    /// Words for the kernel's command line, in place of those of the same keys
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true)]
    pub(crate) append: String,

    /// How large the stick is to be, such as 8G: what is not needed is room for later labels
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) size: Option<u64>,

    /// Bring a stick, or the image of one, to these labels: copies what it lacks, removes what is
    /// not named, and renews what it boots. Cut short at any moment, the same command goes on
    /// where it was
    #[arg(long, conflicts_with = "size")]
    pub(crate) refresh: bool,

    /// The token of the block device that may be overwritten, which the refusal prints
    #[arg(long, value_name = "TOKEN", conflicts_with = "refresh")]
    pub(crate) wipe: Option<String>,

    #[command(flatten, next_help_heading = "What machines boot")]
    pub(crate) boot: MediaBootArgs,
}

/// What machines boot from a medium.
#[derive(Debug, clap::Args)]
pub(crate) struct MediaBootArgs {
    /// The kernel [default: boot/vmlinuz-V of --kernel-version or --kernel-tree]
    #[arg(long, value_name = "FILE")]
    pub(crate) kernel: Option<PathBuf>,

    /// The initramfs for it [default: one is made]
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub(crate) initramfs: Option<PathBuf>,

    /// Take this installed kernel and its modules, such as 6.12.48+deb13-amd64
    #[arg(long, value_name = "V", conflicts_with_all = ["kernel_tree", "initramfs"])]
    pub(crate) kernel_version: Option<String>,

    /// Take the only kernel below this directory's lib/modules, and its modules
    #[arg(long, value_name = "DIR", conflicts_with = "initramfs")]
    pub(crate) kernel_tree: Option<PathBuf>,

    /// Which modules the initramfs carries [default: fat; none for --kernel alone]
    #[arg(long, value_enum, conflicts_with = "initramfs")]
    pub(crate) modules: Option<ModuleSet>,

    /// The init that the initramfs carries [default: the one beside this command]
    #[arg(long, value_name = "PATH", conflicts_with = "initramfs")]
    pub(crate) init: Option<PathBuf>,
}
