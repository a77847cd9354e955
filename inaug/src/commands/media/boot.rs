//! What machines boot from a medium: given, or made of an installed kernel.

use crate::args::{MediaBootArgs, ModuleSet};
use crate::commands::initramfs::{DEFAULT_TOOL, init_beside_us};
use crate::commands::sign::sign;
use crate::exit::Usage;
use anyhow::Context;
use initramfs::uki::{Parts, assemble, read_stub};
use initramfs::{Embed, KernelTree, Modules, Options, build, find_program};
use media::boot::{Boot, Told};
use std::fs;
use std::path::{Path, PathBuf};

/// Kernel, initramfs, and both as one executable.
pub(super) fn boot(
    args: &MediaBootArgs,
    carried: Vec<Embed>,
    told: Told,
    cmdline: String,
) -> anyhow::Result<Boot> {
    let tree = tree(args)?;
    let path = match (&args.kernel, &tree) {
        (Some(path), _) => path.clone(),
        (None, Some(KernelTree { root, version })) => root.join(format!("boot/vmlinuz-{version}")),
        (None, None) => {
            let sentence = "which kernel do machines boot? Give --kernel-version, --kernel-tree or \
                            --kernel";
            return Err(Usage(sentence.to_owned()).into());
        }
    };
    let kernel = read(&path)?;
    let initramfs = match &args.initramfs {
        Some(path) => read(path)?,
        None => made(args, tree, carried)?,
    };
    let stub = read_stub(None)?;
    let parts = Parts { stub: &stub, kernel: &kernel, initrd: &initramfs, cmdline: &cmdline };
    let unsigned = assemble(&parts)?.bytes;
    let uki = match (&args.secure_boot_key, &args.secure_boot_cert) {
        (Some(key), Some(certificate)) => sign(&unsigned, key, certificate)?,
        _ => unsigned,
    };
    Ok(Boot { kernel, initramfs, uki, cmdline, told })
}

fn tree(args: &MediaBootArgs) -> anyhow::Result<Option<KernelTree>> {
    Ok(match (&args.kernel_version, &args.kernel_tree) {
        (Some(version), _) => {
            Some(KernelTree { root: PathBuf::from("/"), version: version.clone() })
        }
        (None, Some(tree)) => Some(KernelTree::only(tree)?),
        (None, None) => None,
    })
}

/// An initramfs with all drivers that a machine nobody has seen may want, or with none for a kernel
/// that has them built in.
fn made(
    args: &MediaBootArgs,
    tree: Option<KernelTree>,
    embed: Vec<Embed>,
) -> anyhow::Result<Vec<u8>> {
    let modules = match (args.modules, &tree) {
        (Some(ModuleSet::Thin), _) => Modules::Thin,
        (Some(ModuleSet::None), _) | (None, None) => Modules::None,
        (Some(ModuleSet::Fat) | None, _) => Modules::Fat,
    };
    let root = Path::new("/");
    let options = Options {
        init: args.init.clone().map_or_else(init_beside_us, Ok)?,
        modules,
        kernel: tree,
        tools: find_program(root, DEFAULT_TOOL).into_iter().collect(),
        tools_from: root.to_owned(),
        embed,
        ..Options::default()
    };
    Ok(build(&options)?.bytes)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
