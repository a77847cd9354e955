//! What is pushed: contents that share parts, prepared once; and what labels may be.

use crate::common::noise;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use store::Digest;
use store::dir::DirStore;
use store::label::LabelName;
use store::push::{LEVEL_DEFAULT, PushImage, PushTree, TreeInput, push_image, push_tree};
use store::tree::walk::Mounts;

/// Contents; every other one is a tree.
pub const CONTENTS: u64 = 8;

/// Parts of a content, of so many there are, each of so many bytes.
const PARTS: u64 = 5;
const ALL_PARTS: u64 = 14;
const PART_BYTES: usize = 70_000;

/// Where everything is.
pub struct World {
    pub root: PathBuf,
}

impl World {
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Writes the contents; returns the digests of their manifests.
    pub fn prepare(&self) -> Vec<Digest> {
        let scratch = DirStore::create(self.root.join("scratch")).unwrap();
        let mut digests = Vec::new();
        for content in 0..CONTENTS {
            let parts = (0..PARTS).map(|part| (content * 3 + part * 5) % ALL_PARTS);
            let parts = parts.map(|part| noise(PART_BYTES, part + 1));
            if content % 2 == 0 {
                fs::write(self.path(content), parts.collect::<Vec<_>>().concat()).unwrap();
            } else {
                fs::create_dir(self.path(content)).unwrap();
                for (number, part) in parts.enumerate() {
                    fs::write(self.path(content).join(number.to_string()), part).unwrap();
                }
            }
            let name = format!("content/{content}").parse().unwrap();
            self.push(&scratch, &name, content).unwrap();
            digests.push(scratch.read_record(&name).unwrap().manifest);
        }
        digests
    }

    fn path(&self, content: u64) -> PathBuf {
        self.root.join(format!("content{content}"))
    }

    pub fn store(&self) -> DirStore {
        DirStore::create(self.root.join("store")).unwrap()
    }

    /// Another store, to copy to and from.
    pub fn second(&self) -> DirStore {
        DirStore::create(self.root.join("second")).unwrap()
    }

    /// Lets `label` be `content`.
    pub fn push(&self, store: &DirStore, label: &LabelName, content: u64) -> Result<(), String> {
        let facts = vec![("content".to_owned(), content.to_string())];
        let (label, pushed_unix_s) = (label.clone(), 1_700_000_000);
        let pushed = if content.is_multiple_of(2) {
            let image = self.path(content);
            let (sector_bytes, boot, free) = (None, None, None);
            let (force, level) = (true, LEVEL_DEFAULT);
            let push = PushImage {
                label,
                image,
                sector_bytes,
                boot,
                facts,
                pushed_unix_s,
                force,
                level,
                free,
            };
            push_image(store, &push, &())
        } else {
            let path = self.path(content);
            let input = TreeInput::Directory { path, mounts: Mounts::Refuse, allow_changed: false };
            let (force, level) = (true, LEVEL_DEFAULT);
            let push = PushTree { label, input, boot: None, facts, pushed_unix_s, force, level };
            push_tree(store, &push, &())
        };
        pushed.map(drop).map_err(|error| format!("push: {error}"))
    }
}

/// What a label may be: contents, or (`None`) not there.
pub type States = BTreeMap<LabelName, BTreeSet<Option<u64>>>;

/// Notes that `label` is going to be `state`, and may be it already.
pub fn begin(states: &mut States, label: &LabelName, state: Option<u64>) {
    states.entry(label.clone()).or_insert_with(|| BTreeSet::from([None])).insert(state);
}

/// Notes that `label` is `state`.
pub fn end(states: &mut States, label: &LabelName, state: Option<u64>) {
    states.insert(label.clone(), BTreeSet::from([state]));
}
