//! The table of single faults of a disk: each ends in the right bytes or the right sentence,
//! then the disk does not boot, and the next run without the fault ends right.

use super::disk::{Disk, cut_after};
use super::fault::{Fault, Kind, When};
use super::noise::Noise;
use super::oracle::{Judge, Verdict};
use super::picture::{MARK, MIB, Picture, Table};
use super::run::{Stock, run, sentence};
use deploy::Error;
use deploy::target::TargetKind;
use std::ops::Range;
use std::sync::Arc;
use store::Digest;
use store::source::Source;

/// How a row has to end; `*` stands for a number or a digest.
enum Ends {
    Right,
    /// With this sentence.
    Says(&'static str),
    /// With offset, expected and found, which are compared with image and disk.
    ReadsBackWrong,
}

struct Row {
    name: &'static str,
    kind: Kind,
    when: When,
    ends: Ends,
}

/// A block of the content, not near its ends; the content there is no zeroes.
const BLOCK: Range<u64> = 0x18_0000..0x18_1000;

/// A block that is to be zero.
const ZERO_BLOCK: Range<u64> = 0x20_0000..0x20_1000;

const CONTENT: Range<u64> = MIB as u64..4 * MIB as u64;
const FIRST: Range<u64> = 0..512;
const MARK_AT: Range<u64> = MARK.start as u64..MARK.end as u64;

/// A place for what goes elsewhere: in the middle of the content.
const ELSEWHERE: u64 = 0x30_0000;

const WRITE: &str = "cannot write * bytes at * of the disk: Input/output error (os error 5)";
const READ: &str = "cannot read * bytes at * of the disk: Input/output error (os error 5)";
const GONE: &str = "cannot * * bytes at * of the disk: No such device (os error 19)";
const FLUSH: &str = "cannot flush the disk: what was written since the last flush is not known to \
                     be there: Input/output error (os error 5)";

fn rows() -> Vec<Row> {
    use Ends::{ReadsBackWrong, Right, Says};
    let stuck = |range: &Range<u64>| Kind::StuckSector { at: range.start };
    let astray = || Kind::Misdirected { to: ELSEWHERE };
    let size = disk_bytes() as u64;
    let all = [
        ("write error, once", Kind::WriteError, When::OnceAt(BLOCK), Says(WRITE)),
        ("write error, first write", Kind::WriteError, When::Nth(0), Says(WRITE)),
        ("write error, boot sector", Kind::WriteError, When::NthAt(2, FIRST), Says(WRITE)),
        (
            "no room",
            Kind::Full,
            When::From(9),
            Says("cannot write * bytes at * of the disk: no storage space"),
        ),
        ("read error, comparing", Kind::ReadError, When::OnceAt(BLOCK), Right),
        ("read error, proving", Kind::ReadError, When::NthAt(1, BLOCK), Says(READ)),
        ("read error, always", Kind::ReadError, When::At(BLOCK), Says(READ)),
        ("flush error, first", Kind::FlushError, When::Nth(0), Says(FLUSH)),
        ("flush error, boot sector zeroed", Kind::FlushError, When::Nth(1), Says(FLUSH)),
        ("flush error, body", Kind::FlushError, When::Nth(5), Says(FLUSH)),
        ("flush error, table", Kind::FlushError, When::Nth(8), Says(FLUSH)),
        ("flush error, boot sector", Kind::FlushError, When::Nth(9), Says(FLUSH)),
        ("flush error, mark", Kind::FlushError, When::Nth(10), Says(FLUSH)),
        ("dropped write, content", Kind::Dropped, When::OnceAt(BLOCK), Right),
        ("dropped write, content, always", Kind::Dropped, When::At(BLOCK), ReadsBackWrong),
        ("dropped write, unfinished mark", Kind::Dropped, When::NthAt(0, MARK_AT), Right),
        ("dropped write, boot sector zeroed", Kind::Dropped, When::NthAt(0, FIRST), Right),
        ("dropped write, boot sector", Kind::Dropped, When::NthAt(3, FIRST), Right),
        ("dropped write, boot sector, always", Kind::Dropped, When::At(FIRST), ReadsBackWrong),
        ("dropped write, finished mark", Kind::Dropped, When::NthAt(1, MARK_AT), Right),
        ("misdirected write, content", astray(), When::OnceAt(BLOCK), Right),
        ("misdirected write, boot sector zeroed", astray(), When::NthAt(0, FIRST), Right),
        ("misdirected write, boot sector", astray(), When::NthAt(3, FIRST), Right),
        ("misdirected write, finished mark", astray(), When::NthAt(1, MARK_AT), Right),
        ("bit flipped in writing, content", Kind::FlippedWrite, When::OnceAt(BLOCK), Right),
        ("bit flipped in writing, always", Kind::FlippedWrite, When::At(CONTENT), ReadsBackWrong),
        ("bit flipped in writing, boot sector", Kind::FlippedWrite, When::NthAt(3, FIRST), Right),
        ("bit flipped in reading, comparing", Kind::FlippedRead, When::NthAt(0, BLOCK), Right),
        ("bit flipped in reading, proving", Kind::FlippedRead, When::NthAt(1, BLOCK), Right),
        ("bit flipped in reading, always", Kind::FlippedRead, When::At(CONTENT), ReadsBackWrong),
        ("sector stuck, content", stuck(&BLOCK), When::From(0), ReadsBackWrong),
        ("sector stuck, boot sector", stuck(&FIRST), When::From(0), ReadsBackWrong),
        ("sector stuck, zeroes", stuck(&ZERO_BLOCK), When::From(0), ReadsBackWrong),
        ("folds at half its size", Kind::Folds { bytes: size / 2 }, When::From(0), ReadsBackWrong),
        (
            "folds so that only its end lies over zeroes",
            Kind::Folds { bytes: FOLDED_BYTES as u64 },
            When::From(0),
            ReadsBackWrong,
        ),
        ("zeroing lies", Kind::ZeroLies, When::From(0), Right),
        ("zeroing lies after the first time", Kind::ZeroLies, When::From(1), Right),
        ("zeroing unsupported", Kind::ZeroUnsupported, When::From(0), Right),
        ("zeroing fails", Kind::ZeroError, When::From(0), Right),
        ("gone at the start", Kind::Gone, When::From(0), Says(GONE)),
        ("gone in the middle", Kind::Gone, When::From(40), Says(GONE)),
    ];
    all.into_iter().map(|(name, kind, when, ends)| Row { name, kind, when, ends }).collect()
}

fn new() -> Picture {
    Picture::of_runs(Table::Gpt, 2, &[6, 7, 1, 2, 0, 9, 3, 0, 0, 0, 0, 4, 5, 8], 64)
}

fn old() -> Picture {
    Picture::of_runs(Table::Gpt, 1, &[11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24], 64)
}

/// A size that has room for the image.
const FOLDED_BYTES: usize = 5 * MIB;

/// The content has a MiB of zeroes there.
const ZEROES_AT: usize = MIB + 7 * 64 * 4096;

/// What the disk says it has: when it folds at [`FOLDED_BYTES`], just its end lies over zeroes of
/// the content.
const fn disk_bytes() -> usize {
    FOLDED_BYTES + ZEROES_AT + MIB
}

/// One row's line, and what is wrong with it.
struct Outcome {
    line: String,
    wrong: Vec<String>,
}

impl Row {
    fn run(&self, stock: &Stock, base: &[u8], cold_objects: u64) -> Outcome {
        let disk = Disk::with(base.to_vec());
        disk.ail([Fault::new(self.kind.clone(), self.when.clone())], 5);
        let ran = run(&stock.source, "new", &disk, TargetKind::Device);
        let mut wrong = Vec::new();
        if disk.struck() == 0 {
            wrong.push("the fault did not happen".to_owned());
        }
        let mut judge = Judge::new(base, &new(), true);
        let content = disk.content();
        let said = match &ran.ended {
            Ok(()) => {
                wrong.extend(judge.is_whole(&content).err());
                let again = ran.snapshot.fetched_objects.saturating_sub(cold_objects);
                format!("right, {again} objects fetched again")
            }
            Err(error) => {
                wrong.extend(self.misnames(error, &content));
                sentence(error)
            }
        };
        match (&self.ends, &ran.ended) {
            (Ends::Right, Ok(())) | (Ends::ReadsBackWrong, Err(Error::ReadBack { .. })) => {}
            (Ends::Says(pattern), Err(_)) if matches(pattern, &said) => {}
            _ => wrong.push(format!("ended otherwise: {said}")),
        }
        if ran.ended.is_err() {
            judge.forgive(&disk.damaged());
            for state in std::iter::once(content).chain((0..8).map(|seed| disk.crashed(seed))) {
                let verdict = judge.look(&state);
                let is_new = verdict == Verdict::Boots("the label");
                if matches!(verdict, Verdict::Wrong(_)) || (is_new && !disk.damaged().is_empty()) {
                    wrong.push(format!("{verdict:?}"));
                }
            }
        }
        let next = next_run(stock, &disk, &mut wrong);
        let line = format!("{} | {said} | {next}", self.name);
        Outcome { line, wrong }
    }

