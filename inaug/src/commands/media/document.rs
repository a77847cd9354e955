//! What `inaug media` answers.

use crate::args::MediaArgs;
use crate::text;
use media::boot::Boot;
use media::refresh::Refreshed;
use media::stick::Made;
use serde::Serialize;
use std::fmt;

/// What was made, or brought to other labels.
#[derive(Serialize)]
pub(super) struct Document {
    schema: &'static str,
    file: String,
    /// What `inaugurator.store=medium=ID` takes.
    id: String,
    size_bytes: u64,
    /// What the store takes; absent where it was there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    store_bytes: Option<u64>,
    /// What was written of what machines boot.
    boot_bytes: u64,
    cmdline: String,
    labels: Vec<Row>,
    /// Labels that were removed, and what was deleted with them.
    removed: Vec<String>,
    removed_bytes: u64,
    /// What did not go as it should, and stopped nothing.
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    label: String,
    manifest: String,
    sent_objects: u64,
    sent_bytes: u64,
    sent_packed_bytes: u64,
}

impl Document {
    pub(super) fn made(args: &MediaArgs, boot: &Boot, made: Made) -> Self {
        Self {
            schema: "inaug/media/1",
            file: args.output.display().to_string(),
            id: made.id,
            size_bytes: made.size_bytes,
            store_bytes: Some(made.store_bytes),
            boot_bytes: made.boot_bytes,
            cmdline: boot.cmdline.clone(),
            labels: made.labels.iter().map(Row::of).collect(),
            removed: Vec::new(),
            removed_bytes: 0,
            warnings: made.warnings,
        }
    }

    /// What a person has to know beside the answer.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(super) fn refreshed(args: &MediaArgs, boot: &Boot, refreshed: Refreshed) -> Self {
        Self {
            schema: "inaug/media/1",
            file: args.output.display().to_string(),
            id: refreshed.id,
            size_bytes: refreshed.size_bytes,
            store_bytes: None,
            boot_bytes: refreshed.boot_bytes,
            cmdline: boot.cmdline.clone(),
            labels: refreshed.labels.iter().map(Row::of).collect(),
            removed: refreshed.removed.iter().map(ToString::to_string).collect(),
            removed_bytes: refreshed.removed_bytes,
            warnings: refreshed.warnings,
        }
    }
}

impl Row {
    fn of(copied: &media::Copied) -> Self {
        Self {
            label: copied.record.name.to_string(),
            manifest: copied.record.manifest.to_string(),
            sent_objects: copied.objects_sent,
            sent_bytes: copied.sent_raw_bytes,
            sent_packed_bytes: copied.sent_packed_bytes,
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, boot) = (text::size(self.size_bytes), text::size(self.boot_bytes));
        match self.store_bytes.map(text::size) {
            Some(store) => {
                writeln!(f, "wrote     {}: {size}, store {store}, boot files {boot}", self.file)?;
            }
            None => writeln!(f, "refreshed {}: {boot} written of what it boots", self.file)?,
        }
        writeln!(f, "medium    {}", self.id)?;
        for row in &self.labels {
            let (bytes, packed) = (text::size(row.sent_bytes), text::size(row.sent_packed_bytes));
            writeln!(f, "label     {}: {bytes}, packed {packed}", row.label)?;
        }
        if !self.removed.is_empty() || self.removed_bytes > 0 {
            let (labels, bytes) = (self.removed.join(" "), text::size(self.removed_bytes));
            writeln!(f, "removed   {labels}: {bytes} that no label needs any more")?;
        }
        writeln!(f, "boots     {}", self.cmdline)
    }
}
