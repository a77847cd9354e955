//! What `deploy` answers, as JSON and as text.

use crate::commands::Stages;
use crate::text;
use deploy::install::Boots;
use deploy::tree::{Adapted, NodeTotals};
use deploy::{Limit, Meter, PassedOver, Plan, ReadBack, Snapshot};
use serde::Serialize;
use std::fmt;

#[derive(Serialize)]
pub(super) struct PlanDocument {
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
    /// Of the missing, what the local store has.
    near_objects: u64,
    near_bytes: u64,
    /// Of the missing, what diffs bring.
    diff_objects: u64,
    diff_bytes: u64,
    /// What the others take on the wire, by whole frames.
    packed_bytes: u64,
    zero_missing_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<NodesDocument>,
    #[serde(skip)]
    text: String,
}

impl PlanDocument {
    /// Of an image.
    pub(super) fn of(plan: &Plan) -> Self {
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
            near_objects: totals.near_objects,
            near_bytes: totals.near_bytes,
            diff_objects: totals.diff_objects,
            diff_bytes: totals.diff_bytes,
            packed_bytes: totals.packed_bytes,
            zero_missing_bytes: totals.zero_missing_bytes,
            nodes: None,
            text: plan.to_string(),
        }
    }

    /// Of trees in a directory.
    pub(super) fn of_tree(plan: &deploy::tree::Plan) -> Self {
        let nodes = NodesDocument::of(plan.totals().nodes, plan.adapted());
        let target = plan.root().name().display().to_string();
        let text = plan.to_string();
        Self::of_trees(plan.labels(), plan.totals(), nodes, target, text)
            .with_nothing_to_do(plan.nothing_to_do())
    }

    /// Of trees on a disk.
    pub(super) fn of_disk(plan: &deploy::install::Plan) -> Self {
        let nodes = NodesDocument::of(plan.totals().nodes, Adapted::default());
        let target = plan.disk().name().to_owned();
        Self::of_trees(plan.labels(), plan.totals(), nodes, target, plan.to_string())
            .with_nothing_to_do(plan.nothing_to_do())
    }

    fn of_trees(
        labels: &[deploy::Label],
        totals: deploy::tree::Totals,
        nodes: NodesDocument,
        target: String,
        text: String,
    ) -> Self {
        let (totals, join) = (totals.objects, |texts: Vec<String>| texts.join("+"));
        Self {
            schema: "inaug/plan/1",
            label: join(labels.iter().map(|label| label.record.name.to_string()).collect()),
            manifest: join(labels.iter().map(|label| label.record.manifest.to_string()).collect()),
            target,
            size_bytes: labels.iter().map(deploy::Label::size_bytes).sum(),
            nothing_to_do: false,
            kept_objects: totals.kept_objects,
            kept_bytes: totals.kept_bytes,
            missing_objects: totals.missing_objects,
            missing_bytes: totals.missing_bytes,
            moved_objects: totals.moved_objects,
            moved_bytes: totals.moved_bytes,
            near_objects: totals.near_objects,
            near_bytes: totals.near_bytes,
            diff_objects: totals.diff_objects,
            diff_bytes: totals.diff_bytes,
            packed_bytes: totals.packed_bytes,
            zero_missing_bytes: totals.zero_missing_bytes,
            nodes: Some(nodes),
            text,
        }
    }

    fn with_nothing_to_do(self, nothing_to_do: bool) -> Self {
        Self { nothing_to_do, ..self }
    }
}

/// What is done with the nodes of a tree.
#[derive(Serialize)]
struct NodesDocument {
    all: u64,
    kept: u64,
    changed: u64,
    new: u64,
    replaced: u64,
    removed: u64,
    left: u64,
    /// What is otherwise than in the label, for want of rights.
    adapted: AdaptedDocument,
    /// The same for people.
    #[serde(skip)]
    lacking: Vec<String>,
}

#[derive(Serialize)]
struct AdaptedDocument {
    owners: u64,
    set_id: u64,
    opened: u64,
    attributes: u64,
    devices: u64,
}

impl NodesDocument {
    fn of(nodes: NodeTotals, adapted: Adapted) -> Self {
        let NodeTotals { all, kept, changed, new, replaced, removed, left } = nodes;
        let lacking = adapted.lacking();
        let Adapted { owners, set_id, opened, attributes, devices } = adapted;
        let adapted = AdaptedDocument { owners, set_id, opened, attributes, devices };
        Self { all, kept, changed, new, replaced, removed, left, adapted, lacking }
    }
}

impl fmt::Display for PlanDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)
    }
}

