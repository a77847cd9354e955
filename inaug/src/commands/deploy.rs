//! `inaug deploy`: the engine on this host, onto a file or a block device.

mod progress;

use super::{Stages, open_chain};
use crate::args::DeployArgs;
use crate::output::Output;
use crate::text;
use deploy::label::{manifest_of, resolve};
use deploy::plan::plan_seeded;
use deploy::settle::settle;
use deploy::verify::verify;
use deploy::write::write;
use deploy::{Limit, Meter, PassedOver, Plan, ReadBack, Settled, Snapshot, Target};
use progress::Progress;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use store::near::Near;

/// Deploys the label, or shows what that would take.
pub(crate) fn run(args: &DeployArgs, output: &Output) -> anyhow::Result<()> {
    let chain = open_chain(&args.store)?;
    let meter = Arc::new(Meter::new());
    let mut progress = Progress::start(&meter);

    let label = progress.stage("label", || anyhow::Ok(resolve(&chain, &args.label, &meter)?))?;
    let label = match &args.local_store {
        Some(path) => {
            let near = Near::open(path, args.local_store_size)?;
            label.with_near(Arc::new(near), &meter)
        }
        None => label,
    };
    let seeds: Result<Vec<_>, _> =
        args.seed.iter().map(|held| manifest_of(&chain, held, &meter)).collect();
    let seeds = seeds?;
    let is_new = !args.to.exists();
    let target = Target::open(&args.to)?;
    let planned = progress
        .stage("plan", || anyhow::Ok(plan_seeded(label, target, &seeds, Arc::clone(&meter))?))?;
    let plan = PlanDocument::of(&planned);
    if args.plan {
        drop((progress, planned));
        // Opening made it; a plan leaves nothing.
        if is_new {
            std::fs::remove_file(&args.to)?;
        }
        return Ok(output.answer(&plan)?);
    }
    let read_back = if args.no_verify { ReadBack::No } else { ReadBack::Yes };
    let written = progress.stage("write", || anyhow::Ok(write(planned)?))?;
    let verified = progress.stage("verify", || anyhow::Ok(verify(written, read_back)?))?;
    let settled = progress.stage("settle", || {
        let settled = settle(verified);
        settled.label().finish_near();
        settled
    });
    let document = Document::of(plan, &settled, read_back, progress.finish());
    Ok(output.answer(&document)?)
}

#[derive(Serialize)]
struct PlanDocument {
    schema: &'static str,
    label: String,
    manifest: String,
    target: String,
    size_bytes: u64,
    /// The target holds the label already.
    nothing_to_do: bool,
    kept_objects: u64,
    kept_bytes: u64,
    missing_objects: u64,
    missing_bytes: u64,
    /// Of the missing, what is said to be elsewhere on the target.
    moved_objects: u64,
    moved_bytes: u64,
    /// What the others take on the wire, by whole frames.
    packed_bytes: u64,
    zero_missing_bytes: u64,
    #[serde(skip)]
    text: String,
}

impl PlanDocument {
    fn of(plan: &Plan) -> Self {
        let (record, totals) = (&plan.label().record, plan.totals());
        Self {
            schema: "inaug/plan/1",
            label: record.name.to_string(),
            manifest: record.manifest.to_string(),
            target: plan.target().name().to_owned(),
            size_bytes: plan.label().size_bytes(),
            nothing_to_do: plan.nothing_to_do(),
            kept_objects: totals.kept_objects,
            kept_bytes: totals.kept_bytes,
            missing_objects: totals.missing_objects,
            missing_bytes: totals.missing_bytes,
            moved_objects: totals.moved_objects,
            moved_bytes: totals.moved_bytes,
            packed_bytes: totals.packed_bytes,
            zero_missing_bytes: totals.zero_missing_bytes,
            text: plan.to_string(),
        }
    }
}

