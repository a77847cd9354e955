//! Rows in which the server answers well and the store's files lie.

use crate::run::{Expect, Lie, Row};
use crate::shelf::Copy;
use deploy::Category::{self, Network, Verification};
use store::map::{FRAME_MAX_BYTES, Map};

/// What a bomb swells to, bytes: far more than any frame may hold.
const BOMB_BYTES: u64 = 1 << 30;

/// Which frame is replaced: one in the middle.
const FRAME: usize = 7;

fn lie(
    name: &str,
    category: Category,
    words: &'static [&'static str],
    lie: impl Fn(&Copy) + Send + Sync + 'static,
) -> Row {
    let lie: Lie = Box::new(lie);
    let (name, expect) = (format!("lie: {name}"), Expect::Final(category, words));
    Row { name, rules: Vec::new(), lie: Some(lie), expect, replaced: false }
}

pub(crate) fn lies() -> Vec<Row> {
    [packs(), maps(), documents()].into_iter().flatten().collect()
}

fn packs() -> Vec<Row> {
    vec![
        lie(
            "a frame that swells to 1 GiB",
            Verification,
            &["content in the frame at", "expected"],
            |s| {
                replace_frame(s, &bomb());
            },
        ),
        lie("a frame whose header says 1 GiB", Verification, &["content in the frame at"], |s| {
            // Magic, descriptor with an eight-byte content size, the window, 1 GiB, a raw block.
            let mut frame = b"\x28\xb5\x2f\xfd\xc0\x50".to_vec();
            frame.extend(BOMB_BYTES.to_le_bytes());
            frame.extend(b"\x01\x00\x00");
            replace_frame(s, &frame);
        }),
        lie("a frame that holds less", Verification, &["content in the frame at"], |s| {
            replace_frame(s, &zstd::bulk::compress(b"less", 3).unwrap());
        }),
        lie("a frame of other bytes", Verification, &["object ", "expected ", "found "], |s| {
            let raw = s.frames()[FRAME].raw_bytes() as usize;
            replace_frame(s, &zstd::bulk::compress(&vec![7; raw], 3).unwrap());
        }),
        lie("a pack of garbage, as long", Verification, &["content in the frame at"], |s| {
            s.change("packs", |bytes| bytes.fill(0x5a));
        }),
        lie("a pack of zeroes, as long", Verification, &["content in the frame at"], |s| {
            s.change("packs", |bytes| bytes.fill(0));
        }),
        lie("a pack that is cut in the last frame", Network, &["expected Content-Range: "], |s| {
            let last = s.frames().last().unwrap().offset_bytes as usize;
            s.change("packs", |bytes| bytes.truncate(last + 100));
        }),
        lie("a pack that is cut in the middle", Network, &["cannot fetch", "expected "], |s| {
            s.change("packs", |bytes| bytes.truncate(bytes.len() / 2));
        }),
        lie("a pack that is empty", Network, &["cannot fetch", "416"], |s| {
            s.change("packs", Vec::clear);
        }),
    ]
}

fn maps() -> Vec<Row> {
    vec![
        lie(
            "a map that leads beyond the pack",
            Verification,
            &["cannot read map", "frame offset"],
            |s| {
                change_map(s, |map| frame(map).offset_bytes = 1 << 40);
            },
        ),
        lie("a map that makes the pack longer", Network, &["cannot fetch", "416"], |s| {
            change_map(s, |map| {
                map.packs[0].size_bytes = 1 << 41;
                frame(map).offset_bytes = 1 << 40;
            });
        }),
        lie(
            "a map with frames of 2 MiB",
            Verification,
            &["cannot read map", "at most 1048576"],
            |s| {
                change_map(s, |map| frame(map).raw_bytes = 2 * FRAME_MAX_BYTES);
            },
        ),
        lie(
            "a map that leads into the middle of a frame",
            Verification,
            &["in the frame at"],
            |s| {
                change_map(s, |map| frame(map).offset_bytes += 1000);
            },
        ),
        lie("a map whose frames are shorter", Verification, &["in the frame at"], |s| {
            change_map(s, |map| frame(map).packed_bytes /= 2);
        }),
        lie("a map whose frames hold more", Verification, &["in the frame at"], |s| {
            change_map(s, |map| frame(map).raw_bytes += 1);
        }),
        lie(
            "a map whose frames hold nothing",
            Verification,
            &["object offset", "at most 0"],
            |s| {
                change_map(s, |map| frame(map).raw_bytes = 0);
            },
        ),
        lie(
            "a map whose objects lie elsewhere",
            Verification,
            &["object ", "in the frame at"],
            |s| {
                change_map(s, |map| {
                    map.sections[0].places.iter_mut().for_each(|place| place.offset_bytes = 0);
                });
            },
        ),
        lie(
            "a map of a pack that is not there",
            Network,
            &["cannot fetch", "is not in the store"],
            |s| {
                change_map(s, |map| map.packs[0].digest = store::Digest::of(b"no pack"));
            },
        ),
        lie("a map with a section less", Verification, &["map of manifest", "sections"], |s| {
            change_map(s, |map| map.sections.clear());
        }),
        lie("a map with a place less", Verification, &["map of manifest", "places"], |s| {
            change_map(s, |map| {
                map.sections[0].places.pop();
            });
        }),
        lie("a map with a flipped bit", Verification, &["map", "check"], |s| {
            s.change("maps", |bytes| bytes[50] ^= 1);
        }),
        lie("a map that is empty", Verification, &["cannot read map", "magic"], |s| {
            s.change("maps", Vec::clear);
        }),
    ]
}