/// How it is known that a target holds what it should.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// All of it was read back from its disk and hashed.
    ReadBack,
    /// It was right already: read and hashed as the kernel gives it, and not written to.
    Compared,
    /// It is not known.
    None,
}

impl From<ReadBack> for Proof {
    fn from(read_back: ReadBack) -> Self {
        match read_back {
            ReadBack::Yes => Self::ReadBack,
            ReadBack::No => Self::None,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Document {
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
    /// Of the objects, those that came by diffs.
    diff_bytes: u64,
    diff_objects: u64,
    written_bytes: u64,
    zeroed_bytes: u64,
    /// Of trees only.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<NodesDocument>,
    /// Of disks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    boots: Option<BootsDocument>,
    requests: u64,
    retries: u64,
    /// Stores of the chain that did not give what they should have, and why.
    passed_over: Vec<PassedOver>,
    /// Whether all that was written was read back from its disk and hashed.
    read_back: bool,
    #[serde(skip)]
    proof: Proof,
    /// `net`, `decompress`, `hash` or `disk`: what the workers spent most of their time in.
    limit: Option<Limit>,
    /// What the workers together spent in each kind of work.
    busy_seconds: BusyDocument,
    seconds: Stages,
    total_seconds: f64,
}

/// For which firmware a disk has a boot loader.
#[derive(Serialize)]
struct BootsDocument {
    uefi: bool,
    bios: bool,
    /// Why there is none for one kind of firmware, though the label brings one.
    #[serde(skip_serializing_if = "Option::is_none")]
    lacks: Option<String>,
}

#[derive(Serialize)]
struct BusyDocument {
    net: f64,
    decompress: f64,
    hash: f64,
    disk: f64,
}

impl Document {
    /// What was planned, and what was counted.
    pub(super) fn of(
        plan: PlanDocument,
        meter: &Meter,
        proof: impl Into<Proof>,
        stages: Vec<(&'static str, f64)>,
    ) -> Self {
        let done = meter.snapshot();
        let proof = proof.into();
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
            diff_bytes: done.diff_bytes,
            diff_objects: done.diff_objects,
            written_bytes: done.written_bytes,
            zeroed_bytes: done.zeroed_bytes,
            nodes: plan.nodes,
            boots: None,
            requests: done.requests,
            retries: done.retries,
            passed_over: meter.passed_over(),
            read_back: proof == Proof::ReadBack,
            proof,
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

    /// The same of a disk that boots so.
    pub(super) fn that_boots(self, settled: &deploy::install::Settled) -> Self {
        let Boots { uefi, bios } = settled.boots();
        let lacks = settled.lacks().map(str::to_owned);
        Self { boots: Some(BootsDocument { uefi, bios, lacks }), ..self }
    }
}

impl fmt::Display for BootsDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.uefi, self.bios) {
            (true, true) => "by UEFI and by a BIOS",
            (true, false) => "by UEFI",
            (false, true) => "by a BIOS",
            (false, false) => "not by itself",
        })?;
        self.lacks.as_ref().map_or(Ok(()), |why| write!(f, "; {why}"))
    }
}

impl fmt::Display for NodesDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { all, kept, changed, new, replaced, removed, left, .. } = self;
        write!(f, "{all}: {kept} as they were, {changed} with other metadata, {new} new, ")?;
        write!(f, "{replaced} replaced; {removed} unknown removed, {left} left")
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manifest: String = self.manifest.chars().take(12).collect();
        let proven = match self.proof {
            Proof::ReadBack => "read back and proven",
            Proof::Compared => "compared and found right, not read from the disk anew",
            Proof::None => "not read back",
        };
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
        if self.diff_objects > 0 {
            let by_diff = text::count(self.diff_objects, "object");
            writeln!(f, "by diffs  {by_diff}, {}", text::size(self.diff_bytes))?;
        }
        let (written, zeroed) = (text::size(self.written_bytes), text::size(self.zeroed_bytes));
        match &self.nodes {
            None => writeln!(f, "written   {written}, and {zeroed} zeroed")?,
            Some(nodes) => {
                writeln!(f, "written   {written}")?;
                writeln!(f, "nodes     {nodes}")?;
                if let Some(boots) = &self.boots {
                    writeln!(f, "boots     {boots}")?;
                }
                for line in &nodes.lacking {
                    writeln!(f, "rights    {line}")?;
                }
            }
        }
        let stages = self.seconds.0.iter().map(|(stage, seconds)| format!("{stage} {seconds:.2}"));
        let stages: Vec<_> = stages.collect();
        writeln!(f, "took      {:.2} s: {}", self.total_seconds, stages.join(", "))?;
        match self.limit {
            Some(limit) => writeln!(f, "limit     {}", limit.as_str()),
            None => Ok(()),
        }
    }
}
