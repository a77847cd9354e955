//! What `inaug boot` says of a boot: `report.json`, and the same as text.

use super::kernel::Choice;
use super::outcome::{Outcome, Test};
use super::output::Sizes;
use super::prepare::Prepared;
use super::watch::Seen;
use crate::args::BootArgs;
use crate::commands::Stages;
use machine::Accel;
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
    /// `reached`, `tested`, `failed`, `panicked`, `ended`, `deadline`, `no-port`, `not-started`,
    /// `changed` or `interrupted`.
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
    /// Whether it was started.
    pub(super) begun: bool,
    /// What the deployed system called itself when the command began.
    pub(super) system: Option<String>,
    pub(super) status: Option<u8>,
    pub(super) stdout_bytes: u64,
    pub(super) stderr_bytes: u64,
    /// More came than is kept.
    pub(super) is_cut: bool,
    /// What of it was not shown or not kept, and why.
    pub(super) lost: Vec<String>,
    /// Something that the command started held its output when it ended: what came later is not
    /// here.
    pub(super) left_running: bool,
}

impl Document {
    /// What there is to say of a machine that was `prepared`.
    pub(super) fn of(args: &BootArgs, prepared: Prepared, seen: &Seen, sizes: Sizes) -> Self {
        let Seen { outcome, test, .. } = seen;
        let Prepared { labels, kernel, disk_bytes, accel, .. } = prepared;
        let Sizes { stdout_bytes, stderr_bytes, is_cut, lost } = sizes;
        let of_test = args.goal.test.as_ref().map(|command| TestDocument {
            command: command.to_string_lossy().into_owned(),
            begun: *test == Test::Begun,
            system: seen.system.clone(),
            status: if let Outcome::Tested(status) = outcome { Some(*status) } else { None },
            stdout_bytes,
            stderr_bytes,
            is_cut,
            lost,
            left_running: seen.left_running,
        });
        let line = if let Outcome::Reached(line) = outcome { Some(line.clone()) } else { None };
        let failure = match outcome {
            Outcome::Failed(failure) => Some(failure.report.clone()),
            _ => None,
        };
        Self {
            schema: "inaug/boot/1",
            label: args.label_text(),
            manifests: labels.iter().map(|record| record.manifest.to_string()).collect(),
            kernel,
            machine: MachineDocument {
                accel: accel_word(accel),
                memory_mib: args.memory,
                cpus: args.cpus,
                disk_bytes,
                firmware: if args.uefi { "uefi" } else { "bios" },
            },
            outcome: outcome.word(),
            exit_status: outcome.code(*test),
            error: outcome.sentence(*test),
            line,
            stages: Stages(seen.stages.seconds()),
            seconds: (seen.took.as_secs_f64() * 1000.0).round() / 1000.0,
            plan: seen.plan.clone(),
            failure,
            test: of_test,
        }
    }
}

/// How QEMU calls it.
pub(super) fn accel_word(accel: Accel) -> &'static str {
    match accel {
        Accel::Kvm => "kvm",
        Accel::Tcg => "tcg",
    }
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
