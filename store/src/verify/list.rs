//! The list of labels: advice, but the one trace of a record that is lost.

use super::{Damage, Report, chain};
use crate::dir::DirStore;
use crate::dir::lock::lock;
use crate::label::LabelName;
use crate::label_list::{LABEL_LIST_MAX_BYTES, decode};
use crate::source::{Item, read_all};

/// Notes labels that are listed and have no record.
pub(super) fn check(store: &DirStore, report: &mut Report) {
    let Some(listed) = read(store, report) else { return };
    let lost = |name: &LabelName| !store.path().join(Item::Label(name.clone()).path()).exists();
    if !listed.iter().any(lost) {
        return;
    }
    // Nothing is pushed or removed while this is held, so list and records agree. Where nobody
    // can write, the lock cannot be taken, and what was seen holds.
    let _lock = lock(&store.lock_path()).ok();
    let Some(listed) = read(store, report) else { return };
    for name in listed.into_iter().filter(lost) {
        report.damages.push(Damage {
            object: Item::Label(name.clone()).to_string(),
            expected: "a record, as the list of labels says".into(),
            found: "none".into(),
            labels: vec![name],
        });
    }
}

fn read(store: &DirStore, report: &mut Report) -> Option<Vec<LabelName>> {
    let failed = |found: String| Damage {
        object: Item::LabelList.to_string(),
        expected: "lines of NAME DIGEST".into(),
        found,
        labels: Vec::new(),
    };
    let list = read_all(store, &Item::LabelList, LABEL_LIST_MAX_BYTES)
        .map_err(|error| failed(chain(&error)))
        .and_then(|bytes| decode(&bytes).map_err(|error| failed(chain(&error))));
    match list {
        Ok(list) => Some(list.into_iter().map(|(name, _)| name).collect()),
        Err(damage) => {
            report.damages.push(damage);
            None
        }
    }
}
