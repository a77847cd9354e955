//! The command that makes what machines boot into.

use clap::ValueEnum;
use std::path::PathBuf;

/// Build the initramfs that machines boot into to be inaugurated
///
/// The same inputs give the same bytes; only a signature says when it was made.
#[derive(Debug, clap::Args)]
pub(crate) struct InitramfsArgs {
    /// The file to write
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,

    /// Take modules of this installed kernel, such as 6.12.48+deb13-amd64
    #[arg(long, value_name = "V", conflicts_with = "kernel_tree")]
    pub(crate) kernel_version: Option<String>,

    /// Take modules of the only kernel below this directory's lib/modules
    #[arg(long, value_name = "DIR")]
    pub(crate) kernel_tree: Option<PathBuf>,

    /// The init to carry [default: the one beside this command]
    #[arg(long, value_name = "PATH")]
    pub(crate) init: Option<PathBuf>,

    /// Which modules to carry
    #[arg(long, value_enum, default_value_t = ModuleSet::Thin)]
    pub(crate) modules: ModuleSet,

    /// Carry this file of the host at that absolute path; may be given often
    #[arg(long, value_name = "FILE=PATH", value_parser = parse_embed)]
    pub(crate) embed: Vec<(PathBuf, String)>,

    /// Carry this program, by name or absolute path, with its libraries; may be given often
    /// [default: mke2fs, if it is there]
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) tool: Vec<String>,

    /// Take programs and their libraries from this tree instead of this host
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    pub(crate) tools_from: PathBuf,

    /// Carry no programs: the machines take images, or trees on disks that have their file systems
    #[arg(long, conflicts_with_all = ["tool", "tools_from"])]
    pub(crate) no_tools: bool,

    /// Take the firmware that the modules name from here, such as /lib/firmware
    #[arg(long, value_name = "DIR")]
    pub(crate) firmware: Option<PathBuf>,

    /// Carry this PEM file of authorities, which machines trust to sign the certificates of https
    /// stores: without it they ask none of these
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Carry the token in this file, which machines show to their stores; whoever can read the
    /// initramfs has it
    #[arg(long, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,

    #[command(flatten, next_help_heading = "One file to boot")]
    pub(crate) uki: UkiArgs,
}

/// A unified kernel image around the initramfs.
#[derive(Debug, clap::Args)]
pub(crate) struct UkiArgs {
    /// Write one EFI executable with kernel, initramfs and command line in it, which firmware
    /// starts from a disk, a stick or a URL
    #[arg(long, requires = "cmdline")]
    pub(crate) uki: bool,

    /// The kernel's command line
    #[arg(long, value_name = "WORDS", requires = "uki")]
    pub(crate) cmdline: Option<String>,

    /// The kernel [default: boot/vmlinuz-V of --kernel-version or --kernel-tree]
    #[arg(long, value_name = "FILE", requires = "uki")]
    pub(crate) kernel: Option<PathBuf>,

    /// The stub that firmware runs [default: that of package systemd-boot-efi]
    #[arg(long, value_name = "FILE", requires = "uki")]
    pub(crate) stub: Option<PathBuf>,

    /// Sign it for Secure Boot by this key, a file that sbsign(1) can read without a passphrase
    #[arg(long, value_name = "KEY", requires_all = ["uki", "secure_boot_cert"])]
    pub(crate) secure_boot_key: Option<PathBuf>,

    /// The key's certificate, which the machines' firmware has, or one above it
    #[arg(long, value_name = "CERT", requires = "secure_boot_key")]
    pub(crate) secure_boot_cert: Option<PathBuf>,
}

/// Sets of modules.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ModuleSet {
    /// What QEMU and common servers need
    Thin,
    /// All storage and wired network drivers of the kernel
    Fat,
    /// None: the kernel has everything built in
    None,
}

fn parse_embed(text: &str) -> Result<(PathBuf, String), String> {
    match text.rsplit_once('=') {
        Some((file, path)) if !file.is_empty() && path.starts_with('/') => {
            Ok((file.into(), path.to_owned()))
        }
        _ => Err("expected FILE=PATH with an absolute PATH".to_owned()),
    }
}
