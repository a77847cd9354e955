//! Pushes into a store on ext4, recorded and judged.

use crate::table::{Row, join};
use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use qemu_tests::crash::{
    Asked, Cut, Entry, NOTE_BYTES, PUSH_PART_BYTES, PUSHES, WriteLog, last_state, replay,
};
use qemu_tests::{Disk, Machine, Noise, deadline, environment, newc_of, unmounted};
use rustix::mount::{MountFlags, MountPropagationFlags};
use serde_json::Value;
use std::fs;
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;
use tempfile::TempDir;

/// The store's file system: room for the images, packed, and a journal.
const STORE: Range<usize> = 1 << 20..13 << 20;

/// ext4 does not survive a super block torn within its 4 KiB: that is not ours to judge.
const SECTOR_BYTES: usize = 4096;

/// Where the machine notes that a push has returned.
const NOTES: Range<usize> = 13 << 20..14 << 20;

/// States that are mounted at once: most of a mount is waiting.
const WORKERS: usize = 4;

/// A machine's pushes, recorded.
pub(crate) struct Pushed {
    work: TempDir,
    base: Vec<u8>,
    log: WriteLog,
    /// The manifest of each push.
    manifests: Vec<String>,
    /// How many requests were done when each push had returned.
    returned: Vec<usize>,
}

impl Pushed {
    /// Runs the machine.
    pub(crate) fn record() -> Result<Self> {
        // States are mounted from here, thousands of them: memory where there is such a place.
        let memory = Path::new("/dev/shm");
        let work = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let work = work.context("a directory for the pushes")?;
        let path = |name: &str| work.path().join(name);
        let (disk, log, initrd) = (path("disk"), path("log"), path("initrd"));
        make_disk(&disk)?;
        fs::write(&log, "")?;
        let (init, inaug) = (environment::pusher()?, environment::inaug()?);
        fs::write(&initrd, newc_of(&[("init", &fs::read(init)?), ("inaug", &fs::read(inaug)?)])?)?;
        let base = fs::read(&disk)?;
        let mut machine = Machine {
            name: "pusher".into(),
            disks: vec![Disk { log: Some(log.clone()), ..Disk::at(&disk) }],
            nics: Vec::new(),
            ..Machine::direct(environment::kernel()?, initrd, "")
        }
        .start()?;
        machine.expect("pusher: done", deadline::INAUGURATE)?;
        machine.wait_exit(deadline::POWER_OFF)?;
        let log = WriteLog::read(&log, base.len())?;
        let written = last_state(&base, &log) == fs::read(&disk)?;
        ensure!(written, "pushes: the log is not all that was written");
        let manifests = manifests(work.path())?;
        let returned =
            (0..PUSHES.len()).map(|number| noted(&log, number)).collect::<Result<_>>()?;
        Ok(Self { work, base, log, manifests, returned })
    }

    /// Judges `states` states of it.
    pub(crate) fn replay(&self, states: usize, seed: u64) -> Result<Row> {
        self.judge("three pushes", &self.log, &self.returned, states, seed)
    }

    /// The same with the flushes taken out.
    pub(crate) fn spoilt(&self, states: usize) -> Result<Vec<Row>> {
        let written = |entry: &&Entry| **entry != Entry::Flush;
        let entries = self.log.entries.iter().filter(written).cloned().collect();
        let log = WriteLog { entries };
        // The notes are where they were, without the flushes before them.
        let returned = (0..PUSHES.len()).map(|number| noted(&log, number));
        let returned: Vec<_> = returned.collect::<Result<_>>()?;
        Ok(vec![self.judge("three pushes: never flushed", &log, &returned, states, 1)?])
    }

    fn judge(
        &self,
        name: &str,
        log: &WriteLog,
        returned: &[usize],
        states: usize,
        seed: u64,
    ) -> Result<Row> {
        let mut row = Row::new(name, log);
        let begun = Instant::now();
        let parts = thread::scope(|scope| {
            let part = |worker: usize| {
                let seed = seed * WORKERS as u64 + worker as u64;
                let states = states / WORKERS + usize::from(worker < states % WORKERS);
                scope.spawn(move || self.judge_part(name, log, returned, states, seed, worker))
            };
            let workers: Vec<_> = (0..WORKERS).map(part).collect();
            workers.into_iter().map(join).collect::<Result<Vec<Row>>>()
        })?;
        for part in parts {
            row.add(part);
        }
        row.took = begun.elapsed();
        Ok(row)
    }

    fn judge_part(
        &self,
        name: &str,
        log: &WriteLog,
        returned: &[usize],
        states: usize,
        seed: u64,
        worker: usize,
    ) -> Result<Row> {
        private_mounts()?;
        let medium = Medium::new(&self.work.path().join(format!("medium-{worker}")))?;
        let mut row = Row::new(name, log);
        let asked = Asked { states, seed, sector_bytes: SECTOR_BYTES };
        row.replayed = replay(&self.base, log, asked, |cut, disk| {
            match medium.mounted(&disk[STORE], |root| self.look(cut, returned, root))? {
                Found::Labels(0) => {}
                Found::Labels(_) => row.live += 1,
                Found::Wrong(why) => row.violation(cut, disk, &why)?,
            }
            Ok(())
        })?;
        Ok(row)
    }

