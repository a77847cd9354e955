//! Trees read back from a store, with nothing but the formats.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use store::Digest;
use store::label::LabelName;
use store::manifest::{Entry, Kind, Manifest, Part};
use store::manifest_reader::{read_label, read_map, read_root, read_segments};
use store::push::{LEVEL_DEFAULT, PushTree, TreeInput};
use store::source::{Item, Source};
use store::tree::walk::Mounts;
use store::tree::{Continuity, Node, TreeSegment};

/// A push of the directory `path` with nothing allowed.
pub fn request(name: &str, path: &Path) -> PushTree {
    let input =
        TreeInput::Directory { path: path.into(), mounts: Mounts::Refuse, allow_changed: false };
    PushTree {
        label: name.parse().unwrap(),
        input,
        boot: None,
        facts: Vec::new(),
        pushed_unix_s: 1_700_000_000,
        force: false,
        level: LEVEL_DEFAULT,
    }
}

/// A node with the pieces of all segments together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    pub node: Node,
    pub pieces: Vec<Entry>,
}

/// What a label says, checked for continuity, and its objects.
pub struct ReadTree {
    pub manifest: Manifest,
    pub nodes: Vec<Whole>,
    pub segments: Vec<TreeSegment>,
    pub objects: HashMap<Digest, Vec<u8>>,
}

pub fn read(source: &dyn Source, name: &LabelName) -> ReadTree {
    let record = read_label(source, name).unwrap();
    assert_eq!(record.kind, "tree");
    let (manifest, root_bytes) = read_root(source, &record.manifest).unwrap();
    let map = read_map(source, &record.manifest, &manifest).unwrap();
    let of_tree = manifest.segments.iter().filter(|s| s.part == Part::Content).count();
    let mut read = ReadTree {
        manifest: manifest.clone(),
        nodes: Vec::new(),
        segments: Vec::new(),
        objects: HashMap::new(),
    };
    let mut continuity = Continuity::default();
    let segments = read_segments::<TreeSegment>(source, &manifest, root_bytes, &record.manifest);
    for (segment, section) in segments.take(of_tree).zip(&map.sections) {
        let segment = segment.unwrap();
        continuity.follow(&segment).unwrap();
        for entry in &segment.nodes {
            match read.nodes.last_mut() {
                Some(last) if entry.start_bytes > 0 => last.pieces.extend(&entry.pieces),
                _ => {
                    let (node, pieces) = (entry.node.clone(), entry.pieces.clone());
                    read.nodes.push(Whole { node, pieces });
                }
            }
        }
        let mut frames = HashMap::new();
        let pieces = segment.nodes.iter().flat_map(|entry| &entry.pieces);
        let objects: Vec<_> = pieces.filter_map(Entry::object).collect();
        assert_eq!(objects.len(), section.places.len());
        for ((digest, length), place) in objects.into_iter().zip(&section.places) {
            let raw = frames.entry(place.frame).or_insert_with(|| {
                let frame = &section.frames[place.frame as usize];
                let pack = Item::Pack(map.packs[frame.pack as usize].digest);
                let end = frame.offset_bytes + u64::from(frame.packed_bytes);
                let mut packed = Vec::new();
                let mut body = source.open(&pack, Some(frame.offset_bytes..end)).unwrap();
                body.reader.read_to_end(&mut packed).unwrap();
                zstd::bulk::decompress(&packed, frame.raw_bytes as usize).unwrap()
            });
            let bytes = &raw[place.offset_bytes as usize..][..length as usize];
            assert_eq!(Digest::of(bytes), digest);
            read.objects.insert(digest, bytes.to_vec());
        }
        read.segments.push(segment);
    }
    match manifest.kind {
        Kind::Tree(tree) => {
            continuity.end(tree.nodes).unwrap();
            assert_eq!(record.size_bytes, tree.size_bytes);
        }
        Kind::Image(image) => assert_eq!(image.size_bytes, 0, "an image"),
    }
    read
}

impl ReadTree {
    pub fn paths(&self) -> Vec<String> {
        self.nodes.iter().map(|whole| whole.node.path.escape_ascii().to_string()).collect()
    }

    pub fn find(&self, path: &str) -> &Whole {
        self.nodes.iter().find(|whole| whole.node.path == path.as_bytes()).unwrap()
    }

    /// The bytes of the file `path`.
    pub fn bytes(&self, path: &str) -> Vec<u8> {
        self.find(path)
            .pieces
            .iter()
            .flat_map(|piece| match piece {
                Entry::Zero { length } => vec![0; *length as usize],
                Entry::Data { digest, .. } => self.objects[digest].clone(),
            })
            .collect()
    }
}