fn documents() -> Vec<Row> {
    vec![
        lie("a record with a flipped bit", Verification, &["cannot read label", "expected"], |s| {
            s.change("labels", |bytes| bytes[60] ^= 1);
        }),
        lie("a record that is empty", Verification, &["cannot read label"], |s| {
            s.change("labels", Vec::clear);
        }),
        lie(
            "a record of another label",
            Verification,
            &["cannot read label", "fault/table"],
            |s| {
                s.change("labels", |bytes| {
                    let text = String::from_utf8(bytes.clone()).unwrap();
                    let body =
                        text.split("check ").next().unwrap().replace("fault/table", "fault/other");
                    let check = store::Digest::of(body.as_bytes());
                    *bytes = format!("{body}check {check}\n").into_bytes();
                });
            },
        ),
        lie("a record longer than any", Network, &["cannot read label", "expected at most"], |s| {
            s.change("labels", |bytes| bytes.resize(1 << 20, b' '));
        }),
        lie(
            "a manifest with a flipped bit in its root",
            Verification,
            &["manifest", "digest"],
            |s| {
                s.change("manifests", |bytes| bytes[20] ^= 1);
            },
        ),
        lie(
            "a manifest with a flipped bit in a segment",
            Verification,
            &["segment 0", "digest"],
            |s| {
                s.change("manifests", |bytes| *bytes.last_mut().unwrap() ^= 1);
            },
        ),
        lie("a manifest that says it has 4 GiB", Verification, &["manifest", "length"], |s| {
            s.change("manifests", |bytes| bytes[8..12].fill(0xff));
        }),
        lie(
            "a manifest that is cut in the root",
            Network,
            &["manifest", "expected Content-Range: "],
            |s| {
                s.change("manifests", |bytes| bytes.truncate(30));
            },
        ),
        lie(
            "a manifest that is cut in a segment",
            Network,
            &["manifest", "expected Content-Range: "],
            |s| {
                s.change("manifests", |bytes| bytes.truncate(bytes.len() - 1));
            },
        ),
        lie("a manifest that is empty", Network, &["manifest", "416"], |s| {
            s.change("manifests", Vec::clear);
        }),
    ]
}

/// A gigabyte of zeroes as a zstd frame.
fn bomb() -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), BOMB_BYTES), &mut encoder).unwrap();
    encoder.finish().unwrap()
}

/// Puts `bytes` in a frame's place; what is left of it becomes a skippable frame, so that the
/// lie is not told by its length.
fn replace_frame(store: &Copy, bytes: &[u8]) {
    let frames = store.frames();
    let (start, length) = (frames[FRAME].offset_bytes as usize, frames[FRAME].packed_bytes);
    let mut new = bytes.to_vec();
    let rest = (length as usize).checked_sub(new.len() + 8).unwrap();
    new.extend(b"\x50\x2a\x4d\x18");
    new.extend((rest as u32).to_le_bytes());
    new.resize(length as usize, 0);
    store.change("packs", |pack| pack[start..start + length as usize].copy_from_slice(&new));
}

fn change_map(store: &Copy, change: impl FnOnce(&mut Map)) {
    store.change("maps", |bytes| {
        let mut map = Map::decode(bytes).unwrap();
        change(&mut map);
        *bytes = map.encode();
    });
}

fn frame(map: &mut Map) -> &mut store::map::FrameRef {
    &mut map.sections[0].frames[FRAME]
}
