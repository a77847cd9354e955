//! Whether a push slows down with the store it goes to, and what memory it takes with the image
//! it reads: `benches/push-scale` runs this.
//!
//! ```text
//! push_scale stores DIR ROUNDS OBJECTS...   pushes of 100 MB to stores with so many objects
//! push_scale images DIR DATA:SIZE...        pushes of sparse images, MiB of data, 4 KiB objects, in MiB of size
//! push_scale push STORE IMAGE LABEL         one push, measured: what the others start
//! ```

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use store::Digest;
use store::cut::{BLOCK_BYTES, Piece, pieces};
use store::dir::DirStore;
use store::pack::{HEADER, IndexWriter};
use store::push::{LEVEL_DEFAULT, PushImage, push_image};
use store::verify::verify;

type Done<T> = Result<T, Box<dyn Error>>;

/// The image that goes to each store: content that no store has and zstd shrinks to half.
const IMAGE_BYTES: usize = 100 << 20;

/// Objects in a crafted pack: what a push of some 16 MB makes. Objects of 16 bytes: their
/// number counts here, not their size.
const PACK_OBJECTS: u64 = 1000;

/// Objects in a frame of a crafted pack.
const FRAME_OBJECTS: u64 = 16;

/// The kernel counts CPU time in these (`USER_HZ`, proc(5)).
const TICKS_PER_S: f64 = 100.0;

fn main() -> Done<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["stores", dir, rounds, ref objects @ ..] => {
            stores(Path::new(dir), rounds.parse()?, objects)
        }
        ["images", dir, ref images @ ..] => compare_images(Path::new(dir), images),
        ["push", store, image, label] => push(store, image, label),
        _ => Err("push_scale stores DIR ROUNDS OBJECTS... | images DIR DATA:SIZE...".into()),
    }
}

/// What one push took.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    wall_s: f64,
    cpu_s: f64,
    index_s: f64,
    peak_mib: f64,
}

/// Pushes in this process, and prints what it took.
fn push(store: &str, image: &str, label: &str) -> Done<()> {
    let store = DirStore::create(store)?;
    let request = PushImage {
        label: label.parse()?,
        image: image.into(),
        sector_bytes: None,
        boot: None,
        facts: Vec::new(),
        pushed_unix_s: 1_700_000_000,
        force: true,
        level: LEVEL_DEFAULT,
        free: None,
    };
    let report = push_image(&store, &request, &())?;
    if let Some(failure) = report.index_failure {
        return Err(failure.into());
    }
    let seconds = report.seconds;
    println!("{} {} {} {}", seconds.total, cpu_s()?, seconds.index, peak_mib()?);
    Ok(())
}

/// CPU time of this process: fields 14 and 15 of /proc/self/stat (proc(5)).
fn cpu_s() -> Done<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_S)
}

fn peak_mib() -> Done<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmHWM")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

/// Pushes in a process of its own.
fn measure(store: &Path, image: &Path, label: &str) -> Done<Cost> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.arg("push").arg(store).arg(image).arg(label).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8(output.stdout)?;
    let values = text.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    match values[..] {
        [wall_s, cpu_s, index_s, peak_mib] => Ok(Cost { wall_s, cpu_s, index_s, peak_mib }),
        _ => Err(format!("expected 4 numbers, found {text:?}").into()),
    }
}

/// A store of fewer objects than this starts anew in each round: a push would change what it is.
/// Larger ones grow, so that the rounds show what merging the index costs when it comes.
const GROWS_OBJECTS: u64 = 100_000;

fn stores(dir: &Path, rounds: u64, objects: &[&str]) -> Done<()> {
    let image = dir.join("image");
    let counts = objects.iter().map(|count| count.parse()).collect::<Result<Vec<u64>, _>>()?;
    for count in &counts {
        craft(&base(dir, *count), *count, dir)?;
    }
    let mut new = vec![Vec::new(); counts.len()];
    let (mut again, mut lost) = (new.clone(), new.clone());
    for round in 0..rounds {
        fs::write(&image, content(IMAGE_BYTES, round))?;
        for (number, count) in counts.iter().enumerate() {
            let store = dir.join("store");
            let base = base(dir, *count);
            let grows = *count >= GROWS_OBJECTS;
            let store = if grows { &base } else { &store };
            if !grows {
                copy(&base, store)?;
            }
            new[number].push(measure(store, &image, "new")?);
            again[number].push(measure(store, &image, "again")?);
            if round + 1 == rounds {
                fs::remove_dir_all(store.join("index"))?;
                lost[number].push(measure(store, &image, "lost")?);
            }
            if !grows {
                fs::remove_dir_all(store)?;
            }
        }
    }
    println!(
        "| push | objects in the store | wall s | CPU s | index s | peak MiB | wall ratio | worst wall s | worst CPU s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let tables = [
        ("100 MB, all new", new),
        ("100 MB, the same again", again),
        ("100 MB, the same again, index lost", lost),
    ];
    for (what, costs) in tables {
        let base = middle(&costs[0]).wall_s;
        for (costs, count) in costs.iter().zip(&counts) {
            let Cost { wall_s, cpu_s, index_s, peak_mib } = middle(costs);
            let worst = figures(costs, <[f64]>::last);
            println!(
                "| {what} | {count} | {wall_s:.2} | {cpu_s:.2} | {index_s:.3} | {peak_mib:.0} | {:.2} | {:.2} | {:.2} |",
                wall_s / base,
                worst.wall_s,
                worst.cpu_s
            );
        }
    }
    Ok(())
}