    /// What there is of labels after the cut, in the file system mounted at `root`.
    fn look(&self, cut: &Cut, returned: &[usize], root: &Path) -> Result<Found> {
        let store = root.join("store");
        let mut labels = 0;
        for label in ["crash/a", "crash/b"] {
            let pushes = || (0..PUSHES.len()).filter(|push| PUSHES[*push].label == label);
            // The last push that had returned, or a later one.
            let least = pushes().rfind(|push| returned[*push] < cut.done);
            match (manifest_of(&store, label), least) {
                (Ok(None), None) => {}
                (Ok(None), Some(push)) => {
                    return Ok(Found::Wrong(format!("push {push} of {label} is not there")));
                }
                (Ok(Some(manifest)), least) => {
                    labels += 1;
                    let push = pushes().rfind(|push| self.manifests[*push] == manifest);
                    if push.is_none() || push < least {
                        let found = format!("{label} is {manifest:?}, push {least:?} had returned");
                        return Ok(Found::Wrong(found));
                    }
                }
                (Err(error), _) => return Ok(Found::Wrong(format!("{label}: {error:#}"))),
            }
        }
        let damage = if labels > 0 { damage(&store)? } else { None };
        Ok(damage.map_or(Found::Labels(labels), Found::Wrong))
    }
}

enum Found {
    /// So many labels, each all there.
    Labels(usize),
    Wrong(String),
}

/// What the record of `label` names, if it is there; as SPECIFICATION.md has it.
fn manifest_of(store: &Path, label: &str) -> Result<Option<String>> {
    let file = store.join("labels").join(label.replace('/', "__"));
    match fs::read_to_string(&file) {
        Ok(record) => {
            let line = record.lines().find_map(|line| line.strip_prefix("manifest "));
            Ok(Some(line.with_context(|| format!("no manifest in {record:?}"))?.to_owned()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

/// What `inaug verify` finds that hurts a label.
fn damage(store: &Path) -> Result<Option<String>> {
    let mut command = Command::new(environment::inaug()?);
    let output = command.args(["verify", "--json", "--store"]).arg(store).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(None);
    }
    let document: Value = serde_json::from_str(&said).with_context(|| {
        format!("inaug verify: {said}{}", String::from_utf8_lossy(&output.stderr))
    })?;
    let hurts = |damage: &&Value| damage["labels"].as_array().is_some_and(|all| !all.is_empty());
    let damages = document["damages"].as_array();
    let first = damages.with_context(|| format!("inaug verify: {said}"))?.iter().find(hurts);
    Ok(first.map(|damage| format!("a label is not all there: {damage}")))
}

/// How many requests were done when push `number` had been noted.
fn noted(log: &WriteLog, number: usize) -> Result<usize> {
    let at = NOTES.start + number * NOTE_BYTES;
    let index = log.entries.iter().position(|entry| entry.touches(at..at + NOTE_BYTES));
    index.with_context(|| format!("push {number} is not noted"))
}

/// The manifest of each push's image, from a store of its own.
fn manifests(work: &Path) -> Result<Vec<String>> {
    let (store, image) = (work.join("model"), work.join("image"));
    let mut manifests = Vec::new();
    for push in PUSHES {
        let parts = push.seeds.iter().flat_map(|seed| Noise::of(*seed).bytes(PUSH_PART_BYTES));
        fs::write(&image, parts.collect::<Vec<u8>>())?;
        let mut command = Command::new(environment::inaug()?);
        command.args(["push", push.label, "--force", "--image"]).arg(&image);
        let output = command.arg("--store").arg(&store).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        manifests.push(manifest_of(&store, push.label)?.context("no record")?);
    }
    Ok(manifests)
}

fn make_disk(file: &Path) -> Result<()> {
    fs::File::create(file)?.set_len(NOTES.end as u64)?;
    let sectors = |range: &Range<usize>| {
        format!("start={}, size={}\n", range.start / 512, (range.end - range.start) / 512)
    };
    let table = format!("label: dos\n{}{}", sectors(&STORE), sectors(&NOTES));
    run(Command::new("sfdisk").arg("--quiet").arg(file), &table)?;
    let blocks = ((STORE.end - STORE.start) / 4096).to_string();
    let mut mke2fs = Command::new("mke2fs");
    // What the kernel would zero later on would be writes of nobody's.
    let options = format!("offset={},lazy_itable_init=0,lazy_journal_init=0", STORE.start);
    mke2fs.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-E", &options]).arg(file).arg(blocks);
    run(&mut mke2fs, "").map(drop)
}

fn run(command: &mut Command, input: &str) -> Result<String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    command.env("PATH", path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What this thread mounts from now on is seen by it alone, and gone when it ends.
fn private_mounts() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("mounts of our own; root is needed")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).context("mounts of our own")
}

/// A loop device with a file system on it, to be mounted again and again; nothing else opens
/// it, so the kernel keeps nothing of it from one mount to the next.
struct Medium {
    file: PathBuf,
    device: String,
    place: PathBuf,
}

impl Medium {
    fn new(file: &Path) -> Result<Self> {
        fs::File::create(file)?.set_len((STORE.end - STORE.start) as u64)?;
        let place = file.with_extension("mounted");
        fs::create_dir_all(&place)?;
        let device = run(Command::new("losetup").args(["--find", "--show"]).arg(file), "")?;
        Ok(Self { file: file.to_owned(), device, place })
    }

    /// Has `file_system` mounted while `look` looks at it.
    fn mounted(
        &self,
        file_system: &[u8],
        look: impl FnOnce(&Path) -> Result<Found>,
    ) -> Result<Found> {
        fs::File::options().write(true).open(&self.file)?.write_all(file_system)?;
        let none = None::<&std::ffi::CStr>;
        let flags = MountFlags::empty();
        match rustix::mount::mount(&self.device, &self.place, "ext4", flags, none) {
            Ok(()) => {
                let found = look(&self.place);
                unmounted(&self.place)?;
                found
            }
            Err(error) => Ok(Found::Wrong(format!("it cannot be mounted: {error}"))),
        }
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        // What is left of it is seen by `losetup`; the states are judged already.
        let _ = run(Command::new("losetup").args(["-d", &self.device]), "");
    }
}