    /// Whether a read-back error says what really should be there and what is.
    fn misnames(&self, error: &Error, content: &[u8]) -> Option<String> {
        let Error::ReadBack { offset_bytes, bytes, expected, found, .. } = error else {
            return None;
        };
        let range = *offset_bytes as usize..(*offset_bytes + *bytes) as usize;
        let (right, _) = new().on_disk(disk_bytes());
        let is_held = range.start < MIB || range.end > disk_bytes() - MIB;
        let digest = |bytes: &[u8]| Digest::of(bytes).to_string();
        let zeroes = right[range.clone()].iter().all(|byte| *byte == 0);
        let says_right =
            *expected == digest(&right[range.clone()]) || (zeroes && expected == "zeroes");
        if !says_right && !is_held {
            return Some(format!("expected {expected} at {range:?}"));
        }
        let stays = matches!(self.kind, Kind::StuckSector { .. }) && !is_held;
        let says_found = *found == digest(&content[range.clone()]) || found == "other bytes";
        (stays && !says_found).then(|| format!("found {found} at {range:?}"))
    }
}

/// The power fails, the disk is mended, and the next run has to end right.
fn next_run(stock: &Stock, disk: &Disk, wrong: &mut Vec<String>) -> String {
    disk.crash(9);
    disk.ail([], 0);
    let before = disk.content();
    let ran = run(&stock.source, "new", disk, TargetKind::Device);
    let judge = Judge::new(&before, &new(), true);
    wrong.extend(ran.ended.err().map(|error| format!("next run: {}", sentence(&error))));
    wrong.extend(judge.is_whole(&disk.content()).err().map(|why| format!("next run: {why}")));
    format!("right, {} objects fetched", ran.snapshot.fetched_objects)
}

/// Whether `text` is `pattern`, in which each `*` stands for one word.
fn matches(pattern: &str, text: &str) -> bool {
    let (mut wanted, mut words) = (pattern.split(' '), text.split(' '));
    loop {
        match (wanted.next(), words.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == "*" || one == other => {}
            _ => return false,
        }
    }
}

/// Objects that a run without a fault fetches.
fn cold_objects(source: &Arc<dyn Source>, base: &[u8]) -> u64 {
    let disk = Disk::with(base.to_vec());
    let ran = run(source, "new", &disk, TargetKind::Device);
    ran.ended.unwrap();
    ran.snapshot.fetched_objects
}

#[test]
fn every_single_fault_ends_in_the_right_bytes_or_the_right_sentence() {
    let stock = Stock::of(&[("old", &old()), ("new", &new())]);
    let mut noise = vec![0; disk_bytes()];
    Noise::of(5).fill(&mut noise);
    let base = stock.deployed("old", noise);
    let cold = cold_objects(&stock.source, &base);
    let (rows, mut wrong) = (rows(), Vec::new());
    println!("fault | outcome | next run");
    for row in &rows {
        let outcome = row.run(&stock, &base, cold);
        println!("{}", outcome.line);
        wrong.extend(outcome.wrong.into_iter().map(|why| format!("{}: {why}", row.name)));
    }
    println!("{} rows, {} wrong", rows.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_run_that_is_never_let_end_changes_nothing_that_boots() {
    let stock = Stock::of(&[("old", &old()), ("new", &new())]);
    let base = stock.deployed("old", vec![0; disk_bytes()]);
    let judge = Judge::new(&base, &new(), true);
    for operations in (0..200).step_by(7) {
        let disk = Disk::with(base.clone());
        disk.ail([cut_after(operations)], operations);
        let ended = run(&stock.source, "new", &disk, TargetKind::Device).ended;
        assert!(ended.is_err() || disk.struck() == 0);
        let verdict = judge.look(&disk.content());
        assert!(!matches!(verdict, Verdict::Wrong(_)), "after {operations}: {verdict:?}");
    }
}
