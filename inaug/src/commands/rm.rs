//! `inaug rm`: removes a label.

use super::open_dir;
use crate::args::RmArgs;
use crate::output::Output;
use serde::Serialize;
use std::fmt;

/// Removes the label; its bytes stay in the packs until they are collected.
pub(crate) fn run(args: &RmArgs, output: &Output) -> anyhow::Result<()> {
    let store = open_dir(&args.store.store, "rm")?;
    store.remove_label(&args.label)?;
    let document = Document {
        schema: "inaug/rm/1",
        label: args.label.to_string(),
        store: args.store.store.clone(),
    };
    Ok(output.answer(&document)?)
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    label: String,
    store: String,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "removed {} from {}; its bytes stay in the packs until gc",
            self.label, self.store
        )
    }
}
