//! What a machine that has one tree fetches for another, with diffs of different kinds: how the
//! constants of `store::diffs` were chosen.
//!
//!   `cargo run --release -p store --example diff_sizes -- OLD-DIR NEW-DIR [REACH-KIB] [LEVEL]...`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement by hand")]

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use store::Digest;
use store::diffs::choose::{Bases, Placed, references};
use store::tree::walk::{Found, Mounts, Walk, WalkOptions};
use store::tree::{FilePiece, FilePieces, NodeKind};

struct Old {
    path: Vec<u8>,
    pieces: Vec<Placed>,
}

fn files(root: &Path) -> Vec<(Vec<u8>, Vec<Placed>)> {
    let options = WalkOptions { mounts: Mounts::Include, ..WalkOptions::default() };
    let walk = Walk::new(File::open(root).unwrap(), root, options);
    let mut window = FilePieces::default();
    let mut files = Vec::new();
    for found in walk {
        let Found::Node(walked) = found.unwrap() else { continue };
        let (NodeKind::File { .. }, Some(file)) = (&walked.node.kind, walked.file) else {
            continue;
        };
        window.open(file.unwrap(), walked.stamp);
        let (mut at, mut pieces) = (0, Vec::new());
        while let Some(piece) = window.next_piece().unwrap() {
            match piece {
                FilePiece::Zero(length) => at += length,
                FilePiece::Data(bytes) => {
                    let length = bytes.len() as u32;
                    pieces.push(Placed { digest: Digest::of(bytes), offset_bytes: at, length });
                    at += u64::from(length);
                }
            }
        }
        files.push((walked.node.path, pieces));
    }
    files
}

/// Missing pieces of a file that lie next to each other, at most a frame of them.
fn runs(pieces: &[Placed], is_missing: impl Fn(&Placed) -> bool) -> Vec<Vec<Placed>> {
    let mut runs: Vec<Vec<Placed>> = Vec::new();
    for piece in pieces.iter().filter(|piece| is_missing(piece)) {
        let follows = |run: &Vec<Placed>| {
            let length: u64 = run.iter().map(|piece| u64::from(piece.length)).sum();
            run.last().is_some_and(|l| l.offset_bytes + u64::from(l.length) == piece.offset_bytes)
                && length + u64::from(piece.length) <= 1 << 20
        };
        match runs.last_mut().filter(|run| follows(run)) {
            Some(run) => run.push(*piece),
            None => runs.push(vec![*piece]),
        }
    }
    runs
}

fn bytes(root: &Path, path: &[u8], pieces: &[Placed]) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::FileExt;
    let path: PathBuf = root.join(std::ffi::OsStr::from_bytes(path));
    let file = File::open(path).unwrap();
    let mut all = Vec::new();
    for piece in pieces {
        let mut bytes = vec![0; piece.length as usize];
        file.read_exact_at(&mut bytes, piece.offset_bytes).unwrap();
        all.extend(bytes);
    }
    all
}

fn packed(level: i32, prefix: &[u8], content: &[u8]) -> usize {
    use std::io::Write;
    let mut out = Vec::new();
    let mut encoder =
        zstd::stream::write::Encoder::with_ref_prefix(&mut out, level, prefix).unwrap();
    encoder.window_log(23).unwrap();
    encoder.set_pledged_src_size(Some(content.len() as u64)).unwrap();
    encoder.include_contentsize(true).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap();
    out.len()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (old_root, new_root) = (arguments.next().unwrap(), arguments.next().unwrap());
    let (old_root, new_root) = (Path::new(&old_root), Path::new(&new_root));
    let levels: Vec<i32> = arguments.map(|level| level.parse().unwrap()).collect();
    let (mut bases, mut olds, mut held) = (Bases::default(), Vec::new(), HashSet::new());
    for (number, (path, pieces)) in files(old_root).into_iter().enumerate() {
        held.extend(pieces.iter().map(|piece| piece.digest));
        let size = pieces.last().map_or(0, |last| last.offset_bytes + u64::from(last.length));
        bases.add(&path, size, number);
        olds.push(Old { path, pieces });
    }
    let new = files(new_root);
    println!("{} files before, {} after", olds.len(), new.len());
    let mut diffs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut alone = Vec::new();
    let (mut seen, mut keys) = (HashSet::new(), 0);
    for (path, pieces) in &new {
        let size = pieces.last().map_or(0, |last| last.offset_bytes + u64::from(last.length));
        let fresh: HashSet<Digest> = pieces
            .iter()
            .map(|piece| piece.digest)
            .filter(|digest| !held.contains(digest) && seen.insert(*digest))
            .collect();
        let base = bases.find(path, size).map(|number| &olds[number]);
        for run in runs(pieces, |piece| fresh.contains(&piece.digest)) {
            let content = bytes(new_root, path, &run);
            let Some(base) = base else {
                alone.extend(content);
                continue;
            };
            let start = run[0].offset_bytes;
            let range = references(&base.pieces, &(start..start + content.len() as u64));
            let prefix = bytes(old_root, &base.path, &base.pieces[range.clone()]);
            keys += range.len() + run.len();
            diffs.push((prefix, content));
        }
    }
    let raw: usize = diffs.iter().map(|(_, content)| content.len()).sum();
    println!(
        "{} diffs of {} kB, {} kB without a base, lists of about {} kB",
        diffs.len(),
        raw / 1000,
        alone.len() / 1000,
        (keys * 11 + diffs.len() * 12) / 1000
    );
    for level in levels {
        let started = std::time::Instant::now();
        let by_diff: usize =
            diffs.iter().map(|(prefix, content)| packed(level, prefix, content)).sum();
        let whole: usize = diffs.iter().map(|(_, content)| packed(level, &[], content)).sum();
        let frames = alone.chunks(256 << 10).map(|frame| packed(level, &[], frame));
        println!(
            "level {level}: diffs {} kB (without prefix {} kB), the rest {} kB, {:.1} s",
            by_diff / 1000,
            whole / 1000,
            frames.sum::<usize>() / 1000,
            started.elapsed().as_secs_f64()
        );
    }
}
