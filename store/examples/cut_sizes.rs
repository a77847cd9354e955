//! What other sizes of objects and frames would cost: the measurement behind the constants of
//! `store::cut` and of the push.
//!
//!     cargo run --release -p store --example cut_sizes -- OLD_IMAGE NEW_IMAGE
//!
//! For each size: what a cold machine fetches for the new image, what one that holds the old one
//! fetches (frames hold new objects only, as a push into a store that has the old one makes
//! them), how many objects and frames that is, and what the digests take in the manifest.
#![allow(clippy::print_stdout, reason = "it is a command")]
#![allow(clippy::cast_precision_loss, reason = "one decimal is shown")]

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use store::Digest;
use store::cut::{BLOCK_BYTES, SEGMENT_SPAN_BYTES, is_zero};
use xxhash_rust::xxh3::xxh3_64;

/// Blocks for an object on average, as a power of two; the longest has four times as many.
const AVERAGES: [u32; 3] = [2, 3, 4];

const FRAMES_KIB: [usize; 4] = [64, 256, 512, 1024];

const LEVEL: i32 = 3;

fn main() -> io::Result<()> {
    let paths: Vec<_> = std::env::args_os().skip(1).collect();
    let [old, new] = &paths[..] else {
        return Err(io::Error::other("usage: cut_sizes OLD_IMAGE NEW_IMAGE"));
    };
    println!(
        "object KiB  frame KiB  cold MB  next MB  objects  new objects  new frames  manifest MB"
    );
    for average in AVERAGES {
        let mut held = HashSet::new();
        each_object(File::open(old)?, average, |object| {
            held.insert(Digest::of(object));
        })?;
        for frame_kib in FRAMES_KIB {
            let (mut cold, mut next) = (Frames::of(frame_kib)?, Frames::of(frame_kib)?);
            let mut seen = HashSet::new();
            let mut objects = 0_u64;
            each_object(File::open(new)?, average, |object| {
                let digest = Digest::of(object);
                objects += 1;
                if seen.insert(digest) {
                    cold.add(object);
                    if !held.contains(&digest) {
                        next.add(object);
                    }
                }
            })?;
            let (cold, next) = (cold.done(), next.done());
            println!(
                "{:10}  {frame_kib:9}  {:7.1}  {:7.1}  {objects:7}  {:11}  {:10}  {:11.1}",
                4 << average,
                cold.packed_bytes as f64 / 1e6,
                next.packed_bytes as f64 / 1e6,
                next.objects,
                next.count,
                (objects * 35) as f64 / 1e6,
            );
        }
    }
    Ok(())
}

/// Gives the objects of an image as `store::cut` would make them with another average.
fn each_object(mut image: File, average: u32, mut give: impl FnMut(&[u8])) -> io::Result<()> {
    let (mask, longest) = ((1_u64 << average) - 1, BLOCK_BYTES << (average + 2));
    let mut object = Vec::new();
    let mut span = vec![0; SEGMENT_SPAN_BYTES as usize];
    loop {
        let length = fill(&mut image, &mut span)?;
        if length == 0 {
            return Ok(());
        }
        for block in span[..length].chunks(BLOCK_BYTES) {
            let zero = is_zero(block);
            if !zero {
                object.extend_from_slice(block);
            }
            let cut = zero || object.len() >= longest || xxh3_64(block) & mask == 0;
            if cut && !object.is_empty() {
                give(&object);
                object.clear();
            }
        }
        if !object.is_empty() {
            give(&object);
            object.clear();
        }
    }
}

fn fill(image: &mut File, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match image.read(&mut into[done..])? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// Objects compressed together.
struct Frames {
    compressor: zstd::bulk::Compressor<'static>,
    limit: usize,
    bytes: Vec<u8>,
    objects: u64,
    count: u64,
    packed_bytes: u64,
}

impl Frames {
    fn of(frame_kib: usize) -> io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(LEVEL)?;
        let limit = frame_kib << 10;
        Ok(Self { compressor, limit, bytes: Vec::new(), objects: 0, count: 0, packed_bytes: 0 })
    }

    fn add(&mut self, object: &[u8]) {
        if self.bytes.len() + object.len() > self.limit {
            self.end();
        }
        self.bytes.extend_from_slice(object);
        self.objects += 1;
    }

    fn end(&mut self) {
        if !self.bytes.is_empty() {
            let packed = self.compressor.compress(&self.bytes).map_or(0, |packed| packed.len());
            self.packed_bytes += packed as u64;
            self.count += 1;
            self.bytes.clear();
        }
    }

    fn done(mut self) -> Self {
        self.end();
        self
    }
}
