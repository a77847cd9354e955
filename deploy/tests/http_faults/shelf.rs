//! What all rows share: two labels that replace each other, and where the frames of the
//! first one's pack lie.

use crate::common::{Shop, image_of};
use std::fs;
use std::path::{Path, PathBuf};
use store::pack::{Frame, Index, TAIL_BYTES};

/// The label that every row deploys.
pub(crate) const LABEL: &str = "fault/table";

/// Blocks in a run of [`image_of`]: the images have some MiB, so that their packs take
/// more than one request, and the second of them starts beyond the first MiB.
const RUN_BLOCKS: usize = 100;

/// A store and the image that its label is.
pub(crate) struct Store {
    shop: Shop,
    pub(crate) image: Vec<u8>,
}

/// Two stores with the same label.
pub(crate) struct Shelf {
    pub(crate) one: Store,
    /// The label was pushed anew, and what only the old one needed is gone.
    pub(crate) two: Store,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        let one = [1, 2, 3, 0, 4, 5, 6, 7, 8, 9, 0, 10, 11, 12, 13, 14];
        Self { one: Store::new(&one), two: Store::new(&[21, 22, 0, 23]) }
    }
}

impl Store {
    fn new(seeds: &[u8]) -> Self {
        let (shop, image) = (Shop::new(), image_of(seeds, RUN_BLOCKS));
        shop.push(LABEL, &image);
        Self { shop, image }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.shop.path("store")
    }

    /// A copy that may be spoilt.
    pub(crate) fn copy(&self, to: &Path) -> Copy {
        for directory in ["labels", "manifests", "maps", "packs"] {
            fs::create_dir_all(to.join(directory)).unwrap();
            for file in fs::read_dir(self.path().join(directory)).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), to.join(directory).join(file.file_name())).unwrap();
            }
        }
        Copy { root: to.to_owned() }
    }

    pub(crate) fn as_copy(&self) -> Copy {
        Copy { root: self.path() }
    }
}

/// The files of a store with one label and one pack.
pub(crate) struct Copy {
    root: PathBuf,
}

impl Copy {
    /// The only file of `directory`.
    pub(crate) fn file(&self, directory: &str) -> PathBuf {
        let mut files = fs::read_dir(self.root.join(directory)).unwrap();
        let only = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none(), "one file in {directory}");
        only
    }

    pub(crate) fn change(&self, directory: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.file(directory);
        let mut bytes = fs::read(&file).unwrap();
        change(&mut bytes);
        fs::write(&file, bytes).unwrap();
    }

    /// The frames of the pack.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        let bytes = fs::read(self.file("packs")).unwrap();
        let tail = &bytes[bytes.len() - TAIL_BYTES..];
        let (at, length) = Index::locate(tail, bytes.len() as u64).unwrap();
        let body = &bytes[at as usize..][..length as usize];
        Index::decode(body, at, tail).unwrap().frames
    }
}
