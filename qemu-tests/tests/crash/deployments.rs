//! Deployments, recorded and judged.

use crate::lab::{LABEL, Lab, machine};
use crate::table::Row;
use anyhow::{Context, Result, ensure};
use qemu_tests::crash::{Asked, Entry, Judge, Verdict, WriteLog, last_state, replay};
use qemu_tests::{Bus, Disk, Machine, TestImage, deadline, environment};
use std::fs;
use std::ops::Range;
use std::process::Command;
use std::time::Instant;

const NEXT: &str = "lab/next";

/// Room for the image's files and little else.
const IMAGE_MIB: u64 = 40;

/// A disk that gets a backup table of its own.
const LARGER_BYTES: u64 = 3 << 20;

/// Where the mark is: the last block before 1 MiB.
const MARK: Range<usize> = (1 << 20) - 4096..1 << 20;

/// The least that disks write whole.
const SECTOR_BYTES: usize = 512;

/// The sector without which nothing boots.
const FIRST_SECTOR: Range<usize> = 0..512;

/// One state in so many is taken up again.
const RESUME_OF: u64 = 40;

/// A store, and what machines wrote that deployed from it.
pub(crate) struct Deployments {
    lab: Lab,
    pub(crate) runs: Vec<Run>,
}

/// One deployment, recorded.
pub(crate) struct Run {
    name: String,
    label: &'static str,
    /// The disk before it.
    base: Vec<u8>,
    log: WriteLog,
    judge: Judge,
    /// The disk after it.
    end: Vec<u8>,
}

impl Deployments {
    /// Runs a machine for each record.
    pub(crate) fn record() -> Result<Self> {
        let image = TestImage {
            size_mib: IMAGE_MIB,
            ..TestImage::of(environment::kernel()?, environment::witness()?)
        };
        let lab = Lab::of(image)?;
        lab.push(NEXT, &lab.image.next())?;
        let mut this = Self { lab, runs: Vec::new() };
        let disk = this.lab.disk("disk", 0)?;
        this.run("cold", LABEL, &disk)?;
        this.run("the next label over it", NEXT, &disk)?;
        let plain = Disk { discards: false, ..this.lab.disk("larger", LARGER_BYTES)? };
        this.run("cold, larger disk, no discards", LABEL, &plain)?;
        let nvme = Disk { bus: Bus::Nvme, ..plain };
        this.run("the next label over it, NVMe", NEXT, &nvme)?;
        Ok(this)
    }

    fn run(&mut self, name: &str, label: &'static str, disk: &Disk) -> Result<()> {
        let log = self.lab.path("log");
        fs::write(&log, "")?;
        let base = fs::read(&disk.file)?;
        let store = self.lab.serve(vec![])?;
        let mut machine = Machine {
            name: name.to_owned(),
            disks: vec![Disk { log: Some(log.clone()), ..disk.clone() }],
            ..machine(&store, label, "inaugurator.then=poweroff")?
        }
        .start()?;
        machine.expect("the disk boots by itself", deadline::INAUGURATE)?;
        machine.wait_exit(deadline::POWER_OFF)?;

        let log = WriteLog::read(&log, base.len()).context(name.to_owned())?;
        let end = fs::read(&disk.file)?;
        ensure!(last_state(&base, &log) == end, "{name}: the log is not all that was written");
        let judge = self.judge(name, label, &base, &end)?;
        self.runs.push(Run { name: name.to_owned(), label, base, log, judge, end });
        Ok(())
    }

    /// What this run may leave bootable: what was there, and the label.
    fn judge(&self, name: &str, label: &str, base: &[u8], end: &[u8]) -> Result<Judge> {
        let image = fs::read(self.lab.raw(label))?;
        // On a larger disk the table is another one; everything between is the image's.
        let same = 4096..image.len() - (1 << 20);
        let unmarked =
            |disk: &[u8]| [&disk[same.start..MARK.start], &disk[MARK.end..same.end]].concat();
        ensure!(unmarked(end) == unmarked(&image), "{name}: the run did not end as the image");
        let mut disks = vec![(label.to_owned(), end.to_vec())];
        if base.iter().any(|byte| *byte != 0) {
            disks.push(("what was there".to_owned(), base.to_vec()));
        }
        Ok(Judge::of(disks))
    }

