//! What `inaug initramfs` answers.

use super::uki::Made;
use crate::args::InitramfsArgs;
use crate::text;
use initramfs::uki::SectionSize;
use initramfs::{Options, Report};
use serde::Serialize;
use std::fmt;

/// What was made, for a person or as JSON.
#[derive(Serialize)]
pub(super) struct Document {
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
    /// Absent where the file is a mere initramfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    uki: Option<UkiDocument>,
}

#[derive(Serialize)]
struct UkiDocument {
    size_bytes: u64,
    kernel: String,
    /// `uname -r` of the kernel.
    release: String,
    stub: String,
    cmdline: String,
    sections: Vec<SectionDocument>,
    signed: bool,
}

#[derive(Serialize)]
struct SectionDocument {
    name: &'static str,
    size_bytes: u64,
}

#[derive(Serialize)]
struct MissingFirmware {
    file: String,
    module: String,
}

impl Document {
    /// `uki` is the file, where it is more than an initramfs.
    pub(super) fn of(
        args: &InitramfsArgs,
        options: &Options,
        report: Report,
        uki: Option<Made>,
    ) -> Self {
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
            uki: uki.map(UkiDocument::of),
        }
    }
}

impl UkiDocument {
    fn of(made: Made) -> Self {
        let section = |section: SectionSize| SectionDocument {
            name: section.name,
            size_bytes: section.size_bytes,
        };
        Self {
            size_bytes: made.bytes.len() as u64,
            kernel: made.kernel.display().to_string(),
            release: made.release,
            stub: made.stub.display().to_string(),
            cmdline: made.cmdline,
            sections: made.sections.into_iter().map(section).collect(),
            signed: made.signed,
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (packed, unpacked) = (text::size(self.packed_bytes), text::size(self.unpacked_bytes));
        if let Some(uki) = &self.uki {
            writeln!(f, "wrote     {}: {uki}", self.file)?;
            writeln!(f, "initramfs {packed}, {unpacked} in memory")?;
        } else {
            writeln!(f, "wrote     {}: {packed}, {unpacked} in memory", self.file)?;
        }
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

impl fmt::Display for UkiDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed = if self.signed { "signed" } else { "not signed" };
        let size = text::size(self.size_bytes);
        write!(f, "{size}, {signed}, Linux {} with: {}", self.release, self.cmdline)
    }
}
