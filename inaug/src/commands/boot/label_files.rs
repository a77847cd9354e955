//! A few files of a label that is a tree, taken out of the store.

use crate::commands::read::{AnySegment, Label};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use store::manifest::Entry;
use store::manifest_reader::ReadError;
use store::pick::{Picked, pick};
use store::source::Source;
use store::tree::{NodeEntry, NodeKind};
use store::{Digest, TakeError};

/// Regular files of a tree by path: what they are made of, and where that is.
#[derive(Default)]
pub(super) struct LabelFiles(BTreeMap<Vec<u8>, Content>);

#[derive(Default)]
struct Content {
    size_bytes: u64,
    /// Where in the file an object is, bytes. Between them are zeroes.
    objects: Vec<(u64, Digest, Option<Picked>)>,
}

/// A file could not be taken out of a label.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilesError {
    /// The store.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// The copy on this host.
    #[error("{}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    /// The label does not have it.
    #[error("the label has no file /{path}")]
    Missing { path: String },
}

impl LabelFiles {
    /// Those files of the label for whose paths `wanted` is true.
    pub(super) fn of(
        source: &dyn Source,
        label: &Label,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Self, ReadError> {
        let mut files = Self::default();
        for (index, segment) in label.segments(source).enumerate() {
            let AnySegment::Tree(segment) = segment? else { continue };
            let mut number = 0;
            for entry in &segment.nodes {
                if wanted(&entry.node.path) {
                    files.add(label, index, number, entry);
                }
                number += entry.pieces.iter().filter(|piece| piece.object().is_some()).count();
            }
        }
        Ok(files)
    }

    /// Adds what segment `index` has of a file, whose first object there is number `number`.
    fn add(&mut self, label: &Label, index: usize, mut number: usize, entry: &NodeEntry) {
        let NodeKind::File { size_bytes } = entry.node.kind else { return };
        let content = self.0.entry(entry.node.path.clone()).or_default();
        content.size_bytes = size_bytes;
        let mut at = entry.start_bytes;
        for piece in &entry.pieces {
            if let Entry::Data { digest, length } = piece {
                let picked = Picked::of(&label.map, index, number, (*digest, *length));
                content.objects.push((at, *digest, picked));
                number += 1;
            }
            at += piece.length();
        }
    }

    /// The paths, sorted.
    pub(super) fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.0.keys().map(Vec::as_slice)
    }

    /// Copies files, each from its path to a place on this host, whose directories are made.
    pub(super) fn copy(
        &self,
        source: &dyn Source,
        files: &[(Vec<u8>, PathBuf)],
    ) -> Result<(), FilesError> {
        let mut places: HashMap<Digest, Vec<(&Path, u64)>> = HashMap::new();
        let mut objects = Vec::new();
        for (path, to) in files {
            let missing = || FilesError::Missing { path: crate::text::path(path) };
            let content = self.0.get(path).ok_or_else(missing)?;
            make(to, content.size_bytes).map_err(failed(to))?;
            for (at, digest, picked) in &content.objects {
                let picked = picked.ok_or(TakeError::Nowhere { object: *digest })?;
                let of_digest = places.entry(*digest).or_default();
                if of_digest.is_empty() {
                    objects.push(picked);
                }
                of_digest.push((to, *at));
            }
        }
        pick(source, &objects, &mut |digest, bytes| {
            for (to, at) in places.get(digest).into_iter().flatten() {
                let file = File::options().write(true).open(to);
                file.and_then(|file| file.write_all_at(bytes, *at)).map_err(failed(to))?;
            }
            Ok(())
        })
    }
}

fn make(path: &Path, size_bytes: u64) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    File::create(path)?.set_len(size_bytes)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FilesError {
    let path = path.to_owned();
    |source| FilesError::Write { path, source }
}
