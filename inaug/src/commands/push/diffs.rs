//! Diffs of what was pushed against labels of the store.

use super::super::open::directory;
use anyhow::Context;
use serde::Serialize;
use std::path::Path;
use store::Digest;
use store::diffs::{Made, make_diffs};
use store::dir::DirStore;
use store::label::LabelName;
use store::manifest_reader::read_label;

/// Diffs against one label.
#[derive(Serialize)]
pub(super) struct DiffsDocument {
    base: String,
    diffs: u64,
    /// Bytes of the objects that they bring.
    target_bytes: u64,
    packed_bytes: u64,
    /// Bytes of the label's whole list of diffs.
    list_bytes: u64,
}

/// The manifests that `names` name: said before anything is pushed.
pub(super) fn bases(store: &str, names: &[LabelName]) -> anyhow::Result<Vec<(String, Digest)>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let store = DirStore::open(directory(store, "push")?)?;
    let base = |name: &LabelName| {
        let record = read_label(&store, name);
        let record = record.with_context(|| format!("cannot read the base {name}"))?;
        Ok((name.to_string(), record.manifest))
    };
    names.iter().map(base).collect()
}

/// Makes the diffs of `manifest` against `bases`, which the store has.
pub(super) fn make(
    store: &str,
    manifest: &Digest,
    bases: &[(String, Digest)],
) -> anyhow::Result<Vec<DiffsDocument>> {
    let mut all = Vec::new();
    for (name, base) in bases.iter().filter(|(_, base)| base != manifest) {
        let store = DirStore::open(Path::new(store))?;
        let made = make_diffs(&store, manifest, base);
        let made = made.with_context(|| {
            format!("the label is pushed, but there are no diffs against {name}")
        })?;
        let Made { diffs, target_bytes, packed_bytes, list_bytes } = made;
        let base = name.clone();
        all.push(DiffsDocument { base, diffs, target_bytes, packed_bytes, list_bytes });
    }
    Ok(all)
}

impl std::fmt::Display for DiffsDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use crate::text::{count, size};
        let (diffs, target) = (count(self.diffs, "diff"), size(self.target_bytes));
        let packed = size(self.packed_bytes);
        write!(f, "{diffs} against {}: {packed} for {target} of objects", self.base)
    }
}
