//! `inaug rename`: another name for a label.

use super::open_dir;
use crate::args::RenameArgs;
use crate::output::Output;
use serde::Serialize;
use std::fmt;
use store::dir::LabelChange;

/// Gives the label its new name.
pub(crate) fn run(args: &RenameArgs, output: &Output) -> anyhow::Result<()> {
    let store = open_dir(&args.store.store, "rename")?;
    let change = store.rename_label(&args.old, &args.new, args.force)?;
    let replaced = match change {
        LabelChange::Replaced(old) => Some(old.to_string()),
        _ => None,
    };
    let document = Document {
        schema: "inaug/rename/1",
        old: args.old.to_string(),
        new: args.new.to_string(),
        store: args.store.store.clone(),
        replaced,
    };
    Ok(output.answer(&document)?)
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    old: String,
    new: String,
    store: String,
    /// The manifest that the new name named before, if it was another's.
    replaced: Option<String>,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "renamed {} to {} in {}", self.old, self.new, self.store)?;
        match &self.replaced {
            Some(old) => writeln!(f, "{} was {} before", self.new, &old[..12]),
            None => Ok(()),
        }
    }
}