    /// Judges `states` states of `run`, and takes some of them up again.
    pub(crate) fn replay(&self, run: &Run, states: usize, seed: u64) -> Result<Row> {
        let mut row = Row::new(&run.name, &run.log);
        let begun = Instant::now();
        let marks = run.marks();
        let asked = Asked { states, seed, sector_bytes: SECTOR_BYTES };
        row.replayed = replay(&run.base, &run.log, asked, |cut, disk| {
            let verdict = run.judge.of_state(disk);
            let torn = !marks.iter().any(|mark| disk[MARK] == **mark);
            match verdict {
                Verdict::Wrong(why) => row.violation(cut, disk, &why)?,
                Verdict::Boots(_) if torn => {
                    row.violation(cut, disk, "boots, and its mark is torn")?;
                }
                Verdict::Boots(_) => row.live += 1,
                Verdict::Dead => {}
            }
            if cut.number.is_multiple_of(RESUME_OF) {
                row.resumed += 1;
                if let Some(why) = self.resume(run, disk)? {
                    row.violation(cut, disk, &why)?;
                }
            }
            Ok(())
        })?;
        row.took = begun.elapsed();
        Ok(row)
    }

    /// Deploys the label onto `disk` again; says how it ends other than whole.
    fn resume(&self, run: &Run, disk: &[u8]) -> Result<Option<String>> {
        let file = self.lab.path("resumed");
        fs::write(&file, disk)?;
        let mut command = Command::new(environment::inaug()?);
        command.args(["deploy", run.label, "--store"]).arg(self.lab.store());
        let output = command.arg("--to").arg(&file).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Ok(Some(format!("deployed again, it fails: {said}")));
        }
        let (mut found, mut expected) = (fs::read(&file)?, run.end.clone());
        // A file has no mark.
        found[MARK].fill(0);
        expected[MARK].fill(0);
        let at = found.iter().zip(&expected).position(|(a, b)| a != b);
        Ok(at.map(|at| format!("deployed again, it differs at byte {at}")))
    }

    /// The cold and the next deployment with flushes where they do not belong.
    pub(crate) fn spoilt(&self, states: usize) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for run in &self.runs[..2] {
            for (how, spoil) in SPOILT {
                let log = spoil(&run.log).with_context(|| format!("{}, {how}", run.name))?;
                let mut row = Row::new(&format!("{}: {how}", run.name), &log);
                let begun = Instant::now();
                let asked = Asked { states, seed: 1, sector_bytes: SECTOR_BYTES };
                row.replayed = replay(&run.base, &log, asked, |cut, disk| {
                    match run.judge.of_state(disk) {
                        Verdict::Wrong(why) => row.violation(cut, disk, &why)?,
                        Verdict::Boots(_) => row.live += 1,
                        Verdict::Dead => {}
                    }
                    Ok(())
                })?;
                row.took = begun.elapsed();
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

impl Run {
    /// Every block that has been the mark's, whole. Torn ones are nobody's: the disk would
    /// have to be wiped by hand.
    fn marks(&self) -> Vec<Vec<u8>> {
        let mut disk = self.base.clone();
        let mut marks = vec![disk[MARK].to_vec()];
        for entry in self.log.entries.iter().filter(|entry| entry.touches(MARK)) {
            entry.put(&mut disk);
            marks.push(disk[MARK].to_vec());
        }
        marks
    }
}

type Spoil = fn(&WriteLog) -> Result<WriteLog>;

/// Ways to get the order wrong.
const SPOILT: [(&str, Spoil); 3] = [
    ("never flushed", |log| {
        let written = |entry: &&Entry| **entry != Entry::Flush;
        Ok(WriteLog { entries: log.entries.iter().filter(written).cloned().collect() })
    }),
    ("no flush before the first sector", |log| {
        let mut entries = log.entries.clone();
        let (_, flush) = seal(log)?;
        entries.remove(flush);
        Ok(WriteLog { entries })
    }),
    ("the first sector before the body is durable", |log| {
        let mut entries = log.entries.clone();
        let (first, _) = seal(log)?;
        let moved = entries.remove(first);
        let body = body_flush(&entries, first).context("no flush behind the body")?;
        entries.insert(body, moved);
        Ok(WriteLog { entries })
    }),
];

/// The last write to the first sector, which makes the disk boot, and the flush before it.
fn seal(log: &WriteLog) -> Result<(usize, usize)> {
    let first = log.entries.iter().rposition(|entry| entry.touches(FIRST_SECTOR));
    let first = first.context("nothing was written to the first sector")?;
    let flush = log.entries[..first].iter().rposition(|entry| *entry == Entry::Flush);
    Ok((first, flush.context("no flush before the first sector")?))
}

/// The flush that ends the longest run of writes before `end`.
fn body_flush(entries: &[Entry], end: usize) -> Option<usize> {
    let flushes = || (0..end).filter(|index| entries[*index] == Entry::Flush);
    let before = std::iter::once(0).chain(flushes());
    before.zip(flushes()).max_by_key(|(start, flush)| flush - start).map(|(_, flush)| flush)
}
