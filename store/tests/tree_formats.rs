//! The formats of trees and diffs: bytes that may not change (`tests/golden`; `formats.rs` says how
//! they are written), segments that come back and follow each other, and others that are refused.
#![allow(clippy::unwrap_used, reason = "only tests are compiled with this")]

mod common;

use common::tree::request;
use common::{Place, changed, golden, noise};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs::{File, Permissions, hard_link, set_permissions, write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use store::Digest;
use store::diffs::{Diff, Diffs, Part as DiffPart};
use store::manifest::{
    Boot, Entry, Kind, Manifest, Part, Payload, Place as PayloadPlace, SegmentKind, SegmentRef,
    Tree,
};
use store::map::{FrameRef, PackRef};
use store::push::push_tree;
use store::tree::{
    Continuity, Meta, Node, NodeEntry, NodeKind, SEGMENT_PATHS_MAX_BYTES, TreeSegment, Xattr,
};

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

fn data(number: u8, length: u32) -> Entry {
    Entry::Data { digest: digest(number), length }
}

/// Every kind of node, and a file that goes on elsewhere.
fn segment() -> TreeSegment {
    let file = |size_bytes| NodeKind::File { size_bytes };
    let pieces = vec![data(1, 70_000), Entry::Zero { length: 1 << 20 }, data(2, 17)];
    let all = 70_000 + (1 << 20) + 17;
    let rows = [
        ("", NodeKind::Directory, vec![]),
        ("bin", NodeKind::Directory, vec![]),
        ("bin/ping", file(all), pieces),
        ("bin/ping4", NodeKind::HardLink { to: b"bin/ping".to_vec() }, vec![]),
        ("dev", NodeKind::Directory, vec![]),
        ("dev/null", NodeKind::CharDevice { major: 1, minor: 3 }, vec![]),
        ("dev/vda", NodeKind::BlockDevice { major: 254, minor: 1 << 19 }, vec![]),
        ("empty", file(0), vec![]),
        ("fifo", NodeKind::Fifo, vec![]),
        ("link", NodeKind::Symlink { target: b"no/where".to_vec() }, vec![]),
        ("long", file(1 << 40), vec![data(3, 4096)]),
    ];
    let xattr = |name: &str, value: &str| Xattr { name: name.into(), value: value.into() };
    let meta = |number: u32| Meta {
        mode: 0o4755,
        uid: number,
        gid: u32::MAX - 1,
        mtime_s: 1_700_000_000 - i64::from(number) * 400_000_000,
        mtime_ns: 999_999_999 * (number % 2),
        xattrs: vec![xattr("security.capability", "\0\x01"), xattr("user.a", "")],
    };
    let entry = |(number, (path, kind, pieces)): (usize, (&str, NodeKind, Vec<Entry>))| {
        let is_link = matches!(kind, NodeKind::HardLink { .. });
        let meta = if is_link { Meta::default() } else { meta(number as u32) };
        NodeEntry { node: Node { path: path.into(), kind, meta }, start_bytes: 0, pieces }
    };
    TreeSegment { nodes: rows.into_iter().enumerate().map(entry).collect() }
}

/// Where the last file of [`segment`] goes on.
fn next_segment() -> TreeSegment {
    let kind = NodeKind::File { size_bytes: 1 << 40 };
    let node = Node { path: b"long".to_vec(), kind, meta: Meta::default() };
    let pieces = vec![Entry::Zero { length: 8192 }];
    TreeSegment { nodes: vec![NodeEntry { node, start_bytes: 4096, pieces }] }
}

fn span_bytes(segment: &TreeSegment) -> u64 {
    let pieces = segment.nodes.iter().flat_map(|entry| &entry.pieces);
    pieces.map(Entry::length).sum()
}

fn manifest() -> Manifest {
    let reference = |segment: TreeSegment| SegmentRef {
        digest: Digest::of(&segment.encode()),
        encoded_bytes: segment.encode().len() as u32,
        span_bytes: span_bytes(&segment),
        part: Part::Content,
    };
    let segments = vec![reference(segment()), reference(next_segment())];
    let size_bytes = segments.iter().map(|segment| segment.span_bytes).sum();
    let kernel = Payload {
        size_bytes: 70_000,
        digest: digest(6),
        place: PayloadPlace::Path(b"bin/ping".into()),
    };
    let (cmdline, source) = ("quiet".into(), "tree /boot/vmlinuz, the newest".into());
    Manifest {
        kind: Kind::Tree(Tree { size_bytes, nodes: 11 }),
        boot: Some(Boot { kernel, initrd: None, cmdline, source }),
        segments,
    }
}

fn diffs() -> Diffs {
    let pack = |number| PackRef { digest: digest(number), size_bytes: 1 << 20 };
    let part = |number, length| DiffPart::of(&digest(number), length);
    let frame = |pack, offset_bytes, raw_bytes| FrameRef {
        pack,
        offset_bytes,
        packed_bytes: 300,
        raw_bytes,
    };
    let diff = |frame, references, targets| Diff { frame, references, targets };
    Diffs {
        packs: vec![pack(7), pack(8)],
        diffs: vec![
            diff(frame(0, 16, 70_000), vec![part(1, 65_000)], vec![part(2, 70_000)]),
            diff(frame(1, 9000, 30), vec![], vec![part(3, 10), part(4, 20)]),
        ],
    }
}

#[test]
fn trees_and_diffs_are_what_they_were() {
    for (name, segment) in [("tree-segment", segment()), ("tree-segment-next", next_segment())] {
        let encoded = segment.encode();
        golden(name, &encoded);
        assert_eq!(TreeSegment::decode(&encoded, span_bytes(&segment)), Ok(segment));
    }
    let encoded = manifest().encode();
    golden("tree-root", &encoded);
    assert_eq!(Manifest::decode(&encoded), Ok(manifest()));
    let encoded = diffs().encode();
    golden("diffs", &encoded);
    assert_eq!(Diffs::decode(&encoded), Ok(diffs()));
}

/// The manifest of a given tree: walking, cutting and encoding together may not change, or nothing
/// pushed before is found again.
#[test]
fn a_tree_has_the_manifest_it_had() {
    if !rustix::process::geteuid().is_root() {
        return; // Its owner is part of it.
    }
    let place = Place::new();
    let root = place.root.path().join("tree");
    let at = |name: &str| root.join(name);
    std::fs::create_dir_all(at("usr/bin")).unwrap();
    write(at("usr/bin/large"), noise(3 << 20, 42)).unwrap();
    File::options().write(true).open(at("usr/bin/large")).unwrap().set_len(80 << 20).unwrap();
    write(at("small"), b"small").unwrap();
    hard_link(at("small"), at("usr/small")).unwrap();
    symlink("usr/bin", at("bin")).unwrap();
    let set = |path: &Path, mode| {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(1 << 30, 7);
        File::open(path).unwrap().set_modified(time).unwrap();
    };
    for (path, mode) in [("usr/bin/large", 0o755), ("small", 0o600), ("usr/bin", 0o2755)] {
        set(&at(path), mode);
    }
    // Nothing but touch(1) sets the time of a link.
    let mut touch = std::process::Command::new("touch");
    assert!(touch.args(["-h", "-d", "@1"]).arg(at("bin")).status().unwrap().success());
    set(&at("usr"), 0o755);
    set(&root, 0o1777);
    let report = push_tree(&place.store, &request("a", &root), &()).unwrap();
    golden("tree-digest", format!("{}\n", report.manifest).as_bytes());
}

/// The root, a directory that is nearly as deep as can be, and fifos in it.
fn deep(fifos: usize) -> TreeSegment {
    let name = "d".repeat(255);
    let deep = vec![&name[..]; 255].join("/");
    let directories = (1..=255).map(|levels| deep[..levels * 256 - 1].to_owned());
    let fifos = (0..fifos).map(|number| (format!("{deep}/{number:03}"), NodeKind::Fifo));
    let nodes = [(String::new(), NodeKind::Directory)]
        .into_iter()
        .chain(directories.map(|path| (path, NodeKind::Directory)))
        .chain(fifos);
    let entry = |(path, kind): (String, NodeKind)| NodeEntry {
        node: Node { path: path.into(), kind, meta: Meta::default() },
        start_bytes: 0,
        pieces: vec![],
    };
    TreeSegment { nodes: nodes.map(entry).collect() }
}

#[test]
fn a_short_segment_does_not_stand_for_much_more_memory() {
    let paths = |segment: &TreeSegment| -> usize {
        segment.nodes.iter().map(|entry| entry.node.path.len()).sum()
    };
    let (most, more) = (deep(129), deep(130));
    assert!(paths(&most) <= SEGMENT_PATHS_MAX_BYTES && paths(&more) > SEGMENT_PATHS_MAX_BYTES);
    assert!(more.encode().len() < 80_000);
    assert_eq!(TreeSegment::decode(&most.encode(), 0), Ok(most));
    let error = TreeSegment::decode(&more.encode(), 0).unwrap_err().to_string();
    assert!(error.contains("expected at most 16777216 bytes of all paths, found"), "{error}");
}

fn metas() -> impl Strategy<Value = Meta> {
    let xattrs = proptest::collection::btree_map("[a-c]{1,3}", vec(any::<u8>(), 0..9), 0..3);
    let parts = (0_u16..0o10000, any::<u32>(), any::<u32>(), any::<i64>(), 0_u32..1_000_000_000);
    (parts, xattrs).prop_map(|((mode, uid, gid, mtime_s, mtime_ns), xattrs)| {
        let xattr = |(name, value): (String, Vec<u8>)| Xattr { name: name.into(), value };
        Meta { mode, uid, gid, mtime_s, mtime_ns, xattrs: xattrs.into_iter().map(xattr).collect() }
    })
}

/// A file's content: zeroes never follow zeroes.
fn pieces() -> impl Strategy<Value = Vec<Entry>> {
    let object = (any::<u8>(), 1_u32..=1 << 20).prop_map(|(number, length)| data(number, length));
    let zero = (1_u64..1 << 40).prop_map(|length| Entry::Zero { length });
    vec(prop_oneof![3 => object, 1 => zero], 0..6).prop_map(|mut pieces| {
        pieces.dedup_by(|a, b| matches!((a, b), (Entry::Zero { .. }, Entry::Zero { .. })));
        pieces
    })
}

fn kinds() -> impl Strategy<Value = (NodeKind, Vec<Entry>)> {
    let alone = |kind: NodeKind| (kind, Vec::new());
    let target = vec(1_u8.., 1..9).prop_map(|target| NodeKind::Symlink { target });
    prop_oneof![
        3 => pieces().prop_map(|pieces| {
            let size_bytes = pieces.iter().map(Entry::length).sum();
            (NodeKind::File { size_bytes }, pieces)
        }),
        1 => target.prop_map(alone),
        1 => Just(alone(NodeKind::Fifo)),
        1 => (any::<u32>(), any::<u32>())
            .prop_map(move |(major, minor)| alone(NodeKind::CharDevice { major, minor })),
        1 => any::<u32>().prop_map(move |major| alone(NodeKind::BlockDevice { major, minor: 0 })),
    ]
}

/// All nodes of a tree, whole and in order: what holds others is a directory, and some are links to
/// what is before them.
fn trees() -> impl Strategy<Value = Vec<NodeEntry>> {
    let path = vec("[ab.]{1,2}", 1..4)
        .prop_filter("names", |names| names.iter().all(|name| !matches!(&name[..], "." | "..")));
    let content = (kinds(), metas(), any::<bool>());
    vec((path, content), 0..20).prop_map(|nodes| {
        // Lists of names are in the order of trees.
        let mut tree = BTreeMap::new();
        tree.insert(Vec::new(), None);
        for (names, content) in nodes {
            (1..names.len()).for_each(|levels| {
                tree.insert(names[..levels].to_vec(), None);
            });
            tree.entry(names).or_insert(Some(content));
        }
        let mut file: Option<Vec<u8>> = None;
        let mut entry = |(names, content): (Vec<String>, Option<_>)| {
            let path = names.join("/").into_bytes();
            let (kind, pieces, meta) = match (content, &file) {
                (None, _) => (NodeKind::Directory, vec![], Meta { uid: 7, ..Meta::default() }),
                (Some((_, _, true)), Some(to)) => {
                    (NodeKind::HardLink { to: to.clone() }, vec![], Meta::default())
                }
                (Some(((kind, pieces), meta, _)), _) => {
                    file = Some(path.clone());
                    (kind, pieces, meta)
                }
            };
            NodeEntry { node: Node { path, kind, meta }, start_bytes: 0, pieces }
        };
        tree.into_iter().map(&mut entry).collect()
    })
}

/// The tree in segments: a new one where `is_cut` says so, also between pieces.
fn segments(tree: &[NodeEntry], mut is_cut: impl FnMut() -> bool) -> Vec<TreeSegment> {
    let mut segments = vec![TreeSegment::default()];
    for NodeEntry { node, pieces, .. } in tree {
        let begin = |segments: &mut Vec<TreeSegment>| segments.push(TreeSegment::default());
        if is_cut() && segments.last().is_some_and(|last| !last.nodes.is_empty()) {
            begin(&mut segments);
        }
        let whole = NodeEntry { node: node.clone(), start_bytes: 0, pieces: vec![] };
        segments.last_mut().unwrap().nodes.push(whole);
        let mut at = 0;
        for piece in pieces {
            if at > 0 && is_cut() {
                begin(&mut segments);
                let node = Node { meta: Meta::default(), ..node.clone() };
                let rest = NodeEntry { node, start_bytes: at, pieces: vec![] };
                segments.last_mut().unwrap().nodes.push(rest);
            }
            let last = segments.last_mut().and_then(|segment| segment.nodes.last_mut());
            last.unwrap().pieces.push(*piece);
            at += piece.length();
        }
    }
    segments
}

/// Whether the segments follow each other and are all of a tree of so many nodes.
fn follow(segments: &[TreeSegment], nodes: usize) -> bool {
    let mut continuity = Continuity::default();
    segments.iter().all(|segment| continuity.follow(segment).is_ok())
        && continuity.end(nodes as u64).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn segments_of_trees_come_back_and_follow_each_other(
        tree in trees(), cuts in vec(any::<bool>(), 1..9),
    ) {
        let mut cuts = cuts.into_iter().cycle();
        let segments = segments(&tree, || cuts.next().unwrap());
        let decode = |segment: &TreeSegment| {
            TreeSegment::decode(&segment.encode(), span_bytes(segment)).unwrap()
        };
        let decoded: Vec<_> = segments.iter().map(decode).collect();
        prop_assert_eq!(&decoded, &segments);
        prop_assert!(follow(&decoded, tree.len()));
        prop_assert!(!follow(&decoded, tree.len() + 1));
        let mut whole: Vec<NodeEntry> = Vec::new();
        for entry in decoded.into_iter().flat_map(|segment| segment.nodes) {
            match whole.last_mut() {
                Some(last) if entry.start_bytes > 0 => last.pieces.extend(entry.pieces),
                _ => whole.push(entry),
            }
        }
        prop_assert_eq!(whole, tree);
    }

    #[test]
    fn segments_that_are_not_all_or_not_in_order_are_refused(
        tree in trees(), cuts in vec(any::<bool>(), 1..9), at: prop::sample::Index, how in 0_u8..4,
    ) {
        let mut cuts = cuts.into_iter().cycle();
        let segments = segments(&tree, || cuts.next().unwrap());
        let mut wrong = segments.clone();
        let at = at.index(segments.len());
        match how {
            0 => { wrong.remove(at); }
            1 => wrong.insert(at, segments[at].clone()),
            2 => wrong.swap(at, segments.len() - 1 - at),
            _ => {
                let nodes = &mut wrong[at].nodes;
                nodes.remove(nodes.len() / 2);
            }
        }
        prop_assert!(wrong == segments || !follow(&wrong, tree.len()));
    }

    #[test]
    fn a_node_without_its_directory_is_refused(tree in trees(), at: prop::sample::Index) {
        let parent = at.index(tree.len());
        let path = tree[parent].node.path.clone();
        let is_child = |entry: &NodeEntry| store::tree::parent(&entry.node.path) == Some(&path);
        let has_child = tree.iter().any(is_child);
        for replaced in [None, Some(NodeKind::Fifo)] {
            let mut wrong = tree.clone();
            match replaced {
                None => { wrong.remove(parent); }
                Some(kind) => wrong[parent].node.kind = kind,
            }
            let nodes = wrong.len();
            let is_taken = follow(&[TreeSegment { nodes: wrong }], nodes);
            prop_assert!(!(has_child && is_taken));
        }
    }

    #[test]
    fn damaged_segments_are_an_error_or_another_value(at: prop::sample::Index, how in 0_u8..12) {
        // No check of their own: their digest is known. They must not panic or come back the same.
        let encoded = segment().encode();
        let bytes = changed(&encoded, at, how);
        let decoded = TreeSegment::decode(&bytes, span_bytes(&segment()));
        prop_assert!(bytes == encoded || decoded != Ok(segment()));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in vec(any::<u8>(), 0..300), span in 0_u64..9000) {
        TreeSegment::decode(&bytes, span).ok();
        Diffs::decode(&[b"inaugdf1", &bytes[..]].concat()).ok();
    }
}
