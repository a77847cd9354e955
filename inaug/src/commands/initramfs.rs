//! `inaug initramfs`: what machines boot into to be inaugurated.

use crate::args::{InitramfsArgs, ModuleSet};
use crate::exit::Usage;
use crate::output::Output;
use crate::text;
use anyhow::Context;
use initramfs::{Embed, KernelTree, Modules, Options, Report, build, find_program};
use serde::Serialize;
use std::fmt;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Builds the initramfs and puts it in its place whole.
pub(crate) fn run(args: &InitramfsArgs, output: &Output) -> anyhow::Result<()> {
    let options = options(args)?;
    let built = build(&options)?;
    write_whole(&args.output, &built.bytes)
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    Ok(output.answer(&Document::of(args, &options, built.report))?)
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
    let embed = args.embed.iter().map(embed).collect::<anyhow::Result<_>>()?;
    let (tools, tools_from) = (tools(args)?, args.tools_from.clone());
    let firmware = args.firmware.clone();
    Ok(Options { init, modules, kernel, tools, tools_from, embed, firmware })
}

/// Makes the file system of a root that is there in none of the images.
const DEFAULT_TOOL: &str = "mke2fs";

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
fn init_beside_us() -> anyhow::Result<PathBuf> {
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

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    file: String,
    init: String,
    /// Release of the kernel whose modules are in it.
    kernel: Option<String>,
    packed_bytes: u64,
    unpacked_bytes: u64,
    init_bytes: u64,
    module_bytes: u64,
    firmware_bytes: u64,
    tool_bytes: u64,
    entries: usize,
    /// Programs that are carried, and their libraries.
    tools: Vec<String>,
    libraries: Vec<String>,
    modules: Vec<String>,
    absent_modules: Vec<String>,
    firmware: Vec<String>,
    missing_firmware: Vec<MissingFirmware>,
}

#[derive(Serialize)]
struct MissingFirmware {
    file: String,
    module: String,
}

impl Document {
    fn of(args: &InitramfsArgs, options: &Options, report: Report) -> Self {
        let missing = report.missing_firmware.into_iter();
        Self {
            schema: "inaug/initramfs/1",
            file: args.output.display().to_string(),
            init: options.init.display().to_string(),
            kernel: options.kernel.as_ref().map(|kernel| kernel.version.clone()),
            packed_bytes: report.packed_bytes,
            unpacked_bytes: report.unpacked_bytes,
            init_bytes: report.init_bytes,
            module_bytes: report.module_bytes,
            firmware_bytes: report.firmware_bytes,
            tool_bytes: report.tool_bytes,
            tools: report.tools,
            libraries: report.libraries,
            entries: report.entries,
            modules: report.modules,
            absent_modules: report.absent_modules,
            firmware: report.firmware,
            missing_firmware: missing
                .map(|missing| MissingFirmware { file: missing.file, module: missing.module })
                .collect(),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (packed, unpacked) = (text::size(self.packed_bytes), text::size(self.unpacked_bytes));
        writeln!(f, "wrote     {}: {packed}, {unpacked} in memory", self.file)?;
        writeln!(f, "init      {}: {}", self.init, text::size(self.init_bytes))?;
        if let Some(kernel) = &self.kernel {
            let modules = text::count(self.modules.len() as u64, "module");
            writeln!(f, "kernel    {kernel}: {modules}, {}", text::size(self.module_bytes))?;
        }
        if self.tools.is_empty() {
            writeln!(f, "tools     none: trees only go onto disks that have their file systems")?;
        } else {
            let libraries = text::count(self.libraries.len() as u64, "shared object");
            let (tools, bytes) = (self.tools.join(" "), text::size(self.tool_bytes));
            writeln!(f, "tools     {tools} with {libraries}, {bytes}")?;
        }
        if !self.firmware.is_empty() {
            let files = text::count(self.firmware.len() as u64, "file");
            writeln!(f, "firmware  {files}, {}", text::size(self.firmware_bytes))?;
        }
        if !self.absent_modules.is_empty() {
            writeln!(f, "absent    {}", self.absent_modules.join(" "))?;
        }
        if !self.missing_firmware.is_empty() {
            let files = text::count(self.missing_firmware.len() as u64, "firmware file");
            writeln!(f, "missing   {files} that modules name; --json lists them")?;
        }
        Ok(())
    }
}
