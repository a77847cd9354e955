//! What the tests share: images with known content, stores in temporary directories, and an
//! independent way back from a store to an image.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(unreachable_pub, clippy::unwrap_used, reason = "only tests are compiled with this")]

pub mod disk;
pub mod oracle;
pub mod server;
pub mod tls;
pub mod torture;
pub mod tree;

use std::path::{Path, PathBuf};
use store::dir::DirStore;
use store::label::LabelName;
use store::manifest::{Entry, Manifest, Part};
use store::manifest_reader::{read_label, read_map, read_root, read_segments};
use store::push::LEVEL_DEFAULT;
pub use store::push::PushImage;
use store::source::{Item, Source, read_all};
use store::{Digest, Hasher};

/// Bytes that look random and are the same every time.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

pub fn label(name: &str) -> LabelName {
    name.parse().unwrap()
}

pub fn request(name: &str, image: &Path) -> PushImage {
    PushImage {
        label: label(name),
        image: image.to_owned(),
        sector_bytes: None,
        boot: None,
        facts: Vec::new(),
        pushed_unix_s: 1_700_000_000,
        force: false,
        level: LEVEL_DEFAULT,
        free: None,
    }
}

/// A store and a place for images beside it; gone when dropped.
pub struct Place {
    pub root: tempfile::TempDir,
    pub store: DirStore,
}

impl Place {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = DirStore::create(root.path().join("store")).unwrap();
        Self { root, store }
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.root.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn item(&self, item: &Item) -> PathBuf {
        self.store.path().join(item.path())
    }
}

/// `bytes` are what `tests/golden/NAME` has.
pub fn golden(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("INAUG_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let expected = std::fs::read(&path).unwrap();
    assert!(expected == bytes, "{name} is not what it was");
}

/// One change to some bytes: a bit flipped, cut at the end, or more at the end.
pub fn changed(bytes: &[u8], at: proptest::sample::Index, how: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = at.index(bytes.len());
    match how {
        0..8 => bytes[at] ^= 1 << how,
        8 => bytes.truncate(at),
        _ => bytes.insert(at, how),
    }
    bytes
}

/// The manifest and its content put together again: the image, then the payloads.
pub fn content(source: &dyn Source, name: &LabelName) -> (Manifest, Vec<u8>, Vec<Vec<u8>>) {
    let record = read_label(source, name).unwrap();
    let (manifest, root_bytes) = read_root(source, &record.manifest).unwrap();
    let map = read_map(source, &record.manifest, &manifest).unwrap();
    let (mut image, mut payloads) = (Vec::new(), Vec::new());
    let segments =
        read_segments::<store::manifest::Segment>(source, &manifest, root_bytes, &record.manifest);
    for ((segment, section), of) in segments.zip(&map.sections).zip(&manifest.segments) {
        let mut bytes = Vec::new();
        let mut places = section.places.iter();
        for entry in segment.unwrap().entries {
            match entry {
                Entry::Zero { length } => bytes.resize(bytes.len() + length as usize, 0),
                Entry::Data { digest, length } => {
                    let place = places.next().unwrap();
                    let frame = &section.frames[place.frame as usize];
                    let pack = Item::Pack(map.packs[frame.pack as usize].digest);
                    let end = frame.offset_bytes + u64::from(frame.packed_bytes);
                    let mut body = source.open(&pack, Some(frame.offset_bytes..end)).unwrap();
                    let mut packed = Vec::new();
                    std::io::Read::read_to_end(&mut body.reader, &mut packed).unwrap();
                    let raw = zstd::bulk::decompress(&packed, frame.raw_bytes as usize).unwrap();
                    assert_eq!(raw.len(), frame.raw_bytes as usize);
                    let object = &raw[place.offset_bytes as usize..][..length as usize];
                    assert_eq!(Digest::of(object), digest);
                    bytes.extend_from_slice(object);
                }
            }
        }
        assert_eq!(places.next(), None);
        match of.part {
            Part::Content => image.extend(bytes),
            Part::Payload => payloads.push(bytes),
        }
    }
    (manifest, image, payloads)
}

/// Every file of a store with the digest of its bytes, without the lock.
pub fn files(store: &DirStore) -> Vec<(PathBuf, Digest)> {
    let mut files = Vec::new();
    let mut directories = vec![store.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if !path.ends_with("lock") {
                let mut hasher = Hasher::new();
                hasher.update(&std::fs::read(&path).unwrap());
                files.push((path, hasher.finish()));
            }
        }
    }
    files.sort();
    files
}

/// Reads the advisory list.
pub fn listed(source: &dyn Source) -> Vec<(LabelName, Digest)> {
    let max = store::label_list::LABEL_LIST_MAX_BYTES;
    store::label_list::decode(&read_all(source, &Item::LabelList, max).unwrap()).unwrap()
}
