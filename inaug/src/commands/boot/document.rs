//! What `inaug boot` says of a boot: `report.json`, and the same as text.

use super::kernel::Choice;
use crate::commands::Stages;
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// A boot.
#[derive(Serialize)]
pub(super) struct Document {
    pub(super) schema: &'static str,
    pub(super) label: String,
    /// Digest of each label's manifest.
    pub(super) manifests: Vec<String>,
    pub(super) kernel: Choice,
    pub(super) machine: MachineDocument,
    /// `reached`, `tested`, `failed`, `panicked`, `ended`, `deadline`, `no-port` or `interrupted`.
    pub(super) outcome: &'static str,
    pub(super) exit_status: u8,
    /// What went wrong.
    pub(super) error: Option<String>,
    /// The line of the console that was waited for.
    pub(super) line: Option<String>,
    /// Seconds per stage, in order.
    pub(super) stages: Stages,
    /// From power-on to the outcome.
    pub(super) seconds: f64,
    pub(super) plan: Vec<String>,
    /// The inaugurator's report.
    pub(super) failure: Option<Value>,
    pub(super) test: Option<TestDocument>,
}

#[derive(Serialize)]
pub(super) struct MachineDocument {
    /// `kvm` or `tcg`.
    pub(super) accel: &'static str,
    pub(super) memory_mib: u32,
    pub(super) cpus: u32,
    pub(super) disk_bytes: u64,
    /// `uefi` or `bios`.
    pub(super) firmware: &'static str,
}

#[derive(Serialize)]
pub(super) struct TestDocument {
    pub(super) command: String,
    /// What the deployed system called itself when the command began.
    pub(super) system: Option<String>,
    pub(super) status: Option<u8>,
    pub(super) stdout_bytes: u64,
    pub(super) stderr_bytes: u64,
    /// More came than is kept.
    pub(super) is_cut: bool,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outcome, line, label, kernel, stages, seconds, .. } = self;
        writeln!(f, "{outcome:9} {}", line.as_deref().unwrap_or_default())?;
        for manifest in &self.manifests {
            writeln!(f, "label     {label}, {}", &manifest[..12])?;
        }
        let machine = &self.machine;
        let (accel, firmware) = (machine.accel, machine.firmware);
        writeln!(f, "kernel    {}, {accel}, {firmware}", kernel.what)?;
        let stages: Vec<String> =
            stages.0.iter().map(|(stage, seconds)| format!("{stage} {seconds:.1}")).collect();
        writeln!(f, "seconds   {seconds:.1}: {}", stages.join(", "))
    }
}
