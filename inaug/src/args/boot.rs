//! What `inaug boot` takes.

use super::{AccessArgs, Labels, parse_bytes, parse_labels};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use machine::Accel;
use std::ffi::OsString;
use std::path::PathBuf;
use store::label::LabelName;

/// Start a QEMU machine that inaugurates itself, up to its login prompt
///
/// Needs no root, no network but the store, and no KVM, which is used where it works. The machine
/// fetches the label, writes its disk, reads it back and starts the deployed system, as one of
/// metal does. With --test a command is run in there, and its status returned.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct BootArgs {
    /// The label; several trees, joined by +, make one system
    #[arg(value_parser = parse_labels)]
    pub(crate) label: Labels,

    /// Where to take it from: directories or http:// URLs, joined by commas, nearest first.
    /// Directories are served to the machine for as long as it runs
    #[arg(long, value_name = "CHAIN", env = "INAUG_STORE", hide_env_values = true)]
    pub(crate) store: String,

    #[command(flatten)]
    pub(crate) access: AccessArgs,

    /// The machine's memory: MiB, or with a unit such as 2Gi
    #[arg(long, value_name = "M", default_value = "1024", value_parser = parse_memory)]
    pub(crate) memory: u32,

    /// The machine's processors
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) cpus: u32,

    /// How its instructions are run: kvm, or tcg, which is slow and runs everywhere [default: kvm
    /// where it works]
    #[arg(long, value_name = "A", value_parser = parse_accel)]
    pub(crate) accel: Option<Accel>,

    #[command(flatten)]
    pub(crate) disk: BootDisk,

    /// Firmware is UEFI (Debian's package ovmf) instead of a BIOS
    #[arg(long)]
    pub(crate) uefi: bool,

    #[command(flatten)]
    pub(crate) goal: Goal,

    /// Give up after so many seconds
    #[arg(long, value_name = "S", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,

    /// Words for the deployed kernel's command line; those that begin with inaugurator. are for
    /// the inaugurator
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true)]
    pub(crate) append: String,

    #[command(flatten, next_help_heading = "Which kernel carries the inaugurator")]
    pub(crate) kernel: BootKernel,

    /// Keep console.log, report.json and the test's output in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) artifacts: Option<PathBuf>,
}

impl BootArgs {
    /// The labels as they are written together.
    pub(crate) fn label_text(&self) -> String {
        let names: Vec<&str> = self.label.0.iter().map(LabelName::as_str).collect();
        names.join("+")
    }
}

/// The machine's disk.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct BootDisk {
    /// Size of the machine's disk, such as 20G [default: what the label needs, and some room]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) disk: Option<u64>,

    /// A raw file to be the machine's disk, and to be kept as the machine leaves it; not with
    /// --test, whose words would be on it
    #[arg(long, value_name = "PATH")]
    pub(crate) disk_file: Option<PathBuf>,
}

/// When the machine has done what it should.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Goal {
    /// Wait for this text on the console of the deployed system [default: a login prompt]
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) expect: Option<String>,

    /// Run this shell command in the deployed system once it is up, return its status, and turn the
    /// machine off
    #[arg(long, value_name = "CMD")]
    pub(crate) test: Option<OsString>,
}

/// The kernel and initramfs of the inaugurator.
#[derive(Debug, Args)]
pub(crate) struct BootKernel {
    /// A kernel, together with --initramfs [default: the label's own, or this host's newest]
    #[arg(long, value_name = "FILE", requires = "initramfs", conflicts_with_all = ["kernel_tree", "kernel_version"])]
    pub(crate) kernel: Option<PathBuf>,

    /// An initramfs as inaug initramfs makes it
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub(crate) initramfs: Option<PathBuf>,

    /// The only kernel in this directory's boot, with its lib/modules
    #[arg(long, value_name = "DIR", conflicts_with = "kernel_version")]
    pub(crate) kernel_tree: Option<PathBuf>,

    /// The kernel of this version that is installed on this host
    #[arg(long, value_name = "V")]
    pub(crate) kernel_version: Option<String>,

    /// The init to carry [default: the one beside this command]
    #[arg(
        long,
        value_name = "FILE",
        env = "INAUG_INIT",
        hide_env_values = true,
        conflicts_with = "initramfs"
    )]
    pub(crate) init: Option<PathBuf>,
}

const EXIT_CODES: &str = "Exit codes: 0 the goal was reached; 1 to 6 as every command, by what \
failed in the machine; 124 it was not reached in time. With --test the command's own status; 123 if \
the machine went off or panicked while it ran, 124 if time was over while it ran, 125 if it was never \
run. 129, 130, 131 and 143 after SIGHUP, SIGINT, SIGQUIT and SIGTERM.";

fn parse_accel(text: &str) -> Result<Accel, String> {
    match text {
        "kvm" => Ok(Accel::Kvm),
        "tcg" => Ok(Accel::Tcg),
        _ => Err("expected kvm or tcg".to_owned()),
    }
}

/// MiB where no unit is given.
fn parse_memory(text: &str) -> Result<u32, String> {
    const LEAST_MIB: u64 = 128;
    const MOST_MIB: u64 = 1 << 20;
    let mib = text.parse().ok().or_else(|| Some(deploy::disks::parse_size(text)? >> 20));
    let mib = mib.filter(|mib| (LEAST_MIB..=MOST_MIB).contains(mib));
    mib.and_then(|mib| u32::try_from(mib).ok())
        .ok_or_else(|| "expected 128 MiB to 1 TiB, such as 512 or 2Gi".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_memory;

    #[test]
    fn memory_is_in_mib_unless_it_says_otherwise() {
        for (text, expected) in [
            ("512", Some(512)),
            ("2Gi", Some(2048)),
            ("1G", Some(953)),
            ("127", None),
            ("0", None),
            ("2000000", None),
            ("much", None),
        ] {
            assert_eq!(parse_memory(text).ok(), expected, "{text}");
        }
    }
}
