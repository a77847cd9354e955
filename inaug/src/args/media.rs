//! The command that makes media for machines without network.

use super::{Labels, ModuleSet, StoreArg, parse_bytes, parse_labels};
use std::path::PathBuf;
use store::label::LabelName;

/// Make a stick or a CD-ROM that boots machines without network, with a store of just these labels
///
/// Boots by BIOS and UEFI, and puts the label onto the machine's disk; what is on the medium never
/// changes by that. A name that ends with .iso becomes a CD-ROM, any other the image of a stick, and
/// a block device becomes a stick. The same inputs give the same bytes; only a signature says when
/// it was made.
///
/// The image of a CD-ROM boots from a CD-ROM only: for a stick, make the image of one. A medium that
/// stays in the machine deploys again at the next boot from it.
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

    /// What is deployed without asking, labels joined by + [default: the only one; of several a
    /// person chooses]
    #[arg(long, value_name = "LABEL[+LABEL...]", value_parser = parse_labels)]
    pub(crate) default: Option<Labels>,

    /// Stores that machines ask after the medium, joined by commas: http:// URLs
    #[arg(long, value_name = "CHAIN")]
    pub(crate) store_chain: Option<String>,

    /// Words for the kernel's command line, in place of those of the same keys
    #[arg(long, value_name = "WORDS")]
    pub(crate) append: Option<String>,

    /// How large the stick is to be, such as 8G: what is not needed is room for later labels
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) size: Option<u64>,

    /// Bring a stick, or the image of one, to these labels: copies what it lacks, and renews what it
    /// boots; --default, --store-chain and --append are those of before where they are not given.
    /// Cut short at any moment, the same command goes on where it was. Needs root
    #[arg(long, conflicts_with = "size")]
    pub(crate) refresh: bool,

    /// Remove the labels from the stick that are not named; without this, a stick that has others
    /// is refused
    #[arg(long, requires = "refresh")]
    pub(crate) remove: bool,

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

    /// Sign what UEFI boots by this key, a file that sbsign(1) can read without a passphrase: under
    /// Secure Boot nothing else of the medium is started
    #[arg(long, value_name = "KEY", requires = "secure_boot_cert")]
    pub(crate) secure_boot_key: Option<PathBuf>,

    /// The key's certificate, which the machines' firmware has, or one above it
    #[arg(long, value_name = "CERT", requires = "secure_boot_key")]
    pub(crate) secure_boot_cert: Option<PathBuf>,
}