impl fmt::Display for PlanDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)
    }
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    label: String,
    manifest: String,
    target: String,
    size_bytes: u64,
    fetched_bytes: u64,
    fetched_objects: u64,
    kept_bytes: u64,
    kept_objects: u64,
    /// Content found at other places of the target and copied from there.
    copied_bytes: u64,
    copied_objects: u64,
    /// Of what was to be copied, what had to be fetched: it was not there any more, or would have
    /// taken more memory than is given to it.
    unmoved_bytes: u64,
    /// Of the objects, those that came from the local store.
    near_bytes: u64,
    near_objects: u64,
    written_bytes: u64,
    zeroed_bytes: u64,
    requests: u64,
    retries: u64,
    /// Stores of the chain that did not give what they should have, and why.
    passed_over: Vec<PassedOver>,
    /// Whether all that was written was read back and hashed.
    read_back: bool,
    /// `net`, `decompress`, `hash` or `disk`: what the workers spent most of their time in.
    limit: Option<Limit>,
    /// What the workers together spent in each kind of work.
    busy_seconds: BusyDocument,
    seconds: Stages,
    total_seconds: f64,
}

#[derive(Serialize)]
struct BusyDocument {
    net: f64,
    decompress: f64,
    hash: f64,
    disk: f64,
}

impl Document {
    fn of(
        plan: PlanDocument,
        settled: &Settled,
        read_back: ReadBack,
        stages: Vec<(&'static str, f64)>,
    ) -> Self {
        let done = settled.meter().snapshot();
        let busy = |limit| done.busy(limit).as_secs_f64();
        Self {
            schema: "inaug/deploy/1",
            label: plan.label,
            manifest: plan.manifest,
            target: plan.target,
            size_bytes: plan.size_bytes,
            fetched_bytes: done.fetched_bytes,
            fetched_objects: done.fetched_objects,
            kept_bytes: plan.kept_bytes,
            kept_objects: plan.kept_objects,
            copied_bytes: done.copied_bytes,
            copied_objects: done.copied_objects,
            unmoved_bytes: done.unmoved_bytes,
            near_bytes: done.near_bytes,
            near_objects: done.near_objects,
            written_bytes: done.written_bytes,
            zeroed_bytes: done.zeroed_bytes,
            requests: done.requests,
            retries: done.retries,
            passed_over: settled.meter().passed_over(),
            read_back: read_back == ReadBack::Yes,
            limit: done.limit_since(&Snapshot::default()),
            busy_seconds: BusyDocument {
                net: busy(Limit::Net),
                decompress: busy(Limit::Decompress),
                hash: busy(Limit::Hash),
                disk: busy(Limit::Disk),
            },
            total_seconds: stages.iter().map(|(_, seconds)| seconds).sum(),
            seconds: Stages(stages),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manifest: String = self.manifest.chars().take(12).collect();
        let proven = if self.read_back { "read back and proven" } else { "not read back" };
        writeln!(f, "deployed  {} ({manifest}) to {}, {proven}", self.label, self.target)?;
        let objects = text::count(self.fetched_objects, "object");
        let requests = text::count(self.requests, "request");
        writeln!(f, "fetched   {objects}, {} in {requests}", text::size(self.fetched_bytes))?;
        for PassedOver { store, why } in &self.passed_over {
            writeln!(f, "but not   from {store}: {why}")?;
        }
        let kept = text::count(self.kept_objects, "object");
        writeln!(f, "kept      {kept}, {}", text::size(self.kept_bytes))?;
        let moved = text::count(self.copied_objects, "object");
        let unmoved = match self.unmoved_bytes {
            0 => String::new(),
            bytes => format!(", {} fetched instead", text::size(bytes)),
        };
        writeln!(f, "moved     {moved}, {}{unmoved}", text::size(self.copied_bytes))?;
        if self.near_objects > 0 {
            let near = text::count(self.near_objects, "object");
            writeln!(f, "near      {near}, {}", text::size(self.near_bytes))?;
        }
        let (written, zeroed) = (text::size(self.written_bytes), text::size(self.zeroed_bytes));
        writeln!(f, "written   {written}, and {zeroed} zeroed")?;
        let stages = self.seconds.0.iter().map(|(stage, seconds)| format!("{stage} {seconds:.2}"));
        let stages: Vec<_> = stages.collect();
        writeln!(f, "took      {:.2} s: {}", self.total_seconds, stages.join(", "))?;
        match self.limit {
            Some(limit) => writeln!(f, "limit     {}", limit.as_str()),
            None => Ok(()),
        }
    }
}
