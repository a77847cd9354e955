//! What a push did, as a document.

use super::diffs::DiffsDocument;
use crate::commands::Stages;
use crate::text;
use serde::Serialize;
use std::fmt;
use store::dir::LabelChange;
use store::label::LabelName;
use store::push::{BootInput, Noted, PushReport, TreeNote};

/// What is worth knowing of a node.
#[derive(Serialize)]
struct NoteDocument {
    path: String,
    /// `socket`, `mounted`, `reserved`, `changed` or `implied`.
    note: &'static str,
    #[serde(skip)]
    sentence: &'static str,
}

impl NoteDocument {
    fn of(note: &TreeNote) -> Self {
        let (word, sentence) = match note.what {
            Noted::Socket => ("socket", "a socket, left out"),
            Noted::Mounted => ("mounted", "what is mounted there is left out"),
            Noted::Reserved => ("reserved", "left out: the name is reserved for deploying"),
            Noted::Changed => ("changed", "changed while it was read: taken as it was met"),
            Noted::Implied => ("implied", "not in the archive: made as root's, of mode 755"),
        };
        Self { path: text::path(&note.path), note: word, sentence }
    }
}

/// What `push` answers.
#[derive(Serialize)]
pub(super) struct Document {
    schema: &'static str,
    label: String,
    store: String,
    manifest: String,
    /// `new`, `same`, `facts` or `replaced`: what became of the label.
    change: &'static str,
    /// The manifest that the label named before, if it was replaced.
    replaced: Option<String>,
    /// `image` or `tree`.
    kind: &'static str,
    /// Length of the image, or of all files of the tree together.
    size_bytes: u64,
    /// The same: the field's first name.
    image_bytes: u64,
    /// Of a tree, its nodes.
    nodes: Option<u64>,
    /// Of a tree, what is worth knowing of nodes, in its order.
    notes: Vec<NoteDocument>,
    /// How many notes more there were.
    more_notes: u64,
    zero_bytes: u64,
    /// Free space of file systems, taken for zeroes whatever stands there: with any, the label is
    /// not bit-identical to the image file.
    trimmed_bytes: u64,
    objects: u64,
    new_objects: u64,
    new_bytes: u64,
    new_packed_bytes: u64,
    reused_bytes: u64,
    /// Against each base, in the order given.
    diffs: Vec<DiffsDocument>,
    packs: Vec<String>,
    /// Packs whose index could not be read; what they held was stored again.
    damaged_packs: Vec<String>,
    /// Why the store's index could not be brought up to date: the next push takes longer to
    /// begin, and nothing else is wrong.
    index_failure: Option<String>,
    /// Files of pushes that were cut, removed.
    cleaned_files: usize,
    boot_source: Option<String>,
    /// Stages overlap; those that several threads do add up over the threads.
    seconds: Stages,
    total_seconds: f64,
}

impl Document {
    /// Of a push of `label` to `store`.
    pub(super) fn of(
        label: &LabelName,
        store: &str,
        boot: Option<&BootInput>,
        report: &PushReport,
        diffs: Vec<DiffsDocument>,
    ) -> Self {
        let (change, replaced) = match report.label {
            LabelChange::New => ("new", None),
            LabelChange::Same => ("same", None),
            LabelChange::Facts => ("facts", None),
            LabelChange::Replaced(old) => ("replaced", Some(old.to_string())),
        };
        let seconds = &report.seconds;
        let notes = report.tree.as_ref().map_or(&[][..], |tree| &tree.notes);
        Self {
            schema: "inaug/push/1",
            label: label.to_string(),
            store: store.to_owned(),
            manifest: report.manifest.to_string(),
            change,
            replaced,
            kind: if report.tree.is_some() { "tree" } else { "image" },
            size_bytes: report.size_bytes,
            image_bytes: report.size_bytes,
            nodes: report.tree.as_ref().map(|tree| tree.nodes),
            notes: notes.iter().map(NoteDocument::of).collect(),
            more_notes: report.tree.as_ref().map_or(0, |tree| tree.more_notes),
            zero_bytes: report.zero_bytes,
            trimmed_bytes: report.trimmed_bytes,
            objects: report.objects,
            new_objects: report.objects_new,
            new_bytes: report.new_raw_bytes,
            new_packed_bytes: report.new_packed_bytes,
            reused_bytes: report.reused_bytes,
            diffs,
            packs: report.packs.iter().map(|pack| pack.digest.to_string()).collect(),
            damaged_packs: report.damaged_packs.iter().map(ToString::to_string).collect(),
            index_failure: report.index_failure.clone(),
            cleaned_files: report.cleaned_files,
            boot_source: boot.map(|boot| boot.source.clone()),
            seconds: Stages(vec![
                ("index", seconds.index),
                ("read", seconds.read),
                ("hash", seconds.hash),
                ("compress", seconds.compress),
                ("write", seconds.write),
                ("publish", seconds.publish),
            ]),
            total_seconds: seconds.total,
        }
    }

    fn change_sentence(&self) -> String {
        match (self.change, &self.replaced) {
            ("new", _) => "is new".to_owned(),
            ("same", _) => "is the same as before".to_owned(),
            ("facts", _) => "has new facts, and the same content".to_owned(),
            (_, Some(old)) => format!("was {} before", &old[..12]),
            (other, None) => other.to_owned(),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pushed    {}, which {}", self.label, self.change_sentence())?;
        writeln!(f, "manifest  {}", self.manifest)?;
        let (size, zero) = (text::size(self.size_bytes), text::size(self.zero_bytes));
        match self.nodes {
            None => writeln!(f, "image     {size}, of that {zero} zeroes")?,
            Some(nodes) => {
                let nodes = text::count(nodes, "node");
                writeln!(f, "tree      {nodes}, files of {size}, of that {zero} zeroes")?;
            }
        }
        for note in &self.notes {
            writeln!(f, "note      {}: {}", note.path, note.sentence)?;
        }
        if self.more_notes > 0 {
            writeln!(f, "note      and {} more like these", self.more_notes)?;
        }
        if self.trimmed_bytes > 0 {
            let trimmed = text::size(self.trimmed_bytes);
            writeln!(
                f,
                "trimmed   {trimmed} of free space: the label is not bit by bit the image file"
            )?;
        }
        let (new, packed) = (text::size(self.new_bytes), text::size(self.new_packed_bytes));
        let objects = text::count(self.new_objects, "object");
        writeln!(f, "stored    {objects} of {new}, packed {packed}")?;
        writeln!(f, "reused    {}", text::size(self.reused_bytes))?;
        for diffs in &self.diffs {
            writeln!(f, "diffs     {diffs}")?;
        }
        if !self.damaged_packs.is_empty() {
            let packs = self.damaged_packs.join(" ");
            writeln!(f, "damaged   {packs}: what was in them was stored again")?;
        }
        if let Some(failure) = &self.index_failure {
            writeln!(
                f,
                "index     not brought up to date, the next push starts slower: {failure}"
            )?;
        }
        if self.cleaned_files > 0 {
            let files = text::count(self.cleaned_files as u64, "file");
            writeln!(f, "cleaned   {files} of pushes that were cut")?;
        }
        let unknown = match self.nodes {
            Some(_) => "no kernel is known",
            None => "by its own boot loader: no kernel is known",
        };
        writeln!(f, "boot      {}", self.boot_source.as_deref().unwrap_or(unknown))?;
        writeln!(f, "took      {:.1} s", self.total_seconds)
    }
}
