//! `inaug initramfs`: what machines boot into to be inaugurated.

mod document;
mod uki;

use super::access;
use crate::args::{InitramfsArgs, ModuleSet};
use crate::exit::Usage;
use crate::output::Output;
use anyhow::Context;
use document::Document;
use initramfs::{Embed, KernelTree, Modules, Options, build, find_program};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Builds the initramfs, and the executable around it where that is wanted, and puts it in its
/// place whole.
pub(crate) fn run(args: &InitramfsArgs, output: &Output) -> anyhow::Result<()> {
    let options = options(args)?;
    let built = build(&options)?;
    let initramfs = || built.bytes.as_slice();
    let uki = uki::make(&args.uki, options.kernel.as_ref(), initramfs())?;
    let bytes = uki.as_ref().map_or_else(initramfs, |uki| &uki.bytes);
    write_whole(&args.output, bytes)
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    Ok(output.answer(&Document::of(args, &options, built.report, uki))?)
}

fn options(args: &InitramfsArgs) -> anyhow::Result<Options> {
    let modules = match args.modules {
        ModuleSet::Thin => Modules::Thin,
        ModuleSet::Fat => Modules::Fat,
        ModuleSet::None => Modules::None,
    };
    let kernel = match (&args.kernel_version, &args.kernel_tree) {
        (Some(version), _) => {
            Some(KernelTree { root: PathBuf::from("/"), version: version.clone() })
        }
        (None, Some(tree)) => Some(KernelTree::only(tree)?),
        (None, None) => None,
    };
    if modules != Modules::None && kernel.is_none() {
        let sentence = "which kernel's modules? Give --kernel-version or --kernel-tree, or \
                        --modules none for a kernel with everything built in";
        return Err(Usage(sentence.to_owned()).into());
    }
    let init = args.init.clone().map_or_else(init_beside_us, Ok)?;
    let mut embed = args.embed.iter().map(embed).collect::<anyhow::Result<Vec<_>>>()?;
    embed.extend(access::carried(args.ca.as_deref(), args.token.as_deref())?);
    let (tools, tools_from) = (tools(args)?, args.tools_from.clone());
    let firmware = args.firmware.clone();
    Ok(Options { init, modules, kernel, tools, tools_from, embed, firmware })
}

/// Makes the file system of a root that is there in none of the images.
pub(super) const DEFAULT_TOOL: &str = "mke2fs";

/// The programs to carry, by their paths.
fn tools(args: &InitramfsArgs) -> anyhow::Result<Vec<String>> {
    let root = &args.tools_from;
    if args.no_tools {
        return Ok(Vec::new());
    }
    if args.tool.is_empty() {
        return Ok(find_program(root, DEFAULT_TOOL).into_iter().collect());
    }
    let path = |tool: &String| {
        if tool.starts_with('/') {
            return Ok(tool.clone());
        }
        find_program(root, tool)
            .with_context(|| format!("there is no program {tool} in {}", root.display()))
    };
    args.tool.iter().map(path).collect()
}

/// The `init` that was built or installed together with this command. A link is none: `/sbin/init`
/// is the PID 1 of this host.
pub(super) fn init_beside_us() -> anyhow::Result<PathBuf> {
    let ours = std::env::current_exe().context("cannot tell where this command is")?;
    let init = ours.with_file_name("init");
    let is_file = fs::symlink_metadata(&init).is_ok_and(|metadata| metadata.is_file());
    if is_file {
        return Ok(init);
    }
    Err(Usage(format!("no init beside this command, expected {}: give --init", init.display()))
        .into())
}

/// Permissions are one of two, so that a umask on the building machine does not get in.
fn embed((source, destination): &(PathBuf, String)) -> anyhow::Result<Embed> {
    let metadata =
        fs::metadata(source).with_context(|| format!("cannot read {}", source.display()))?;
    let executable = metadata.permissions().mode() & 0o111 != 0;
    let mode = if executable { 0o755 } else { 0o644 };
    Ok(Embed { source: source.clone(), destination: destination.clone(), mode })
}

/// Boot servers may read the file at any moment: it is old or new, never half.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