fn middle(costs: &[Cost]) -> Cost {
    figures(costs, |sorted| sorted.get(sorted.len() / 2))
}

/// Of each figure by itself, the one that `take` takes of all in order.
fn figures(costs: &[Cost], take: fn(&[f64]) -> Option<&f64>) -> Cost {
    let taken = |figure: fn(&Cost) -> f64| {
        let mut figures: Vec<f64> = costs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        take(&figures).copied().unwrap_or_default()
    };
    Cost {
        wall_s: taken(|cost| cost.wall_s),
        cpu_s: taken(|cost| cost.cpu_s),
        index_s: taken(|cost| cost.index_s),
        peak_mib: taken(|cost| cost.peak_mib),
    }
}

fn base(dir: &Path, objects: u64) -> PathBuf {
    dir.join(format!("base-{objects}"))
}

/// Makes a store whose packs have so many objects, in as many runs of its index as can be:
/// each of a third of what is left, known to the index before the next is there.
fn craft(path: &Path, objects: u64, dir: &Path) -> Done<()> {
    let store = DirStore::create(path)?;
    let first = dir.join("first");
    fs::write(&first, [1; 4096])?;
    let mut next = 0;
    while next < objects {
        let batch_end = next + ((objects - next) * 2 / 3).max(PACK_OBJECTS.min(objects - next));
        while next < batch_end {
            let end = batch_end.min(next + PACK_OBJECTS);
            let pack = craft_pack(next..end)?;
            fs::write(store.path().join("packs").join(Digest::of(&pack).to_string()), pack)?;
            next = end;
        }
        measure(path, &first, "first")?;
    }
    println!("{objects} objects: {} runs in the index", fs::read_dir(path.join("index"))?.count());
    Ok(())
}

fn craft_pack(objects: std::ops::Range<u64>) -> Done<Vec<u8>> {
    let mut pack = HEADER.to_vec();
    let mut index = IndexWriter::default();
    for start in objects.clone().step_by(FRAME_OBJECTS as usize) {
        let numbers = start..objects.end.min(start + FRAME_OBJECTS);
        let contents: Vec<[u8; 16]> =
            numbers.map(|number| u128::from(number).to_le_bytes()).collect();
        let packed = zstd::bulk::compress(&contents.concat(), LEVEL_DEFAULT)?;
        let named: Vec<_> = contents.iter().map(|bytes| (Digest::of(bytes), 16)).collect();
        index.add(packed.len() as u32, &named);
        pack.extend(packed);
    }
    pack.extend(index.finish().concat());
    Ok(pack)
}

/// A copy that shares the files, none of which is ever changed in place.
fn copy(from: &Path, to: &Path) -> Done<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::hard_link(entry.path(), to)?;
        }
    }
    Ok(())
}

fn compare_images(dir: &Path, images: &[&str]) -> Done<()> {
    println!("| image MiB | data MiB | objects | wall s | CPU s | peak MiB |");
    println!("|---|---|---|---|---|---|");
    for image in images {
        let (data, size) = image.split_once(':').ok_or("expected DATA:SIZE")?;
        let (data_mib, size_mib): (u64, u64) = (data.parse()?, size.parse()?);
        let path = dir.join("image");
        sparse_image(&path, data_mib, size_mib)?;
        let store = dir.join("store");
        let Cost { wall_s, cpu_s, peak_mib, .. } = measure(&store, &path, "image")?;
        let report = verify(&DirStore::open(&store)?, None)?;
        if !report.is_clean() || report.objects < data_mib * 256 {
            return Err(format!("not what was pushed: {report:?}").into());
        }
        fs::remove_dir_all(&store)?;
        fs::remove_file(&path)?;
        let objects = data_mib * 256;
        println!(
            "| {size_mib} | {data_mib} | {objects} | {wall_s:.1} | {cpu_s:.1} | {peak_mib:.0} |"
        );
    }
    Ok(())
}

/// An image with data all over, in stretches of 1 MiB, of blocks that are all different, an
/// object each, and that zstd shrinks to almost nothing.
fn sparse_image(path: &Path, data_mib: u64, size_mib: u64) -> Done<()> {
    let file = File::create(path)?;
    file.set_len(size_mib << 20)?;
    let mut number = 0;
    for mib in 0..data_mib {
        let mut bytes = Vec::with_capacity(1 << 20);
        while bytes.len() < 1 << 20 {
            let mut block = [1; 2 * BLOCK_BYTES];
            block[..Digest::LEN].copy_from_slice(Digest::of(&u64::to_le_bytes(number)).as_bytes());
            number += 1;
            if pieces(&block).next() == Some(Piece::Data { length: BLOCK_BYTES }) {
                bytes.extend_from_slice(&block[..BLOCK_BYTES]);
            }
        }
        file.write_all_at(&bytes, (mib * size_mib / data_mib) << 20)?;
    }
    Ok(())
}

/// Bytes that are the same every time, nowhere twice, and shrink to about half.
fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![b'.'; length];
    for (number, chunk) in bytes.chunks_mut(2 * Digest::LEN).enumerate() {
        let digest = Digest::of(&[seed.to_le_bytes(), number.to_le_bytes()].concat());
        chunk.iter_mut().zip(digest.as_bytes()).for_each(|(byte, random)| *byte = *random);
    }
    bytes
}
