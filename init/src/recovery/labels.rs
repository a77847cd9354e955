//! `labels`: the labels of the store, with search.

use std::collections::BTreeSet;
use std::sync::Arc;

use store::label::{LabelName, LabelRecord};
use store::label_list::{decode, matches};
use store::manifest_reader::read_label;
use store::source::{Item, Source, read_all};

use super::pages::{Below, Ended, Listing};
use super::screen::{PAGE_ROWS, column};
use super::{Halt, Session};
use crate::boot::{At, Stage, open_all};
use crate::report::{causes, date};
use crate::stop::Stop;
use deploy::plan::human;

/// A longer list is not looked at: on a machine of 256 MiB, for some 40,000 labels.
const LIST_MAX_BYTES: u64 = 4 << 20;

/// Records of a page, which are asked for one by one.
const PER_PAGE: usize = PAGE_ROWS - 1;

/// Above the columns.
const HEAD: &str = "    # label                                      kind   size       pushed";

impl Session<'_> {
    pub(super) fn labels(&mut self, search: &str) -> Result<(), Halt> {
        let settings = self.with_store()?;
        self.reach(&settings, None)?;
        let chain = open_all(self.machine, &settings).at(Stage::Label)?;
        let asked = chain.clone();
        let (all, wrong) = self.ask_store(move |stop| list(&stopped(&asked, stop)))?;
        for why in &wrong {
            self.show(&format!("{why}\n"));
        }
        if all.is_empty() {
            if wrong.is_empty() {
                self.show("the store has no labels\n");
            }
            return Ok(());
        }
        let mut search = search.to_string();
        loop {
            self.listed = all.iter().filter(|name| is_found(&search, name)).cloned().collect();
            if self.listed.is_empty() {
                self.show(&format!("no label of the store has {search:?} in its name\n"));
                return Ok(());
            }
            let title =
                if search.is_empty() { "labels".into() } else { format!("labels: {search}") };
            let listed = &self.listed;
            let (title, count) = (title.as_str(), listed.len());
            let listing = Listing { title, count, per_page: PER_PAGE, below: Below::Search };
            let ended = self.pages(&listing, |range| {
                let first = range.start;
                let (names, asked) = (listed[range].to_vec(), chain.clone());
                let records = self.ask_store(move |stop| {
                    let chain = stopped(&asked, stop);
                    names.into_iter().map(|name| (record(&chain, &name), name)).collect::<Vec<_>>()
                })?;
                let shown = records.iter().enumerate();
                let rows = shown
                    .map(|(index, (record, name))| row(first + index + 1, name, record.as_ref()));
                Ok([HEAD.to_string()].into_iter().chain(rows).collect())
            })?;
            match ended {
                Ended::Search(text) => search = text,
                Ended::Over | Ended::Choice(_) => return Ok(()),
            }
        }
    }

    /// The label that a person means: its name, or its number in the last list.
    pub(super) fn label_of(&self, typed: &str) -> String {
        let number = typed.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let listed = number.and_then(|index| self.listed.get(index));
        let is_name = self.listed.iter().any(|name| name.as_str() == typed);
        listed.filter(|_| !is_name).map_or(typed.to_string(), ToString::to_string)
    }
}

/// The stores, which are asked nothing more when it was said.
fn stopped(chain: &[Arc<dyn Source>], stop: &Stop) -> Vec<Arc<dyn Source>> {
    chain.iter().map(|store| stop.in_front_of(Arc::clone(store))).collect()
}

/// The names of all stores together, and why some store does not say.
fn list(chain: &[Arc<dyn Source>]) -> (Vec<LabelName>, Vec<String>) {
    let (mut names, mut wrong) = (BTreeSet::new(), Vec::new());
    for source in chain {
        let listed = read_all(&**source, &Item::LabelList, LIST_MAX_BYTES);
        let decoded = listed
            .map_err(|error| causes(&error).join(": "))
            .and_then(|bytes| decode(&bytes).map_err(|error| error.to_string()));
        match decoded {
            Ok(labels) => names.extend(labels.into_iter().map(|(name, _)| name)),
            Err(why) => wrong.push(why),
        }
    }
    (names.into_iter().collect(), wrong)
}

fn is_found(search: &str, name: &LabelName) -> bool {
    if search.contains(['*', '?']) {
        matches(search, name.as_str())
    } else {
        name.as_str().contains(search)
    }
}

/// What the first store that has it says of a label.
fn record(chain: &[Arc<dyn Source>], name: &LabelName) -> Option<LabelRecord> {
    chain.iter().find_map(|source| read_label(&**source, name).ok())
}

fn row(number: usize, name: &LabelName, record: Option<&LabelRecord>) -> String {
    let name = column(name.as_str(), 42);
    let Some(record) = record else { return format!("{number:5} {name} cannot be read") };
    let (kind, size) = (column(&record.kind, 6), human(record.size_bytes));
    let pushed: String = date::utc(record.pushed_unix_s).chars().take(10).collect();
    format!("{number:5} {name} {kind} {size:10} {pushed}")
}

#[cfg(test)]
mod tests {
    use store::Digest;

    use super::super::screen::{fits, titled};
    use super::*;

    #[test]
    fn labels_in_columns() {
        let record = |name: &str, kind: &str, size_bytes| LabelRecord {
            name: name.parse().unwrap(),
            manifest: Digest::of(b""),
            kind: kind.into(),
            size_bytes,
            pushed_unix_s: 1_795_304_459,
            facts: Vec::new(),
        };
        let (small, long) =
            (record("debian/12/demo", "tree", 640 << 20), "a-long-part/".repeat(9) + "end");
        let long = record(&long, "something", u64::MAX);
        let rows = [
            HEAD.to_string(),
            row(1, &small.name, Some(&small)),
            row(2, &small.name, None),
            row(40_000, &long.name, Some(&long)),
        ];
        let screen = titled("labels", rows);
        assert!(fits(&screen), "{screen}");
        let expected = "\
== labels =====================================================================
    # label                                      kind   size       pushed
    1 debian/12/demo                             tree   640.0 MiB  2026-11-21
    2 debian/12/demo                             cannot be read
40000 a-long-part/a-long-part/a-long-part/a-lon> somet> 16.0 EiB   2026-11-21
";
        assert_eq!(screen, expected);
    }

    #[test]
    fn searched_by_a_part_or_a_pattern() {
        let name: LabelName = "debian/12/demo".parse().unwrap();
        for (search, expected) in [
            ("", true),
            ("12", true),
            ("demo", true),
            ("debian/*", true),
            ("*/12", false),
            ("13", false),
        ] {
            assert_eq!(is_found(search, &name), expected, "{search}");
        }
    }
}
